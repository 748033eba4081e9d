//! Whatever is asked, with whatever credential: nothing outside of what was granted is touched or told. A model of a few lines
//! says what must come of each call, and the server is held against it.

use doorward_resource_server::{Allowance, NodePath};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::house::{ALL, House, User, allowance, text};

const PLACES: [&str; 6] = ["", "a", "a/b", "a/b/c", "a/bc", "x/b"];
const SESSIONS: [&str; 2] = ["one", "two"];
const UNKNOWN: &str = "art_0000000000000000";

#[derive(Clone, Debug)]
enum Deed {
    Store(usize, usize),
    /// A tool that takes one artifact.
    Ask(usize, usize),
    Read(usize),
    Move(usize, usize),
    Seal(usize),
    List(usize),
    Sessions,
}

/// The tools that take one artifact, and what each needs.
const ASKED: [(&str, &str); 5] = [
    ("get_artifact", "artifacts:read"),
    ("get_artifact_download_url", "artifacts:read"),
    ("complete_upload", "artifacts:create"),
    ("create_download_link", "artifacts:share"),
    ("delete_artifact", "artifacts:delete"),
];

struct Item {
    id: String,
    place: usize,
    session: usize,
    deleted: bool,
}

#[derive(Default)]
struct World {
    items: Vec<Item>,
    sealed: [bool; 2],
}

fn deeds() -> impl Strategy<Value = Vec<(Allowance, Deed)>> {
    let place = || 0..PLACES.len();
    let any = || 0..8_usize;
    let deed = prop_oneof![
        3 => (place(), 0..2_usize).prop_map(|(place, session)| Deed::Store(place, session)),
        4 => (0..ASKED.len(), any()).prop_map(|(tool, item)| Deed::Ask(tool, item)),
        1 => any().prop_map(Deed::Read),
        3 => (any(), place()).prop_map(|(item, place)| Deed::Move(item, place)),
        1 => (0..2_usize).prop_map(Deed::Seal),
        1 => place().prop_map(Deed::List),
        1 => Just(Deed::Sessions),
    ];
    let atoms: Vec<_> = ALL.split(' ').collect();
    let atoms = move || proptest::sample::subsequence(atoms.clone(), 0..=5).prop_map(|atoms| atoms.join(" "));
    let granted = proptest::collection::vec((place(), atoms()), 1..4).prop_map(|granted| {
        let granted: Vec<_> = granted.iter().map(|(place, atoms)| (PLACES[*place], atoms.as_str())).collect();
        allowance(&granted)
    });
    proptest::collection::vec((granted, deed), 30..50)
}

fn may(granted: &Allowance, permission: &str, place: usize) -> bool {
    let node = NodePath::parse(PLACES[place]).ok();
    granted.allows(permission, node.as_ref())
}

fn somewhere(granted: &Allowance, permission: &str) -> bool {
    granted.atoms().contains(permission)
}

/// What must come of asking for something that lies in `place`; `unknown` is said of what does not exist.
fn verdict<'a>(granted: &Allowance, permission: &str, place: usize, unknown: &'a str) -> &'a str {
    if may(granted, permission, place) {
        "ok"
    } else if !somewhere(granted, permission) || may(granted, "artifacts:read", place) {
        "insufficient_scope"
    } else {
        unknown
    }
}

impl World {
    /// One artifact, or none when there is none yet.
    fn pick(&self, at: usize) -> Option<usize> {
        (!self.items.is_empty()).then(|| at % self.items.len())
    }

    async fn store(&mut self, user: &User<'_>, granted: &Allowance, place: usize, session: usize) {
        let mut arguments = json!({ "filename": "f", "content": "eA", "session_id": SESSIONS[session] });
        if !PLACES[place].is_empty() {
            arguments["folder"] = json!(PLACES[place]);
        } else if !may(granted, "artifacts:create", place) {
            // Without a name the server chooses, which another test looks at.
            return;
        }
        let answer = user.answer("store_artifact", arguments).await;
        let expected = match verdict(granted, "artifacts:create", place, "folder_not_found") {
            "ok" if self.sealed[session] => "session_sealed",
            other => other,
        };
        assert_eq!(answer["_meta"]["code"], json!(expected), "{granted:?} in {:?}: {answer}", PLACES[place]);
        if expected == "ok" {
            let id = text(&answer["structuredContent"], "artifact_id").to_owned();
            self.items.push(Item { id, place, session, deleted: false });
        }
    }

