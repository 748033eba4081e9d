//! Lists in pages, filters, sessions.

use std::collections::HashSet;

use crate::house::{House, User, content, text, with};
use doorward_shared::time::Seconds;
use serde_json::{Map, Value, json};

/// Walks all pages, and does something between two of them.
async fn walk(
    user: &User<'_>,
    tool: &str,
    list: &str,
    limit: usize,
    between: impl AsyncFn(usize),
) -> Vec<Value> {
    let (mut items, mut cursor, mut page) = (Vec::new(), Value::Null, 0);
    loop {
        let answer = user.ok(tool, json!({ "limit": limit, "cursor": cursor })).await;
        let found = answer[list].as_array().unwrap();
        assert!(found.len() <= limit);
        items.extend(found.iter().cloned());
        cursor = answer["next_cursor"].clone();
        assert_eq!(answer["has_more"], json!(!cursor.is_null()));
        if cursor.is_null() {
            return items;
        }
        assert_eq!(found.len(), limit, "only the last page is shorter");
        page += 1;
        between(page).await;
    }
}

#[tokio::test]
async fn pages_hold_every_item_once_while_items_are_added_and_deleted() {
    let house = House::start().await;
    let alice = house.user("alice");
    let mut stored = Vec::new();
    for i in 0..65 {
        stored.push(alice.store(&format!("{i}.txt"), b"x").await);
    }
    let seen = walk(&alice, "list_artifacts", "artifacts", 10, async |page| {
        alice.store(&format!("new-{page}.txt"), b"x").await;
        // What a reader has seen can go without disturbing what is to come, the last item of a page included.
        alice.ok("delete_artifact", json!({ "artifact_id": stored[65 - page * 10] })).await;
    })
    .await;
    let ids: Vec<_> = seen.iter().map(|item| text(item, "artifact_id").to_owned()).collect();
    let expected: Vec<_> = stored.iter().rev().cloned().collect();
    assert_eq!(ids, expected, "newest first, nothing twice, nothing left out, nothing new in between");
}

#[tokio::test]
async fn a_page_has_50_items_unless_said_otherwise() {
    let house = House::start().await;
    let alice = house.user("alice");
    for i in 0..51 {
        alice.store(&format!("{i}.txt"), b"").await;
    }
    let first = alice.ok("list_artifacts", json!({})).await;
    assert_eq!((first["artifacts"].as_array().unwrap().len(), &first["has_more"]), (50, &json!(true)));
    let all = alice.ok("list_artifacts", json!({ "limit": 200 })).await;
    assert_eq!(
        (all["artifacts"].as_array().unwrap().len(), &all["has_more"], &all["next_cursor"]),
        (51, &json!(false), &Value::Null)
    );
    for limit in [json!(0), json!(201), json!(-1), json!("10"), json!(1.5)] {
        assert_eq!(
            alice.refused("list_artifacts", json!({ "limit": limit })).await,
            "invalid_request",
            "{limit}"
        );
    }
}

#[tokio::test]
async fn filters_narrow_the_list() {
    let house = House::start().await;
    let alice = house.user("alice");
    for (name, more) in [
        ("a.txt", json!({ "session_id": "s1", "agent_id": "x", "metadata": { "job": "1", "kind": "log" } })),
        ("b.txt", json!({ "session_id": "s1", "agent_id": "y", "metadata": { "job": "1" } })),
        ("a.txt", json!({ "session_id": "s2", "content_type": "text/markdown" })),
    ] {
        alice.ok("store_artifact", with(content(name, b"x"), more)).await;
        house.advance(Seconds::hours(1));
    }
    for (filter, count) in [
        (json!({}), 3),
        (json!({ "session_id": "s1" }), 2),
        (json!({ "agent_id": "y" }), 1),
        (json!({ "filename": "a.txt" }), 2),
        (json!({ "filename": "A.TXT" }), 0),
        (json!({ "content_type": "text/markdown" }), 1),
        (json!({ "metadata": { "job": "1" } }), 2),
        (json!({ "metadata": { "job": "1", "kind": "log" } }), 1),
        (json!({ "metadata": { "job": "2" } }), 0),
        (json!({ "metadata": { "job": "') or 1=1 --" } }), 0),
        (json!({ "session_id": "s1", "filename": "a.txt" }), 1),
        (json!({ "filename": "' or 1=1 --" }), 0),
        (json!({ "created_after": "2026-11-21T00:30:00Z" }), 2),
        (json!({ "created_before": "2026-11-21T01:30:00+00:00" }), 2),
        (json!({ "created_after": "2026-11-21T00:30:00Z", "created_before": "2026-11-21T01:30:00Z" }), 1),
    ] {
        let list = alice.ok("list_artifacts", filter.clone()).await;
        assert_eq!(list["artifacts"].as_array().unwrap().len(), count, "{filter}");
    }
    assert_eq!(
        alice.refused("list_artifacts", json!({ "created_after": "yesterday" })).await,
        "invalid_request"
    );
    assert_eq!(alice.refused("list_artifacts", json!({ "filenames": "a" })).await, "invalid_request");
}

