//! Permissions: the atoms of a resource, the tools they open, and the nested tiers that people tick on the consent page.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::scope::{Scope, ScopeToken};

/// What one resource server can be allowed to do, as registered with the authorization server.
///
/// Invariants, held by [`PermissionModel::new`]: names are scope tokens and unique; every tier contains all atoms of the
/// tier before it; every atom that a tier names exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Draft", into = "Draft")]
pub struct PermissionModel {
    permissions: Vec<Permission>,
    tiers: Vec<Tier>,
}

/// One atom: the smallest thing that is granted. Tokens carry atoms in `scope`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Permission {
    /// The scope token, for example `artifacts:read`.
    pub name: String,
    /// The names of the MCP tools that need this atom.
    #[serde(default)]
    pub tools: Vec<String>,
}

/// A bundle of atoms with a name that people understand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// The value of the checkbox, for example `read`: lower-case letters, digits, `-` and `_`.
    pub id: String,
    /// One or two words.
    pub title: String,
    /// One plain sentence: what this tier adds.
    pub sentence: String,
    /// All atoms of this tier, those of the tier before included.
    pub permissions: Vec<String>,
    /// True when what it allows cannot be undone.
    #[serde(default)]
    pub irreversible: bool,
}

/// The written form, before it is checked.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    permissions: Vec<Permission>,
    tiers: Vec<Tier>,
}

/// Why a permission model cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// A permission name is not a scope token.
    #[error("permission {0:?} is not a scope token (printable ASCII without space, quote, backslash)")]
    Name(String),
    /// The name is reserved for OpenID Connect.
    #[error(
        "permission {0:?} is a scope of OpenID Connect; choose a name of your own, such as \"files:read\""
    )]
    Reserved(String),
    /// A name occurs twice.
    #[error("{0:?} occurs twice; every permission, tier and tool is named once")]
    Twice(String),
    /// A tier id is not of lower-case letters, digits, `-` and `_`.
    #[error("tier {0:?} must be of lower-case letters, digits, '-' and '_'")]
    TierId(String),
    /// A tier names an atom that does not exist.
    #[error("tier {tier:?} names the permission {permission:?}, which is not in the list of permissions")]
    Unknown {
        /// The tier.
        tier: String,
        /// The atom it names.
        permission: String,
    },
    /// A tier leaves out an atom of the tier before it.
    #[error("tier {tier:?} must contain every permission of the tier before it, but lacks {permission:?}")]
    NotNested {
        /// The later tier.
        tier: String,
        /// The atom it lacks.
        permission: String,
    },
    /// There is no tier at all.
    #[error("a model needs at least one tier")]
    Empty,
}

impl PermissionModel {
    /// Checks the invariants.
    pub fn new(permissions: Vec<Permission>, tiers: Vec<Tier>) -> Result<Self, ModelError> {
        let mut names = BTreeSet::new();
        let mut tools = BTreeSet::new();
        for permission in &permissions {
            let name = &permission.name;
            if ScopeToken::parse(name).is_err() {
                return Err(ModelError::Name(name.clone()));
            }
            if OIDC_SCOPES.contains(&name.as_str()) {
                return Err(ModelError::Reserved(name.clone()));
            }
            if !names.insert(name.as_str()) {
                return Err(ModelError::Twice(name.clone()));
            }
            if let Some(tool) = permission.tools.iter().find(|tool| !tools.insert(tool.as_str())) {
                return Err(ModelError::Twice(tool.clone()));
            }
        }
        if tiers.is_empty() {
            return Err(ModelError::Empty);
        }
        let mut ids = BTreeSet::new();
        let mut below: &[String] = &[];
        for tier in &tiers {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
            if tier.id.is_empty() || !tier.id.bytes().all(plain) {
                return Err(ModelError::TierId(tier.id.clone()));
            }
            if !ids.insert(tier.id.as_str()) {
                return Err(ModelError::Twice(tier.id.clone()));
            }
            if let Some(name) = tier.permissions.iter().find(|name| !names.contains(name.as_str())) {
                return Err(ModelError::Unknown { tier: tier.id.clone(), permission: name.clone() });
            }
            if let Some(name) = below.iter().find(|name| !tier.permissions.contains(name)) {
                return Err(ModelError::NotNested { tier: tier.id.clone(), permission: name.clone() });
            }
            below = &tier.permissions;
        }
        Ok(Self { permissions, tiers })
    }

