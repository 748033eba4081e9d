//! The passkeys of people, for administrators: seen and removed. Only the person registers one.

use super::{
    Desk,
    users::{self, UserError},
};
use crate::{
    domain::{audit::Action, letter::Notice, passkey::Passkey, user::User},
    store::{Applied, StoreError},
};

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    /// There is none.
    #[error("there is no passkey {0}; `user passkeys EMAIL` shows those of a person")]
    Unknown(String),
    /// The person.
    #[error(transparent)]
    User(#[from] UserError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The passkeys of a person, oldest first, and the person.
pub async fn list(desk: Desk<'_>, who: &str) -> Result<(Vec<Passkey>, User), PasskeyError> {
    let user = users::show(desk, who).await?;
    Ok((desk.store.passkeys_of(&user.id).await?, user))
}

/// Removes a passkey: nobody signs in with it any more.
pub async fn remove(desk: Desk<'_>, id: &str) -> Result<(Passkey, User), PasskeyError> {
    let unknown = || PasskeyError::Unknown(id.to_owned());
    let (passkey, user) = desk.store.passkey(id).await?.ok_or_else(unknown)?;
    let now = desk.clock.now();
    let event = desk.event(Action::PasskeyRemoved, &user.id, now).with("name", passkey.name.as_str());
    match desk.store.remove_passkey(&user.id, &passkey.id, &event).await? {
        Applied::Done => {
            desk.tell(&user.email, Notice::PasskeyRemoved, now);
            Ok((passkey, user))
        }
        Applied::Lost => Err(unknown()),
    }
}
