//! What has to be known of a person to say what they could allow at a resource server.

use std::collections::BTreeSet;

use crate::{
    domain::{
        client::Bounded,
        consent::{Reach, expected},
        entitlement::Rule,
        resource::Resource,
        user::User,
    },
    store::{Store, StoreError},
};

/// The rules that may concern the person there, and the organizations that those for the person name.
pub(super) async fn load(store: &dyn Store, user: &User, resource: &Resource) -> Result<Reach, StoreError> {
    let rules = store.rules_for(&user.id, &resource.uri).await?;
    let theirs = rules.iter().filter(|rule| rule.says.holder.is(user));
    let named: BTreeSet<_> = theirs.filter_map(|rule: &Rule| rule.says.place.realm.shared()).collect();
    let mut shared = Vec::new();
    for id in named {
        if let Some(organization) = store.organization(id).await? {
            let nodes = store.nodes(id).await?;
            shared.push((organization, nodes));
        }
    }
    shared.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
    Ok(Reach { rules, shared })
}

/// The same for somebody whom this client asks. Whoever may do nothing yet is told whose data is expected to become theirs to
/// use, so that organization comes along.
pub(super) async fn asked(
    store: &dyn Store,
    user: &User,
    client: Bounded<'_>,
    resource: &Resource,
) -> Result<Reach, StoreError> {
    let mut reach = load(store, user, resource).await?;
    if let Some(id) = expected(user, client, resource, &reach.rules)
        && !reach.shared.iter().any(|(known, _)| &known.id == id)
        && let Some(organization) = store.organization(id).await?
    {
        reach.shared.push((organization, Vec::new()));
    }
    Ok(reach)
}
