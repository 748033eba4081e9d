//! What administrators are shown: one JSON shape for each noun, the same on the command line and in the admin API. Times are
//! `NumericDate`s (RFC 7519 §2); what is not there is null; no secret is in any of them, but in those that say so.

mod access;
mod api_key;
mod client;
mod keys;
mod permissions;
mod resource;

use doorward_shared::{
    allowance::Allowance,
    node::NodePath,
    scope::{Scope, ScopeToken},
    time::Timestamp,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

pub use self::{
    access::{Access, AccessAt, AccessTier, Mapping, MappingEffect, MappingFinding},
    api_key::{ApiKey, NewApiKey, TierAt},
    client::{Client, ListedClient, NewClient},
    keys::{AdminKey, NewAdminKey, SigningKey},
    permissions::{Entitlement, NewEntitlement, Node, Organization, RemovedNode},
    resource::{Credentials, Model, Resource},
};
use crate::domain::{self, audit::StoredEvent};

/// A person's account.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct User {
    /// Its identifier; `sub` of the person's tokens.
    pub id: String,
    /// The e-mail address, which is the account's name.
    pub email: String,
    /// What to call the person.
    pub name: Option<String>,
    /// The organization that their own data belongs to.
    pub organization: String,
    /// Names of groups that administrators put the account into.
    pub groups: Vec<String>,
    /// Names of groups that the person's upstream providers name.
    pub upstream_groups: Vec<String>,
    /// Whether they administer this server.
    pub admin: bool,
    /// Whether the account is disabled.
    pub disabled: bool,
    /// When it was made.
    #[schemars(with = "i64")]
    pub created_at: Timestamp,
}

impl From<&domain::user::User> for User {
    fn from(user: &domain::user::User) -> Self {
        Self {
            id: user.id.to_string(),
            email: user.email.to_string(),
            name: user.name.clone(),
            organization: user.organization.to_string(),
            groups: user.groups.clone(),
            upstream_groups: user.upstream_groups.clone(),
            admin: user.admin_since.is_some(),
            disabled: user.disabled_at.is_some(),
            created_at: user.created_at,
        }
    }
}

/// A one-time link that was just made.
#[derive(Clone, Serialize, JsonSchema)]
pub struct Link {
    /// The e-mail address of the person who is to open it.
    pub email: String,
    /// The address to open. It is a secret, and shown this once; null when it was mailed.
    pub link: Option<String>,
    /// Whether the mail server took it for the person.
    pub sent: bool,
    /// When it is good no more.
    #[schemars(with = "i64")]
    pub expires_at: Timestamp,
}

impl Link {
    /// The link as its maker is shown it.
    pub fn new(desk: super::Desk<'_>, made: &super::links::MadeLink) -> Self {
        let sent = made.handing == super::links::Handing::Mailed;
        Self {
            email: made.link.email.to_string(),
            link: (!sent).then(|| made.url(desk)),
            sent,
            expires_at: made.link.expires_at,
        }
    }
}

/// An account of a person at an upstream provider.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Identity {
    /// Its identifier.
    pub id: String,
    /// Whose it is here.
    pub user_id: String,
    /// Which provider: its id in the configuration.
    pub provider: String,
    /// Who, for the provider.
    pub subject: String,
    /// The address that the provider named last.
    pub email: Option<String>,
    /// The groups of it that count.
    pub groups: Vec<String>,
    /// Why they do: `listed`, `absent`, `overage`, `malformed`, `stale` or `ended`.
    pub groups_source: String,
    /// What to do about groups that are not listed.
    pub note: Option<String>,
    /// Whether the provider can be asked anew without the person.
    pub refreshable: bool,
    /// When it was linked.
    #[schemars(with = "i64")]
    pub created_at: Timestamp,
    /// When the provider last answered for this person.
    #[schemars(with = "i64")]
    pub checked_at: Timestamp,
    /// Since when the provider does not stand for the person any more.
    #[schemars(with = "Option<i64>")]
    pub ended_at: Option<Timestamp>,
}

/// A browser in which somebody is signed in.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Session {
    /// Its identifier.
    pub id: String,
    /// Who is signed in.
    pub user_id: String,
    /// How they proved themselves.
    pub method: String,
    /// The network address that they signed in from.
    pub address: Option<String>,
    /// What their browser calls itself.
    pub agent: Option<String>,
    /// When they proved themselves.
    #[schemars(with = "i64")]
    pub auth_time: Timestamp,
    /// When it was last used, to the minute.
    #[schemars(with = "i64")]
    pub last_seen_at: Timestamp,
}

/// The sessions of a person that were ended.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct EndedSessions {
    /// How many.
    pub sessions: u64,
}

/// A passkey of a person.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Passkey {
    /// Its identifier, which its device chose.
    pub id: String,
    /// Whose it is.
    pub user_id: String,
    /// What its person calls it.
    pub name: String,
    /// When it was registered.
    #[schemars(with = "i64")]
    pub created_at: Timestamp,
    /// When somebody last signed in with it.
    #[schemars(with = "Option<i64>")]
    pub last_used_at: Option<Timestamp>,
}

impl From<&domain::passkey::Passkey> for Passkey {
    fn from(passkey: &domain::passkey::Passkey) -> Self {
        Self {
            id: passkey.id.clone(),
            user_id: passkey.user.to_string(),
            name: passkey.name.clone(),
            created_at: passkey.created_at,
            last_used_at: passkey.last_used_at,
        }
    }
}

