//! Organizations, the nodes of their data trees, and the places where something may be allowed.

use std::fmt;

use doorward_shared::{allowance::Allowance, node::NodePath, scope::Scope, time::Timestamp};

use super::{ids::OrganizationId, user::User};

/// An organization that people share. The one that every person has of their own is named by the account alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Organization {
    /// Its identifier; `org` of the tokens for it.
    pub id: OrganizationId,
    /// What it is called, here and on the consent page.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A node of a shared organization's data tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Whose tree.
    pub organization: OrganizationId,
    /// Where; it never changes.
    pub path: NodePath,
    /// What people read instead of the path.
    pub title: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Whose data.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Realm {
    /// Each person's own organization.
    Own,
    /// This organization.
    Shared(OrganizationId),
}

/// A node of some data, or all of it. The text is `own`, `own:alpha/site`, `org_…` or `org_…:alpha/site`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Whose data.
    pub realm: Realm,
    /// Which node of it; `None`: the whole.
    pub node: Option<NodePath>,
}

impl Realm {
    /// The word for each person's own organization.
    pub const OWN: &'static str = "own";

    /// True when, for this person, it means this organization.
    pub fn means(&self, organization: &OrganizationId, person: &User) -> bool {
        match self {
            Self::Own => &person.organization == organization,
            Self::Shared(shared) => shared == organization,
        }
    }

    /// Reads the text.
    pub fn parse(text: &str) -> Option<Self> {
        if text == Self::OWN { Some(Self::Own) } else { OrganizationId::parse(text).map(Self::Shared) }
    }

    /// The shared organization, if it is one.
    pub const fn shared(&self) -> Option<&OrganizationId> {
        match self {
            Self::Own => None,
            Self::Shared(organization) => Some(organization),
        }
    }
}

impl Place {
    /// Reads the text.
    pub fn parse(text: &str) -> Option<Self> {
        let (realm, node) = match text.split_once(':') {
            Some((realm, node)) => (realm, Some(NodePath::parse(node).ok()?)),
            None => (text, None),
        };
        Some(Self { realm: Realm::parse(realm)?, node })
    }

    /// These atoms here, as part of what is allowed in its organization.
    pub fn allowing(&self, atoms: Scope) -> Allowance {
        match &self.node {
            Some(node) => Allowance::at_node(node.clone(), atoms),
            None => Allowance::everywhere(atoms),
        }
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str(Self::OWN),
            Self::Shared(organization) => organization.fmt(f),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.realm.fmt(f)?;
        match &self.node {
            Some(node) => write!(f, ":{node}"),
            None => Ok(()),
        }
    }
}

/// Longest name of an organization, in characters.
const LONGEST_NAME: usize = 100;

/// The text is no name for an organization.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an organization is named with 1 to {LONGEST_NAME} characters, without ':' or control characters, and neither \"own\" \
     nor anything that begins with org_; give another name"
)]
pub struct OrganizationName;

/// Reads the name of an organization. It can be told from an identifier and from the word for one's own.
pub fn check_name(text: &str) -> Result<String, OrganizationName> {
    let name = text.trim();
    let plain = name.chars().all(|c| !c.is_control() && c != ':');
    let taken = name == Realm::OWN || name.starts_with(OrganizationId::PREFIX);
    let long = name.chars().count() > LONGEST_NAME;
    if name.is_empty() || long || !plain || taken { Err(OrganizationName) } else { Ok(name.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        let shared = "org_01HZXW1N9Q7T8V2B3C4D5E6F7G";
        for text in ["own", "own:alpha", shared, &format!("{shared}:alpha/site/specs")] {
            assert_eq!(Place::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "own:", "own:/a", "acme", "acme:alpha", "own:a:b", &format!("{shared}:")] {
            assert_eq!(Place::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_never_taken_for_an_identifier_or_for_a_place() {
        assert_eq!(check_name("  Acme & Söhne "), Ok("Acme & Söhne".to_owned()));
        for bad in ["", "  ", "own", "org_x", "a:b", "a\nb", &"x".repeat(101)] {
            assert_eq!(check_name(bad), Err(OrganizationName), "{bad:?}");
        }
    }
}
