//! Resource servers.

use doorward_shared::{
    client_id::{ClientId, ClientIdSyntax},
    permission::PermissionModel,
    resource::{ResourceSyntax, ResourceUri},
    secret::{ClientSecret, Secret},
    time::Timestamp,
};

use super::{Desk, NameError, Standing, clean_name, new_client_id};
use crate::{
    domain::{
        audit::Action,
        resource::{Access, PermissionMode, Resource},
        revocation::{Sweep, Whose},
    },
    store::{Applied, StoreError},
};

/// What the identifier of a resource server begins with.
pub(super) const ID_PREFIX: &str = "rs_";

/// What a resource server is made from.
#[derive(Clone, Debug)]
pub struct NewResource {
    /// Its address, which is its identifier.
    pub url: String,
    /// Its name on the consent page.
    pub name: String,
    /// How its permissions are chosen.
    pub mode: PermissionMode,
    /// Whom it is for.
    pub access: Access,
    /// What it can be allowed to do; that of the reference server when there is none.
    pub model: Option<PermissionModel>,
}

/// A resource server that just got a secret, with that secret, which nobody sees again.
#[derive(Debug)]
pub struct MadeResource {
    /// The resource server.
    pub resource: Resource,
    /// The secret with which it calls this server.
    pub secret: Secret<ClientSecret>,
}

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum ResourceError {
    /// The address.
    #[error("{0}")]
    Uri(#[from] ResourceSyntax),
    /// The name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The identifier that was made.
    #[error("{0}")]
    Id(#[from] ClientIdSyntax),
    /// There is one.
    #[error("{0} is registered already; `resource rotate-secret` gives it new credentials")]
    Taken(ResourceUri),
    /// There is none.
    #[error("there is no resource {0}; `resource list` shows all")]
    Unknown(ResourceUri),
    /// There is none with this identifier.
    #[error("there is no resource {0}; `resource list` shows all")]
    UnknownId(ClientId),
    /// Rules name it.
    #[error(
        "{rules} rules name {uri}; remove them first, or say so (--force, or ?force=true): the rules are removed with it. For \
         new credentials use `resource rotate-secret`, which leaves them"
    )]
    Named {
        /// The resource server.
        uri: ResourceUri,
        /// How many rules.
        rules: usize,
    },
    /// There is nothing to retire.
    #[error("{0} has one secret and needs it; `resource rotate-secret` makes another one first")]
    OneSecret(ResourceUri),
    /// Somebody else changed it at the same time.
    #[error(
        "the secret of {0} was changed by somebody else at this moment; nothing was done, try again if you still want to"
    )]
    Contended(ResourceUri),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The written form of a permission model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelForm {
    /// JSON.
    Json,
    /// TOML.
    Toml,
}

/// Why a permission model cannot be read: in one line, with the place where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}; docs/operating.md shows the form")]
pub struct ModelSyntax(String);

/// Reads a permission model.
pub fn read_model(text: &str, form: ModelForm) -> Result<PermissionModel, ModelSyntax> {
    let read = match form {
        ModelForm::Json => serde_json::from_str(text).map_err(|error| error.to_string()),
        ModelForm::Toml => toml::from_str(text).map_err(|error: toml::de::Error| {
            let line =
                error.span().map(|span| text.bytes().take(span.start).filter(|b| *b == b'\n').count() + 1);
            let message = error.message().lines().collect::<Vec<_>>().join(" ");
            line.map_or_else(|| message.clone(), |line| format!("line {line}: {message}"))
        }),
    };
    read.map_err(ModelSyntax)
}

/// Registers a resource server. It is for listed people only, whatever was asked for, while a rule without a resource server
/// gives one of its tiers.
pub async fn add(desk: Desk<'_>, new: NewResource) -> Result<MadeResource, ResourceError> {
    let now = desk.clock.now();
    let secret = Secret::generate(desk.entropy);
    let resource = Resource {
        uri: ResourceUri::parse(&new.url)?,
        name: clean_name(&new.name)?,
        mode: new.mode,
        access: new.access,
        model: new.model.unwrap_or_else(PermissionModel::artifacts),
        client_id: new_client_id(ID_PREFIX, now, desk.entropy)?,
        secret: secret.hash(),
        former: None,
        created_at: now,
        disabled_at: None,
        revoked_until: None,
    };
    let event = desk.event(Action::ResourceAdded, &resource.uri, now);
    match desk.store.insert_resource(&resource, &event).await? {
        Applied::Done => Ok(MadeResource { resource: show(desk, resource.uri.as_str()).await?, secret }),
        Applied::Lost => Err(ResourceError::Taken(resource.uri)),
    }
}

/// All resource servers, by address.
pub async fn list(desk: Desk<'_>) -> Result<Vec<Resource>, ResourceError> {
    Ok(desk.store.resources().await?)
}

