//! Who calls, in the words of this server. The rest of the server knows nothing of tokens.

use doorward_resource_server::Access;
use doorward_shared::scope::Scope;

use crate::store::Owner;

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
    /// What was granted.
    pub permissions: Scope,
    /// The last four characters of the API key, when the credential is one.
    pub api_key_last_4: Option<String>,
}

impl Caller {
    /// True when the caller was granted `permission`.
    pub fn may(&self, permission: &str) -> bool {
        self.permissions.contains(permission)
    }

    /// Whose data the caller sees.
    pub fn owner(&self) -> Owner {
        Owner { organization: self.organization.clone(), subject: self.subject.clone() }
    }
}

impl From<&Access> for Caller {
    /// The one place that reads what the kit has verified. A token that is narrowed to parts of the data tree grants
    /// nothing here: this server keeps no data tree, and what is allowed in one folder is not allowed everywhere.
    fn from(access: &Access) -> Self {
        let everywhere = access.scope.iter().filter(|token| access.allows(token.as_str()));
        Self {
            organization: access.organization.clone(),
            subject: access.subject.clone(),
            client_id: access.client_id.clone(),
            grant: access.grant.clone(),
            permissions: everywhere.cloned().collect(),
            api_key_last_4: None,
        }
    }
}
