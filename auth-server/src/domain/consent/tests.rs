use doorward_shared::secret::SystemEntropy;

use super::*;
use crate::domain::{
    entitlement::{Entitlement, Holder},
    fixture::{self, NOW},
    ids::EntitlementId,
    organization::{Place, Realm},
    resource::Access,
};

static NO_REACH: Reach = Reach { rules: vec![], shared: vec![] };

fn offer<'a>(user: &'a User, client: &'a Client, resource: &'a Resource, oidc: &'a Scope) -> Offer<'a> {
    offer_with(user, client, resource, oidc, &NO_REACH)
}

fn offer_with<'a>(
    user: &'a User,
    client: &'a Client,
    resource: &'a Resource,
    oidc: &'a Scope,
    reach: &'a Reach,
) -> Offer<'a> {
    let policy = fixture::policy();
    let Possible { choices, tiers, entitled } =
        possible(user, client.under(&policy.registration), resource, reach);
    let lifetimes = lifetimes(&policy.refresh);
    Offer {
        user,
        client,
        redirect_uri: "https://a.test",
        resource,
        oidc,
        choices,
        tiers,
        entitled,
        lifetimes,
    }
}

fn ticked(tiers: &[&str], expires: Option<&str>) -> Ticked {
    let tiers = tiers.iter().copied().map(String::from).collect();
    Ticked { tiers, expires: expires.map(String::from), ..Ticked::default() }
}

fn agree(client: &Client, tiers: &[&str], expires: Option<&str>) -> Result<Agreement, NotAgreed> {
    let (user, resource, oidc) = (fixture::user(), fixture::resource(), Scope::default());
    offer(&user, client, &resource, &oidc).agree(&ticked(tiers, expires), NOW)
}

#[test]
fn the_server_expands_the_nesting() {
    let agreed = agree(&fixture::client(), &["destroy"], Some("7d")).unwrap();
    assert_eq!(agreed.allowance, Allowance::everywhere(fixture::resource().model.all()));
    assert_eq!(agreed.expires_at, NOW.plus(Seconds::days(7)));
}

#[test]
fn no_tick_means_no_permission() {
    assert!(agree(&fixture::client(), &[], None).unwrap().allowance.is_empty());
}

#[test]
fn what_was_not_offered_cannot_be_ticked() {
    let bounded = Client { ceiling: Some("read".to_owned()), ..fixture::client() };
    assert!(agree(&bounded, &["read"], None).is_ok());
    assert_eq!(agree(&bounded, &["write"], None), Err(Tampered::Tier.into()));
    assert_eq!(agree(&fixture::client(), &["admin"], None), Err(Tampered::Tier.into()));
    assert_eq!(agree(&fixture::client(), &["read"], Some("10y")), Err(Tampered::Lifetime.into()));
}

/// Alice may read in Acme and write in one folder of it; the resource server is for listed people.
fn acme(user: &User) -> (Reach, Resource) {
    let id = OrganizationId::generate(NOW, &SystemEntropy);
    let node = |path: &str| NodePath::parse(path).unwrap();
    let rule = |tier: &str, path: Option<&str>| Rule {
        id: EntitlementId::generate(NOW, &SystemEntropy),
        says: Entitlement {
            holder: Holder::Person(user.id.clone()),
            tier: tier.to_owned(),
            resource: None,
            place: Place { realm: Realm::Shared(id.clone()), node: path.map(node) },
        },
        created_at: NOW,
        disabled_at: None,
    };
    let nodes = ["alpha", "alpha/site", "beta"].map(|path| Node {
        organization: id.clone(),
        path: node(path),
        title: None,
        created_at: NOW,
    });
    let organization = Organization { id: id.clone(), name: "Acme".to_owned(), created_at: NOW };
    let rules = vec![rule("read", None), rule("write", Some("alpha/site"))];
    let resource = Resource { access: Access::Listed, ..fixture::resource() };
    (Reach { rules, shared: vec![(organization, nodes.to_vec())] }, resource)
}

