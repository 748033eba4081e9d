//! The audit trail: what is written down with a deed, in a closed vocabulary, and the chain that shows every later change.

use doorward_shared::{allowance::Allowance, client_id::ClientId, secret::Entropy, time::Timestamp};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{
    entitlement::Rule,
    ids::{AdminKeyId, EventId, UserId},
};

/// One line of the trail. It never holds a secret, and of a person only the identifier, so that a name can be erased
/// elsewhere without breaking the chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its identifier.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// To what: an identifier.
    pub object: Option<String>,
    /// The network address it came from.
    pub address: Option<String>,
    /// What else is worth knowing: identifiers, counts, old and new values.
    pub detail: Map<String, Value>,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A signed-in person.
    User(UserId),
    /// A client, for itself.
    Client(ClientId),
    /// A program with an admin key.
    AdminKey(AdminKeyId),
    /// Somebody at the command line of the server's machine.
    Operator,
    /// The server itself.
    Server,
    /// Somebody who did not prove who they are.
    Stranger,
}

impl Actor {
    /// The kind and, where there is one, the identifier.
    pub fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::User(id) => ("user", Some(id.as_str())),
            Self::Client(id) => ("client", Some(id.as_str())),
            Self::AdminKey(id) => ("admin_key", Some(id.as_str())),
            Self::Operator => ("operator", None),
            Self::Server => ("server", None),
            Self::Stranger => ("stranger", None),
        }
    }

    /// Reads both parts.
    pub fn from_parts(kind: &str, id: Option<&str>) -> Option<Self> {
        match (kind, id) {
            ("user", Some(id)) => UserId::parse(id).map(Self::User),
            ("client", Some(id)) => ClientId::parse(id).ok().map(Self::Client),
            ("admin_key", Some(id)) => AdminKeyId::parse(id).map(Self::AdminKey),
            ("operator", None) => Some(Self::Operator),
            ("server", None) => Some(Self::Server),
            ("stranger", None) => Some(Self::Stranger),
            _ => None,
        }
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $word:literal;)*) => {
        /// What was done: the closed vocabulary.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Action {
            $($(#[$doc])* $name,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word in the store and in exports.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }

            /// Reads the word.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|action| action.as_str() == word)
            }
        }
    };
}

