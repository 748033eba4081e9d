//! API keys of people.

use async_trait::async_trait;
use doorward_shared::time::Timestamp;

use super::{Applied, Result};
use crate::domain::{
    api_key::{ApiKey, ApiKeyHash, Withdrawal},
    audit::Event,
    ids::{ApiKeyId, UserId},
    user::User,
};

/// API keys of people. No verb makes one live again that was revoked.
#[async_trait]
pub trait ApiKeys: Send + Sync {
    /// Stores a new key. One that is made in the very second of a sweep is dated after it, so that it is not taken for one from
    /// before. `Lost`: its person is disabled, or its resource server is gone.
    async fn insert_api_key(&self, key: &ApiKey, event: &Event) -> Result<Applied>;
    /// The key with this hash, and its person.
    async fn api_key_by_hash(&self, hash: &ApiKeyHash) -> Result<Option<(ApiKey, User)>>;
    /// The key with this identifier, and its person.
    async fn api_key(&self, id: &ApiKeyId) -> Result<Option<(ApiKey, User)>>;
    /// The keys of a person, or of all, newest first, those that are over included: at most `limit`, of those older than
    /// `before`.
    async fn api_keys(
        &self,
        user: Option<&UserId>,
        before: Option<&ApiKeyId>,
        limit: u32,
    ) -> Result<Vec<(ApiKey, User)>>;
    /// Writes down that a key was used, if that was not written down within the last minute.
    async fn touch_api_key(&self, id: &ApiKeyId, now: Timestamp) -> Result<()>;
    /// Revokes a key; the feed tells the resource servers. `Lost`: it was revoked before.
    async fn revoke_api_key(&self, withdrawal: &Withdrawal, event: &Event) -> Result<Applied>;
}
