//! Mapping documents: which groups may use which tools of which servers, in the form of the `mcp_scopes` collection. A scope
//! names groups and what they may do; what no scope says is not allowed, and nothing in it makes anybody an administrator.

use std::collections::BTreeSet;

use doorward_shared::{node::NodePath, permission::PermissionModel, resource::ResourceUri};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    entitlement::{Entitlement, Holder, Rule},
    ids::EntitlementId,
    organization::{Node, Organization, Place, Realm},
    resource::{Access, Resource},
};

mod export;
mod lint;

pub use export::export;
use lint::{is_group_name, lint, lint_entry};

/// One scope of a document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MappedScope {
    /// What it is called.
    #[serde(rename = "_id", alias = "scope_name")]
    id: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    /// The groups that have it: names, or what the identity provider gives in their place.
    #[serde(default)]
    group_mappings: Vec<String>,
    /// What they may use.
    #[serde(default)]
    server_access: Vec<ServerAccess>,
    /// What they may do in the console of another product.
    #[serde(default, skip_serializing)]
    ui_permissions: Option<Value>,
    /// What else is there.
    #[serde(flatten, skip_serializing)]
    rest: Map<String, Value>,
}

/// Tools of one server. `tier`, `organization`, `node` and `access` are ours: without them, the tier comes of the tools, the data
/// is each person's own, and the server is for listed people only.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ServerAccess {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    methods: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tools: Option<Words>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tier: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    organization: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    node: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    access: Option<String>,
    /// What else is there.
    #[serde(flatten, skip_serializing)]
    rest: Map<String, Value>,
}

/// A list, or the one word for everything.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Words {
    List(Vec<String>),
    One(String),
}

impl Words {
    fn list(&self) -> &[String] {
        match self {
            Self::List(words) => words,
            Self::One(word) => std::slice::from_ref(word),
        }
    }
}

/// What is there that a document can name.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The resource servers.
    pub resources: &'a [Resource],
    /// The shared organizations with their nodes.
    pub organizations: &'a [(Organization, Vec<Node>)],
    /// The rules.
    pub rules: &'a [Rule],
    /// The groups that somebody is in.
    pub groups: &'a BTreeSet<String>,
}

/// Something about a document that its author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// In which scope.
    pub scope: String,
    /// What.
    pub text: String,
}

/// How bad something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Part of the document means nothing here.
    Note,
    /// Probably not what was meant.
    Warning,
    /// The document cannot be taken.
    Error,
}

impl Level {
    /// The word for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// What a document comes to: the group rules in force of the resource servers at which it allows something become exactly these.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What has to be said by new rules.
    pub add: Vec<Entitlement>,
    /// Disabled rules that say what the document says, and are in force from then on.
    pub enable: Vec<EntitlementId>,
    /// Rules in force that go.
    pub remove: Vec<EntitlementId>,
    /// Resource servers at which the document allows something.
    pub named: Vec<ResourceUri>,
    /// Those of them that are for listed people only from then on.
    pub list: Vec<ResourceUri>,
    /// What its author should know.
    pub findings: Vec<Finding>,
}

/// The text is no mapping document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mapping document cannot be read ({0}); docs/permissions.md shows the form")]
pub struct MappingSyntax(String);

/// Reads a document: a list of scopes, one scope, or an object whose member `scopes` or `mcp_scopes` is the list.
pub fn read(text: &str) -> Result<Vec<MappedScope>, MappingSyntax> {
    let wrong = |error: serde_json::Error| MappingSyntax(error.to_string());
    let mut document: Value = serde_json::from_str(text).map_err(wrong)?;
    let inner = ["mcp_scopes", "scopes"]
        .into_iter()
        .find(|member| document.get(*member).is_some_and(Value::is_array));
    if let Some(member) = inner {
        document = document[member].take();
    }
    let list = if document.is_array() { document } else { Value::Array(vec![document]) };
    serde_json::from_value(list).map_err(wrong)
}

/// Whether the word means everything.
fn is_all(word: &str) -> bool {
    matches!(word, "*" | "all")
}

/// Works out what a document comes to.
pub fn plan(scopes: &[MappedScope], known: Known<'_>) -> Plan {
    let ids: BTreeSet<&str> = scopes.iter().map(|scope| scope.id.trim()).collect();
    let mut plan = Plan::default();
    let mut wanted: Vec<Entitlement> = Vec::new();
    // Where the document leaves it open whether everybody may use their own data.
    let mut open: Vec<ResourceUri> = Vec::new();
    for scope in scopes {
        let mut say =
            |level, text: String| plan.findings.push(Finding { level, scope: scope.id.clone(), text });
        lint(scope, &ids, known, &mut say);
        for access in &scope.server_access {
            lint_entry(access, &mut say);
            for (resource, tier, place) in meanings(access, known, &mut say) {
                if access.access.as_deref() == Some(Access::Everyone.as_str()) {
                    open.push(resource.clone());
                }
                for group in scope.group_mappings.iter().filter(|group| is_group_name(group)) {
                    let says = Entitlement {
                        holder: Holder::Group(group.trim().to_owned()),
                        tier: tier.clone(),
                        resource: Some(resource.clone()),
                        place: place.clone(),
                    };
                    if !wanted.contains(&says) {
                        wanted.push(says);
                    }
                }
            }
        }
    }
    for resource in wanted.iter().filter_map(|says| says.resource.as_ref()) {
        if !plan.named.iter().any(|named| named.same_as(resource)) {
            plan.named.push(resource.clone());
        }
    }
    let concerns = |rule: &&Rule| {
        let resource = rule.says.resource.as_ref();
        matches!(rule.says.holder, Holder::Group(_))
            && resource.is_some_and(|resource| plan.named.iter().any(|named| named.same_as(resource)))
    };
    for rule in known.rules.iter().filter(concerns) {
        match (wanted.contains(&rule.says), rule.disabled_at) {
            (true, Some(_)) => plan.enable.push(rule.id.clone()),
            (false, None) => plan.remove.push(rule.id.clone()),
            (true, None) | (false, Some(_)) => {}
        }
    }
    wanted.retain(|says| !known.rules.iter().any(|rule| &rule.says == says));
    plan.add = wanted;
    let stays = |resource: &ResourceUri| {
        let comes = |says: &Entitlement| says.resource.as_ref().is_some_and(|at| at.same_as(resource));
        let enabled = |rule: &Rule| plan.enable.contains(&rule.id) && comes(&rule.says);
        open.iter().any(|open| open.same_as(resource))
            && !plan.add.iter().any(comes)
            && !known.rules.iter().any(enabled)
    };
    plan.list = plan.named.iter().filter(|resource| !stays(resource)).cloned().collect();
    plan
}

