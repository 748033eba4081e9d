//! `/clients`.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::{
    problem::Problem,
    query::{Flag, Limit},
    route::{Call, Created, Gone, NoBody, NoQuery, Page, Shown},
};
use crate::{
    domain::{
        amendment::Ceiling,
        client::{Client, ConfidentialMethod},
    },
    flows::admin::{
        Standing,
        clients::{self, ClientError, ClientKind, Listed, NewClient, NewFacts},
        places::PlaceError,
        view,
    },
};

/// What a client is made from; the names are those of RFC 7591.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CreateClient")]
pub(super) struct Create {
    /// The name that people see on the consent page.
    #[schemars(length(min = 1, max = 100))]
    client_name: String,
    /// Addresses that answers may be sent to, compared exactly.
    #[schemars(length(min = 1, max = 10))]
    redirect_uris: Vec<Address>,
    /// Addresses that people may be sent to after they signed out, compared exactly.
    #[serde(default)]
    #[schemars(length(max = 10))]
    post_logout_redirect_uris: Vec<Address>,
    /// An address that is told when a session ends in which the client got an ID token (OpenID Connect Back-Channel Logout): https,
    /// or http on loopback.
    backchannel_logout_uri: Option<Address>,
    /// Whether the client needs to be told which session; it always is.
    #[serde(default)]
    backchannel_logout_session_required: bool,
    /// How the client proves itself.
    token_endpoint_auth_method: Method,
    /// Give the client this identifier instead of a new one.
    #[schemars(length(min = 1, max = 255))]
    client_id: Option<String>,
    /// Never give the client more than this tier.
    #[schemars(length(min = 1))]
    ceiling: Option<String>,
    /// Give the client something for this data only: `own` or the identifier or the name of an organization, each with or
    /// without a colon and the path of a node.
    #[serde(default)]
    #[schemars(length(max = 64))]
    ceiling_nodes: Vec<String>,
}

/// What changes of a client. What is left out stays as it is. Name and addresses can be changed of clients only that an
/// administrator registered.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChangeClient")]
pub(super) struct Change {
    /// The name that people see on the consent page.
    #[schemars(length(min = 1, max = 100))]
    client_name: Option<String>,
    /// Addresses that answers may be sent to, compared exactly.
    #[schemars(length(min = 1, max = 10))]
    redirect_uris: Option<Vec<Address>>,
    /// Never give the client more than this tier; null sets no bound.
    #[serde(default)]
    #[schemars(with = "Option<String>", length(min = 1))]
    ceiling: Tier,
    /// Give the client something for this data only: `own` or the identifier or the name of an organization, each with or
    /// without a colon and the path of a node. None of them sets no bound.
    #[schemars(length(max = 64))]
    ceiling_nodes: Option<Vec<String>>,
}

/// A member that is left out, null, or a tier.
#[derive(Default)]
struct Tier(Option<Ceiling>);

impl<'de> Deserialize<'de> for Tier {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let tier = Option::<String>::deserialize(deserializer)?;
        Ok(Self(Some(tier.map_or(Ceiling::Unbounded, Ceiling::Tier))))
    }
}

/// An address that answers may be sent to.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
struct Address(#[schemars(url)] String);

/// How a client proves itself.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
enum Method {
    /// It has no secret, as every program on somebody's own computer.
    None,
    /// It has a secret and sends it in the body.
    ClientSecretPost,
    /// It has a secret and sends it in the Authorization header.
    ClientSecretBasic,
}

/// Which clients to list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    /// Show each registration of the same software, and not one for all of them.
    #[serde(default)]
    all: Flag,
    /// How many the page shows.
    #[serde(default)]
    limit: Limit,
    /// `next_cursor` of the page before.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
}

pub(super) async fn list(
    call: Call,
    query: List,
    _: NoBody,
) -> Result<Shown<Page<view::ListedClient>>, Problem> {
    let after = call.position(query.cursor.as_deref())?;
    let listed = if query.all.is_yes() { Listed::All } else { Listed::Folded };
    let clients = clients::page(call.desk(), listed, after.as_deref(), query.limit.and_one()).await?;
    Ok(call.page(clients, query.limit, |client| client.first.id.to_string(), |row| row.into()))
}

