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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::fixture;

    proptest! {
        #[test]
        fn the_effective_permission_is_never_wider_than_any_part(
            ticked in proptest::sample::subsequence(vec!["read", "create", "update", "delete", "share"], 0..=5),
            ceiling_tier in proptest::option::of(proptest::sample::select(vec!["read", "write", "destroy", "unknown"])),
            disabled: bool,
        ) {
            let resource = fixture::resource();
            let mut user = fixture::user();
            user.disabled_at = disabled.then_some(fixture::NOW);
            let client = Client { ceiling: ceiling_tier.map(String::from), ..fixture::client() };
            let text = ticked.iter().map(|atom| format!("artifacts:{atom}")).collect::<Vec<_>>().join(" ");
            let consented = Scope::parse(&text).unwrap();
            let effective = effective(&user, &consented, &client, &resource);
            prop_assert!(effective.is_subset(&consented));
            prop_assert!(effective.is_subset(&ceiling(&client, &resource)));
            prop_assert!(effective.is_subset(&entitlement(&user, &resource)));
            prop_assert!(!disabled || effective.is_empty());
        }
    }

    #[test]
    fn only_whole_tiers_below_the_ceiling_are_offered() {
        let resource = fixture::resource();
        let ids = |ceiling: Option<&str>| {
            let client = Client { ceiling: ceiling.map(String::from), ..fixture::client() };
            offered(&fixture::user(), &client, &resource)
                .iter()
                .map(|tier| tier.id.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids(None), ["read", "write", "destroy"]);
        assert_eq!(ids(Some("write")), ["read", "write"]);
        assert!(ids(Some("unknown")).is_empty());
    }
}