actions! {
    /// Somebody signed in.
    SignedIn = "signed_in";
    /// Somebody tried to sign in and did not prove who they are.
    SignInFailed = "sign_in_failed";
    /// Somebody signed out.
    SignedOut = "signed_out";
    /// A session was ended, by its person elsewhere or by an administrator.
    SessionEnded = "session_ended";
    /// A person ended all their sessions but one.
    OtherSessionsEnded = "other_sessions_ended";
    /// An administrator ended all sessions of a person.
    SessionsEnded = "sessions_ended";
    /// A client could not be told that a session ended; it is not tried again.
    LogoutUndelivered = "logout_undelivered";
    /// A person chose another password; their other sessions ended.
    PasswordChanged = "password_changed";
    /// An account at an upstream provider was linked to an account here.
    IdentityLinked = "identity_linked";
    /// An administrator took such a link away.
    IdentityUnlinked = "identity_unlinked";
    /// A provider does not stand for a person any more: what came of signing in there ended.
    IdentityEnded = "identity_ended";
    /// The groups that a provider names for a person changed.
    GroupsChanged = "groups_changed";
    /// The first administrator was made.
    SetUp = "set_up";
    /// A person set up a second factor.
    SecondFactorSet = "second_factor_set";
    /// A second factor was taken away.
    SecondFactorRemoved = "second_factor_removed";
    /// A person made new recovery codes.
    RecoveryCodesRenewed = "recovery_codes_renewed";
    /// A person used a recovery code.
    RecoveryCodeUsed = "recovery_code_used";
    /// A person registered a passkey.
    PasskeyAdded = "passkey_added";
    /// A passkey was removed, by its person or by an administrator.
    PasskeyRemoved = "passkey_removed";
    /// An account was made.
    UserCreated = "user_created";
    /// An administrator invited somebody: a one-time link was made, of which an account comes.
    UserInvited = "user_invited";
    /// A one-time link was made, with which a person chooses another password.
    ResetLinkMade = "reset_link_made";
    /// An account was disabled, and everything of it ended.
    UserDisabled = "user_disabled";
    /// An account was enabled again.
    UserEnabled = "user_enabled";
    /// A client registered itself.
    ClientRegistered = "client_registered";
    /// An administrator registered a client.
    ClientCreated = "client_created";
    /// A client was changed: by an administrator its name, its addresses or its bounds, by itself what it says about itself.
    ClientChanged = "client_changed";
    /// A client was disabled, and its grants ended.
    ClientDisabled = "client_disabled";
    /// A client was enabled again.
    ClientEnabled = "client_enabled";
    /// A client got another secret; the one before stays good for a while.
    ClientSecretRotated = "client_secret_rotated";
    /// The secret of a client before the last one is good for nothing any more.
    ClientSecretRetired = "client_secret_retired";
    /// A client was removed, by itself or by an administrator, and its grants ended.
    ClientDeleted = "client_deleted";
    /// A resource server was registered.
    ResourceAdded = "resource_added";
    /// A resource server was disabled, and grants for it ended.
    ResourceDisabled = "resource_disabled";
    /// A resource server was enabled again.
    ResourceEnabled = "resource_enabled";
    /// A resource server got another secret; the one before stays good for a while.
    ResourceSecretRotated = "resource_secret_rotated";
    /// The secret of a resource server before the last one is good for nothing any more.
    ResourceSecretRetired = "resource_secret_retired";
    /// A resource server was removed with the rules that named it, and grants for it ended.
    ResourceRemoved = "resource_removed";
    /// It was said whom a resource server is for.
    ResourceAccessSet = "resource_access_set";
    /// An organization was made.
    OrganizationCreated = "organization_created";
    /// A node of an organization was made.
    NodeAdded = "node_added";
    /// A node was removed, with everything below it and the rules that named one of them.
    NodeRemoved = "node_removed";
    /// Rules about who may do what where were added or removed.
    EntitlementsChanged = "entitlements_changed";
    /// Such a rule was disabled.
    EntitlementDisabled = "entitlement_disabled";
    /// Such a rule was enabled again.
    EntitlementEnabled = "entitlement_enabled";
    /// A person's groups were changed.
    UserGroupsSet = "user_groups_set";
    /// A person allowed a client something: a grant and its code were made.
    ConsentGiven = "consent_given";
    /// A person refused.
    ConsentDenied = "consent_denied";
    /// The code of a grant was redeemed.
    CodeRedeemed = "code_redeemed";
    /// A code was redeemed a second time; its grant ended.
    CodeReplayed = "code_replayed";
    /// A refresh token was used a second time; its grant ended.
    RefreshReplayed = "refresh_replayed";
    /// A grant ended because nobody may have tokens on it any more.
    GrantBarred = "grant_barred";
    /// A grant was revoked.
    GrantRevoked = "grant_revoked";
    /// Many grants were revoked at once.
    GrantsRevoked = "grants_revoked";
    /// A grant was made smaller or shorter.
    GrantNarrowed = "grant_narrowed";
    /// The person who had allowed it let a grant go on for longer.
    GrantExtended = "grant_extended";
    /// A signing key was made.
    KeyCreated = "key_created";
    /// A signing key began to sign.
    KeyActivated = "key_activated";
    /// A signing key stopped signing.
    KeyRetired = "key_retired";
    /// A signing key was withdrawn, and its private half destroyed.
    KeyRemoved = "key_removed";
    /// A signing key was declared bad.
    KeyRevoked = "key_revoked";
    /// The data key, which seals what is secret in the database, was sealed with another key-encryption key.
    Rekeyed = "rekeyed";
    /// An admin key was made.
    AdminKeyCreated = "admin_key_created";
    /// An admin key was revoked.
    AdminKeyRevoked = "admin_key_revoked";
    /// An API key of a person was made.
    ApiKeyCreated = "api_key_created";
    /// An API key of a person was revoked.
    ApiKeyRevoked = "api_key_revoked";
    /// An API key was revoked since somebody reported that they found it.
    ApiKeyReported = "api_key_reported";
    /// A copy of the database was made.
    BackedUp = "backed_up";
    /// A database was filled from a backup.
    Restored = "restored";
    /// A limit was reached.
    LimitReached = "limit_reached";
}

