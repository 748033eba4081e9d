//! The data tree of an organization: workspaces, projects in them, folders in those. A node is named by its path.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The path of a node below its organization, for example `alpha/site/specs`: 1 to [`NodePath::MAX_DEPTH`] segments, each 1
/// to 64 of `a-z 0-9 . _ -` and beginning with a letter or digit. One spelling names one node, and a path never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodePath(String);

/// What a node is: its depth says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// Directly below the organization.
    Workspace,
    /// In a workspace.
    Project,
    /// In a project or a folder.
    Folder,
}

/// The text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a node is named like alpha/site/specs: up to eight segments of lower-case letters, digits, '.', '_' and '-', each \
     beginning with a letter or digit"
)]
pub struct NodeSyntax;

impl NodeKind {
    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workspace => "workspace",
            Self::Project => "project",
            Self::Folder => "folder",
        }
    }
}

impl NodePath {
    /// Most segments of a path.
    pub const MAX_DEPTH: usize = 8;
    /// Longest segment, in characters.
    const LONGEST_SEGMENT: usize = 64;

    /// Reads a path. There is no slash at either end.
    pub fn parse(text: &str) -> Result<Self, NodeSyntax> {
        let named = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let legal = |segment: &str| {
            segment.len() <= Self::LONGEST_SEGMENT
                && segment.bytes().next().is_some_and(named)
                && segment.bytes().all(|b| named(b) || matches!(b, b'.' | b'_' | b'-'))
        };
        let mut depth = 0;
        for segment in text.split('/') {
            depth += 1;
            if depth > Self::MAX_DEPTH || !legal(segment) {
                return Err(NodeSyntax);
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What this node is.
    pub fn kind(&self) -> NodeKind {
        match self.0.split('/').count() {
            1 => NodeKind::Workspace,
            2 => NodeKind::Project,
            _ => NodeKind::Folder,
        }
    }

    /// The node above; `None` for a workspace.
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.to_owned()))
    }

    /// True for this node and everything below it.
    pub fn covers(&self, other: &Self) -> bool {
        other.0.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for NodePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NodePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(text: &str) -> NodePath {
        NodePath::parse(text).unwrap()
    }

    #[test]
    fn one_spelling_names_one_node() {
        for good in ["a", "alpha/site/specs", "0/1/2/3/4/5/6/7", "v1.2_x-y"] {
            assert_eq!(node(good).as_str(), good);
        }
        let long = "a".repeat(65);
        for bad in
            ["", "/", "/a", "a/", "a//b", "A", "a b", "ä", ".", "..", "a/../b", "-a", "_a", "a\\b", "a\0"]
                .into_iter()
                .chain([long.as_str(), "0/1/2/3/4/5/6/7/8"])
        {
            assert_eq!(NodePath::parse(bad), Err(NodeSyntax), "{bad:?}");
        }
    }

    #[test]
    fn a_node_covers_itself_and_what_is_below_it_and_no_neighbour_whose_name_begins_alike() {
        let site = node("alpha/site");
        for below in ["alpha/site", "alpha/site/specs", "alpha/site/specs/old"] {
            assert!(site.covers(&node(below)), "{below}");
        }
        for other in ["alpha", "alpha/sites", "alpha/site-2", "beta/alpha/site", "site"] {
            assert!(!site.covers(&node(other)), "{other}");
        }
    }

    #[test]
    fn depth_says_what_a_node_is() {
        let kinds = ["a", "a/b", "a/b/c", "a/b/c/d"].map(|text| node(text).kind().as_str());
        assert_eq!(kinds, ["workspace", "project", "folder", "folder"]);
        assert_eq!((node("a/b").parent(), node("a").parent()), (Some(node("a")), None));
    }
}
