//! Restoring a backup, and moving a database.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Seek},
    path::Path,
    sync::Arc,
};

use doorward_shared::time::Timestamp;
use tokio::{runtime::Handle, task::spawn_blocking};

use super::{admin::Desk, backup::made, random_hex};
use crate::{
    domain::{
        audit::{Action, Event, FIRST_LINK, Link},
        client::Origin,
        restore::{Disabled, Loss, Restoration, Seal, Senseless, Since, decide, next_steps},
    },
    keys::{DataKey, KeyEncryptionKey, KeyError, Missing},
    store::{
        Store, StoreError,
        archive::{ArchiveError, Cell, Continuation, Counts, Header, Reader, Trail, Writer},
    },
};

/// What the operator knows of the time since the backup.
#[derive(Debug)]
pub enum Known<'a> {
    /// Nothing.
    Nothing,
    /// The audit trail of the lost database, exported to its end.
    Trail(&'a mut BufReader<File>),
    /// The server was stopped before the backup was made, and not started again. What is sealed has to open.
    NothingWasLost,
}

/// What was done.
#[derive(Debug)]
pub struct Restored {
    /// The first line of the backup.
    pub header: Header,
    /// How many rows there were of each table.
    pub counts: Counts,
    /// How far the trail of the lost database went.
    pub trail_until: Option<Timestamp>,
    /// When it was done.
    pub at: Timestamp,
    /// The word for what was known.
    pub mode: &'static str,
    /// What was disabled.
    pub disabled: Disabled,
    /// What the operator does next.
    pub next_steps: Vec<String>,
}

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The backup, the trail or the database.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// An event of the trail.
    #[error("the audit trail: {0}; nothing was changed")]
    Trail(#[from] Senseless),
    /// What is sealed does not open; and what else can be done.
    #[error("{0}; nothing was changed{1}")]
    Key(KeyError, &'static str),
    /// A server ran when the backup was made.
    #[error(
        "the backup was made while a server ran, so what was revoked after it is not in it; give the audit trail of the \
         lost database (--audit FILE), or leave --nothing-lost out: then everything ends that could have been revoked"
    )]
    Running,
    /// It is the backup of another issuer.
    #[error(
        "the backup is of {theirs}, and this is configured as {ours}; give this command the settings of that server \
         (--config FILE, DOORWARD__SERVER__ISSUER)"
    )]
    Issuer {
        /// The backup's.
        theirs: String,
        /// The configured one.
        ours: String,
    },
}

impl From<io::Error> for RestoreError {
    fn from(error: io::Error) -> Self {
        Self::Archive(error.into())
    }
}

impl From<StoreError> for RestoreError {
    fn from(error: StoreError) -> Self {
        Self::Archive(error.into())
    }
}

/// Fills the empty database of the desk from a backup. What could have been ended since ends; nobody else may have to do with
/// the database meanwhile. `kek_file` holds the key-encryption key, if there is one.
pub async fn restore(
    desk: Desk<'_>,
    from: &mut BufReader<File>,
    known: Known<'_>,
    kek_file: &Path,
) -> Result<Restored, RestoreError> {
    desk.store.check_empty().await?;
    let schema = desk.store.migrate().await?;
    let Surveyed { header, head, data_key } = survey(from, schema)?;
    let ours = desk.policy.issuer.as_str();
    if header.issuer != ours {
        return Err(RestoreError::Issuer { theirs: header.issuer, ours: ours.to_owned() });
    }
    let opens = check_opens(data_key.as_deref(), kek_file, desk);
    let (loss, trail) = match known {
        Known::Nothing => (Loss::Unknown, None),
        Known::NothingWasLost if !header.stopped => return Err(RestoreError::Running),
        Known::NothingWasLost => (Loss::Nothing, None),
        Known::Trail(file) => {
            let (since, end) = read_trail(file, &head)?;
            file.rewind()?;
            (Loss::Known(Box::new(since)), Some(Continuation { trail: Trail::after(head, file), end }))
        }
    };
    let trail_until = match &loss {
        Loss::Known(since) => since.until(),
        Loss::Nothing | Loss::Unknown => None,
    };
    let seal = match (opens, &loss) {
        (Ok(()), _) => Seal::Opens,
        (Err(error), Loss::Nothing) => {
            let advice = ". Without --nothing-lost no key is needed: new ones are made then";
            return Err(RestoreError::Key(error, advice));
        }
        (Err(_), Loss::Known(_) | Loss::Unknown) => Seal::Lost,
    };
    let verdict = decide(loss, seal, desk.policy, desk.clock.now());
    from.rewind()?;
    let mut reader = Reader::open(from, schema)?;
    let event = restored(desk, &verdict).with("backup_at", header.created_at.seconds());
    desk.store.fill(&mut reader, trail, &verdict, &random_hex(desk.entropy), &event).await?;
    let counts = reader.counts().clone();
    let disabled = disabled(desk.store, &verdict).await?;
    let next_steps = next_steps(&verdict, &disabled);
    let (at, mode) = (verdict.at(), verdict.mode());
    Ok(Restored { header, counts, trail_until, at, mode, disabled, next_steps })
}

/// An error when there is a data key, and the key-encryption key in this file does not open it.
fn check_opens(data_key: Option<&str>, kek_file: &Path, desk: Desk<'_>) -> Result<(), KeyError> {
    let Some(sealed) = data_key else { return Ok(()) };
    let kek = KeyEncryptionKey::load(kek_file, Missing::Refuse, desk.entropy)?;
    DataKey::open_with(&kek, sealed).map(drop)
}