/// A page of the resource servers: at most `limit`, after this folded address. There are few of them, so it is cut out of all.
pub async fn page(desk: Desk<'_>, after: Option<&str>, limit: u32) -> Result<Vec<Resource>, ResourceError> {
    let mut all = list(desk).await?;
    if let Some(after) = after {
        all.retain(|resource| resource.uri.folded() > after);
    }
    all.truncate(limit as usize);
    Ok(all)
}

/// One resource server, by its address or by the identifier with which it calls this server.
pub async fn find(desk: Desk<'_>, text: &str) -> Result<Resource, ResourceError> {
    if !text.starts_with(ID_PREFIX) {
        return show(desk, text).await;
    }
    let id = ClientId::parse(text)?;
    desk.store.resource_of(&id).await?.ok_or(ResourceError::UnknownId(id))
}

/// One resource server.
pub async fn show(desk: Desk<'_>, url: &str) -> Result<Resource, ResourceError> {
    let uri = ResourceUri::parse(url)?;
    desk.store.resource(&uri).await?.ok_or(ResourceError::Unknown(uri))
}

/// Gives a resource server another secret; the one it has stays good until it is retired, or until the next rotation.
pub async fn rotate_secret(desk: Desk<'_>, url: &str) -> Result<MadeResource, ResourceError> {
    let resource = show(desk, url).await?;
    let secret = Secret::generate(desk.entropy);
    let event = desk.event(Action::ResourceSecretRotated, &resource.uri, desk.clock.now());
    let secrets = (&resource.secret, &secret.hash());
    match desk.store.rotate_resource_secret(&resource.uri, secrets, &event).await? {
        Applied::Done => Ok(MadeResource { resource, secret }),
        Applied::Lost => Err(ResourceError::Contended(resource.uri)),
    }
}

/// Makes the secret before the last rotation good for nothing.
pub async fn retire_secret(desk: Desk<'_>, url: &str) -> Result<ResourceUri, ResourceError> {
    let uri = show(desk, url).await?.uri;
    let event = desk.event(Action::ResourceSecretRetired, &uri, desk.clock.now());
    match desk.store.retire_resource_secret(&uri, &event).await? {
        Applied::Done => Ok(uri),
        Applied::Lost => Err(ResourceError::OneSecret(uri)),
    }
}

/// Removes a resource server; grants for it end with it. Where rules name it, it goes with them only when `force` says so.
pub async fn remove(desk: Desk<'_>, url: &str, force: bool) -> Result<ResourceUri, ResourceError> {
    let (uri, sweep, now) = named(desk, url)?;
    let rules = desk.store.rules().await?;
    let naming = rules.iter().filter_map(|rule| rule.says.resource.as_ref());
    let rules = naming.filter(|resource| resource.same_as(&uri)).count();
    if !force && rules > 0 {
        return Err(ResourceError::Named { uri, rules });
    }
    match desk.store.remove_resource(&uri, &sweep, &desk.event(Action::ResourceRemoved, &uri, now)).await? {
        Applied::Done => Ok(uri),
        Applied::Lost => Err(ResourceError::Unknown(uri)),
    }
}

/// Says whom a resource server is for.
pub async fn set_access(desk: Desk<'_>, url: &str, access: Access) -> Result<Resource, ResourceError> {
    let uri = ResourceUri::parse(url)?;
    let event = desk.event(Action::ResourceAccessSet, &uri, desk.clock.now()).with("access", access.as_str());
    match desk.store.set_access(&uri, access, &event).await? {
        Applied::Done => show(desk, url).await,
        Applied::Lost => Err(ResourceError::Unknown(uri)),
    }
}

/// Disables or enables a resource server. Either way grants for it end: nothing comes back with it.
pub async fn set_standing(
    desk: Desk<'_>,
    url: &str,
    standing: Standing,
) -> Result<ResourceUri, ResourceError> {
    let (uri, sweep, now) = named(desk, url)?;
    let set = match standing {
        Standing::Disabled => {
            desk.store
                .disable_resource(&uri, &sweep, &desk.event(Action::ResourceDisabled, &uri, now))
                .await?
        }
        Standing::Enabled => {
            desk.store.enable_resource(&uri, &sweep, &desk.event(Action::ResourceEnabled, &uri, now)).await?
        }
    };
    match set {
        Applied::Done => Ok(uri),
        Applied::Lost => Err(ResourceError::Unknown(uri)),
    }
}

fn named(desk: Desk<'_>, url: &str) -> Result<(ResourceUri, Sweep, Timestamp), ResourceError> {
    let uri = ResourceUri::parse(url)?;
    let now = desk.clock.now();
    let sweep = Sweep::barred(Whose::Resource(uri.clone()), &desk.policy.token, now);
    Ok((uri, sweep, now))
}
