use doorward_shared::secret::SystemEntropy;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::domain::{
    fixture::{self, NOW},
    user::User,
};

fn claims(value: Value) -> Map<String, Value> {
    let Value::Object(claims) = value else { panic!("an object") };
    claims
}

fn heard(dialect: Dialect, value: Value) -> GroupsHeard {
    read_groups(dialect, &ClaimPath::parse(dialect.groups_claim()).unwrap(), &claims(value))
}

fn listed(names: &[&str]) -> GroupsHeard {
    GroupsHeard::Listed(names.iter().map(|name| (*name).to_owned()).collect())
}

fn provider() -> Provider {
    Provider::fixture()
}

fn asserted(email: &str, email_verified: bool) -> Asserted {
    Asserted {
        subject: "248289761001".to_owned(),
        email: Some(email.to_owned()),
        email_verified,
        name: None,
        groups: listed(&["staff"]),
    }
}

fn identity(user: &User) -> Identity {
    Identity {
        id: IdentityId::generate(NOW, &SystemEntropy),
        provider: "corp".to_owned(),
        subject: "248289761001".to_owned(),
        user_id: user.id.clone(),
        email: None,
        groups: vec!["staff".to_owned()],
        source: Source::Listed,
        refresh_token: None,
        created_at: NOW,
        checked_at: NOW,
        ended_at: None,
    }
}

#[test]
fn each_dialect_has_its_own_way_to_name_groups() {
    let keycloak = json!({"groups": ["/artifact-users", "/eng/platform", "plain"]});
    assert_eq!(heard(Dialect::Keycloak, keycloak), listed(&["artifact-users", "eng/platform", "plain"]));
    assert_eq!(heard(Dialect::Cognito, json!({"cognito:groups": ["b", "a", "a"]})), listed(&["a", "b"]));
    assert_eq!(heard(Dialect::Cognito, json!({"groups": ["a"]})), GroupsHeard::Absent);
    assert_eq!(heard(Dialect::Okta, json!({"sub": "x"})), GroupsHeard::Absent);
    assert_eq!(heard(Dialect::Okta, json!({"groups": ["/slash"]})), listed(&["/slash"]));
    let guid = "0f0e0d0c-0b0a-0908-0706-050403020100";
    assert_eq!(heard(Dialect::Entra, json!({"groups": [guid]})), listed(&[guid]));
    for overage in [
        json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://x.test"}}}),
        json!({"hasgroups": true}),
        json!({"hasgroups": "true"}),
    ] {
        assert_eq!(heard(Dialect::Entra, overage), GroupsHeard::Overage);
    }
}

#[test]
fn a_text_is_one_group_and_what_is_no_list_of_names_is_none() {
    assert_eq!(heard(Dialect::Generic, json!({"groups": "admins, staff"})), listed(&["admins, staff"]));
    for odd in [json!(7), json!({"a": "b"}), json!(["a", 7]), json!(["a", ""]), json!(["a\nb"]), json!(null)]
    {
        assert_eq!(heard(Dialect::Generic, json!({"groups": odd})), GroupsHeard::Malformed);
    }
    let many: Vec<_> = (0..11_001).map(|n| format!("g{n}")).collect();
    assert_eq!(heard(Dialect::Generic, json!({"groups": many})), GroupsHeard::Malformed);
}

#[test]
fn a_path_leads_into_objects_and_a_name_with_dots_is_a_name_first() {
    let path = ClaimPath::parse("realm_access.roles").unwrap();
    let nested = claims(json!({"realm_access": {"roles": ["a"]}}));
    assert_eq!(read_groups(Dialect::Generic, &path, &nested), listed(&["a"]));
    let flat = claims(json!({"realm_access.roles": ["b"], "realm_access": {"roles": ["a"]}}));
    assert_eq!(read_groups(Dialect::Generic, &path, &flat), listed(&["b"]));
    assert_eq!(
        read_groups(Dialect::Generic, &path, &claims(json!({"realm_access": []}))),
        GroupsHeard::Absent
    );
    assert!(["", ".", "a.", "a b", ".a"].iter().all(|text| ClaimPath::parse(text).is_none()));
}

#[test]
fn a_known_subject_is_its_person_whatever_the_address_says() {
    let (user, other) = (fixture::user(), fixture::user());
    let known = identity(&user);
    for namesake in [None, Some((&other, None))] {
        let arrived =
            arrive(&provider(), &asserted("moved@example.test", true), Some((&known, &user)), namesake);
        assert!(matches!(arrived, Ok(Arrival::Known(found)) if *found == known));
    }
    let disabled = User { disabled_at: Some(NOW), ..user };
    let arrived = arrive(&provider(), &asserted("a@example.test", true), Some((&known, &disabled)), None);
    assert_eq!(arrived.unwrap_err(), Refused::Disabled);
}

#[test]
fn an_account_with_the_address_is_only_offered_and_only_for_a_verified_address() {
    let user = fixture::user();
    let asks = |provider: &Provider, verified, linked: Option<&Identity>| {
        let arrived =
            arrive(provider, &asserted("alice@example.test", verified), None, Some((&user, linked)));
        arrived.map(|arrival| matches!(arrival, Arrival::Confirm(_)))
    };
    assert_eq!(asks(&provider(), true, None), Ok(true));
    assert_eq!(asks(&provider(), false, None), Err(Refused::EmailTaken));
    let doubted = Provider { trust_email: false, ..provider() };
    assert_eq!(asks(&doubted, true, None), Err(Refused::EmailTaken));
    assert_eq!(asks(&provider(), true, Some(&identity(&user))), Err(Refused::LinkedToAnother));
}

