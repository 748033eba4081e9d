//! The group rules in force, as a document.

use serde_json::Map;

use super::{Known, MappedScope, ServerAccess, Words};
use crate::domain::{
    entitlement::{Entitlement, Holder},
    resource::{Access, Resource},
};

/// The group rules in force as a document: one scope for each tier and place of a resource server. Importing it again
/// changes nothing.
pub fn export(known: Known<'_>) -> Vec<MappedScope> {
    let mut scopes: Vec<(&Entitlement, MappedScope)> = Vec::new();
    for rule in known.rules.iter().filter(|rule| rule.disabled_at.is_none()) {
        let says = &rule.says;
        let (Holder::Group(group), Some(uri)) = (&says.holder, &says.resource) else { continue };
        let same = |(other, _): &&mut (&Entitlement, MappedScope)| {
            (&other.tier, &other.resource, &other.place) == (&says.tier, &says.resource, &says.place)
        };
        if let Some((_, scope)) = scopes.iter_mut().find(same) {
            scope.group_mappings.push(group.clone());
            continue;
        }
        let Some(resource) = known.resources.iter().find(|resource| resource.uri.same_as(uri)) else {
            continue;
        };
        scopes.push((says, exported(says, group, resource, known)));
    }
    scopes.into_iter().map(|(_, scope)| scope).collect()
}

fn exported(says: &Entitlement, group: &str, resource: &Resource, known: Known<'_>) -> MappedScope {
    let of = says.place.realm.shared();
    let name =
        |id| known.organizations.iter().find(|(one, _)| &one.id == id).map(|(one, _)| one.name.clone());
    let organization = of.map(|id| name(id).unwrap_or_else(|| id.to_string()));
    let node = says.place.node.as_ref().map(ToString::to_string);
    let tools =
        resource.model.tier(&says.tier).map(|tier| resource.model.tools_of(tier).map(String::from).collect());
    let parts = [Some(resource.name.clone()), Some(says.tier.clone()), organization.clone(), node.clone()];
    let mut id = parts.into_iter().flatten().collect::<Vec<_>>().join("/");
    // A scope with the name of a group is taken for one that is the wrong way round.
    let is_group = |id: &str| {
        let holders = known.rules.iter().map(|rule| &rule.says.holder);
        known.groups.contains(id)
            || holders.into_iter().any(|holder| matches!(holder, Holder::Group(name) if name == id))
    };
    while is_group(&id) {
        id.push('+');
    }
    MappedScope {
        id,
        description: None,
        group_mappings: vec![group.to_owned()],
        server_access: vec![ServerAccess {
            server: Some(resource.uri.to_string()),
            methods: Some(vec!["*".to_owned()]),
            tools: Some(Words::List(tools.unwrap_or_default())),
            tier: Some(says.tier.clone()),
            organization,
            node,
            access: (resource.access == Access::Everyone).then(|| resource.access.as_str().to_owned()),
            rest: Map::new(),
        }],
        ui_permissions: None,
        rest: Map::new(),
    }
}