    /// The model of the reference server: read ⊂ write ⊂ destroy with 5, 8 and 11 tools.
    pub fn artifacts() -> Self {
        let permission = |name: &str, tools: &[&str]| Permission {
            name: format!("artifacts:{name}"),
            tools: tools.iter().copied().map(String::from).collect(),
        };
        let tier = |id: &str, title: &str, sentence: &str, atoms: &[&str], irreversible| Tier {
            id: id.to_owned(),
            title: title.to_owned(),
            sentence: sentence.to_owned(),
            permissions: atoms.iter().map(|atom| format!("artifacts:{atom}")).collect(),
            irreversible,
        };
        let read = ["whoami", "list_artifacts", "get_artifact", "get_artifact_download_url", "list_sessions"];
        let create = ["store_artifact", "request_upload_url", "complete_upload"];
        Self {
            permissions: vec![
                permission("read", &read),
                permission("create", &create),
                permission("update", &[]),
                permission("delete", &["delete_artifact", "seal_session"]),
                permission("share", &["create_download_link"]),
            ],
            tiers: vec![
                tier("read", "Read", "Browse and download your artifacts and sessions.", &["read"], false),
                tier(
                    "write",
                    "Write",
                    "Store new artifacts and upload files.",
                    &["read", "create", "update"],
                    false,
                ),
                tier(
                    "destroy",
                    "Destroy",
                    "Make public links, delete artifacts, seal sessions. Cannot be undone.",
                    &["read", "create", "update", "delete", "share"],
                    true,
                ),
            ],
        }
    }

    /// The tiers, lowest first.
    pub fn tiers(&self) -> &[Tier] {
        &self.tiers
    }

    /// The tier with this id.
    pub fn tier(&self, id: &str) -> Option<&Tier> {
        self.tiers.iter().find(|tier| tier.id == id)
    }

    /// The tools that the atoms of `tier` open.
    pub fn tools_of<'a>(&'a self, tier: &'a Tier) -> impl Iterator<Item = &'a str> {
        self.permissions
            .iter()
            .filter(|permission| tier.permissions.contains(&permission.name))
            .flat_map(|permission| permission.tools.iter().map(String::as_str))
    }

    /// Every atom of the model.
    pub fn all(&self) -> Scope {
        scope_of(self.permissions.iter().map(|permission| permission.name.as_str()))
    }

    /// The atoms of the tiers with these ids. `None` when an id is unknown. The highest tier decides, since tiers nest.
    pub fn expand<'a>(&self, ids: impl IntoIterator<Item = &'a str>) -> Option<Scope> {
        let mut atoms = Scope::default();
        for id in ids {
            atoms = atoms.union(&scope_of(self.tier(id)?.permissions.iter().map(String::as_str)));
        }
        Some(atoms)
    }
}

/// The scopes of OpenID Connect that the authorization endpoint accepts beside permissions.
pub const OIDC_SCOPES: [&str; 4] = ["openid", "email", "profile", "offline_access"];

fn scope_of<'a>(names: impl Iterator<Item = &'a str>) -> Scope {
    // The invariants make every name a token; one that is none would be dropped, never granted.
    names.filter_map(|name| ScopeToken::parse(name).ok()).collect()
}

impl TryFrom<Draft> for PermissionModel {
    type Error = ModelError;

    fn try_from(draft: Draft) -> Result<Self, ModelError> {
        Self::new(draft.permissions, draft.tiers)
    }
}

impl From<PermissionModel> for Draft {
    fn from(model: PermissionModel) -> Self {
        Self { permissions: model.permissions, tiers: model.tiers }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tiers_of_the_reference_server_open_5_8_and_11_tools() {
        let model = PermissionModel::artifacts();
        let counts: Vec<_> = model.tiers().iter().map(|tier| model.tools_of(tier).count()).collect();
        assert_eq!(counts, [5, 8, 11]);
    }

    #[test]
    fn the_built_in_model_keeps_its_own_invariants() {
        let model = PermissionModel::artifacts();
        let Draft { permissions, tiers } = model.clone().into();
        assert_eq!(PermissionModel::new(permissions, tiers), Ok(model));
    }

    #[test]
    fn ticking_the_highest_tier_includes_the_lower_ones() {
        let model = PermissionModel::artifacts();
        assert_eq!(model.expand(["destroy"]), model.expand(["read", "write", "destroy"]));
        assert_eq!(model.expand(["destroy"]), Some(model.all()));
    }

    #[test]
    fn an_unknown_tier_grants_nothing_at_all() {
        assert_eq!(PermissionModel::artifacts().expand(["read", "admin"]), None);
        assert_eq!(PermissionModel::artifacts().expand([]), Some(Scope::default()));
    }

    #[test]
    fn a_tier_that_drops_an_atom_of_the_one_below_is_refused() {
        let permission = |name: &str| Permission { name: name.to_owned(), tools: vec![] };
        let tier = |id: &str, atoms: &[&str]| Tier {
            id: id.to_owned(),
            title: id.to_owned(),
            sentence: String::new(),
            permissions: atoms.iter().copied().map(String::from).collect(),
            irreversible: false,
        };
        let refused = PermissionModel::new(
            vec![permission("a"), permission("b")],
            vec![tier("one", &["a"]), tier("two", &["b"])],
        );
        assert_eq!(refused, Err(ModelError::NotNested { tier: "two".into(), permission: "a".into() }));
        let reserved = PermissionModel::new(vec![permission("openid")], vec![tier("one", &[])]);
        assert_eq!(reserved, Err(ModelError::Reserved("openid".into())));
    }
}
