//! Who calls, in the words of this server. The rest of the server knows nothing of tokens.

use doorward_resource_server::{Access, Allowance, NodePath};
use doorward_shared::time::Timestamp;

use crate::{
    errors::{Code, Refusal},
    permissions::READ,
};

/// A caller whose credential was verified.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The organization whose data it is.
    pub organization: String,
    /// The user.
    pub subject: String,
    /// The client that holds the credential.
    pub client_id: String,
    /// The grant behind it: what an administrator revokes.
    pub grant: String,
    /// The name of the token or key itself.
    pub token_id: String,
    /// The key that signed the token; an API key has none.
    pub key_id: Option<String>,
    /// When the token or key was made.
    pub issued_at: Timestamp,
    /// What was granted, and in which folders.
    pub allowance: Allowance,
    /// The name of the API key, when the credential is one.
    pub credential: Option<String>,
    /// The last four characters of the API key, when the credential is one.
    pub api_key_last_4: Option<String>,
}

/// The folders in which something is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Places<'a> {
    /// All of the organization.
    Everywhere,
    /// These, and everything below them. None is below another.
    In(Vec<&'a NodePath>),
}

impl Caller {
    /// True when `permission` was granted somewhere.
    pub fn may(&self, permission: &str) -> bool {
        self.places(permission) != Places::In(Vec::new())
    }

    /// True when `permission` was granted for this folder; without a folder, for the organization itself.
    pub fn may_in(&self, permission: &str, folder: Option<&NodePath>) -> bool {
        self.allowance.allows(permission, folder)
    }

    /// Where `permission` was granted.
    pub fn places(&self, permission: &str) -> Places<'_> {
        if self.allowance.allows(permission, None) {
            return Places::Everywhere;
        }
        let named = self.allowance.nodes().iter().filter(|(_, held)| held.contains(permission));
        Places::In(named.map(|(node, _)| node).collect())
    }

    /// Why `permission` is refused in `folder`. Who may read there hears what is missing; everybody else hears `unknown`, as
    /// for what does not exist.
    pub fn refusal(
        &self,
        permission: &str,
        folder: Option<&NodePath>,
        unknown: impl FnOnce() -> Refusal,
    ) -> Refusal {
        if self.may_in(READ, folder) { self.missing(permission) } else { unknown() }
    }

    /// The refusal that names a permission and the folders for which it was granted.
    pub fn missing(&self, permission: &str) -> Refusal {
        let granted = match self.places(permission) {
            Places::In(folders) if !folders.is_empty() => {
                format!("which was granted only for {}", listed(&folders))
            }
            _ => "which was not granted".to_owned(),
        };
        Refusal::new(
            Code::InsufficientScope,
            format!(
                "This needs the permission {permission}, {granted}. Permissions are ticked on the consent page at sign-in, \
                 or given to an API key when it is made."
            ),
        )
    }
}

/// Names of folders for a sentence.
pub fn listed(folders: &[&NodePath]) -> String {
    folders.iter().map(|folder| folder.as_str()).collect::<Vec<_>>().join(", ")
}

impl From<&Access> for Caller {
    /// The one place that reads what the kit has verified.
    fn from(access: &Access) -> Self {
        Self {
            organization: access.organization.clone(),
            subject: access.subject.clone(),
            client_id: access.client_id.clone(),
            grant: access.grant.clone(),
            token_id: access.token_id.clone(),
            key_id: access.key_id.clone(),
            issued_at: access.issued_at,
            allowance: access.allowance(),
            credential: access.credential.clone(),
            api_key_last_4: access.api_key_last_4.clone(),
        }
    }
}