/// What is allowed at one node and below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AllowedAt {
    /// The path of the node; null for the whole organization.
    pub node: Option<String>,
    /// What is allowed there, beyond what is allowed above it.
    pub permissions: Vec<String>,
}

impl AllowedAt {
    /// Everything that is allowed.
    pub fn all(allowance: &Allowance) -> Vec<Self> {
        let whole = Some(allowance.held_everywhere()).filter(|atoms| !atoms.is_empty());
        let whole = whole.map(|atoms| Self { node: None, permissions: words(atoms) });
        let at = |(node, atoms): (&NodePath, &Scope)| Self {
            node: Some(node.to_string()),
            permissions: words(atoms),
        };
        whole.into_iter().chain(allowance.nodes().iter().map(at)).collect()
    }
}

fn words(scope: &Scope) -> Vec<String> {
    scope.iter().map(ScopeToken::as_str).map(str::to_owned).collect()
}

/// A grant: who allowed what to whom, for which resource server, until when.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Grant {
    /// Its identifier; `sid` of its access tokens.
    pub id: String,
    /// Who allowed.
    pub user_id: String,
    /// Their e-mail address.
    pub email: String,
    /// For whose data: the organization.
    pub organization: String,
    /// To whom.
    pub client_id: String,
    /// For which resource server.
    pub resource: String,
    /// Which of its permissions were allowed, somewhere at least.
    pub permissions: Vec<String>,
    /// Where they were allowed.
    pub places: Vec<AllowedAt>,
    /// Which scopes of OpenID Connect.
    pub openid: Vec<String>,
    /// How the client came to be allowed: `dcr`, `fixed`, `registered`.
    pub method: String,
    /// Where it stands: `pending`, `active`, `expired`, `ended`.
    pub state: String,
    /// When it was allowed.
    #[schemars(with = "i64")]
    pub created_at: Timestamp,
    /// When it ends at the latest.
    #[schemars(with = "i64")]
    pub expires_at: Timestamp,
    /// When it was last used at this server: its code or a refresh token was exchanged.
    #[schemars(with = "Option<i64>")]
    pub last_used_at: Option<Timestamp>,
    /// From which network address.
    pub last_used_address: Option<String>,
    /// What the client called itself then. Written by a stranger.
    pub last_used_user_agent: Option<String>,
    /// When it was ended.
    #[schemars(with = "Option<i64>")]
    pub ended_at: Option<Timestamp>,
    /// Why it was ended.
    pub end_reason: Option<String>,
}

impl Grant {
    /// A grant and its person.
    pub fn of(grant: &domain::grant::Grant, user: &domain::user::User, now: Timestamp) -> Self {
        let last_use = grant.last_use.as_ref();
        Self {
            id: grant.id.to_string(),
            user_id: user.id.to_string(),
            email: user.email.to_string(),
            organization: grant.organization.to_string(),
            client_id: grant.client_id.to_string(),
            resource: grant.resource.to_string(),
            permissions: words(&grant.allowance.atoms()),
            places: AllowedAt::all(&grant.allowance),
            openid: words(&grant.oidc),
            method: grant.method.as_str().to_owned(),
            state: grant.state(now).as_str().to_owned(),
            created_at: grant.created_at,
            expires_at: grant.expires_at,
            last_used_at: last_use.map(|last| last.at),
            last_used_address: last_use.and_then(|last| last.address.clone()),
            last_used_user_agent: last_use.and_then(|last| last.agent.clone()),
            ended_at: grant.ended.map(|ended| ended.at),
            end_reason: grant.ended.map(|ended| ended.reason.as_str().to_owned()),
        }
    }
}

/// One line of the audit trail.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Event {
    /// Its identifier.
    pub id: String,
    /// When.
    #[schemars(with = "i64")]
    pub at: Timestamp,
    /// The kind of who did it: `user`, `client`, `admin_key`, `operator`, `server`, `stranger`.
    pub actor_kind: String,
    /// Who did it.
    pub actor: Option<String>,
    /// What was done.
    pub action: String,
    /// To what.
    pub object: Option<String>,
    /// The network address it came from.
    pub address: Option<String>,
    /// What else is worth knowing.
    pub detail: Map<String, Value>,
    /// Its place in the chain; null for the first moments.
    pub sequence: Option<i64>,
    /// Its link in the chain; null for the first moments.
    pub hash: Option<String>,
}

impl From<&StoredEvent> for Event {
    fn from(stored: &StoredEvent) -> Self {
        let (event, link) = (&stored.event, stored.link.as_ref());
        let (actor_kind, actor) = event.actor.parts();
        Self {
            id: event.id.to_string(),
            at: event.at,
            actor_kind: actor_kind.to_owned(),
            actor: actor.map(str::to_owned),
            action: event.action.as_str().to_owned(),
            object: event.object.clone(),
            address: event.address.clone(),
            detail: event.detail.clone(),
            sequence: link.map(|link| link.sequence),
            hash: link.map(|link| link.hash.clone()),
        }
    }
}

/// How the server is doing.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// The issuer.
    pub issuer: String,
    /// Where it keeps its data: `sqlite` or `postgresql`.
    pub store: String,
    /// The name of this life of the revocation feed: a restored database gives it a new one.
    pub feed_epoch: String,
    /// The last number of the revocation feed.
    pub feed_sequence: i64,
    /// The `kid` of the key that signs here.
    pub signing_key: String,
    /// The last number of the audit trail's chain.
    pub audit_sequence: i64,
}
