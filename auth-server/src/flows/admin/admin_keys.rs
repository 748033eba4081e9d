//! Keys for the admin API.

use doorward_shared::{
    secret::{AdminKey as AdminKeyKind, Secret},
    time::Timestamp,
};

use super::{Desk, NameError, clean_name, view};
use crate::{
    domain::{
        admin_key::{
            AdminKey, AdminPermission, Maker, Need, NotAllowed, NotMade, PermissionSyntax, Permissions,
            Presented, is_live, may, may_make,
        },
        audit::Action,
        ids::AdminKeyId,
        key_life::KeyLife,
        user::User,
    },
    flows::Context,
    store::{Applied, StoreError},
};

/// What a key is made from.
#[derive(Clone, Debug)]
pub struct NewAdminKey {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub permissions: Vec<String>,
    /// How long it lives.
    pub life: KeyLife,
}

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum AdminKeyError {
    /// The name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The permissions.
    #[error(transparent)]
    Permissions(#[from] PermissionSyntax),
    /// The key that makes it may not.
    #[error(transparent)]
    NotMade(#[from] NotMade),
    /// There is none.
    #[error("there is no admin key {0}; `admin key list` shows all")]
    Unknown(String),
    /// Neither an administrator nor a key nor the operator.
    #[error("only administrators, their keys and the operator make admin keys")]
    Nobody,
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes a key. The one with which it is made, if any, bounds it. Nobody sees the secret again.
pub async fn create(
    desk: Desk<'_>,
    by: Option<&AdminKey>,
    new: &NewAdminKey,
) -> Result<(view::AdminKey, Secret<AdminKeyKind>), AdminKeyError> {
    let now = desk.clock.now();
    let name = clean_name(&new.name)?;
    let permissions = Permissions::parse(new.permissions.iter().map(String::as_str))?;
    let maker = Maker::of(desk.actor).ok_or(AdminKeyError::Nobody)?;
    let expires_at = new.life.end(now);
    if let Some(by) = by {
        may_make(by, &permissions, expires_at)?;
    }
    let secret = Secret::generate(desk.entropy);
    let key = AdminKey {
        id: AdminKeyId::generate(now, desk.entropy),
        name,
        hash: secret.hash(),
        permissions,
        maker,
        created_at: now,
        expires_at,
        last_used_at: None,
        revoked_at: None,
    };
    let event = desk
        .event(Action::AdminKeyCreated, &key.id, now)
        .with("name", key.name.as_str())
        .with("permissions", words(&key.permissions))
        .with("expires_at", key.expires_at.map(Timestamp::seconds));
    desk.store.insert_admin_key(&key, &event).await?;
    Ok((shown(&key, "active"), secret))
}

/// All keys, newest first, those that are over included.
pub async fn list(desk: Desk<'_>) -> Result<Vec<view::AdminKey>, AdminKeyError> {
    let now = desk.clock.now();
    let keys = desk.store.admin_keys().await?;
    let mut people: Vec<User> = Vec::new();
    for key in &keys {
        if let Maker::User(id) = &key.maker
            && people.iter().all(|user| user.id != *id)
        {
            people.extend(desk.store.user(id).await?);
        }
    }
    let state = |key: &AdminKey| match is_live(&presented(key, &keys, &people), now) {
        Ok(()) => "active",
        Err(NotAllowed::Revoked) => "revoked",
        Err(NotAllowed::Expired) => "expired",
        Err(NotAllowed::MakerGone | NotAllowed::Missing(_)) => "orphaned",
    };
    Ok(keys.iter().map(|key| shown(key, state(key))).collect())
}

/// Revokes a key, and with it those that were made with it. Revoking it again changes nothing.
pub async fn revoke(desk: Desk<'_>, id: &str) -> Result<AdminKeyId, AdminKeyError> {
    let unknown = || AdminKeyError::Unknown(id.to_owned());
    let key = AdminKeyId::parse(id).ok_or_else(unknown)?;
    let event = desk.event(Action::AdminKeyRevoked, &key, desk.clock.now());
    if desk.store.revoke_admin_key(&key, &event).await? == Applied::Lost
        && !desk.store.admin_keys().await?.iter().any(|known| known.id == key)
    {
        return Err(unknown());
    }
    Ok(key)
}

/// Why a presented key is not let in. For the log: strangers are told nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// There is no such key.
    #[error("no admin key like this was ever made, or it was mistyped")]
    Unknown,
    /// There is, but it is not good for this.
    #[error(transparent)]
    Not(#[from] NotAllowed),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lets a key in to what it is good for. Without a need it only has to be live.
pub async fn admit(ctx: &Context, text: &str, need: Option<Need>) -> Result<AdminKey, Refused> {
    let now = ctx.now();
    let secret = Secret::<AdminKeyKind>::parse(text).ok_or(Refused::Unknown)?;
    let presented = ctx.store.admin_key(&secret.hash()).await?.ok_or(Refused::Unknown)?;
    match need {
        Some(need) => may(&presented, need, now)?,
        None => is_live(&presented, now)?,
    }
    if presented.key.wants_touch(now) {
        ctx.store.touch_admin_key(&presented.key.id, now).await?;
    }
    Ok(presented.key)
}

/// A key with those by whom it was made, out of all that there are.
fn presented(key: &AdminKey, all: &[AdminKey], people: &[User]) -> Presented {
    let mut makers: Vec<AdminKey> = Vec::new();
    let mut maker = &key.maker;
    while let Maker::AdminKey(id) = maker
        && let Some(next) = all.iter().find(|key| key.id == *id)
        && makers.len() < all.len()
    {
        makers.push(next.clone());
        maker = &next.maker;
    }
    let person = match maker {
        Maker::User(id) => people.iter().find(|user| user.id == *id).cloned(),
        Maker::Operator | Maker::AdminKey(_) => None,
    };
    Presented { key: key.clone(), makers, person }
}

fn words(permissions: &Permissions) -> Vec<String> {
    permissions.iter().map(|permission: AdminPermission| permission.to_string()).collect()
}

fn shown(key: &AdminKey, state: &'static str) -> view::AdminKey {
    view::AdminKey {
        id: key.id.to_string(),
        name: key.name.clone(),
        permissions: words(&key.permissions),
        state: state.to_owned(),
        created_by: key.maker.id().map(str::to_owned),
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: key.last_used_at,
        revoked_at: key.revoked_at,
    }
}