#[test]
fn only_what_is_possible_somewhere_is_offered_and_a_shared_organization_comes_first() {
    let (user, client, oidc) = (fixture::user(), fixture::client(), Scope::default());
    let (reach, resource) = acme(&user);
    let ids = |offer: &Offer<'_>| offer.tiers.iter().map(|tier| tier.id.clone()).collect::<Vec<_>>();
    let names =
        |offer: &Offer<'_>| offer.choices.iter().map(|one| one.name.map(String::from)).collect::<Vec<_>>();
    let listed = offer_with(&user, &client, &resource, &oidc, &reach);
    assert_eq!(
        (ids(&listed), names(&listed)),
        (vec!["read".into(), "write".into()], vec![Some("Acme".into())])
    );
    assert_eq!(listed.choices[0].nodes.len(), 3);
    let open = fixture::resource();
    let open = offer_with(&user, &client, &open, &oidc, &reach);
    assert_eq!(names(&open), [Some("Acme".to_owned()), None]);
    assert_eq!(ids(&open), ["read", "write", "destroy"]);
    assert!(listed.entitled && open.entitled);
    let place =
        Place { realm: Realm::Shared(reach.shared[0].0.id.clone()), node: NodePath::parse("alpha").ok() };
    let bounded = Client { ceiling_places: vec![place], ..fixture::client() };
    let bounded = offer_with(&user, &bounded, &resource, &oidc, &reach);
    let offered: Vec<_> = bounded.choices[0].nodes.iter().map(|node| node.path.as_str()).collect();
    assert_eq!(offered, ["alpha", "alpha/site"]);
}

#[test]
fn who_may_do_nothing_yet_says_what_counts_once_they_may() {
    let (alice, bob, oidc) = (fixture::user(), fixture::user(), Scope::default());
    let (reach, resource) = acme(&alice);
    let acme = reach.shared[0].0.id.clone();
    let other = OrganizationId::generate(NOW.plus(Seconds::new(1)), &SystemEntropy);
    let place = |realm: &Realm, path: &str| Place { realm: realm.clone(), node: NodePath::parse(path).ok() };
    let (own, acmes, others) = (Realm::Own, Realm::Shared(acme.clone()), Realm::Shared(other));
    // Rules about these places, a client with these bounds: whose data it is, and what may be ticked.
    let asked = |ruled: &[&Realm], bounds: &[Place]| {
        let rule = |realm: &&Realm| {
            let says = Entitlement { place: place(realm, ""), ..reach.rules[0].says.clone() };
            Rule { says, ..reach.rules[0].clone() }
        };
        let reach = Reach { rules: ruled.iter().map(rule).collect(), ..reach.clone() };
        let client = Client {
            ceiling: Some("write".to_owned()),
            ceiling_places: bounds.to_vec(),
            ..fixture::client()
        };
        let offer = offer_with(&bob, &client, &resource, &oidc, &reach);
        assert!(!offer.entitled);
        let agreed = offer.agree(&ticked(&[], None), NOW).unwrap();
        assert_eq!(&agreed.organization, offer.choices[0].organization);
        (agreed.organization, offer.choices[0].name.map(String::from), offer.tiers.len())
    };
    let in_acme = (acme, Some("Acme".to_owned()), 2);
    let their_own = (bob.organization.clone(), None, 2);
    assert_eq!(asked(&[&acmes], &[]), in_acme, "the one that the rules are about");
    assert_eq!(asked(&[&acmes, &own, &acmes], &[]), in_acme, "the one shared one among them");
    assert_eq!(asked(&[&own], &[]), their_own);
    assert_eq!(asked(&[], &[]), their_own);
    assert_eq!(asked(&[&acmes, &others], &[]), their_own, "nobody knows which one");
    // The bounds of the client decide before that.
    assert_eq!(asked(&[&acmes, &others], &[place(&acmes, "alpha")]), in_acme);
    assert_eq!(asked(&[&acmes, &own], &[place(&own, "")]), their_own);
    let nothing = (bob.organization.clone(), None, 0);
    assert_eq!(asked(&[&acmes, &others], &[place(&acmes, ""), place(&others, "")]), nothing);
}

#[test]
fn a_rule_of_which_the_client_may_have_nothing_says_nothing_about_whose_data_it_is() {
    let (alice, bob) = (fixture::user(), fixture::user());
    let (mut reach, resource) = acme(&alice);
    let policy = fixture::policy().registration;
    let whose = |reach: &Reach, user: &User, path: &str| {
        let place =
            Place { realm: Realm::Shared(reach.shared[0].0.id.clone()), node: NodePath::parse(path).ok() };
        let client = Client { ceiling_places: vec![place], ..fixture::client() };
        expected(user, client.under(&policy), &resource, &reach.rules).cloned()
    };
    let acme = Some(reach.shared[0].0.id.clone());
    assert_eq!(whose(&reach, &bob, "beta"), acme);
    assert_eq!(whose(&reach, &alice, "beta"), None, "she is not asked in advance");
    reach.rules.remove(0);
    assert_eq!(whose(&reach, &bob, "alpha"), acme);
    assert_eq!(whose(&reach, &bob, "beta"), None);
    reach.rules[0].says.tier = "no such".to_owned();
    assert_eq!(whose(&reach, &bob, "alpha"), None);
}