/// Copies a database into an empty one, with everything in it as it is; what is sealed has to open with the key-encryption
/// key in this file. Nobody else may have to do with either meanwhile.
pub async fn carry_over(
    desk: Desk<'_>,
    kek_file: &Path,
    source: Arc<dyn Store>,
    target: Arc<dyn Store>,
) -> Result<(Header, Counts), RestoreError> {
    target.check_empty().await?;
    let schema = target.migrate().await?;
    check_opens(source.data_key().await?.as_deref(), kek_file, desk)
        .map_err(|error| RestoreError::Key(error, ""))?;
    let verdict = decide(Loss::Nothing, Seal::Opens, desk.policy, desk.clock.now());
    let (made, event, epoch) = (made(desk), restored(desk, &verdict), random_hex(desk.entropy));
    let (read, write) = io::pipe()?;
    let runtime = Handle::current();
    // Both ends wait for each other, so neither may keep a thread from the runtime.
    let out = spawn_blocking({
        let runtime = runtime.clone();
        move || {
            let mut write = BufWriter::new(write);
            runtime.block_on(source.dump(&made, None, Writer::new(&mut write)))
        }
    });
    let filled = spawn_blocking(move || {
        let mut read = BufReader::new(read);
        let mut reader = Reader::open(&mut read, schema)?;
        runtime.block_on(target.fill(&mut reader, None, &verdict, &epoch, &event))
    });
    let (out, filled) = (joined(out.await)?, joined(filled.await)?);
    match (out, filled) {
        // The reader went away first, and says why.
        (Err(ArchiveError::Io(error)), Err(why)) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(why.into())
        }
        (Err(why), _) | (Ok(_), Err(why)) => Err(why.into()),
        (Ok(done), Ok(())) => Ok(done),
    }
}

fn joined<T>(ended: Result<T, tokio::task::JoinError>) -> io::Result<T> {
    ended.map_err(io::Error::other)
}

fn restored(desk: Desk<'_>, verdict: &Restoration) -> Event {
    Event::new(Action::Restored, desk.actor.clone(), verdict.at(), desk.entropy)
        .from(desk.address)
        .with("mode", verdict.mode())
}

/// What is in a backup, as far as it matters before anything is changed.
struct Surveyed {
    header: Header,
    /// Where its audit trail ends.
    head: Link,
    /// The sealed data key.
    data_key: Option<String>,
}

/// Reads a backup to its end.
fn survey(from: &mut BufReader<File>, schema: i64) -> Result<Surveyed, ArchiveError> {
    let mut reader = Reader::open(from, schema)?;
    let header = reader.header().clone();
    let mut head = Link { sequence: 0, hash: FIRST_LINK.to_owned() };
    let mut data_key = None;
    while let Some(row) = reader.next_row()? {
        let table = &header.tables[row.table];
        let text = |column| table.cell(&row, column).and_then(Cell::text);
        match table.name.as_str() {
            "facts" if text("name") == Some("data_key") => data_key = text("value").map(String::from),
            "audit_events" => {
                let sequence = table.cell(&row, "sequence").and_then(Cell::integer).unwrap_or_default();
                if let Some(hash) = text("hash").filter(|_| sequence > head.sequence) {
                    head = Link { sequence, hash: hash.to_owned() };
                }
            }
            _ => {}
        }
    }
    Ok(Surveyed { header, head, data_key })
}

/// Reads a trail to its end. Answers what it says about the time after `head`, and where it ends.
fn read_trail(file: &mut BufReader<File>, head: &Link) -> Result<(Since, Link), RestoreError> {
    let mut trail = Trail::after(head.clone(), file);
    let mut since = Since::default();
    while let Some(stored) = trail.next_event()? {
        since.note(&stored.event)?;
    }
    let end = trail.end().unwrap_or(head).clone();
    Ok((since, end))
}

/// What the verdict disabled, by the names that commands take.
async fn disabled(store: &dyn Store, verdict: &Restoration) -> Result<Disabled, StoreError> {
    let mut disabled = Disabled::default();
    if !verdict.ends() {
        return Ok(disabled);
    }
    let now = |at: Option<Timestamp>| at == Some(verdict.at());
    let mut users = store.users().await?;
    users.sort_by_key(|user| user.admin_since.is_none());
    disabled.users = users
        .iter()
        .filter(|user| now(user.disabled_at))
        .map(|user| user.email.as_str().to_owned())
        .collect();
    for client in store.clients().await?.iter().filter(|client| now(client.disabled_at)) {
        let list = match client.origin {
            Origin::Dynamic => &mut disabled.dynamic_clients,
            Origin::Document(_) | Origin::Administrator | Origin::Fixed => &mut disabled.clients,
        };
        list.push(client.id.as_str().to_owned());
    }
    disabled.clients.sort_unstable();
    disabled.dynamic_clients.sort_unstable();
    let resources = store.resources().await?;
    let resources = resources.iter().filter(|resource| now(resource.disabled_at));
    disabled.resources = resources.map(|resource| resource.uri.as_str().to_owned()).collect();
    let rules = store.rules().await?;
    disabled.rules =
        rules.iter().filter(|rule| now(rule.disabled_at)).map(|rule| rule.id.to_string()).collect();
    Ok(disabled)
}