#[test]
fn who_is_new_gets_an_account_only_for_an_address_that_is_vouched_for() {
    let new = |provider: &Provider, asserted: &Asserted| arrive(provider, asserted, None, None).map(|_| ());
    let (verified, claimed) = (asserted("new@example.test", true), asserted("new@example.test", false));
    assert_eq!(new(&provider(), &verified), Ok(()));
    assert_eq!(new(&provider(), &claimed), Err(Refused::Unverified));
    let doubted = Provider { trust_email: false, ..provider() };
    assert_eq!(new(&doubted, &verified), Err(Refused::Unverified));
    let closed = Provider { create_accounts: false, ..provider() };
    for asserted in [&verified, &claimed] {
        assert_eq!(new(&closed, asserted), Err(Refused::NotCreated));
    }
    for email in [None, Some("no address".to_owned())] {
        let nameless = Asserted { email, ..asserted("", true) };
        assert_eq!(new(&provider(), &nameless), Err(Refused::NoEmail));
    }
}

#[test]
fn where_groups_are_asked_for_only_their_members_come_in() {
    let closed = Provider { allowed_groups: vec!["staff".to_owned()], ..provider() };
    let with = |groups| Asserted { groups, ..asserted("new@example.test", true) };
    assert!(arrive(&closed, &with(listed(&["staff"])), None, None).is_ok());
    for groups in [
        listed(&[]),
        listed(&["staffing", "not staff", "staff, admins"]),
        GroupsHeard::Absent,
        GroupsHeard::Malformed,
        GroupsHeard::Overage,
    ] {
        // Who is in stays only while the groups are too many to list: then the last known ones count.
        assert_eq!(closed.still_admits(&groups), groups == GroupsHeard::Overage);
        assert!(provider().still_admits(&groups));
        assert_eq!(arrive(&closed, &with(groups), None, None).unwrap_err(), Refused::Group);
    }
}

#[test]
fn what_was_known_holds_for_a_while_and_silence_gives_nothing() {
    let known = identity(&fixture::user());
    let rules = provider();
    let day = rules.max_stale;
    let soon = NOW.plus(Seconds::hours(23));
    assert_eq!(known.after(&GroupsHeard::Overage, &rules, soon).groups, ["staff"]);
    assert_eq!(known.after(&GroupsHeard::Overage, &rules, soon).source, Source::Overage);
    assert_eq!(known.unheard(day, soon).groups, ["staff"]);
    let late = NOW.plus(day);
    assert_eq!(known.unheard(day, late), Standing { groups: vec![], source: Source::Stale, heard: false });
    assert!(known.after(&GroupsHeard::Overage, &rules, late).groups.is_empty());
    for heard in [GroupsHeard::Absent, GroupsHeard::Malformed] {
        assert!(known.after(&heard, &rules, soon).groups.is_empty());
    }
}

#[test]
fn words_are_read_as_they_are_written() {
    assert!(Source::ALL.into_iter().all(|one| Source::parse(one.as_str()) == Some(one)));
}

proptest! {
    #[test]
    fn no_provider_takes_over_an_account_without_proof(verified: bool, trusted: bool, creates: bool, disabled: bool) {
        let user = User { disabled_at: disabled.then_some(NOW), ..fixture::user() };
        let provider = Provider { trust_email: trusted, create_accounts: creates, ..provider() };
        let arrived = arrive(&provider, &asserted(user.email.as_str(), verified), None, Some((&user, None)));
        prop_assert_eq!(arrived.is_ok(), verified && trusted && !disabled);
        if let Ok(arrival) = arrived {
            prop_assert!(matches!(arrival, Arrival::Confirm(_)));
        }
    }

    #[test]
    fn no_address_that_nobody_vouches_for_names_an_account(verified: bool, trusted: bool, creates: bool) {
        let provider = Provider { trust_email: trusted, create_accounts: creates, ..provider() };
        let arrived = arrive(&provider, &asserted("new@example.test", verified), None, None);
        prop_assert_eq!(arrived.is_ok(), verified && trusted && creates);
    }
}

#[test]
fn who_has_no_password_no_passkey_and_no_provider_cannot_come_in() {
    let known = fixture::user();
    let newcomer = User { passwordless_since: Some(NOW), ..fixture::user() };
    let here = identity(&newcomer);
    let ended = Identity { ended_at: Some(NOW), ..here.clone() };
    assert!(can_come_in(&newcomer, std::slice::from_ref(&here), 0));
    assert!(can_come_in(&newcomer, &[ended.clone(), here], 0), "another provider stands for them");
    assert!(!can_come_in(&newcomer, std::slice::from_ref(&ended), 0));
    assert!(!can_come_in(&newcomer, &[], 0));
    assert!(can_come_in(&newcomer, std::slice::from_ref(&ended), 1), "a passkey");
    assert!(can_come_in(&known, &[ended], 0), "a password");
}

#[test]
fn groups_are_named_with_the_prefix_of_their_provider_and_let_in_by_their_own_names() {
    let user = fixture::user();
    let rules =
        Provider { group_prefix: "corp:".to_owned(), allowed_groups: vec!["staff".to_owned()], ..provider() };
    let heard = listed(&["night-shift", "staff"]);
    assert!(rules.admits(&heard));
    let standing = identity(&user).after(&heard, &rules, NOW);
    assert_eq!(standing.groups, ["corp:night-shift", "corp:staff"]);
    // Kept, it is not named a second time.
    let known = Identity { groups: standing.groups, ..identity(&user) };
    assert_eq!(known.after(&GroupsHeard::Overage, &rules, NOW).groups, ["corp:night-shift", "corp:staff"]);
}