#[test]
fn nodes_are_ticked_in_the_chosen_organization_only() {
    let (user, client, oidc) = (fixture::user(), fixture::client(), Scope::default());
    let (reach, _) = acme(&user);
    let resource = fixture::resource();
    let offer = offer_with(&user, &client, &resource, &oidc, &reach);
    let (acme, own) = (reach.shared[0].0.id.to_string(), user.organization.to_string());
    let agree = |organization: Option<&str>, nodes: &[&str]| {
        let nodes = nodes.iter().copied().map(String::from).collect();
        let organization = organization.map(String::from);
        offer.agree(&Ticked { organization, nodes, ..ticked(&["read"], None) }, NOW)
    };
    let read = || Scope::parse("artifacts:read").unwrap();
    let whole = agree(None, &[]).unwrap();
    assert_eq!(
        (whole.organization.to_string(), whole.allowance),
        (acme.clone(), Allowance::everywhere(read()))
    );
    let node = NodePath::parse("alpha/site").unwrap();
    for text in ["alpha/site", &format!("{acme}:alpha/site")] {
        let narrowed = agree(Some(&acme), &[text]).unwrap();
        assert_eq!(narrowed.allowance, Allowance::at_node(node.clone(), read()), "{text}");
    }
    assert_eq!(agree(Some(&own), &[]).unwrap().organization, user.organization);
    // The page has them all to tick, each with the organization that it is of.
    let elsewhere = Err(Mistake::OtherOrganization.into());
    assert_eq!(agree(Some(&own), &[&format!("{acme}:alpha")]), elsewhere);
    let many = vec![format!("{acme}:alpha"); MAX_NODES + 1];
    assert_eq!(agree(Some(&own), &many.iter().map(String::as_str).collect::<Vec<_>>()), elsewhere);
    for bad in ["alpha/site", &format!("{own}:alpha"), &format!("{acme}:gamma"), ""] {
        assert_eq!(agree(Some(&own), &[bad]), Err(Tampered::Node.into()), "{bad}");
        let mixed = [&format!("{acme}:alpha"), bad];
        assert_eq!(agree(Some(&own), &mixed), Err(Tampered::Node.into()), "{bad}");
    }
    assert_eq!(agree(Some(&acme), &["gamma"]), Err(Tampered::Node.into()));
    assert_eq!(agree(Some("org_x"), &[]), Err(Tampered::Organization.into()));
    assert_eq!(agree(Some(&acme), &["alpha"; MAX_NODES + 1]), Err(Mistake::TooManyNodes.into()));
}

#[test]
fn another_page_has_another_digest() {
    let client = fixture::client();
    let renamed = Client { name: Some("Other".to_owned()), ..fixture::client() };
    let (alice, bob, resource) = (fixture::user(), fixture::user(), fixture::resource());
    let (one, two) = (Scope::parse("openid").unwrap(), Scope::parse("openid email").unwrap());
    let first = offer(&alice, &client, &resource, &one).digest();
    assert_eq!(offer(&alice, &client, &resource, &one).digest(), first);
    assert_ne!(offer(&bob, &client, &resource, &one).digest(), first);
    assert_ne!(offer(&alice, &renamed, &resource, &one).digest(), first);
    assert_ne!(offer(&alice, &client, &resource, &two).digest(), first);
    let elsewhere = Offer { redirect_uri: "https://b.test", ..offer(&alice, &client, &resource, &one) };
    assert_ne!(elsewhere.digest(), first);
    let (reach, _) = acme(&alice);
    let (mut renamed, mut grown) = (reach.clone(), reach.clone());
    renamed.shared[0].0.name = "Other".to_owned();
    grown.shared[0].1.truncate(2);
    let digest = |reach| offer_with(&alice, &client, &resource, &one, reach).digest();
    let shared = digest(&reach);
    assert!([first, digest(&renamed), digest(&grown)].iter().all(|other| *other != shared));
    let shorter = Offer { lifetimes: vec![], ..offer(&alice, &client, &resource, &one) };
    assert_ne!(shorter.digest(), offer(&alice, &client, &resource, &one).digest());
}

#[test]
fn no_lifetime_is_offered_beyond_the_operators_bound() {
    let mut policy = fixture::policy().refresh;
    let ids = |policy: &RefreshPolicy| lifetimes(policy).iter().map(|choice| choice.id).collect::<Vec<_>>();
    assert_eq!(ids(&policy), ["1d", "7d", "30d", "90d"]);
    policy.absolute = Seconds::days(10);
    assert_eq!(ids(&policy), ["1d", "7d", "max"]);
    policy.absolute = Seconds::hours(1);
    assert_eq!(ids(&policy), ["max"]);
}