    async fn ask(&mut self, user: &User<'_>, granted: &Allowance, tool: usize, item: usize) {
        let (name, permission) = ASKED[tool];
        let item = &mut self.items[item];
        let answer = user.answer(name, json!({ "artifact_id": item.id })).await;
        let expected = match verdict(granted, permission, item.place, "artifact_not_found") {
            "ok" if item.deleted && name != "delete_artifact" => "artifact_already_deleted",
            other => other,
        };
        assert_eq!(
            answer["_meta"]["code"],
            json!(expected),
            "{name} {granted:?} in {:?}",
            PLACES[item.place]
        );
        if expected == "artifact_not_found" {
            assert_eq!(answer, user.answer(name, json!({ "artifact_id": UNKNOWN })).await);
        }
        item.deleted |= expected == "ok" && name == "delete_artifact";
    }

    async fn read(&self, user: &User<'_>, granted: &Allowance, item: usize) {
        let item = &self.items[item];
        let answer = user.read(&item.id).await;
        if may(granted, "artifacts:read", item.place) && !item.deleted {
            assert_eq!(answer["result"]["contents"][0]["blob"], json!("eA=="), "{answer}");
        } else if !may(granted, "artifacts:read", item.place) {
            assert_eq!(answer, user.read(UNKNOWN).await, "{granted:?}");
        } else {
            assert_eq!(answer["error"]["data"]["code"], json!("artifact_already_deleted"));
        }
    }

    async fn relocate(&mut self, user: &User<'_>, granted: &Allowance, item: usize, place: usize) {
        let item = &mut self.items[item];
        let (status, body) = user.relocate(&item.id, PLACES[place]).await;
        let from = verdict(granted, "artifacts:update", item.place, "artifact_not_found");
        let expected = match (from, verdict(granted, "artifacts:update", place, "folder_not_found")) {
            ("ok", _) if item.deleted => "artifact_already_deleted",
            ("ok", to) => to,
            (from, _) => from,
        };
        let code = if status == 200 { "ok" } else { text(&body, "code") };
        assert_eq!(code, expected, "{granted:?} {:?} to {:?}", PLACES[item.place], PLACES[place]);
        if expected == "artifact_not_found" {
            assert_eq!((status, body), user.relocate(UNKNOWN, PLACES[place]).await);
        } else if status == 200 {
            item.place = place;
        }
    }

    async fn seal(&mut self, user: &User<'_>, granted: &Allowance, session: usize) {
        let places: Vec<_> =
            self.items.iter().filter(|item| item.session == session).map(|item| item.place).collect();
        let all = |permission| places.iter().all(|&place| may(granted, permission, place));
        let expected = if !somewhere(granted, "artifacts:delete") {
            "insufficient_scope"
        } else if !places.is_empty() && all("artifacts:delete") {
            "ok"
        } else if places.iter().any(|&place| may(granted, "artifacts:read", place)) {
            "insufficient_scope"
        } else {
            "session_not_found"
        };
        let answer = user.answer("seal_session", json!({ "session_id": SESSIONS[session] })).await;
        assert_eq!(answer["_meta"]["code"], json!(expected), "{granted:?} {places:?}");
        self.sealed[session] |= expected == "ok";
    }

    /// What `granted` may read of what is not deleted, newest first.
    fn readable(&self, granted: &Allowance) -> impl Iterator<Item = &Item> {
        let seen = |item: &&Item| may(granted, "artifacts:read", item.place) && !item.deleted;
        self.items.iter().rev().filter(seen)
    }

