use doorward_shared::{allowance::MAX_NODES, scope::Scope, secret::SystemEntropy, time::Seconds};
use proptest::prelude::*;

use super::{make::MOST_KEYS, *};
use crate::domain::{
    entitlement::Rule,
    fixture::{self, NOW},
    key_life::KeyLife,
    resource::Access,
};

fn node(path: &str) -> NodePath {
    NodePath::parse(path).unwrap()
}

fn power(tier: &str, path: Option<&str>) -> Power {
    Power { node: path.map(node), tier: tier.to_owned() }
}

fn wanted(user: &User, powers: Powers) -> Wanted {
    Wanted {
        name: " CI ".to_owned(),
        organization: user.organization.clone(),
        resource: None,
        powers,
        rate_limit: None,
        life: KeyLife::Week,
    }
}

fn tried(wanted: Wanted, ground: Ground<'_>) -> Result<ApiKey, NotMade> {
    let secret = ApiKeySecret::generate(&wanted.powers, &SystemEntropy);
    make(wanted, ground, (ApiKeyId::generate(NOW, &SystemEntropy), &secret), NOW)
}

fn ground<'a>(user: &'a User, resources: &'a [(Resource, Vec<Rule>)]) -> Ground<'a> {
    Ground { user, resources, nodes: None, live: 0, most_requests: None }
}

fn key(user: &User, powers: Powers) -> ApiKey {
    tried(wanted(user, powers), ground(user, &[(fixture::resource(), vec![])])).unwrap()
}

#[test]
fn a_key_is_made_as_it_is_wanted_and_ends_when_it_was_said() {
    let user = fixture::user();
    let made = key(&user, Powers::simple("write", vec![node("alpha/specs")]));
    assert_eq!((made.name.as_str(), made.prefix.len()), ("CI", 8));
    assert!(made.prefix.starts_with("sta_"));
    assert_eq!(made.expires_at, Some(NOW.plus(Seconds::days(7))));
    let last = NOW.plus(Seconds::days(7)).minus(Seconds::new(1));
    let (resource, end) = (fixture::resource(), NOW.plus(Seconds::days(7)));
    assert_eq!(is_live(&made, &user, &resource, last), Ok(()));
    assert_eq!(is_live(&made, &user, &resource, end), Err(Dead::Expired));
    assert_eq!(made.state(end), State::Expired);
    let full = key(&user, Powers::Full);
    assert!(full.prefix.starts_with("ak_live_") && full.prefix.len() == 12);
}

#[test]
fn a_key_dies_of_its_revocation_its_person_its_resource_and_what_was_swept() {
    let (user, resource) = (fixture::user(), fixture::resource());
    let live = key(&user, Powers::Full);
    let dead =
        |key: &ApiKey, user: &User, resource: &Resource| is_live(key, user, resource, NOW).unwrap_err();
    let revoked = ApiKey { revoked_at: Some(NOW), ..live.clone() };
    assert_eq!(dead(&revoked, &user, &resource), Dead::Revoked);
    assert_eq!(dead(&live, &User { disabled_at: Some(NOW), ..user.clone() }, &resource), Dead::Disabled);
    assert_eq!(dead(&live, &fixture::user(), &resource), Dead::Disabled);
    assert_eq!(dead(&live, &User { revoked_until: Some(NOW), ..user.clone() }, &resource), Dead::Swept);
    let swept = Resource { revoked_until: Some(NOW), ..fixture::resource() };
    assert_eq!(dead(&live, &user, &swept), Dead::Swept);
    let disabled = Resource { disabled_at: Some(NOW), ..fixture::resource() };
    assert_eq!(dead(&live, &user, &disabled), Dead::Elsewhere);
    let other = ApiKey { resource: Some(ResourceUri::parse("https://mcp.test/b").unwrap()), ..live.clone() };
    assert_eq!(dead(&other, &user, &resource), Dead::Elsewhere);
    let earlier = NOW.minus(Seconds::new(1));
    let before = User { revoked_until: Some(earlier), ..user };
    assert_eq!(is_live(&live, &before, &resource, NOW), Ok(()));
}

#[test]
fn a_key_is_revoked_once() {
    let policy = fixture::policy().token;
    let live = key(&fixture::user(), Powers::Full);
    let withdrawal = revoke(&live, &policy, NOW).unwrap();
    assert!(withdrawal.key() == &live.id && withdrawal.at() == NOW && withdrawal.forget_at() > NOW);
    assert!(revoke(&ApiKey { revoked_at: Some(NOW), ..live }, &policy, NOW).is_none());
}

