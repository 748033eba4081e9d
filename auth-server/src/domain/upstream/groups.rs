//! Groups in the claims of a provider. Whatever is not clearly a list of names is no group at all: a claim that is read
//! wrongly would give away rights.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Dialect;

/// Most groups of one person; what Microsoft Graph answers at most.
const MAX_GROUPS: usize = 11_000;
/// Longest name of a group, in bytes.
const MAX_NAME: usize = 256;

/// Where a claim is: the names of members from the outside in, such as `realm_access.roles`. A claim whose own name has dots
/// is found under its whole name first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(String);

impl ClaimPath {
    /// Reads a path. `None`: empty, or with an empty member.
    pub fn parse(text: &str) -> Option<Self> {
        let whole = !text.is_empty() && text.split('.').all(|member| !member.is_empty());
        (whole && !text.contains(char::is_whitespace)).then(|| Self(text.to_owned()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        if let Some(found) = claims.get(&self.0) {
            return Some(found);
        }
        let mut members = self.0.split('.');
        let first = claims.get(members.next()?)?;
        members.try_fold(first, |value, member| value.get(member))
    }
}

/// What a provider said about groups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupsHeard {
    /// These.
    Listed(Vec<String>),
    /// Nothing.
    Absent,
    /// That there are too many to list here.
    Overage,
    /// Something that is no list of names.
    Malformed,
}

/// Why the groups of an identity are what they are: the word in lists and in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The provider listed them.
    Listed,
    /// The provider sent no such claim.
    Absent,
    /// The provider said that there are too many; the last known ones count for a while.
    Overage,
    /// The claim was no list of names.
    Malformed,
    /// The provider could not be asked for too long.
    Stale,
    /// The provider does not stand for the person any more.
    Ended,
}

impl Source {
    /// Every word.
    pub const ALL: [Self; 6] =
        [Self::Listed, Self::Absent, Self::Overage, Self::Malformed, Self::Stale, Self::Ended];

    /// The word in lists and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listed => "listed",
            Self::Absent => "absent",
            Self::Overage => "overage",
            Self::Malformed => "malformed",
            Self::Stale => "stale",
            Self::Ended => "ended",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// Reads the groups out of a set of claims. One text is a list of one, never a text to search in.
pub fn read_groups(dialect: Dialect, path: &ClaimPath, claims: &Map<String, Value>) -> GroupsHeard {
    match path.find(claims) {
        Some(Value::Array(items)) => {
            let names = items.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
            names.map_or(GroupsHeard::Malformed, |names| listed(dialect, &names))
        }
        Some(Value::String(one)) => listed(dialect, &[one]),
        Some(Value::Null) | None if is_overage(claims, path) => GroupsHeard::Overage,
        None => GroupsHeard::Absent,
        Some(_) => GroupsHeard::Malformed,
    }
}

/// Entra ID's two hints that a person is in more groups than fit into a token.
fn is_overage(claims: &Map<String, Value>, path: &ClaimPath) -> bool {
    let named = claims.get("_claim_names").and_then(|names| names.get(path.as_str())).is_some();
    // As text too: that is how tokens of the first version have it.
    let hinted = claims.get("hasgroups").is_some_and(|hint| *hint == true || *hint == "true");
    named || hinted
}

fn listed(dialect: Dialect, names: &[&str]) -> GroupsHeard {
    let name = |text: &&str| {
        // The slash says that it is a path; the rest stays, so that two groups of one name in two places are two.
        let text = if dialect == Dialect::Keycloak { text.strip_prefix('/').unwrap_or(text) } else { text };
        let sound = !text.is_empty() && text.len() <= MAX_NAME && !text.contains(char::is_control);
        sound.then(|| text.to_owned())
    };
    let Some(mut names) = names.iter().map(name).collect::<Option<Vec<_>>>() else {
        return GroupsHeard::Malformed;
    };
    if names.len() > MAX_GROUPS {
        return GroupsHeard::Malformed;
    }
    names.sort();
    names.dedup();
    GroupsHeard::Listed(names)
}