    async fn list(&self, user: &User<'_>, granted: &Allowance, place: usize) {
        if !somewhere(granted, "artifacts:read") {
            return;
        }
        let node = NodePath::parse(PLACES[place]).ok();
        let below = |item: &&Item| {
            let at = NodePath::parse(PLACES[item.place]).ok();
            node.as_ref().is_none_or(|node| at.is_some_and(|at| node.covers(&at)))
        };
        let expected: Vec<_> = self.readable(granted).filter(below).map(|item| item.id.clone()).collect();
        let filter = node.as_ref().map_or(json!({}), |node| json!({ "folder": node }));
        assert_eq!(user.listed(filter).await, expected, "{granted:?} in {:?}", PLACES[place]);
        // In pages it is the same.
        let (mut seen, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let mut arguments = json!({ "limit": 2 });
            if !cursor.is_null() {
                arguments["cursor"] = cursor;
            }
            let page = user.ok("list_artifacts", arguments).await;
            seen.extend(
                page["artifacts"].as_array().unwrap().iter().map(|item| text(item, "artifact_id").to_owned()),
            );
            cursor = page["next_cursor"].clone();
            if cursor.is_null() {
                break;
            }
        }
        assert_eq!(seen, self.readable(granted).map(|item| item.id.clone()).collect::<Vec<_>>());
        let used = user.ok("whoami", json!({})).await["usage_storage_bytes"].clone();
        assert_eq!(used, json!(seen.len()), "one byte each");
    }

    async fn sessions(&self, user: &User<'_>, granted: &Allowance) {
        if !somewhere(granted, "artifacts:read") {
            return;
        }
        let list = user.ok("list_sessions", json!({})).await;
        let list = list["sessions"].as_array().unwrap();
        for (session, name) in SESSIONS.iter().enumerate() {
            let seen: Vec<_> = self
                .items
                .iter()
                .filter(|item| item.session == session && may(granted, "artifacts:read", item.place))
                .collect();
            let found = list.iter().find(|one| one["session_id"] == json!(name));
            assert_eq!(found.is_some(), !seen.is_empty(), "{granted:?}");
            let count = seen.iter().filter(|item| !item.deleted).count();
            assert!(found.is_none_or(|found| found["artifact_count"] == json!(count)), "{granted:?}");
        }
    }
}

async fn live(deeds: Vec<(Allowance, Deed)>) {
    let house = House::start().await;
    let mut world = World::default();
    for (granted, deed) in deeds {
        let user = house.holder("acme", "alice", &granted, Some("key"));
        let user = &user;
        match deed {
            Deed::Store(place, session) => world.store(user, &granted, place, session).await,
            Deed::Seal(session) => world.seal(user, &granted, session).await,
            Deed::List(place) => world.list(user, &granted, place).await,
            Deed::Sessions => world.sessions(user, &granted).await,
            Deed::Ask(tool, item) => {
                if let Some(item) = world.pick(item) {
                    world.ask(user, &granted, tool, item).await;
                }
            }
            Deed::Read(item) => {
                if let Some(item) = world.pick(item) {
                    world.read(user, &granted, item).await;
                }
            }
            Deed::Move(item, place) => {
                if let Some(item) = world.pick(item) {
                    world.relocate(user, &granted, item, place).await;
                }
            }
        }
    }
    // In the end everything is as the model says: nothing was touched that was not granted.
    let everything = allowance(&[("", ALL)]);
    let admin = house.holder("acme", "alice", &everything, None);
    for item in &world.items {
        let answer = admin.answer("get_artifact", json!({ "artifact_id": item.id })).await;
        if item.deleted {
            assert_eq!(answer["_meta"]["code"], json!("artifact_already_deleted"));
        } else {
            let folder = answer["structuredContent"]["folder"].as_str().unwrap_or_default();
            assert_eq!(folder, PLACES[item.place]);
        }
    }
    world.list(&admin, &everything, 0).await;
    world.sessions(&admin, &everything).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn no_call_reaches_beyond_what_was_granted(deeds in deeds()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(live(deeds));
    }
}
