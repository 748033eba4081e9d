//! The browsers in which people are signed in.

use doorward_shared::secret::{SecretHash, SessionCookie};

use super::{
    Desk,
    users::{self, UserError},
    view,
};
use crate::{
    domain::{audit::Action, session::Session},
    store::{Applied, StoreError},
};

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// There is none, or it is over.
    #[error("there is no live session {0}; `session list` shows all")]
    Unknown(String),
    /// The person.
    #[error(transparent)]
    User(#[from] UserError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the identifier of a session begins with. The rest is the hash under which it is stored: nobody finds the cookie
/// by it.
const ID_PREFIX: &str = "ses_";

/// The identifier of a session.
pub fn id_of(session: &Session) -> String {
    format!("{ID_PREFIX}{}", session.hash.to_text())
}

/// The hash in the identifier of a session.
pub(in crate::flows) fn hash_of(id: &str) -> Option<SecretHash<SessionCookie>> {
    id.strip_prefix(ID_PREFIX).and_then(SecretHash::from_text)
}

/// A page of the live sessions, of one person or of all: at most `limit`, after this identifier.
pub async fn page(
    desk: Desk<'_>,
    user: Option<&str>,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Session>, SessionError> {
    let user = match user {
        Some(user) => Some(users::show(desk, user).await?.id),
        None => None,
    };
    let after = after.and_then(hash_of);
    let now = desk.clock.now();
    Ok(desk.store.sessions_page(user.as_ref(), after.as_ref(), limit, &desk.policy.session, now).await?)
}

/// Ends a session: its browser is signed out.
pub async fn end(desk: Desk<'_>, id: &str) -> Result<(), SessionError> {
    let unknown = || SessionError::Unknown(id.to_owned());
    let hash = hash_of(id).ok_or_else(unknown)?;
    let (session, user) = desk.store.session(&hash).await?.ok_or_else(unknown)?;
    let event = desk
        .event(Action::SessionEnded, &user.id, desk.clock.now())
        .with("auth_time", session.auth_time.seconds());
    match desk.store.end_session(&hash, &event).await? {
        Applied::Done => Ok(()),
        Applied::Lost => Err(unknown()),
    }
}

/// Signs a person out of every browser. Answers how many. What applications were allowed goes on: revoke grants for that.
pub async fn end_all(desk: Desk<'_>, who: &str) -> Result<u64, SessionError> {
    let user = users::show(desk, who).await?;
    let event = desk.event(Action::SessionsEnded, &user.id, desk.clock.now());
    Ok(desk.store.end_sessions(&user.id, None, &event).await?)
}

impl From<&Session> for view::Session {
    fn from(session: &Session) -> Self {
        Self {
            id: id_of(session),
            user_id: session.user_id.to_string(),
            method: session.method.as_str().to_owned(),
            address: session.address.clone(),
            agent: session.agent.clone(),
            auth_time: session.auth_time,
            last_seen_at: session.last_seen_at,
        }
    }
}
