//! A client that an administrator changes: what becomes of it, and whether access tokens that are out say too much.

use std::collections::BTreeSet;

use doorward_shared::{allowance::Allowance, redirect_uri::RedirectUri, scope::Scope, time::Timestamp};

use super::{
    client::{Client, Origin},
    organization::{Place, Realm},
    policy::TokenPolicy,
    resource::Resource,
};

/// What an administrator changes of a client. What is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Its name.
    pub name: Option<String>,
    /// Where answers may be sent.
    pub redirect_uris: Option<Vec<RedirectUri>>,
    /// The highest tier it can be given.
    pub ceiling: Option<Ceiling>,
    /// The data it can be given anything for; none of them sets no bound.
    pub ceiling_places: Option<Vec<Place>>,
}

/// How high a client may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ceiling {
    /// As high as its person.
    Unbounded,
    /// This tier at most.
    Tier(String),
}

/// The verdict that a client changes. Where less is possible from then on, its access tokens from before are revoked; its
/// grants go on, with less.
#[derive(Clone, Debug)]
pub struct Amendment {
    before: Client,
    after: Client,
    narrows: bool,
    at: Timestamp,
    forget_at: Timestamp,
}

impl Amendment {
    /// The client when this was decided.
    pub const fn before(&self) -> &Client {
        &self.before
    }

    /// What becomes of it.
    pub const fn after(&self) -> &Client {
        &self.after
    }

    /// Whether something is possible no more that was possible before.
    pub const fn narrows(&self) -> bool {
        self.narrows
    }

    /// When. Where it narrows, tokens that were issued up to then are revoked.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// When no access token from before can be left.
    pub const fn forget_at(&self) -> Timestamp {
        self.forget_at
    }
}

/// Why a client is not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAmended {
    /// Its name and addresses are its own word.
    #[error(
        "the client describes itself: its name and its redirect URIs are its own word, and people are told so; set a \
         ceiling, or disable it"
    )]
    SelfRegistered,
    /// The next start would undo it.
    #[error(
        "name and redirect URIs of this client are in the configuration; change them there (fixed_client)"
    )]
    Configured,
}

/// Decides on a change. `None`: the client is like that already.
pub fn amend(
    before: &Client,
    wanted: Wanted,
    resources: &[Resource],
    policy: &TokenPolicy,
    now: Timestamp,
) -> Result<Option<Amendment>, NotAmended> {
    let Wanted { name, redirect_uris, ceiling, ceiling_places } = wanted;
    if name.is_some() || redirect_uris.is_some() {
        match before.origin {
            Origin::Administrator => {}
            Origin::Dynamic | Origin::Document(_) => return Err(NotAmended::SelfRegistered),
            Origin::Fixed => return Err(NotAmended::Configured),
        }
    }
    let after = Client {
        name: name.or_else(|| before.name.clone()),
        redirect_uris: redirect_uris.unwrap_or_else(|| before.redirect_uris.clone()),
        ceiling: match ceiling {
            None => before.ceiling.clone(),
            Some(Ceiling::Unbounded) => None,
            Some(Ceiling::Tier(tier)) => Some(tier),
        },
        ceiling_places: ceiling_places.unwrap_or_else(|| before.ceiling_places.clone()),
        ..before.clone()
    };
    let same = before.name == after.name
        && before.redirect_uris == after.redirect_uris
        && before.ceiling == after.ceiling
        && before.ceiling_places == after.ceiling_places;
    if same {
        return Ok(None);
    }
    let narrows = narrows(before, &after, resources);
    let forget_at = policy.forget_at(now);
    Ok(Some(Amendment { before: before.clone(), after, narrows, at: now, forget_at }))
}

/// True when `before` could be given something somewhere that `after` cannot.
fn narrows(before: &Client, after: &Client, resources: &[Resource]) -> bool {
    let places = before.ceiling_places.iter().chain(&after.ceiling_places);
    // Those that are named, and `None`, which stands for all others.
    let realms: BTreeSet<_> = places.map(|place| Some(&place.realm)).chain([None]).collect();
    resources.iter().any(|resource| {
        let bounds = |realm| (bound(before, realm, resource), bound(after, realm, resource));
        realms.iter().copied().map(bounds).any(|(before, after)| !before.is_subset(&after))
    })
}

