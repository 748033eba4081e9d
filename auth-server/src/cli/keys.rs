//! `keys …`.

use std::path::PathBuf;

use clap::Subcommand;
use doorward_shared::{
    secret::SystemEntropy,
    time::{Clock, SystemClock, Timestamp},
};
use serde_json::json;

use super::{
    output::{Answer, Failure, table},
    store::Open,
};
use crate::{
    app,
    config::Config,
    domain::signing_key::StoredSigningKey,
    flows::{
        admin::{Desk, view},
        signing_keys::{self, Taken},
    },
    keys::{KeyEncryptionKey, Missing},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List all signing keys with their states: next, active, retired, removed or revoked.
    List,
    /// Let the next key sign from now on; the old one still verifies until its tokens are over.
    Rotate,
    /// Declare a key bad: it signs and verifies no more, and resource servers refuse every token of it.
    Revoke {
        /// The key's identifier, as `keys list` shows it.
        #[arg(allow_hyphen_values = true)]
        kid: String,
    },
    /// Encrypt the database's data key with another key-encryption key. Running servers go on undisturbed.
    Rekey {
        /// The file with the new key. Put it in the place of the old one before the next start.
        #[arg(long, value_name = "FILE")]
        new_kek_file: PathBuf,
    },
}

pub(super) async fn run(command: Command, config: &Config) -> Result<Answer, Failure> {
    let open = Open::at(config).await?;
    let answer = carry_out(command, open.desk(config), config).await;
    open.close().await;
    answer
}

async fn carry_out(command: Command, desk: Desk<'_>, config: &Config) -> Result<Answer, Failure> {
    match command {
        Command::List => {
            let keys = signing_keys::list(desk).await?;
            let rows: Vec<_> = keys.iter().map(row).collect();
            let heading = ["KID", "ALGORITHM", "STATE", "CREATED", "ACTIVATED", "RETIRED"];
            let none = "no signing keys yet; the first start of the server makes them";
            let text = table(heading, &rows, none);
            Answer::new(text, &keys.iter().map(view::SigningKey::from).collect::<Vec<_>>())
        }
        Command::Rotate => {
            let kek = app::key_encryption_key(config, &SystemEntropy)?;
            let data_key = signing_keys::data_key(desk, &kek).await?;
            let taken = signing_keys::rotate(desk, &data_key).await?;
            Answer::new(now_signs(&taken), &view::SigningKey::from(&taken.key))
        }
        Command::Revoke { kid } => {
            let kek = app::key_encryption_key(config, &SystemEntropy)?;
            let data_key = signing_keys::data_key(desk, &kek).await?;
            let taken = signing_keys::revoke(desk, &data_key, &kid).await?;
            let text = format!("revoked {kid}\n{}", now_signs(&taken));
            let json = json!({ "kid": kid, "revoked": true, "active": taken.key.kid });
            Answer::new(text, &json)
        }
        Command::Rekey { new_kek_file } => {
            let old = app::key_encryption_key(config, &SystemEntropy)?;
            let new = KeyEncryptionKey::load(&new_kek_file, Missing::Refuse, &SystemEntropy)?;
            signing_keys::rekey(desk, &old, &new).await?;
            let (new, old) = (new_kek_file.display(), config.keys.kek_file.display());
            let text = format!(
                "the database is encrypted with the key in {new} now; put it in the place of {old} before a server starts \
                 again, on every machine that runs one"
            );
            Answer::new(text, &json!({ "rekeyed": true, "kek_file": new_kek_file }))
        }
    }
}

fn now_signs(taken: &Taken) -> String {
    let key = &taken.key;
    let signs = format!("{} signs ({})", key.kid, key.algorithm.as_str());
    let Some(published) = taken.published_for else { return signs };
    format!(
        "{signs}\nit has been published for {} s only: a resource server that fetched the keys before may refuse its tokens \
         until it fetches them again",
        published.get().max(0)
    )
}

fn row(key: &StoredSigningKey) -> [String; 6] {
    let ago = |at: Option<Timestamp>| at.map_or_else(String::new, |at| ago(at, SystemClock.now()));
    [
        key.kid.clone(),
        key.algorithm.as_str().to_owned(),
        key.state.as_str().to_owned(),
        ago(Some(key.created_at)),
        ago(key.activated_at),
        ago(key.retired_at),
    ]
}

/// How long ago something was, in its largest unit.
fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.since(at).get().max(0);
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm')];
    let unit = units.into_iter().find(|(length, _)| seconds >= 2 * length);
    let (length, unit) = unit.unwrap_or((1, 's'));
    format!("{}{unit} ago", seconds / length)
}

#[cfg(test)]
mod tests {
    use doorward_shared::time::Seconds;

    use super::*;

    #[test]
    fn an_age_is_told_in_a_unit_that_says_something() {
        let now = Timestamp::from_seconds(1_800_000_000);
        for (length, words) in [
            (Seconds::new(-5), "0s ago"),
            (Seconds::new(119), "119s ago"),
            (Seconds::minutes(2), "2m ago"),
            (Seconds::hours(47), "47h ago"),
            (Seconds::days(30), "30d ago"),
        ] {
            assert_eq!(ago(now.minus(length), now), words);
        }
    }
}
