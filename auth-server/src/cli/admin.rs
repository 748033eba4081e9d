//! `admin …`.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    dates::date,
    output::{Answer, Failure, table},
    store::Open,
};
use crate::{
    config::Config,
    domain::{
        admin_key::{AdminPermission, PermissionSyntax},
        key_life::KeyLife,
    },
    flows::admin::{
        Desk,
        admin_keys::{self, NewAdminKey},
        view,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Manage the keys with which programs use the admin API.
    #[command(subcommand)]
    Key(Key),
}

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Make a key; its secret is shown this once.
    Create(Create),
    /// List all keys, those that are over included.
    List,
    /// Revoke a key, and those that were made with it.
    Revoke {
        /// The identifier of the key.
        id: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// What the key is for.
    #[arg(long)]
    name: String,
    /// Allow the key this, for example grants:read; may be given more than once.
    #[arg(long = "permission", value_name = "PERMISSION", required = true, value_parser = permission)]
    permissions: Vec<AdminPermission>,
    /// How long the key lives: 7d, 30d, 90d, 1y or never.
    #[arg(long, value_name = "TIME", default_value = KeyLife::Quarter.as_str(), value_parser = life)]
    expires: KeyLife,
}

fn permission(text: &str) -> Result<AdminPermission, PermissionSyntax> {
    AdminPermission::parse(text).ok_or_else(|| PermissionSyntax::Unknown(text.to_owned()))
}

pub(super) fn life(text: &str) -> Result<KeyLife, String> {
    let known = KeyLife::ALL.map(KeyLife::as_str).join(", ");
    KeyLife::parse(text).ok_or_else(|| format!("choose one of {known}"))
}

pub(super) async fn run(Command::Key(command): Command, config: &Config) -> Result<Answer, Failure> {
    let open = Open::at(config).await?;
    let answer = carry_out(command, open.desk(config)).await;
    open.close().await;
    answer
}

async fn carry_out(command: Key, desk: Desk<'_>) -> Result<Answer, Failure> {
    match command {
        Key::Create(Create { name, permissions, expires }) => {
            let permissions = permissions.iter().map(ToString::to_string).collect();
            let new = NewAdminKey { name, permissions, life: expires };
            let (admin_key, secret) = admin_keys::create(desk, None, &new).await?;
            let made = view::NewAdminKey { admin_key, secret: secret.expose().to_owned() };
            let text = format!(
                "made the admin key {}\nsecret: {} (keep it now, it is not shown again)",
                made.admin_key.id, made.secret
            );
            Answer::new(text, &made)
        }
        Key::List => {
            let keys = admin_keys::list(desk).await?;
            let rows: Vec<_> = keys.iter().map(row).collect();
            let text = table(
                ["ID", "NAME", "STATE", "EXPIRES", "LAST USED", "PERMISSIONS"],
                &rows,
                "no admin keys yet",
            );
            Answer::new(text, &keys)
        }
        Key::Revoke { id } => {
            let id = admin_keys::revoke(desk, &id).await?;
            Answer::new(format!("revoked the admin key {id}"), &json!({ "id": id.as_str(), "revoked": true }))
        }
    }
}

fn row(key: &view::AdminKey) -> [String; 6] {
    [
        key.id.clone(),
        key.name.clone(),
        key.state.clone(),
        key.expires_at.map_or_else(|| "never".to_owned(), date),
        key.last_used_at.map(date).unwrap_or_default(),
        key.permissions.join(" "),
    ]
}