type Meaning = (ResourceUri, String, Place);

/// What one entry allows: at which resource servers, which tier, with which data.
fn meanings(access: &ServerAccess, known: Known<'_>, say: &mut impl FnMut(Level, String)) -> Vec<Meaning> {
    let Some(server) = access.server.as_deref() else {
        say(Level::Note, "an entry without a server is not taken over".to_owned());
        return Vec::new();
    };
    let resources: Vec<_> = known.resources.iter().filter(|resource| is_meant(server, resource)).collect();
    if resources.is_empty() {
        let text = format!("there is no resource server {server:?}; nothing is allowed there");
        say(Level::Warning, text);
    }
    let Some(place) = place(access, known, say) else { return Vec::new() };
    let mut found = Vec::new();
    for resource in resources {
        if let Some(tier) = tier(access, &resource.model, resource.name.as_str(), say) {
            found.push((resource.uri.clone(), tier, place.clone()));
        }
    }
    found
}

/// A server is named by its address, its name, the identifier with which it calls this server, or the word for all.
fn is_meant(server: &str, resource: &Resource) -> bool {
    is_all(server)
        || ResourceUri::parse(server).is_ok_and(|uri| uri.same_as(&resource.uri))
        || resource.name.eq_ignore_ascii_case(server.trim_matches('/'))
        || resource.client_id.as_str() == server
}

fn place(access: &ServerAccess, known: Known<'_>, say: &mut impl FnMut(Level, String)) -> Option<Place> {
    let node = match access.node.as_deref().map(NodePath::parse).transpose() {
        Ok(node) => node,
        Err(error) => {
            say(Level::Error, error.to_string());
            return None;
        }
    };
    let realm = access.organization.as_deref().unwrap_or(Realm::OWN);
    if realm == Realm::OWN {
        return Some(Place { realm: Realm::Own, node });
    }
    let meant = |organization: &Organization| organization.name == realm || organization.id.as_str() == realm;
    let Some((organization, nodes)) = known.organizations.iter().find(|(one, _)| meant(one)) else {
        say(Level::Error, format!("there is no organization {realm:?}; `organization list` shows all"));
        return None;
    };
    if let Some(missing) = node.as_ref().filter(|node| !nodes.iter().any(|there| &there.path == *node)) {
        say(
            Level::Error,
            format!("{realm:?} has no node {missing}; make it first: doorward node add {realm:?} {missing}"),
        );
        return None;
    }
    Some(Place { realm: Realm::Shared(organization.id.clone()), node })
}

/// The tier that an entry means: the one that it names, or the highest that opens no tool beyond those it lists.
fn tier(
    access: &ServerAccess,
    model: &PermissionModel,
    name: &str,
    say: &mut impl FnMut(Level, String),
) -> Option<String> {
    if let Some(id) = &access.tier {
        if model.tier(id).is_none() {
            let known: Vec<_> = model.tiers().iter().map(|tier| tier.id.as_str()).collect();
            say(Level::Error, format!("{name:?} has no tier {id:?}; known tiers: {}", known.join(", ")));
            return None;
        }
        return Some(id.clone());
    }
    let calls = |methods: &[String]| methods.iter().any(|method| is_all(method) || method == "tools/call");
    if access.methods.as_deref().is_some_and(|methods| !calls(methods)) {
        say(
            Level::Note,
            format!("at {name:?} it names no method that calls a tool; nothing is allowed there"),
        );
        return None;
    }
    let tools = access.tools.as_ref().map_or(&[][..], Words::list);
    let all = tools.iter().any(|tool| is_all(tool));
    let within = |tool: &str| all || tools.iter().any(|listed| listed == tool);
    let fits = model.tiers().iter().rev().find(|tier| model.tools_of(tier).all(within));
    let opened: BTreeSet<_> = fits.into_iter().flat_map(|tier| model.tools_of(tier)).collect();
    let left: Vec<_> =
        tools.iter().map(String::as_str).filter(|tool| !is_all(tool) && !opened.contains(tool)).collect();
    match fits {
        None => {
            let text = format!("no tier of {name:?} is within the listed tools; nothing is allowed there");
            say(Level::Warning, text);
        }
        Some(tier) if !left.is_empty() => {
            let (id, left) = (&tier.id, left.join(", "));
            say(
                Level::Warning,
                format!("at {name:?} it comes to the tier {id:?}, which does not open {left}"),
            );
        }
        Some(_) => {}
    }
    fits.map(|tier| tier.id.clone())
}

#[cfg(test)]
mod tests;