/// The most that the client can be given at the resource server with the data of this realm.
fn bound(client: &Client, realm: Option<&Realm>, resource: &Resource) -> Allowance {
    let atoms: Scope = match client.ceiling.as_deref() {
        None => resource.model.all(),
        Some(tier) => resource.model.expand([tier]).unwrap_or_default(),
    };
    if client.ceiling_places.is_empty() {
        return Allowance::everywhere(atoms);
    }
    let here = client.ceiling_places.iter().filter(|place| Some(&place.realm) == realm);
    Allowance::all(here.map(|place| place.allowing(atoms.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{self, NOW};

    fn registered(ceiling: Option<&str>, places: &[&str]) -> Client {
        Client {
            origin: Origin::Administrator,
            ceiling: ceiling.map(String::from),
            ceiling_places: places.iter().map(|place| Place::parse(place).unwrap()).collect(),
            ..fixture::client()
        }
    }

    fn decide(before: &Client, wanted: Wanted) -> Result<Option<Amendment>, NotAmended> {
        amend(before, wanted, &[fixture::resource()], &fixture::policy().token, NOW)
    }

    fn to(after: &Client) -> Wanted {
        Wanted {
            ceiling: Some(after.ceiling.clone().map_or(Ceiling::Unbounded, Ceiling::Tier)),
            ceiling_places: Some(after.ceiling_places.clone()),
            ..Wanted::default()
        }
    }

    #[test]
    fn tokens_from_before_are_revoked_exactly_when_less_is_possible() {
        const ACME: &str = "org_01HZXW1N9Q7T8V2B3C4D5E6F7G";
        let node = &format!("{ACME}:alpha");
        let deeper = &format!("{ACME}:alpha/site");
        for ((tier, places), (new_tier, new_places), narrows) in [
            ((None, &[][..]), (Some("read"), &[][..]), true),
            ((Some("write"), &[]), (Some("read"), &[]), true),
            ((Some("read"), &[]), (Some("write"), &[]), false),
            ((Some("read"), &[]), (None, &[]), false),
            ((None, &[]), (Some("destroy"), &[]), false),
            ((None, &[]), (Some("unknown"), &[]), true),
            ((None, &[]), (None, &["own"]), true),
            ((None, &["own"]), (None, &[]), false),
            ((None, &["own"]), (None, &[ACME]), true),
            ((None, &["own"]), (None, &["own", ACME]), false),
            ((None, &[ACME]), (None, &[node.as_str()]), true),
            ((None, &[node.as_str()]), (None, &[ACME]), false),
            ((None, &[node.as_str()]), (None, &[deeper.as_str()]), true),
            ((None, &[node.as_str()]), (None, &[deeper.as_str(), node.as_str()]), false),
            ((Some("read"), &["own", ACME]), (Some("destroy"), &[ACME]), true),
        ] {
            let (before, after) = (registered(tier, places), registered(new_tier, new_places));
            let amendment = decide(&before, to(&after)).unwrap().unwrap();
            assert_eq!(amendment.narrows(), narrows, "{before:?} {after:?}");
            assert_eq!(amendment.after().ceiling, after.ceiling);
            assert_eq!(amendment.after().ceiling_places, after.ceiling_places);
            assert_eq!((amendment.at(), amendment.before().ceiling.clone()), (NOW, before.ceiling));
        }
        // What no resource server has cannot be lost.
        let lower = to(&registered(Some("read"), &[]));
        let policy = fixture::policy().token;
        let amendment = amend(&registered(None, &[]), lower, &[], &policy, NOW).unwrap().unwrap();
        assert!(!amendment.narrows());
    }

    #[test]
    fn what_is_like_that_already_is_not_changed() {
        let client = registered(Some("read"), &["own"]);
        assert!(decide(&client, to(&client)).unwrap().is_none());
        assert!(decide(&client, Wanted::default()).unwrap().is_none());
        let renamed = Wanted { name: Some("New".to_owned()), ..Wanted::default() };
        let amendment = decide(&client, renamed).unwrap().unwrap();
        assert!(!amendment.narrows());
        assert_eq!(amendment.after().name.as_deref(), Some("New"));
        assert_eq!(amendment.after().ceiling, client.ceiling);
    }

    #[test]
    fn a_client_that_is_described_elsewhere_keeps_its_description_and_takes_a_ceiling() {
        for (origin, refused) in
            [(Origin::Dynamic, NotAmended::SelfRegistered), (Origin::Fixed, NotAmended::Configured)]
        {
            let client = Client { origin, ..registered(None, &[]) };
            let name = Wanted { name: Some("Verified".to_owned()), ..Wanted::default() };
            assert_eq!(decide(&client, name).unwrap_err(), refused);
            let elsewhere = Wanted { redirect_uris: Some(vec![]), ..Wanted::default() };
            assert_eq!(decide(&client, elsewhere).unwrap_err(), refused);
            assert!(decide(&client, to(&registered(Some("read"), &[]))).unwrap().unwrap().narrows());
        }
    }
}
