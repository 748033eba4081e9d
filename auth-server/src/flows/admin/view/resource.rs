//! Resource servers.

use doorward_shared::{permission::PermissionModel, time::Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{domain, flows::admin::resources::MadeResource};

/// A resource server.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Resource {
    /// Its address, which is the audience of its tokens.
    pub resource: String,
    /// Its name on the consent page.
    pub name: String,
    /// How its permissions are chosen: `consent`.
    pub mode: String,
    /// Whom it is for: `everyone` (all may do everything with their own data, and rules add to that) or `listed` (only rules
    /// count).
    pub access: String,
    /// The identifier with which it calls this server.
    pub client_id: String,
    /// What it can be allowed to do.
    #[schemars(with = "Model")]
    pub model: PermissionModel,
    /// Whether it is disabled.
    pub disabled: bool,
    /// When it was registered.
    #[schemars(with = "i64")]
    pub created_at: Timestamp,
}

impl From<&domain::resource::Resource> for Resource {
    fn from(resource: &domain::resource::Resource) -> Self {
        Self {
            resource: resource.uri.to_string(),
            name: resource.name.clone(),
            mode: resource.mode.as_str().to_owned(),
            access: resource.access.as_str().to_owned(),
            client_id: resource.client_id.to_string(),
            model: resource.model.clone(),
            disabled: resource.disabled_at.is_some(),
            created_at: resource.created_at,
        }
    }
}

/// The schema of a permission model, as `docs/operating.md` describes it.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used: the model itself is of a crate without schemas")]
pub struct Model {
    /// The smallest things that are granted.
    permissions: Vec<Permission>,
    /// Bundles of them, from the lowest to the highest; each has all permissions of the one before.
    #[schemars(length(min = 1))]
    tiers: Vec<Tier>,
}

/// One permission.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Permission")]
#[expect(dead_code, reason = "only its schema is used")]
struct Permission {
    /// The scope token, for example `wiki:read`.
    name: String,
    /// The MCP tools that need it.
    #[schemars(default)]
    tools: Vec<String>,
}

/// A bundle of permissions that people understand.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Tier")]
#[expect(dead_code, reason = "only its schema is used")]
struct Tier {
    /// Lower-case letters, digits, `-` and `_`.
    id: String,
    /// One or two words.
    title: String,
    /// One plain sentence: what this tier adds.
    sentence: String,
    /// All its permissions, those of the tier before included.
    permissions: Vec<String>,
    /// Whether what it allows cannot be undone.
    #[schemars(default)]
    irreversible: bool,
}

/// The credentials of a resource server that was just registered, or got another secret. They are shown this once.
#[derive(Clone, Serialize, JsonSchema)]
pub struct Credentials {
    /// The address of the resource server.
    pub resource: String,
    /// The identifier with which it calls this server.
    pub client_id: String,
    /// The secret with which it does.
    pub client_secret: String,
    /// Whom it is for: `everyone` or `listed`.
    pub access: String,
}

impl From<&MadeResource> for Credentials {
    fn from(made: &MadeResource) -> Self {
        Self {
            resource: made.resource.uri.to_string(),
            client_id: made.resource.client_id.to_string(),
            client_secret: made.secret.expose().to_owned(),
            access: made.resource.access.as_str().to_owned(),
        }
    }
}