#[test]
fn what_makes_no_sense_or_would_allow_nothing_is_not_made() {
    let user = fixture::user();
    let resources = [(fixture::resource(), vec![])];
    let with = |powers| tried(wanted(&user, powers), ground(&user, &resources)).unwrap_err();
    assert_eq!(with(Powers::Scoped(vec![])), NotMade::Nothing);
    assert_eq!(
        with(Powers::simple("admin", vec![])),
        NotMade::Tier("admin".to_owned(), "read, write, destroy".to_owned())
    );
    let twice = Powers::Scoped(vec![power("read", Some("alpha")), power("write", Some("alpha"))]);
    assert_eq!(with(twice), NotMade::Twice("alpha".to_owned()));
    let many = (0..=MAX_NODES).map(|i| node(&format!("n{i}"))).collect();
    assert_eq!(with(Powers::simple("read", many)), NotMade::TooManyNodes);
    let read = || wanted(&user, Powers::simple("read", vec![]));
    for name in ["", "  ", "a\nb", &"x".repeat(61)] {
        let named = Wanted { name: name.to_owned(), ..read() };
        assert_eq!(tried(named, ground(&user, &resources)).unwrap_err(), NotMade::Name);
    }
    let there = ground(&user, &resources);
    assert_eq!(tried(read(), Ground { live: MOST_KEYS, ..there }).unwrap_err(), NotMade::TooMany);
    assert_eq!(tried(read(), Ground { resources: &[], ..there }).unwrap_err(), NotMade::NoResource);
    for (asked, most, wrong) in [(61, Some(60), true), (60, Some(60), false), (1_000_000, None, false)] {
        let often = Wanted { rate_limit: NonZeroU32::new(asked), ..read() };
        let made = tried(often, Ground { most_requests: most.and_then(NonZeroU32::new), ..there });
        assert_eq!(made.is_err_and(|error| matches!(error, NotMade::TooOften(_))), wrong, "{asked}");
    }
    let disabled = User { disabled_at: Some(NOW), ..user.clone() };
    assert_eq!(tried(read(), Ground { user: &disabled, ..there }).unwrap_err(), NotMade::Disabled);
    let foreign = Wanted { organization: OrganizationId::generate(NOW, &SystemEntropy), ..read() };
    assert_eq!(tried(foreign, there).unwrap_err(), NotMade::Worthless);
    let listed = [(Resource { access: Access::Listed, ..fixture::resource() }, vec![])];
    assert_eq!(tried(read(), ground(&user, &listed)).unwrap_err(), NotMade::Worthless);
    let nowhere = Ground { nodes: Some(&[]), ..there };
    let narrow = wanted(&user, Powers::simple("read", vec![node("alpha")]));
    assert_eq!(tried(narrow, nowhere).unwrap_err(), NotMade::Node(node("alpha")));
}

#[test]
fn read_in_a_workspace_write_in_a_project_and_delete_in_a_folder_is_exactly_that() {
    let user = fixture::user();
    let powers = vec![
        power("read", Some("alpha")),
        power("write", Some("alpha/site")),
        power("destroy", Some("alpha/site/specs")),
    ];
    let (key, resource) = (key(&user, Powers::Scoped(powers)), fixture::resource());
    let seat = Seat { user: &user, resource: &resource, organization: &user.organization, rules: &[] };
    let allowed = effective(&key, seat);
    for (atom, place, expected) in [
        ("artifacts:read", "alpha/other", true),
        ("artifacts:create", "alpha/other", false),
        ("artifacts:create", "alpha/site/else", true),
        ("artifacts:delete", "alpha/site", false),
        ("artifacts:delete", "alpha/site/specs/old", true),
        ("artifacts:read", "beta", false),
    ] {
        assert_eq!(allowed.allows(atom, Some(&node(place))), expected, "{atom} {place}");
    }
    assert!(!allowed.allows("artifacts:read", None));
}

#[test]
fn the_use_of_a_key_is_written_down_once_a_minute() {
    let used = ApiKey { last_used_at: Some(NOW), ..key(&fixture::user(), Powers::Full) };
    assert!(!used.wants_touch(NOW.plus(Seconds::new(59))) && used.wants_touch(NOW.plus(Seconds::new(60))));
    assert!(ApiKey { last_used_at: None, ..used }.wants_touch(NOW));
}

#[test]
fn what_is_no_whole_key_is_read_as_none() {
    for powers in [Powers::Full, Powers::simple("read", vec![])] {
        let secret = ApiKeySecret::generate(&powers, &SystemEntropy);
        assert_eq!(ApiKeySecret::parse(secret.expose()).unwrap().hash(), secret.hash());
        assert!(is_api_key(secret.expose()));
        assert!(ApiKeySecret::parse(&secret.expose()[1..]).is_none());
        assert!(ApiKeySecret::parse(&format!("{}x", secret.expose())).is_none());
        assert!(!format!("{secret:?} {:?}", secret.hash()).contains(&secret.expose()[4..]));
    }
}

proptest! {
    #[test]
    fn no_key_is_worth_more_than_its_person_or_its_words(
        tiers in proptest::collection::vec((0_usize..4, proptest::option::of(0_usize..4)), 0..5),
        full: bool, listed: bool, disabled: bool,
    ) {
        const TIERS: [&str; 4] = ["read", "write", "destroy", "unknown"];
        const NODES: [&str; 4] = ["alpha", "alpha/site", "alpha/site/specs", "beta"];
        let mut user = fixture::user();
        let powers = tiers.iter().map(|(tier, at)| power(TIERS[*tier], at.map(|at| NODES[at]))).collect();
        let powers = if full { Powers::Full } else { Powers::Scoped(powers) };
        let key = ApiKey { powers, ..key(&user, Powers::Full) };
        user.disabled_at = disabled.then_some(NOW);
        let access = if listed { Access::Listed } else { Access::Everyone };
        let resource = Resource { access, ..fixture::resource() };
        let seat = Seat { user: &user, resource: &resource, organization: &user.organization, rules: &[] };
        let allowed = effective(&key, seat);
        prop_assert!(allowed.is_subset(&entitlement(seat)));
        prop_assert!(allowed.is_subset(&key.powers.allowance(&resource.model)));
        prop_assert!(allowed.atoms().is_subset(&resource.model.all()));
        prop_assert!(!(listed || disabled) || allowed == Allowance::everywhere(Scope::default()));
    }
}