#[tokio::test]
async fn a_filter_that_no_artifact_could_match_is_refused_unasked() {
    let house = House::start().await;
    let alice = house.user("alice");
    alice.store("a.txt", b"x").await;
    let long = "x".repeat(1025);
    let many: Map<_, _> = (0..65).map(|i| (format!("k{i}"), json!(""))).collect();
    for filter in [
        json!({ "metadata": many }),
        json!({ "metadata": { "job": long } }),
        json!({ "metadata": { "job') or 1=1 --": "1" } }),
        json!({ "session_id": long }),
        json!({ "session_id": "' or 1=1 --" }),
        json!({ "agent_id": long }),
        json!({ "filename": long }),
        json!({ "content_type": long }),
        json!({ "created_after": format!("2026-11-21T00:30:00.{}Z", "0".repeat(1024)) }),
        json!({ "cursor": long }),
    ] {
        assert_eq!(alice.refused("list_artifacts", filter.clone()).await, "invalid_request", "{filter}");
    }
}

#[tokio::test]
async fn sessions_are_listed_in_pages_with_their_counts() {
    let house = House::start().await;
    let alice = house.user("alice");
    let mut expected = Vec::new();
    for i in 0..62 {
        let session = json!({ "session_id": format!("run-{i}") });
        alice.ok("store_artifact", with(content("a.txt", b"x"), session)).await;
        expected.insert(0, format!("run-{i}"));
    }
    let seen = walk(&alice, "list_sessions", "sessions", 7, async |page| {
        // Use of an old session and birth of a new one move nothing.
        for session in ["run-0".to_owned(), format!("new-{page}")] {
            alice.ok("store_artifact", with(content("b.txt", b"x"), json!({ "session_id": session }))).await;
        }
    })
    .await;
    let ids: Vec<_> = seen.iter().map(|item| text(item, "session_id").to_owned()).collect();
    assert_eq!(ids, expected);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 62);
    assert_eq!(
        seen[61]["artifact_count"],
        json!(9),
        "run-0 has its own and one of each of 8 turns of a page"
    );
}

#[tokio::test]
async fn a_seal_is_for_good() {
    let house = House::start().await;
    let alice = house.user("alice");
    let run = json!({ "session_id": "run" });
    assert_eq!(alice.refused("seal_session", run.clone()).await, "session_not_found");
    let stored = alice.ok("store_artifact", with(content("a.txt", b"x"), run.clone())).await;
    let sealed = alice.ok("seal_session", run.clone()).await;
    assert_eq!(
        (&sealed["status"], &sealed["already_sealed"], &sealed["artifact_count"]),
        (&json!("sealed"), &json!(false), &json!(1))
    );
    assert_eq!(
        alice.refused("store_artifact", with(content("b.txt", b"x"), run.clone())).await,
        "session_sealed"
    );
    assert_eq!(house.scratch.blobs().len(), 1, "what was refused left nothing behind");
    house.advance(Seconds::hours(1));
    let again = alice.ok("seal_session", run.clone()).await;
    assert_eq!((&again["already_sealed"], &again["sealed_at"]), (&json!(true), &sealed["sealed_at"]));
    // Deleting everything in it does not open it.
    alice.ok("delete_artifact", json!({ "artifact_id": stored["artifact_id"] })).await;
    assert_eq!(alice.refused("store_artifact", with(content("c.txt", b"x"), run)).await, "session_sealed");
    let open = alice.ok("list_sessions", json!({ "sealed": false })).await;
    let closed = alice.ok("list_sessions", json!({ "sealed": true })).await;
    assert_eq!(open["sessions"], json!([]));
    assert_eq!(
        (&closed["sessions"][0]["is_sealed"], &closed["sessions"][0]["artifact_count"]),
        (&json!(true), &json!(0))
    );
}

#[tokio::test]
async fn a_seal_that_races_with_stores_lets_nothing_in_behind_it() {
    let house = House::start().await;
    let alice = house.user("alice");
    let run = json!({ "session_id": "run" });
    alice.ok("store_artifact", with(content("first.txt", b"x"), run.clone())).await;
    let calls = futures_util::future::join_all((0..16).map(|i| {
        alice.call("store_artifact", with(content(&format!("{i}.txt"), b"x"), json!({ "session_id": "run" })))
    }));
    let (stored, sealed) = tokio::join!(calls, alice.ok("seal_session", run.clone()));
    let let_in = stored.iter().filter(|result| result["isError"] == json!(false)).count();
    let after = alice.ok("seal_session", run).await;
    assert_eq!(after["artifact_count"], sealed["artifact_count"], "nothing came in after the seal");
    assert_eq!(after["artifact_count"], json!(let_in + 1));
}
