//! Browser sessions, and whom their end is told.

use async_trait::async_trait;
use doorward_shared::{
    secret::{SecretHash, SessionCookie},
    time::Timestamp,
};

use super::{Applied, Result};
use crate::domain::{
    audit::Event,
    backchannel_logout::PendingLogout,
    ids::UserId,
    session::Session,
    user::{PasswordHash, User},
};

/// Browser sessions.
#[async_trait]
pub trait Sessions: Send + Sync {
    /// Opens a session for somebody who proved themselves by the password whose hash is given, or in another way. `Lost`: there
    /// is no such account, it is disabled, has another password by now, or is not linked to the session's provider any more.
    async fn open_session(
        &self,
        session: &Session,
        password: Option<&PasswordHash>,
        event: &Event,
    ) -> Result<Applied>;
    /// The same in a browser that has a session, which ends. If both are of one person, and the former one is live still, the
    /// new one goes on under its identifier, and no client is told of an end. `left` is written only if the former one was live.
    async fn replace_session(
        &self,
        before: &Session,
        left: &Event,
        session: &Session,
        password: Option<&PasswordHash>,
        event: &Event,
    ) -> Result<Applied>;
    /// A session and its person.
    async fn session(&self, hash: &SecretHash<SessionCookie>) -> Result<Option<(Session, User)>>;
    /// The sessions of a person that are not ended, newest first.
    async fn sessions_of(&self, user: &UserId) -> Result<Vec<Session>>;
    /// Writes down that a session was used.
    async fn touch_session(&self, hash: &SecretHash<SessionCookie>, now: Timestamp) -> Result<()>;
    /// Ends a session at the event's time. `Lost`: it was over already.
    async fn end_session(&self, hash: &SecretHash<SessionCookie>, event: &Event) -> Result<Applied>;
    /// Ends all sessions of a person, but for one if it is named, at the event's time. Answers how many, and writes that number
    /// into the event as `sessions`.
    async fn end_sessions(
        &self,
        user: &UserId,
        keep: Option<&SecretHash<SessionCookie>>,
        event: &Event,
    ) -> Result<u64>;
}

/// Clients that are still to be told that a session ended. Whatever ends sessions writes them down.
#[async_trait]
pub trait Logouts: Send + Sync {
    /// What is due now, the longest waiting first: at most `limit`.
    async fn due_logouts(&self, now: Timestamp, limit: u32) -> Result<Vec<PendingLogout>>;
    /// When the next one is due.
    async fn next_logout(&self) -> Result<Option<Timestamp>>;
    /// Takes one for a try of one's own, until this time. `Lost`: somebody else did, or the client was told.
    async fn claim_logout(&self, logout: &PendingLogout, until: Timestamp) -> Result<Applied>;
    /// Puts one off that was claimed, and not claimed again since. `Lost`: it was.
    async fn postpone_logout(&self, logout: &PendingLogout, until: Timestamp) -> Result<Applied>;
    /// Is done with one that was claimed, and not claimed again since. `Lost`: it was.
    async fn settle_logout(&self, logout: &PendingLogout, event: Option<&Event>) -> Result<Applied>;
}
