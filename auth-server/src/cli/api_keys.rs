//! `key …`.

use std::num::NonZeroU32;

use clap::{ArgGroup, Args, Subcommand};
use doorward_shared::time::{Clock, SystemClock};
use serde_json::json;

use super::{
    dates::date,
    output::{Answer, Failure, table},
    store::Open,
};
use crate::{
    config::Config,
    domain::key_life::KeyLife,
    flows::admin::{
        Desk,
        api_keys::{self, NewApiKey, NewPowers},
        view,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a key for somebody; its text is shown this once.
    Create(Create),
    /// List keys, newest first, those that are over included.
    List {
        /// Only those of the person with this e-mail address.
        #[arg(long, value_name = "EMAIL")]
        user: Option<String>,
        /// Show at most so many.
        #[arg(long, value_name = "NUMBER", default_value_t = 1000)]
        limit: u32,
    },
    /// Revoke a key for good; resource servers refuse it within a second.
    Revoke {
        /// The identifier of the key.
        id: String,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("powers").required(true).args(["tier", "grants", "full"]))]
pub(super) struct Create {
    /// The e-mail address of the person whose key it is to be.
    #[arg(long, value_name = "EMAIL")]
    user: String,
    /// What the key is for; resource servers show it.
    #[arg(long)]
    name: String,
    /// Allow at most this tier, for example read.
    #[arg(long)]
    tier: Option<String>,
    /// With --tier: only at this node and below it, for example alpha/site; may be given more than once.
    #[arg(long = "node", value_name = "PATH", num_args = 1.., requires = "tier")]
    nodes: Vec<String>,
    /// Allow a tier at a node and below it, for example alpha/site=write; may be given more than once.
    #[arg(long = "grant", value_name = "PATH=TIER", num_args = 1.., value_parser = tier_at)]
    grants: Vec<(String, String)>,
    /// Allow everything that the person may do.
    #[arg(long)]
    full: bool,
    /// How long the key lives: 7d, 30d, 90d, 1y or never.
    #[arg(long, value_name = "TIME", default_value = KeyLife::Quarter.as_str(), value_parser = super::admin::life)]
    expires: KeyLife,
    /// Let each process of a resource server take at most so many requests a minute; without it, as many
    /// as the settings say.
    #[arg(long, value_name = "NUMBER")]
    rate_limit: Option<NonZeroU32>,
    /// For the data of this organization, by its identifier or name, instead of the person's own.
    #[arg(long)]
    organization: Option<String>,
    /// Only for this resource server.
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
}

fn tier_at(text: &str) -> Result<(String, String), &'static str> {
    let (node, tier) = text.split_once('=').ok_or("write it like alpha/site=write")?;
    Ok((node.to_owned(), tier.to_owned()))
}

impl Create {
    fn read(self) -> (String, NewApiKey) {
        let Self { user, name, tier, nodes, grants, full: _, rate_limit, expires, organization, resource } =
            self;
        let powers = match tier {
            Some(tier) => NewPowers::simple(&tier, nodes),
            None if grants.is_empty() => NewPowers::Full,
            None => NewPowers::Scoped(grants.into_iter().map(|(node, tier)| (Some(node), tier)).collect()),
        };
        (user, NewApiKey { name, organization, resource, powers, rate_limit, life: expires })
    }
}

pub(super) async fn run(command: Command, config: &Config) -> Result<Answer, Failure> {
    let open = Open::at(config).await?;
    let answer = carry_out(command, open.desk(config)).await;
    open.close().await;
    answer
}

async fn carry_out(command: Command, desk: Desk<'_>) -> Result<Answer, Failure> {
    let now = SystemClock.now();
    match command {
        Command::Create(create) => {
            let (user, new) = create.read();
            let (key, user, secret) = api_keys::create(desk, &user, &new).await?;
            let made = view::NewApiKey::of(&key, &user, &secret, now);
            let text = format!(
                "made the API key {} of {}, good {}\nkey: {} (keep it now, it is not shown again)",
                made.api_key.id,
                made.api_key.email,
                made.api_key
                    .expires_at
                    .map_or_else(|| "until it is revoked".to_owned(), |end| format!("until {}", date(end))),
                made.secret
            );
            Answer::new(text, &made)
        }
        Command::List { user, limit } => {
            let found = api_keys::list(desk, user.as_deref(), None, limit).await?;
            let keys: Vec<_> = found.iter().map(|(key, user)| view::ApiKey::of(key, user, now)).collect();
            let rows: Vec<_> = keys.iter().map(row).collect();
            let heading = ["ID", "PERSON", "NAME", "KEY", "ALLOWS", "STATE", "EXPIRES", "LAST USED"];
            Answer::new(table(heading, &rows, "no API keys yet"), &keys)
        }
        Command::Revoke { id } => {
            let id = api_keys::revoke(desk, &id).await?;
            Answer::new(format!("revoked the API key {id}"), &json!({ "id": id.as_str(), "revoked": true }))
        }
    }
}

fn row(key: &view::ApiKey) -> [String; 8] {
    let allows = |grant: &view::TierAt| match &grant.node {
        None => grant.tier.clone(),
        Some(node) => format!("{} at {node}", grant.tier),
    };
    let allows: Vec<_> = key.grants.iter().map(allows).collect();
    [
        key.id.clone(),
        key.email.clone(),
        key.name.clone(),
        format!("{}...", key.prefix),
        if allows.is_empty() { key.kind.clone() } else { allows.join(", ") },
        key.state.clone(),
        key.expires_at.map_or_else(|| "never".to_owned(), date),
        key.last_used_at.map_or_else(|| "never".to_owned(), date),
    ]
}