impl Event {
    /// An event at `now`.
    pub fn new(action: Action, actor: Actor, now: Timestamp, entropy: &dyn Entropy) -> Self {
        let id = EventId::generate(now, entropy);
        Self { id, at: now, actor, action, object: None, address: None, detail: Map::new() }
    }

    /// Says what it was done to.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers give an identifier or its text, borrowed or not"
    )]
    pub fn on(mut self, object: impl ToString) -> Self {
        self.object = Some(object.to_string());
        self
    }

    /// Says where it came from.
    #[must_use]
    pub fn from(mut self, address: Option<&str>) -> Self {
        self.address = address.map(String::from);
        self
    }

    /// Adds a detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail.insert(name.to_owned(), value.into());
        self
    }

    /// Adds what is allowed: the permissions under this name, and where, when that is not everywhere.
    #[must_use]
    pub fn allowing(self, name: &str, allowance: &Allowance) -> Self {
        let event = self.with(name, allowance.atoms().to_string());
        match allowance.to_details() {
            Some(details) => event.with(&format!("{name}_details"), details),
            None => event,
        }
    }

    /// Names rules: their identifiers under this name, and what they say, with those named before, under `rules`.
    #[must_use]
    pub fn about_rules<'a>(mut self, name: &str, rules: impl IntoIterator<Item = &'a Rule>) -> Self {
        let (ids, said): (Vec<Value>, Vec<Value>) =
            rules.into_iter().map(|rule| (rule.id.as_str().into(), rule.told())).unzip();
        let all = self.detail.entry("rules").or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(all) = all {
            all.extend(said);
        }
        self.with(name, ids)
    }

    /// The event's link in the chain: SHA-256 over the link before it, its place, and all its parts, each with its length in
    /// front so that no two events look alike; hexadecimal.
    pub fn link(&self, sequence: i64, before: &str) -> String {
        let (kind, actor) = self.actor.parts();
        let detail = Value::Object(self.detail.clone()).to_string();
        let at = self.at.seconds().to_string();
        let sequence = sequence.to_string();
        let parts = [
            Some(before),
            Some(&sequence),
            Some(self.id.as_str()),
            Some(&at),
            Some(kind),
            actor,
            Some(self.action.as_str()),
            self.object.as_deref(),
            self.address.as_deref(),
            Some(&detail),
        ];
        let mut hash = Sha256::new();
        for part in parts {
            // An absent part is not an empty one.
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            hash.update(length.to_be_bytes());
            hash.update(part.unwrap_or_default());
        }
        hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvent {
    /// The event.
    pub event: Event,
    /// Its place in the chain; `None` for a moment after it was written.
    pub link: Option<Link>,
}

/// A place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Counts from 1.
    pub sequence: i64,
    /// What [`Event::link`] gives.
    pub hash: String,
}

/// A signed statement that the chain had come this far. A copy that is kept elsewhere shows when the chain was rewritten or
/// its end cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The place and its hash.
    pub link: Link,
    /// When.
    pub at: Timestamp,
    /// The same, signed: payload (claims `iss`, `iat`, `sequence`, `hash`) and signature of a JWS.
    pub signed: String,
}

/// The link before the first event.
pub const FIRST_LINK: &str = "";
