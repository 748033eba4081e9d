//! Resource servers: what tokens are good for.

use doorward_shared::{
    client_id::ClientId,
    permission::PermissionModel,
    resource::ResourceUri,
    secret::{ClientSecret, Secret, SecretHash},
    time::Timestamp,
};

/// A registered resource server.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its identifier: the `aud` of its tokens, exactly as written here.
    pub uri: ResourceUri,
    /// Its name on the consent page.
    pub name: String,
    /// How its permissions are chosen.
    pub mode: PermissionMode,
    /// Who may do anything with it.
    pub access: Access,
    /// What it can be allowed to do.
    pub model: PermissionModel,
    /// The identifier with which the resource server itself calls this server.
    pub client_id: ClientId,
    /// The hash of its secret.
    pub secret: SecretHash<ClientSecret>,
    /// The hash of the one before the last rotation, as long as it is good.
    pub former: Option<SecretHash<ClientSecret>>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When an administrator disabled it.
    pub disabled_at: Option<Timestamp>,
    /// Access tokens for it that were issued up to this moment are revoked.
    pub revoked_until: Option<Timestamp>,
}

impl Resource {
    /// True when this is its secret, or the one before the last rotation as long as that is good.
    pub fn knows(&self, presented: &Secret<ClientSecret>) -> bool {
        let presented = presented.hash();
        presented == self.secret || Some(presented) == self.former
    }
}

/// Who may do anything with a resource server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody with an account may do everything with the data of their own organization, and rules add to that.
    Everyone,
    /// Those only whom a rule names.
    Listed,
}

impl Access {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Everyone, Self::Listed];

    /// The word in the store and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Everyone => "everyone",
            Self::Listed => "listed",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|access| access.as_str() == word)
    }
}

/// How the permissions of a resource are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionMode {
    /// People tick tiers on the consent page; `scope` carries OpenID Connect scopes only.
    Consent,
}

impl PermissionMode {
    /// The word in the store and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Consent => "consent",
        }
    }

    /// Reads the word.
    pub fn parse(text: &str) -> Option<Self> {
        (text == Self::Consent.as_str()).then_some(Self::Consent)
    }
}
