//! Clients as administrators are shown them.

use doorward_shared::{redirect_uri::RedirectUri, time::Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    domain::{
        client::{self, Credentials},
        software::Registrations,
    },
    flows::admin::clients::MadeClient,
};

/// A client.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Client {
    /// Its identifier.
    pub client_id: String,
    /// The name it gave itself, or an administrator gave it. Written by a stranger where the label is `unverified`.
    pub client_name: Option<String>,
    /// What the consent page says of it: `unverified` or `registered`.
    pub label: String,
    /// How it came here: `dynamic`, it registered itself; `document`, its identifier is the URL of its document;
    /// `administrator`; `fixed`, the configuration describes it.
    pub origin: String,
    /// How it proves itself (RFC 7591).
    pub token_endpoint_auth_method: String,
    /// How many secrets are good: two between a rotation and the end of the former one.
    pub secrets: u8,
    /// Where answers may be sent.
    pub redirect_uris: Vec<String>,
    /// Where people may be sent after they signed out.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told that a session ended (OpenID Connect Back-Channel Logout).
    pub backchannel_logout_uri: Option<String>,
    /// Whether it needs to be told which session; it always is.
    pub backchannel_logout_session_required: bool,
    /// What it may ask the token endpoint for.
    pub grant_types: Vec<String>,
    /// The highest tier it can be given.
    pub ceiling: Option<String>,
    /// The data it can be given anything for: `own`, or the identifier of an organization, each with or without a colon and
    /// the path of a node. Without any there is no bound.
    pub ceiling_nodes: Vec<String>,
    /// Whether it is disabled.
    pub disabled: bool,
    /// When it was registered.
    #[schemars(with = "i64")]
    pub created_at: Timestamp,
}

/// A client in a list.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ListedClient {
    /// The client: of several registrations of the same software the first.
    #[serde(flatten)]
    pub client: Client,
    /// How many registrations of the same software it stands for: those that registered themselves with the same `software_id`, or
    /// without one the same name, and send answers to the same places.
    pub registrations: u64,
}

impl From<&Registrations> for ListedClient {
    fn from(registrations: &Registrations) -> Self {
        Self { client: Client::from(&registrations.first), registrations: registrations.count as u64 }
    }
}

impl From<&client::Client> for Client {
    fn from(client: &client::Client) -> Self {
        Self {
            client_id: client.id.to_string(),
            client_name: client.name.clone(),
            label: client.label().as_str().to_owned(),
            origin: client.origin.as_str().to_owned(),
            token_endpoint_auth_method: client.auth_method().as_str().to_owned(),
            secrets: match client.credentials {
                Credentials::Public => 0,
                Credentials::Confidential { former: None, .. } => 1,
                Credentials::Confidential { former: Some(_), .. } => 2,
            },
            redirect_uris: texts(&client.redirect_uris),
            post_logout_redirect_uris: texts(&client.post_logout_redirect_uris),
            backchannel_logout_uri: client.backchannel_logout.as_ref().map(|logout| logout.uri.clone()),
            backchannel_logout_session_required: client
                .backchannel_logout
                .as_ref()
                .is_some_and(|logout| logout.session_required),
            grant_types: client.grant_types.iter().map(|grant| grant.as_str().to_owned()).collect(),
            ceiling: client.ceiling.clone(),
            ceiling_nodes: client.ceiling_places.iter().map(ToString::to_string).collect(),
            disabled: client.disabled_at.is_some(),
            created_at: client.created_at,
        }
    }
}

fn texts(addresses: &[RedirectUri]) -> Vec<String> {
    addresses.iter().map(|address| address.as_str().to_owned()).collect()
}

/// A client that was just registered.
#[derive(Clone, Serialize, JsonSchema)]
pub struct NewClient {
    /// The client.
    #[serde(flatten)]
    pub client: Client,
    /// The secret of a confidential client. It is shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
}

impl From<&MadeClient> for NewClient {
    fn from(made: &MadeClient) -> Self {
        let client_secret = made.secret.as_ref().map(|secret| secret.expose().to_owned());
        Self { client: Client::from(&made.client), client_secret }
    }
}
