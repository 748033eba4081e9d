//! Clients that an administrator registers.

use doorward_shared::{
    client_id::{ClientId, ClientIdSyntax},
    client_metadata::About,
    client_metadata::MAX_REDIRECT_URIS,
    redirect_uri::{RedirectUri, RedirectUriError},
    secret::{ClientSecret, Secret},
    token::GrantType,
};
use url::Url;

use super::{
    Desk, NameError, Standing, clean_name, new_client_id,
    places::{self, PlaceError},
    resources::ID_PREFIX as RESOURCE_PREFIX,
};
use crate::{
    domain::{
        amendment::{self, Ceiling, NotAmended, Wanted},
        audit::{Action, Event},
        backchannel_logout::{BackchannelLogout, Unsuitable},
        client::{Client, ConfidentialMethod, Credentials, Origin},
        organization::Place,
        revocation::{Sweep, Whose},
        software::{self, Registrations},
    },
    store::{Applied, StoreError},
};

/// How the client proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// It has no secret.
    Public,
    /// It has a secret and sends it this way.
    Confidential(ConfidentialMethod),
}

/// What a client is made from.
#[derive(Clone, Debug)]
pub struct NewClient {
    /// Its name on the consent page.
    pub name: String,
    /// Where answers may be sent.
    pub redirect_uris: Vec<String>,
    /// Where people may be sent after they signed out.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told that a session ended.
    pub backchannel_logout_uri: Option<String>,
    /// Whether it needs to be told which session.
    pub backchannel_logout_session_required: bool,
    /// How it proves itself.
    pub kind: ClientKind,
    /// Its identifier; one is made when there is none.
    pub client_id: Option<String>,
    /// The highest tier it can be given.
    pub ceiling: Option<String>,
    /// The data it can be given anything for: `ORGANIZATION` or `ORGANIZATION:PATH`; none of them sets no bound.
    pub ceiling_places: Vec<String>,
}

/// What changes of a client, in the words of the command line and the API. What is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct NewFacts {
    /// Its name on the consent page.
    pub name: Option<String>,
    /// Where answers may be sent.
    pub redirect_uris: Option<Vec<String>>,
    /// The highest tier it can be given.
    pub ceiling: Option<Ceiling>,
    /// The data it can be given anything for: `ORGANIZATION` or `ORGANIZATION:PATH`; none of them sets no bound.
    pub ceiling_places: Option<Vec<String>>,
}

/// A client that was just made, with its secret, which nobody sees again.
#[derive(Debug)]
pub struct MadeClient {
    /// The client.
    pub client: Client,
    /// Its secret, for a confidential one.
    pub secret: Option<Secret<ClientSecret>>,
}

/// Why nothing was done. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The identifier.
    #[error("{0}")]
    Id(#[from] ClientIdSyntax),
    /// The identifier means something else here.
    #[error("{0} cannot be given to a client ({1}); choose another identifier, or leave it out")]
    ReservedId(ClientId, &'static str),
    /// There is no redirect URI, or there are too many.
    #[error(
        "name 1 to {MAX_REDIRECT_URIS} redirect URIs, and at most as many for the time after signing out"
    )]
    RedirectUris,
    /// A redirect URI breaks a rule.
    #[error("redirect URI {0:?}: {1}")]
    RedirectUri(String, RedirectUriError),
    /// A redirect URI is ours.
    #[error("redirect URI {0:?} points to the authorization server itself; name an address of the client")]
    Ours(String),
    /// The address for logout tokens breaks a rule.
    #[error("back-channel logout URI {0:?}: {1}")]
    BackchannelLogout(String, Unsuitable),
    /// The tier does not exist.
    #[error("no registered resource has a tier {0:?}; known tiers: {1}")]
    Ceiling(String, String),
    /// A place of the ceiling.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// There is one.
    #[error("there is a client {0} already; choose another identifier, or leave it out")]
    Taken(ClientId),
    /// There is none.
    #[error("there is no client {0}; `client list` shows all")]
    Unknown(ClientId),
    /// It has no secret.
    #[error("{0} is a public client and has no secret; register a confidential one in its place")]
    Public(ClientId),
    /// It cannot be changed like this.
    #[error(transparent)]
    NotAmended(#[from] NotAmended),
    /// Somebody else changed it at the same moment.
    #[error("the client {0} was changed by somebody else at this moment; look at it and try again")]
    Busy(ClientId),
    /// There is nothing to retire.
    #[error("{0} has one secret and needs it; `client rotate-secret` makes another one first")]
    OneSecret(ClientId),
    /// Somebody else changed it at the same time.
    #[error(
        "the secret of {0} was changed by somebody else at this moment; nothing was done, try again if you still want to"
    )]
    Contended(ClientId),
    /// It comes from the configuration and would be back at the next start.
    #[error("{0} is the fixed client of the configuration; set fixed_client.enabled = false first")]
    Configured(ClientId),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Registers a client.
