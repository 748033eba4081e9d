//! `audit …`.

use std::path::PathBuf;

use clap::Subcommand;
use doorward_shared::secret::SystemEntropy;
use serde_json::json;

use super::{
    output::{Answer, Failure, Lines},
    store::Open,
};
use crate::{
    app,
    config::Config,
    flows::{
        admin::Desk,
        signing_keys,
        trail::{self, AuditKey},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Walk the whole trail and name the first line that was changed, taken out or cut off.
    Verify {
        /// Also hold it against checkpoints that were kept elsewhere: one in each line, as the log shows them.
        #[arg(long, value_name = "FILE")]
        checkpoint: Option<PathBuf>,
    },
    /// Print the trail, an event in each line, in the order of the chain.
    Export {
        /// Begin after the event with this number.
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        since: i64,
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
        Command::Verify { checkpoint } => {
            let kept = checkpoint.as_deref().map(kept).transpose()?.unwrap_or_default();
            let kek = app::key_encryption_key(config, &SystemEntropy)?;
            let data_key = signing_keys::data_key(desk, &kek).await?;
            let key = AuditKey::open(desk.store, &data_key, &SystemEntropy).await?;
            let whole = trail::verify(desk.store, &key, &config.policy.issuer, &kept).await?;
            let text = format!(
                "the audit trail is whole: {} events, {} signed checkpoints met",
                whole.events, whole.checkpoints
            );
            let json = json!({
                "whole": true,
                "events": whole.events,
                "hash": whole.hash,
                "checkpoints": whole.checkpoints,
                "key": key.public_jwk(),
            });
            Answer::new(text, &json)
        }
        Command::Export { since } => {
            trail::chain_all(desk.store).await?;
            let mut out = Lines::new();
            let mut after = since;
            loop {
                let page = trail::export(desk.store, after).await?;
                let Some((last, _)) = page.last() else { return out.finish() };
                after = *last;
                for (_, line) in &page {
                    out.print(line)?;
                }
            }
        }
    }
}

/// The lines of a file that are not empty.
fn kept(path: &std::path::Path) -> Result<Vec<String>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::because(format_args!("{}: {error}; name a file that can be read", path.display()))
    })?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect())
}
