use doorward_shared::{resource::ResourceUri, secret::SystemEntropy};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    model::{Model, deed},
    *,
};
use crate::domain::{
    audit::{Action, Actor, Event},
    fixture::{self, NOW},
};

fn at(seconds: i64) -> Timestamp {
    NOW.plus(Seconds::new(seconds))
}

pub(super) fn event(action: Action, object: &str, when: Timestamp) -> Event {
    Event::new(action, Actor::Operator, when, &SystemEntropy).on(object)
}

fn known(events: &[(Action, &str, i64)]) -> Box<Since> {
    let mut since = Since::default();
    for (action, object, seconds) in events {
        since.note(&event(*action, object, at(*seconds))).unwrap();
    }
    Box::new(since)
}

fn restoration(loss: Loss) -> Restoration {
    decide(loss, Seal::Opens, &fixture::policy(), at(1000))
}

#[test]
fn when_nothing_was_lost_nothing_ends() {
    let nothing = restoration(Loss::Nothing);
    assert!(!nothing.ends());
    for which in [
        nothing.disabled_users(),
        nothing.disabled_clients(),
        nothing.disabled_resources(),
        nothing.revoked_admin_keys(),
    ] {
        assert_eq!(which, Which::None);
    }
    assert_eq!(nothing.removed_clients().count() + nothing.removed_resources().count(), 0);
}

#[test]
fn when_nothing_is_known_everything_is_barred_administrators_too() {
    let unknown = restoration(Loss::Unknown);
    assert!(unknown.ends());
    for which in [
        unknown.disabled_users(),
        unknown.disabled_clients(),
        unknown.disabled_resources(),
        unknown.revoked_admin_keys(),
    ] {
        assert_eq!(which, Which::All);
    }
    assert!(unknown.forget_at() > at(1000 + 3600) && unknown.forget_keys_at() > unknown.forget_at());
}

#[test]
fn the_trail_bars_whom_it_names_and_nobody_else() {
    let known = restoration(Loss::Known(known(&[
        (Action::UserDisabled, "usr_1", 1),
        (Action::UserDisabled, "usr_2", 1),
        (Action::UserEnabled, "usr_2", 2),
        (Action::UserEnabled, "usr_3", 2),
        (Action::PasswordChanged, "usr_4", 1),
        (Action::UserEnabled, "usr_4", 2),
        (Action::ClientDeleted, "gone", 3),
        (Action::ClientCreated, "gone", 4),
        (Action::ResourceDisabled, "HTTPS://MCP.test/a/", 5),
        (Action::AdminKeyRevoked, "adk_1", 6),
        (Action::ResourceSecretRotated, "https://mcp.test/b", 6),
        (Action::ResourceEnabled, "https://mcp.test/b", 7),
        (Action::ResourceSecretRetired, "https://mcp.test/c", 6),
        (Action::KeyCreated, "kid", 7),
    ])));
    assert!(known.ends());
    assert!(known.disabled_users().has("usr_1"));
    assert!(
        known.disabled_users().has("usr_4"),
        "the password that was replaced must not open anything again"
    );
    assert!(!known.disabled_users().has("usr_2") && !known.disabled_users().has("usr_3"));
    assert_eq!(known.removed_clients().collect::<Vec<_>>(), ["gone"]);
    let folded = ResourceUri::parse("https://mcp.test/a").unwrap().folded().to_owned();
    assert!(known.disabled_resources().has(&folded));
    for outdated in ["https://mcp.test/b", "https://mcp.test/c"] {
        let folded = ResourceUri::parse(outdated).unwrap().folded().to_owned();
        assert!(known.disabled_resources().has(&folded), "the backup holds a secret that was given up");
    }
    assert!(known.revoked_admin_keys().has("adk_1"));
    let Loss::Known(since) = known.loss() else { panic!() };
    assert_eq!(since.until(), Some(at(7)));
    assert_eq!(known.lost_signing_keys().collect::<Vec<_>>(), ["kid"]);
}

#[test]
fn a_rule_that_a_change_of_the_rules_enabled_is_enabled_and_one_that_it_removed_is_not_there() {
    let mut since = Since::default();
    for id in ["ent_1", "ent_2"] {
        since.note(&event(Action::EntitlementDisabled, id, at(1))).unwrap();
    }
    let change = event(Action::EntitlementsChanged, "mapping", at(2)).with("enabled", vec!["ent_1"]);
    since.note(&change.with("removed", vec!["ent_3"])).unwrap();
    let known = restoration(Loss::Known(Box::new(since)));
    assert!(!known.disabled_rules().has("ent_1") && known.disabled_rules().has("ent_2"));
    assert_eq!(known.removed_rules().collect::<Vec<_>>(), ["ent_3"]);
}

#[test]
fn only_what_was_enabled_later_by_place_and_time_is_enabled() {
    for (events, disabled) in [
        ([(Action::UserDisabled, "u", 5), (Action::UserEnabled, "u", 5)], true),
        ([(Action::UserDisabled, "u", 5), (Action::UserEnabled, "u", 4)], true),
        ([(Action::UserEnabled, "u", 6), (Action::UserDisabled, "u", 5)], true),
        ([(Action::UserDisabled, "u", 5), (Action::UserEnabled, "u", 6)], false),
    ] {
        let known = restoration(Loss::Known(known(&events)));
        assert_eq!(known.disabled_users().has("u"), disabled, "{events:?}");
    }
    let twice =
        [(Action::UserDisabled, "u", 9), (Action::UserDisabled, "u", 5), (Action::UserEnabled, "u", 7)];
    assert!(restoration(Loss::Known(known(&twice))).disabled_users().has("u"));
}

