//! What is said of a document whatever it allows.

use std::collections::BTreeSet;

use super::{Known, Level, MappedScope, ServerAccess};
use crate::domain::{entitlement::Holder, resource::Access};

/// What belongs into an entry of `server_access`.
const OF_AN_ENTRY: [&str; 7] = ["server", "methods", "tools", "tier", "organization", "node", "access"];

/// A group that can be held: one line, of bearable length.
pub(super) fn is_group_name(name: &str) -> bool {
    let name = name.trim();
    !name.is_empty() && name.chars().count() <= 100 && !name.chars().any(char::is_control)
}

pub(super) fn lint(
    scope: &MappedScope,
    ids: &BTreeSet<&str>,
    known: Known<'_>,
    say: &mut impl FnMut(Level, String),
) {
    if scope.group_mappings.is_empty() {
        say(Level::Warning, "it names no group, so nobody has it".to_owned());
    }
    for group in &scope.group_mappings {
        if !is_group_name(group) {
            say(Level::Error, format!("{group:?} is no name of a group: 1 to 100 characters, in one line"));
        } else if ids.contains(group.trim()) {
            let text = format!(
                "the group {group:?} has the name of a scope: group_mappings lists groups of the identity provider, so the \
                 mapping is the wrong way round; if it is not, give the scope another name"
            );
            say(Level::Error, text);
        }
    }
    let id = scope.id.trim();
    let nobody = |group: &String| !known.groups.contains(group.trim());
    if is_group(id, known) && !scope.group_mappings.is_empty() && scope.group_mappings.iter().all(nobody) {
        let text = format!(
            "{id:?} is a group here, and nobody is in the groups that it lists: the mapping may be the wrong way round"
        );
        say(Level::Warning, text);
    }
    if scope.ui_permissions.is_some() {
        let text = "ui_permissions are not taken over: a mapping makes nobody an administrator here, whatever it says";
        say(Level::Note, text.to_owned());
    }
    for member in scope.rest.keys() {
        match member.as_str() {
            "create_in_idp" | "__v" => {}
            member if OF_AN_ENTRY.contains(&member) => {
                let text = format!("{member:?} means nothing here; say it in the entries of server_access");
                say(Level::Error, text);
            }
            member => say(Level::Note, format!("the member {member:?} means nothing here")),
        }
    }
}

/// True when somebody is in the group, or a rule names it.
fn is_group(name: &str, known: Known<'_>) -> bool {
    let of_rule = |holder: &Holder| matches!(holder, Holder::Group(group) if group == name);
    known.groups.contains(name) || known.rules.iter().any(|rule| of_rule(&rule.says.holder))
}

/// An entry that says more than is understood could be meant to allow less than what is understood of it.
pub(super) fn lint_entry(entry: &ServerAccess, say: &mut impl FnMut(Level, String)) {
    for member in entry.rest.keys() {
        let of_an_agent = matches!(member.as_str(), "agent" | "actions");
        if of_an_agent && entry.server.is_some() {
            say(Level::Error, format!("an entry with a server has {member:?}; make two entries of it"));
        } else if !of_an_agent {
            let known = OF_AN_ENTRY.join(", ");
            say(Level::Error, format!("an entry has the unknown member {member:?}; known members: {known}"));
        }
    }
    if let Some(access) = entry.access.as_deref().filter(|word| Access::parse(word).is_none()) {
        say(Level::Error, format!("{access:?} is no access of a server; it is \"everyone\" or \"listed\""));
    }
}
