//! Effective permission: what the person may do ∩ what they agreed to ∩ what the client may have at most.

use doorward_shared::{permission::Tier, scope::Scope};

use super::{client::Client, resource::Resource, user::User};

/// What this person may do at this resource. Everybody with an account may do everything with their own data.
pub fn entitlement(user: &User, resource: &Resource) -> Scope {
    if user.disabled_at.is_some() { Scope::default() } else { resource.model.all() }
}

/// The most that this client may have. A ceiling that the model does not know bounds to nothing.
pub fn ceiling(client: &Client, resource: &Resource) -> Scope {
    match client.ceiling.as_deref() {
        None => resource.model.all(),
        Some(tier) => resource.model.expand([tier]).unwrap_or_default(),
    }
}

/// The permissions that a token gets: never more than any of the three.
pub fn effective(user: &User, consented: &Scope, client: &Client, resource: &Resource) -> Scope {
    entitlement(user, resource).intersection(consented).intersection(&ceiling(client, resource))
}

/// The tiers that the consent page may offer: those that person and client could have in full.
pub fn offered<'a>(user: &User, client: &Client, resource: &'a Resource) -> Vec<&'a Tier> {
    let most = entitlement(user, resource).intersection(&ceiling(client, resource));
    let fits = |tier: &&Tier| tier.permissions.iter().all(|atom| most.contains(atom));
    resource.model.tiers().iter().filter(fits).collect()
}