#[test]
fn an_event_that_does_not_say_what_it_was_done_to_is_refused() {
    let mut since = Since::default();
    let mut senseless = event(Action::UserDisabled, "u", NOW);
    senseless.object = None;
    assert!(since.note(&senseless).is_err());
    assert!(since.note(&event(Action::ResourceRemoved, "no address", NOW)).is_err());
}

#[test]
fn the_operator_is_told_what_to_do_and_no_more() {
    let some = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let disabled = Disabled {
        users: some(&["a@b.test", "b@b.test"]),
        clients: some(&["script"]),
        dynamic_clients: some(&["x"]),
        resources: some(&["https://mcp.test/a"]),
        rules: some(&["ent_x"]),
    };
    let steps = next_steps(&restoration(Loss::Unknown), &disabled);
    assert_eq!(steps.len(), 7);
    assert!(steps[0].contains("2 accounts") && steps[0].ends_with("doorward user enable EMAIL"));
    assert_eq!(next_steps(&restoration(Loss::Unknown), &Disabled::default()).len(), 2);
    let made = known(&[(Action::UserCreated, "u", 1), (Action::AdminKeyCreated, "k", 1)]);
    let steps = next_steps(&restoration(Loss::Known(made)), &Disabled::default());
    assert!(steps[1].contains("1 accounts, 0 clients"), "{}", steps[1]);
    assert_eq!(next_steps(&restoration(Loss::Known(Box::default())), &disabled).len(), 2);
    let sealed = decide(Loss::Unknown, Seal::Lost, &fixture::policy(), at(1000));
    assert!(next_steps(&sealed, &Disabled::default()).iter().any(|step| step.contains("checkpoints")));
    assert!(next_steps(&restoration(Loss::Nothing), &disabled)[0].contains("Do not start the old one"));
}

#[test]
fn rules_that_were_lost_since_are_not_back_and_what_was_closed_since_is_not_open() {
    let with =
        |action, object: &str, member: &str, value: Value| event(action, object, at(1)).with(member, value);
    let mut since = Since::default();
    let mcp = "https://mcp.test/a";
    for event in [
        event(Action::EntitlementDisabled, "ent_1", at(1)),
        with(Action::EntitlementsChanged, "", "removed", json!(["ent_2"])).with("added", json!(["ent_9"])),
        with(Action::EntitlementsChanged, "", "listed", json!([mcp])),
        with(Action::NodeRemoved, "org_x", "removed", json!(["ent_3"])),
        with(Action::ResourceAccessSet, "HTTPS://mcp.test/b/", "access", json!("listed")),
        with(Action::ResourceAccessSet, "https://mcp.test/c", "access", json!("everyone")),
        with(Action::UserGroupsSet, "usr_left", "left", json!(["staff"])),
        with(Action::UserGroupsSet, "usr_joined", "left", json!([])),
    ] {
        since.note(&event).unwrap();
    }
    let known = restoration(Loss::Known(Box::new(since)));
    let (disabled, removed) = (known.disabled_rules(), known.removed_rules().collect::<Vec<_>>());
    assert!(disabled.has("ent_1") && !disabled.has("ent_2"));
    assert_eq!(removed, ["ent_2", "ent_3"]);
    assert_eq!(known.listed_resources().collect::<Vec<_>>(), [mcp, "https://mcp.test/b"]);
    assert!(known.disabled_users().has("usr_left") && !known.disabled_users().has("usr_joined"));
    assert_eq!(restoration(Loss::Unknown).disabled_rules(), Which::All);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// PR-20
    #[test]
    fn nothing_works_after_a_restore_that_did_not_work_when_the_database_was_lost(
        before in prop::collection::vec(deed(), 0..12),
        after in prop::collection::vec(deed(), 0..12),
        pace in 1_usize..4,
    ) {
        let mut truth = Model::new();
        for deed in &before {
            truth.carry_out(deed, at(0));
        }
        let backup = truth.clone();
        let mut since = Since::default();
        for (i, deed) in after.iter().enumerate() {
            // Several deeds share a second.
            let when = at(1 + i64::try_from(i / pace).unwrap());
            if let Some(event) = truth.carry_out(deed, when) {
                since.note(&event).unwrap();
            }
        }
        let mut losses = vec![Loss::Unknown, Loss::Known(Box::new(since))];
        if after.is_empty() {
            losses.push(Loss::Nothing);
        }
        for loss in losses {
            let verdict = restoration(loss);
            let restored = backup.restored(&verdict);
            let revived: Vec<_> = restored.working().difference(&truth.working()).cloned().collect();
            prop_assert!(revived.is_empty(), "{}: {revived:?}", verdict.mode());
            let signed_by_nobody = restored.signing_keys.iter().all(|key| key.disabled);
            prop_assert_eq!(verdict.ends(), signed_by_nobody);
        }
    }

    /// What the trail does not name goes on.
    #[test]
    fn with_the_trail_people_and_what_they_use_keep_their_standing(after in prop::collection::vec(deed(), 0..12)) {
        let mut truth = Model::new();
        let backup = truth.clone();
        let mut since = Since::default();
        for (i, deed) in after.iter().enumerate() {
            let when = at(1 + i64::try_from(i).unwrap());
            if let Some(event) = truth.carry_out(deed, when) {
                since.note(&event).unwrap();
            }
        }
        let restored = backup.restored(&restoration(Loss::Known(Box::new(since))));
        prop_assert_eq!(restored.users, truth.users);
        for (restored, truth) in restored.clients.iter().zip(&truth.clients) {
            prop_assert!(truth.version > 0 || restored.works() == truth.works());
        }
    }
}
