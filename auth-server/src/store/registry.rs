//! Who may ask, and for what: clients and resource servers.

use async_trait::async_trait;
use doorward_shared::{
    client_id::ClientId,
    resource::ResourceUri,
    secret::{ClientSecret, SecretHash},
    time::Timestamp,
};

use super::{Applied, Result};
use crate::domain::{
    amendment::Amendment,
    audit::Event,
    client::Client,
    registration::{Deregistration, Replacement},
    resource::Resource,
    revocation::Sweep,
};

/// Clients.
#[async_trait]
pub trait Clients: Send + Sync {
    /// Stores a new client. `Lost`: the identifier is taken.
    async fn insert_client(&self, client: &Client, event: &Event) -> Result<Applied>;
    /// Stores a client that the configuration describes, or brings the stored one in line with it. Its grants and its ceilings
    /// stay.
    async fn put_configured_client(&self, client: &Client) -> Result<()>;
    /// Stores a client as its document describes it now, unless the identifier belongs to a client that came here in another way.
    /// What an administrator said of the client stays. The event is written when it was not known before, or when its name or its
    /// addresses were others.
    async fn put_document_client(&self, client: &Client, event: &Event) -> Result<()>;
    /// The client with this identifier.
    async fn client(&self, id: &ClientId) -> Result<Option<Client>>;
    /// All clients, newest first.
    async fn clients(&self) -> Result<Vec<Client>>;
    /// Changes a client; where that leaves less, its access tokens from before are revoked. `Lost`: there is none, or it is not
    /// like the one that was decided upon.
    async fn change_client(&self, amendment: &Amendment, event: &Event) -> Result<Applied>;
    /// Disables the client whose grants the sweep ends. `Lost`: there is none.
    async fn disable_client(&self, id: &ClientId, sweep: &Sweep, event: &Event) -> Result<Applied>;
    /// Enables a client again. `Lost`: there is none.
    async fn enable_client(&self, id: &ClientId, sweep: &Sweep, event: &Event) -> Result<Applied>;
    /// Gives a confidential client another secret beside the one it has; an older one is good for nothing any more. `Lost`:
    /// its secret is not the first of the two.
    async fn rotate_client_secret(
        &self,
        id: &ClientId,
        secrets: (&SecretHash<ClientSecret>, &SecretHash<ClientSecret>),
        event: &Event,
    ) -> Result<Applied>;
    /// Makes the secret before the last rotation good for nothing. `Lost`: there is none.
    async fn retire_client_secret(&self, id: &ClientId, event: &Event) -> Result<Applied>;
    /// Removes the client whose grants the sweep ends. `Lost`: there is none.
    async fn delete_client(&self, id: &ClientId, sweep: &Sweep, event: &Event) -> Result<Applied>;
    /// Replaces what a client that registered itself says about itself, and its registration access token, and ends what the sweep
    /// names. `Lost`: the token is another one by now, or the client is disabled or gone.
    async fn replace_registration(&self, replacement: &Replacement, event: &Event) -> Result<Applied>;
    /// Removes a client by its own word. `Lost`: the token is another one by now, or the client is disabled or gone.
    async fn deregister(&self, deregistration: &Deregistration, event: &Event) -> Result<Applied>;
    /// Forgets clients that registered themselves, or came with a document, before `before` and have no grant, not even an ended
    /// one that is still remembered. Answers how many.
    async fn forget_unused_clients(&self, before: Timestamp) -> Result<u64>;
}

/// Resource servers.
#[async_trait]
pub trait Resources: Send + Sync {
    /// Stores a new resource server. While a rule in force without a resource server gives one of its tiers, it is for listed
    /// people only, whatever `resource` says; the event gets `access`. `Lost`: one with the same address (folded) is there.
    async fn insert_resource(&self, resource: &Resource, event: &Event) -> Result<Applied>;
    /// The resource server that is meant by this address, in any spelling.
    async fn resource(&self, uri: &ResourceUri) -> Result<Option<Resource>>;
    /// The resource server that calls this server under this identifier.
    async fn resource_of(&self, caller: &ClientId) -> Result<Option<Resource>>;
    /// All resource servers, by address.
    async fn resources(&self) -> Result<Vec<Resource>>;
    /// Disables the resource server for which the sweep ends all grants. `Lost`: there is none.
    async fn disable_resource(&self, uri: &ResourceUri, sweep: &Sweep, event: &Event) -> Result<Applied>;
    /// Enables a resource server again. `Lost`: there is none.
    async fn enable_resource(&self, uri: &ResourceUri, sweep: &Sweep, event: &Event) -> Result<Applied>;
    /// Gives a resource server another secret beside the one it has; an older one is good for nothing any more. `Lost`: its
    /// secret is not the first of the two.
    async fn rotate_resource_secret(
        &self,
        uri: &ResourceUri,
        secrets: (&SecretHash<ClientSecret>, &SecretHash<ClientSecret>),
        event: &Event,
    ) -> Result<Applied>;
    /// Makes the secret before the last rotation good for nothing. `Lost`: there is none.
    async fn retire_resource_secret(&self, uri: &ResourceUri, event: &Event) -> Result<Applied>;
    /// Removes the resource server for which the sweep ends all grants, and the rules that name it; the event gets these as
    /// `removed`. `Lost`: there is none.
    async fn remove_resource(&self, uri: &ResourceUri, sweep: &Sweep, event: &Event) -> Result<Applied>;
}
