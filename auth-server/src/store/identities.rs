//! Accounts at upstream providers.

use async_trait::async_trait;
use doorward_shared::{
    client_id::ClientId,
    secret::{RefreshToken, SecretHash},
    time::Timestamp,
};

use super::{Applied, Result};
use crate::domain::{
    audit::Event,
    grant::Grant,
    ids::{IdentityId, UserId},
    revocation::Revocation,
    upstream::{Hearing, Identity, Unlinking},
    user::User,
};

/// Accounts at upstream providers, and what hangs on them. Whatever changes the groups of one changes those of its person in
/// the same transaction.
#[async_trait]
pub trait Identities: Send + Sync {
    /// Stores a link. `Lost`: the account at the provider is linked already, or the person has another one there.
    async fn insert_identity(&self, identity: &Identity, event: &Event) -> Result<Applied>;
    /// Makes an account here for somebody from a provider, both or neither. `Lost`: the address is taken, or the account at
    /// the provider is linked already.
    async fn insert_person(&self, user: &User, identity: &Identity, events: &[Event; 2]) -> Result<Applied>;
    /// The identity with this provider and subject, and its person.
    async fn identity(&self, provider: &str, subject: &str) -> Result<Option<(Identity, User)>>;
    /// The identity with this identifier.
    async fn identity_by_id(&self, id: &IdentityId) -> Result<Option<Identity>>;
    /// The identities of a person, by provider.
    async fn identities_of(&self, user: &UserId) -> Result<Vec<Identity>>;
    /// The identities, not ended, of the person behind a refresh token of this client that was not used yet.
    async fn identities_behind(
        &self,
        token: &SecretHash<RefreshToken>,
        client: &ClientId,
    ) -> Result<Vec<Identity>>;
    /// Takes the right to ask the provider about an identity until a moment. `Lost`: somebody else has it, or the provider
    /// answered since the identity was read.
    async fn claim_identity(&self, seen: &Identity, until: Timestamp, now: Timestamp) -> Result<Applied>;
    /// True while somebody has the right to ask about an identity.
    async fn is_claimed(&self, id: &IdentityId, now: Timestamp) -> Result<bool>;
    /// Writes down what the provider said; with the events, if there are any. `Lost`: the identity is gone, or somebody signed
    /// in through it since it was claimed.
    async fn note_hearing(&self, hearing: &Hearing, event: Option<&Event>) -> Result<Applied>;
    /// Keeps the refresh token, sealed, that the provider gave in place of the one that it took; the claim stays. `Lost`: the
    /// identity is gone, or somebody signed in through it since it was claimed.
    async fn keep_refresh_token(
        &self,
        identity: &IdentityId,
        claim: Timestamp,
        sealed: &str,
    ) -> Result<Applied>;
    /// Writes down that the provider does not stand for the person any more: groups, sessions, the refresh token and these
    /// grants go, each with its event, or nothing does. `Lost`: somebody signed in through it since it was claimed.
    async fn end_identity(
        &self,
        identity: &Identity,
        claim: Timestamp,
        grants: &[(Revocation, Event)],
        event: &Event,
    ) -> Result<Applied>;
    /// Removes a link; groups, sessions and grants that came of it go too, each grant with its event, or nothing does. `Lost`:
    /// it is gone already.
    async fn remove_identity(&self, unlinking: &Unlinking) -> Result<Applied>;
    /// The grants, not ended, that a person made while signed in through a provider.
    async fn grants_through(&self, user: &UserId, provider: &str) -> Result<Vec<Grant>>;
    /// Takes the groups of identities whose provider was last heard before a moment.
    async fn lapse_groups(&self, provider: &str, before: Timestamp) -> Result<()>;
    /// Takes away what providers gave that are not among these any more: sessions end at `now`, and their groups count no
    /// longer.
    async fn keep_providers(&self, known: &[String], now: Timestamp) -> Result<()>;
}