pub async fn create(desk: Desk<'_>, new: &NewClient) -> Result<MadeClient, ClientError> {
    let now = desk.clock.now();
    let name = clean_name(&new.name)?;
    let redirect_uris = addresses(desk, &new.redirect_uris)?;
    let post_logout_redirect_uris = addresses(desk, &new.post_logout_redirect_uris)?;
    if redirect_uris.is_empty() {
        return Err(ClientError::RedirectUris);
    }
    let backchannel_logout = match new.backchannel_logout_uri.as_deref() {
        Some(uri) => {
            let required = new.backchannel_logout_session_required;
            let registered = BackchannelLogout::register(uri, required, &desk.policy.issuer);
            Some(registered.map_err(|why| ClientError::BackchannelLogout(uri.to_owned(), why))?)
        }
        None => None,
    };
    let id = match new.client_id.as_deref() {
        Some(text) => chosen_id(desk, text)?,
        None => new_client_id("cli_", now, desk.entropy)?,
    };
    if let Some(tier) = new.ceiling.as_deref() {
        check_ceiling(desk, tier).await?;
    }
    let ceiling_places = read_places(desk, &new.ceiling_places).await?;
    let (credentials, secret) = match new.kind {
        ClientKind::Public => (Credentials::Public, None),
        ClientKind::Confidential(method) => {
            let secret = Secret::generate(desk.entropy);
            (Credentials::confidential(method, secret.hash()), Some(secret))
        }
    };
    let client = Client {
        id,
        name: Some(name),
        origin: Origin::Administrator,
        redirect_uris,
        post_logout_redirect_uris,
        grant_types: GrantType::ALL.to_vec(),
        credentials,
        registration_token: None,
        ceiling: new.ceiling.clone(),
        ceiling_places,
        backchannel_logout,
        created_at: now,
        disabled_at: None,
        revoked_until: None,
        about: About::default(),
    };
    let event = bounded(desk.event(Action::ClientCreated, &client.id, now), &client);
    match desk.store.insert_client(&client, &event).await? {
        Applied::Done => Ok(MadeClient { client, secret }),
        Applied::Lost => Err(ClientError::Taken(client.id)),
    }
}

/// Which clients are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Registrations of the same software as one.
    Folded,
    /// Each.
    All,
}

/// All clients, newest first, those that registered themselves included.
pub async fn list(desk: Desk<'_>, listed: Listed) -> Result<Vec<Registrations>, ClientError> {
    let clients = desk.store.clients().await?;
    Ok(match listed {
        Listed::Folded => software::fold(clients),
        Listed::All => clients.into_iter().map(Registrations::from).collect(),
    })
}

