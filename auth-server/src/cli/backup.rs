//! `backup`, `restore`, `move`.

use std::{
    fmt,
    fs::File,
    io::{self, BufReader, BufWriter},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{ArgGroup, Args};
use doorward_shared::{
    secret::SystemEntropy,
    time::{Clock as _, Seconds, SystemClock},
};
use serde_json::json;

use super::output::{Answer, Failure};
use crate::{
    config::{self, Config},
    domain::{
        audit::Actor,
        ids::EventId,
        restore::{Disabled, Loss, Seal, decide, next_steps},
    },
    flows::{
        admin::Desk,
        backup,
        restore::{self, Known, Restored},
    },
    store::{
        self, Location, Store,
        archive::{ArchiveError, Counts, Header, NewFile},
        hold::{self, Role},
    },
};

/// `backup`.
#[derive(Debug, Args)]
pub(super) struct Backup {
    /// Write to this file, which only its owner can read; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// `restore`.
#[derive(Debug, Args)]
pub(super) struct Restore {
    /// The backup.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The server was stopped before the backup was made, and not started again: keep everything as it was.
    #[arg(long, conflicts_with = "audit")]
    nothing_lost: bool,
    /// The audit trail of the lost database to its end (`doorward audit export`): disable what it names instead of everybody.
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
}

/// `move`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("target").required(true).args(["to", "to_file"]))]
pub(super) struct Move {
    /// The empty database: `postgres://USER@HOST/DATABASE` or `sqlite:PATH`, without a password.
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// A file that holds the URL, password and all.
    #[arg(long, value_name = "FILE")]
    to_file: Option<PathBuf>,
}

fn desk<'a>(store: &'a dyn Store, config: &'a Config) -> Desk<'a> {
    Desk {
        store,
        clock: &SystemClock,
        entropy: &SystemEntropy,
        policy: &config.policy,
        mail: None,
        actor: &Actor::Operator,
        address: None,
    }
}

/// Opens a database that has to be there, as it is: its schema is not touched.
async fn existing(location: &Location) -> Result<Arc<dyn Store>, Failure> {
    if let Location::Sqlite(path) = location
        && !path.exists()
    {
        let path = path.display();
        return Err(Failure::because(format_args!(
            "there is no database at {path}; name the settings of the server (--config FILE, DOORWARD__STORE__URL)"
        )));
    }
    Ok(store::open(location).await?)
}

pub(super) async fn back_up(command: Backup, config: &Config) -> Result<Answer, Failure> {
    let store = existing(&config.store).await?;
    let made = write(&command.to, store.as_ref(), config).await;
    store.close().await;
    let (header, counts) = made?;
    if is_standard_output(&command.to) {
        return Ok(Answer::nothing());
    }
    let (place, rows) = (command.to.display(), counts.values().sum::<u64>());
    let mut text = format!("backed up {rows} rows to {place}; keep it as you keep the database");
    if !header.stopped {
        text.push_str(
            "\na server was running: what is revoked from now on is not in it. A restore therefore ends what could \
             have been, or what the audit trail names (`doorward audit export`, kept elsewhere)",
        );
    }
    let json = json!({
        "file": place.to_string(), "created_at": header.created_at, "schema": header.schema,
        "stopped": header.stopped, "rows": counts,
    });
    Answer::new(text, &json)
}

fn is_standard_output(place: &Path) -> bool {
    place.as_os_str() == "-"
}

async fn write(place: &Path, store: &dyn Store, config: &Config) -> Result<(Header, Counts), Failure> {
    let alone = hold::try_hold(&config.store, Role::Alone).await?;
    let desk = desk(store, config);
    if is_standard_output(place) {
        let mut out = BufWriter::new(io::stdout());
        return backup::back_up(desk, alone, &mut out)
            .await
            .map_err(|error| not_written("standard output", error));
    }
    let unwritable = |error: io::Error| not_written(place.display(), error.into());
    let unique = EventId::generate(SystemClock.now(), &SystemEntropy);
    let mut file = NewFile::begin(place, unique.as_str()).map_err(unwritable)?;
    let made =
        backup::back_up(desk, alone, &mut file).await.map_err(|error| not_written(place.display(), error))?;
    file.finish().map_err(unwritable)?;
    Ok(made)
}

fn not_written(place: impl fmt::Display, error: ArchiveError) -> Failure {
    match error {
        ArchiveError::Io(error) => Failure::because(format_args!(
            "{place}: {error}; there is no new backup: make room, or name another place"
        )),
        other => other.into(),
    }
}

fn opened(path: &Path) -> Result<BufReader<File>, Failure> {
    let unreadable =
        |error| Failure::because(format_args!("{}: {error}; name a file that can be read", path.display()));
    Ok(BufReader::new(File::open(path).map_err(unreadable)?))
}

pub(super) async fn restore(command: Restore, config: &Config) -> Result<Answer, Failure> {
    let mut from = opened(&command.from)?;
    let mut trail = command.audit.as_deref().map(opened).transpose()?;
    let known = match &mut trail {
        Some(trail) => Known::Trail(trail),
        None if command.nothing_lost => Known::NothingWasLost,
        None => Known::Nothing,
    };
    let _alone = hold::hold(&config.store, Role::Alone).await?;
    let store = store::open(&config.store).await?;
    let restored = match store.migrate().await {
        Ok(_) => {
            let desk = desk(store.as_ref(), config);
            restore::restore(desk, &mut from, known, &config.keys.kek_file).await
        }
        Err(error) => Err(error.into()),
    };
    store.close().await;
    told(&restored?)
}

fn told(done: &Restored) -> Result<Answer, Failure> {
    let rows = done.counts.values().sum::<u64>();
    let age = Length(done.at.since(done.header.created_at));
    let mut text = format!("restored {rows} rows of a backup that is {age} old");
    if done.mode == "audit" {
        match done.trail_until {
            Some(until) => {
                let ago = Length(done.at.since(until));
                text = format!("{text}; the audit trail ends {ago} ago");
            }
            None => text.push_str("; the audit trail has no event after it"),
        }
    }
    for step in &done.next_steps {
        text = text + "\n" + step;
    }
    let Disabled { users, clients, dynamic_clients, resources, rules } = &done.disabled;
    let json = json!({
        "mode": done.mode, "created_at": done.header.created_at, "trail_until": done.trail_until, "rows": done.counts,
        "disabled": {
            "users": users, "clients": clients, "dynamic_clients": dynamic_clients, "resources": resources,
            "rules": rules,
        },
        "next_steps": done.next_steps,
    });
    Answer::new(text, &json)
}

pub(super) async fn carry_over(command: Move, config: &Config) -> Result<Answer, Failure> {
    let to = target(command)?;
    if to == config.store {
        return Err(Failure::because("that is the database that is configured; name another one"));
    }
    let source = existing(&config.store).await?;
    let _alone = hold::hold(&config.store, Role::Alone).await?;
    let _alone_there = hold::hold(&to, Role::Alone).await?;
    let target = store::open(&to).await?;
    let moved = match target.migrate().await {
        Ok(_) => {
            let (source, target) = (Arc::clone(&source), Arc::clone(&target));
            restore::carry_over(desk(&*Arc::clone(&source), config), &config.keys.kek_file, source, target)
                .await
        }
        Err(error) => Err(error.into()),
    };
    source.close().await;
    target.close().await;
    let (_, counts) = moved?;
    let steps = next_steps(
        &decide(Loss::Nothing, Seal::Opens, &config.policy, SystemClock.now()),
        &Disabled::default(),
    );
    let rows = counts.values().sum::<u64>();
    let kek_file = config.keys.kek_file.display();
    let mut text = format!(
        "moved {rows} rows\nSet store.url to the new database, and keys.kek_file to {kek_file}. The old database is as it was."
    );
    for step in &steps {
        text = text + "\n" + step;
    }
    Answer::new(text, &json!({ "moved": true, "rows": counts, "next_steps": steps }))
}

/// A password on the command line can be read by others on this machine.
fn target(command: Move) -> Result<Location, Failure> {
    let text = match (command.to, command.to_file) {
        (Some(url), _) => match url::Url::parse(&url) {
            Ok(parsed) if parsed.password().is_some() => {
                return Err(Failure::because(
                    "others on this machine can read a password on the command line; write the URL into a file and name \
                     it with --to-file FILE",
                ));
            }
            _ => url,
        },
        (None, Some(path)) => std::fs::read_to_string(&path).map_err(|error| {
            Failure::because(format_args!("{}: {error}; name a file that holds the URL", path.display()))
        })?,
        (None, None) => {
            return Err(Failure::because("name the new database with --to URL or --to-file FILE"));
        }
    };
    config::location(text.trim()).map_err(Failure::because)
}

/// A length of time for people.
struct Length(Seconds);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.get().max(0);
        let (count, unit) = match seconds {
            0..120 => (seconds, "seconds"),
            120..7_200 => (seconds / 60, "minutes"),
            7_200..172_800 => (seconds / 3600, "hours"),
            _ => (seconds / 86_400, "days"),
        };
        write!(f, "{count} {unit}")
    }
}