pub(super) async fn show(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::Client>, Problem> {
    Ok(Shown(view::Client::from(&named(&call).await?)))
}

pub(super) async fn create(call: Call, _: NoQuery, new: Create) -> Result<Created<view::NewClient>, Problem> {
    let kind = match new.token_endpoint_auth_method {
        Method::None => ClientKind::Public,
        Method::ClientSecretPost => ClientKind::Confidential(ConfidentialMethod::Post),
        Method::ClientSecretBasic => ClientKind::Confidential(ConfidentialMethod::Basic),
    };
    let Create {
        client_name: name,
        redirect_uris,
        post_logout_redirect_uris,
        backchannel_logout_uri,
        backchannel_logout_session_required,
        client_id,
        ceiling,
        ceiling_nodes: ceiling_places,
        ..
    } = new;
    let texts = |addresses: Vec<Address>| addresses.into_iter().map(|address| address.0).collect();
    let (redirect_uris, post_logout_redirect_uris) = (texts(redirect_uris), texts(post_logout_redirect_uris));
    let new = NewClient {
        name,
        redirect_uris,
        post_logout_redirect_uris,
        backchannel_logout_uri: backchannel_logout_uri.map(|address| address.0),
        backchannel_logout_session_required,
        kind,
        client_id,
        ceiling,
        ceiling_places,
    };
    let made = clients::create(call.desk(), &new).await?;
    Ok(Created(view::NewClient::from(&made)))
}

pub(super) async fn change(call: Call, _: NoQuery, change: Change) -> Result<Shown<view::Client>, Problem> {
    let client = named(&call).await?;
    let Change { client_name: name, redirect_uris, ceiling: Tier(ceiling), ceiling_nodes: ceiling_places } =
        change;
    let texts = |addresses: Vec<Address>| addresses.into_iter().map(|address| address.0).collect();
    let facts = NewFacts { name, redirect_uris: redirect_uris.map(texts), ceiling, ceiling_places };
    let changed = clients::change(call.desk(), client.id.as_str(), &facts).await?;
    Ok(Shown(view::Client::from(&changed)))
}

pub(super) async fn delete(call: Call, _: NoQuery, _: NoBody) -> Result<Gone, Problem> {
    let client = named(&call).await?;
    clients::delete(call.desk(), client.id.as_str()).await?;
    Ok(Gone)
}

pub(super) async fn rotate_secret(
    call: Call,
    _: NoQuery,
    _: NoBody,
) -> Result<Shown<view::NewClient>, Problem> {
    let client = named(&call).await?;
    let made = clients::rotate_secret(call.desk(), client.id.as_str()).await?;
    Ok(Shown(view::NewClient::from(&made)))
}

pub(super) async fn retire_secret(call: Call, _: NoQuery, _: NoBody) -> Result<Gone, Problem> {
    let client = named(&call).await?;
    clients::retire_secret(call.desk(), client.id.as_str()).await?;
    Ok(Gone)
}

pub(super) async fn disable(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::Client>, Problem> {
    standing(&call, Standing::Disabled).await
}

pub(super) async fn enable(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::Client>, Problem> {
    standing(&call, Standing::Enabled).await
}

async fn named(call: &Call) -> Result<Client, Problem> {
    clients::show(call.desk(), call.id()).await.map_err(|error| Problem::from(error).in_path())
}

async fn standing(call: &Call, standing: Standing) -> Result<Shown<view::Client>, Problem> {
    let client = named(call).await?;
    clients::set_standing(call.desk(), client.id.as_str(), standing).await?;
    Ok(Shown(view::Client::from(&named(call).await?)))
}

impl From<ClientError> for Problem {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Store(error) | ClientError::Place(PlaceError::Store(error)) => error.into(),
            ClientError::Taken(_)
            | ClientError::Configured(_)
            | ClientError::Public(_)
            | ClientError::OneSecret(_)
            | ClientError::Contended(_)
            | ClientError::NotAmended(_)
            | ClientError::Busy(_) => Self::conflict(&error),
            ClientError::Unknown(_) => Self::not_found(&error),
            _ => Self::invalid(&error),
        }
    }
}