/// A page of the clients: at most `limit`, after this identifier, in their order.
pub async fn page(
    desk: Desk<'_>,
    listed: Listed,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Registrations>, ClientError> {
    let after = after.map(ClientId::parse).transpose()?;
    if listed == Listed::All {
        let clients = desk.store.clients_page(after.as_ref(), limit).await?;
        return Ok(clients.into_iter().map(Registrations::from).collect());
    }
    let mut folded = list(desk, listed).await?;
    folded.sort_by(|a, b| a.first.id.as_str().cmp(b.first.id.as_str()));
    let rest = folded
        .into_iter()
        .skip_while(|one| after.as_ref().is_some_and(|it| one.first.id.as_str() <= it.as_str()));
    Ok(rest.take(limit as usize).collect())
}

/// One client.
pub async fn show(desk: Desk<'_>, id: &str) -> Result<Client, ClientError> {
    let id = ClientId::parse(id)?;
    desk.store.client(&id).await?.ok_or(ClientError::Unknown(id))
}

/// Changes a client. Its grants go on, with what its bounds then leave: a token that is made or looked at from now on says so,
/// and where less is left, access tokens from before are revoked.
pub async fn change(desk: Desk<'_>, id: &str, new: &NewFacts) -> Result<Client, ClientError> {
    let before = show(desk, id).await?;
    let redirect_uris = new.redirect_uris.as_deref().map(|texts| addresses(desk, texts)).transpose()?;
    if redirect_uris.as_ref().is_some_and(Vec::is_empty) {
        return Err(ClientError::RedirectUris);
    }
    if let Some(Ceiling::Tier(tier)) = &new.ceiling {
        check_ceiling(desk, tier).await?;
    }
    let ceiling_places = match new.ceiling_places.as_deref() {
        None => None,
        Some(texts) => Some(read_places(desk, texts).await?),
    };
    let name = new.name.as_deref().map(clean_name).transpose()?;
    let wanted = Wanted { name, redirect_uris, ceiling: new.ceiling.clone(), ceiling_places };
    let (resources, now) = (desk.store.resources().await?, desk.clock.now());
    let decided = amendment::amend(&before, wanted, &resources, &desk.policy.token, now)?;
    let Some(amendment) = decided else { return Ok(before) };
    let after = amendment.after();
    let mut event = bounded(desk.event(Action::ClientChanged, &after.id, now), after);
    event = event.with("narrowed", amendment.narrows());
    if before.name != after.name {
        event = event.with("client_name", after.name.as_deref());
    }
    if before.redirect_uris != after.redirect_uris {
        let uris: Vec<_> = after.redirect_uris.iter().map(RedirectUri::as_str).collect();
        event = event.with("redirect_uris", uris);
    }
    match desk.store.change_client(&amendment, &event).await? {
        Applied::Done => show(desk, id).await,
        Applied::Lost => Err(ClientError::Busy(before.id)),
    }
}

/// What the trail says of the bounds of a client, where there are any.
fn bounded(mut event: Event, client: &Client) -> Event {
    if let Some(tier) = &client.ceiling {
        event = event.with("ceiling", tier.as_str());
    }
    if !client.ceiling_places.is_empty() {
        let places: Vec<_> = client.ceiling_places.iter().map(ToString::to_string).collect();
        event = event.with("ceiling_places", places);
    }
    event
}

/// Removes a client; its grants end with it.
pub async fn delete(desk: Desk<'_>, id: &str) -> Result<ClientId, ClientError> {
    let id = ClientId::parse(id)?;
    if is_fixed(desk, &id) {
        return Err(ClientError::Configured(id));
    }
    let now = desk.clock.now();
    let sweep = Sweep::barred(Whose::Client(id.clone()), &desk.policy.token, now);
    match desk.store.delete_client(&id, &sweep, &desk.event(Action::ClientDeleted, &id, now)).await? {
        Applied::Done => Ok(id),
        Applied::Lost => Err(ClientError::Unknown(id)),
    }
}

/// Gives a confidential client another secret; the one it has stays good until it is retired, or until the next rotation.
pub async fn rotate_secret(desk: Desk<'_>, id: &str) -> Result<MadeClient, ClientError> {
    let mut client = show(desk, id).await?;
    let Credentials::Confidential { method, secret: before, .. } = client.credentials else {
        return Err(ClientError::Public(client.id));
    };
    let secret = Secret::generate(desk.entropy);
    let event = desk.event(Action::ClientSecretRotated, &client.id, desk.clock.now());
    match desk.store.rotate_client_secret(&client.id, (&before, &secret.hash()), &event).await? {
        Applied::Done => {
            client.credentials =
                Credentials::Confidential { method, secret: secret.hash(), former: Some(before) };
            Ok(MadeClient { client, secret: Some(secret) })
        }
        Applied::Lost => Err(ClientError::Contended(client.id)),
    }
}

/// Makes the secret before the last rotation good for nothing.
pub async fn retire_secret(desk: Desk<'_>, id: &str) -> Result<ClientId, ClientError> {
    let client = show(desk, id).await?;
    let event = desk.event(Action::ClientSecretRetired, &client.id, desk.clock.now());
    match desk.store.retire_client_secret(&client.id, &event).await? {
        Applied::Done => Ok(client.id),
        Applied::Lost => Err(ClientError::OneSecret(client.id)),
    }
}

/// Disables or enables a client. Either way its grants end: nothing comes back with it.
pub async fn set_standing(desk: Desk<'_>, id: &str, standing: Standing) -> Result<ClientId, ClientError> {
    let id = ClientId::parse(id)?;
    let now = desk.clock.now();
    let sweep = Sweep::barred(Whose::Client(id.clone()), &desk.policy.token, now);
    let set = match standing {
        Standing::Disabled => {
            desk.store.disable_client(&id, &sweep, &desk.event(Action::ClientDisabled, &id, now)).await?
        }
        Standing::Enabled => {
            desk.store.enable_client(&id, &sweep, &desk.event(Action::ClientEnabled, &id, now)).await?
        }
    };
    match set {
        Applied::Done => Ok(id),
        Applied::Lost => Err(ClientError::Unknown(id)),
    }
}

fn is_fixed(desk: Desk<'_>, id: &ClientId) -> bool {
    desk.policy.fixed_client.as_ref().is_some_and(|fixed| &fixed.client_id == id)
}

fn chosen_id(desk: Desk<'_>, text: &str) -> Result<ClientId, ClientError> {
    let id = ClientId::parse(text)?;
    if text.starts_with("https://") {
        return Err(ClientError::ReservedId(id, "a URL means a metadata document"));
    }
    if text.starts_with(RESOURCE_PREFIX) {
        return Err(ClientError::ReservedId(id, "it looks like a resource server's"));
    }
    if is_fixed(desk, &id) {
        return Err(ClientError::ReservedId(id, "the configuration gives it to the fixed client"));
    }
    Ok(id)
}

fn addresses(desk: Desk<'_>, texts: &[String]) -> Result<Vec<RedirectUri>, ClientError> {
    let mut uris: Vec<RedirectUri> = Vec::new();
    for text in texts {
        let uri = RedirectUri::register(text, &desk.policy.registration.app_schemes)
            .map_err(|error| ClientError::RedirectUri(text.clone(), error))?;
        if Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == desk.policy.issuer.origin())
        {
            return Err(ClientError::Ours(text.clone()));
        }
        if !uris.contains(&uri) {
            uris.push(uri);
        }
    }
    if uris.len() <= MAX_REDIRECT_URIS { Ok(uris) } else { Err(ClientError::RedirectUris) }
}

async fn read_places(desk: Desk<'_>, texts: &[String]) -> Result<Vec<Place>, ClientError> {
    let mut read = Vec::new();
    for text in texts {
        read.push(places::read(desk, text).await?);
    }
    Ok(read)
}

/// A ceiling that no resource knows would bound the client to nothing, which nobody means.
async fn check_ceiling(desk: Desk<'_>, tier: &str) -> Result<(), ClientError> {
    let resources = desk.store.resources().await?;
    let mut known: Vec<_> =
        resources.iter().flat_map(|resource| resource.model.tiers()).map(|t| t.id.as_str()).collect();
    // Without any resource there is nothing to hold it against; clients may be registered before resources.
    if known.is_empty() || known.contains(&tier) {
        return Ok(());
    }
    known.sort_unstable();
    known.dedup();
    Err(ClientError::Ceiling(tier.to_owned(), known.join(", ")))
}
