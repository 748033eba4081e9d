//! What a token may see and do: the gate at the list and at the call, and the resources behind it.

use serde_json::{Value, json};

use crate::house::{ALL, House, User, content, text, with};

const READ: &str = "openid artifacts:read";
const WRITE: &str = "artifacts:read artifacts:create artifacts:update";
const TOOLS: [&str; 11] = [
    "whoami",
    "list_artifacts",
    "get_artifact",
    "get_artifact_download_url",
    "list_sessions",
    "store_artifact",
    "request_upload_url",
    "complete_upload",
    "create_download_link",
    "delete_artifact",
    "seal_session",
];

async fn names(user: &User<'_>) -> Vec<String> {
    let answer = user.rpc("tools/list", json!({})).await;
    answer["result"]["tools"].as_array().unwrap().iter().map(|tool| text(tool, "name").to_owned()).collect()
}

#[tokio::test]
async fn each_tier_lists_exactly_its_tools() {
    let house = House::start().await;
    for (scope, count) in [(READ, 5), (WRITE, 8), (ALL, 11)] {
        assert_eq!(names(&house.caller("acme", "alice", scope)).await, TOOLS[..count], "{scope}");
    }
}

#[tokio::test]
async fn a_hidden_tool_cannot_be_called_by_its_name() {
    let house = House::start().await;
    let alice = house.user("alice");
    let id = alice.store("a.txt", b"x").await;
    let id = id.as_str();
    let permissions = [(5..8, "artifacts:create"), (8..9, "artifacts:share"), (9..11, "artifacts:delete")];
    for (scope, granted) in [(READ, 5), (WRITE, 8)] {
        let caller = house.caller("acme", "alice", scope);
        for (i, tool) in TOOLS.iter().enumerate().skip(granted) {
            // Arguments that would work: the gate comes before them.
            let arguments = json!({ "artifact_id": id });
            let result = caller.call(tool, arguments).await;
            assert_eq!(result["isError"], json!(true));
            assert_eq!(result["_meta"]["code"], json!("insufficient_scope"), "{tool}");
            assert_eq!(result["_meta"]["status"], json!(403));
            let missing = permissions.iter().find(|(tools, _)| tools.contains(&i)).unwrap().1;
            let said = text(&result["content"][0], "text");
            assert!(said.contains(missing) && said.contains("consent page at sign-in"), "{said}");
            assert!(result["structuredContent"].is_null());
        }
    }
    assert_eq!(alice.download(id).await, b"x", "nothing happened to it");
    let used = alice.ok("whoami", json!({})).await;
    assert_eq!(used["usage_requests_month"], json!(3), "what the gate refused was not counted");
}

#[tokio::test]
async fn a_made_up_tool_learns_nothing() {
    let house = House::start().await;
    for scope in ["", READ, ALL] {
        let result = house.caller("acme", "alice", scope).call("drop_everything", json!({})).await;
        assert_eq!(result["_meta"]["code"], json!("insufficient_scope"));
        let said = text(&result["content"][0], "text");
        assert!(!said.contains("artifacts:") && !said.contains("drop_everything"), "{said}");
    }
}

#[tokio::test]
async fn a_token_without_a_permission_sees_nothing_and_whoami_is_refused() {
    let house = House::start().await;
    house.user("alice").store("a.txt", b"x").await;
    for scope in ["", "openid profile", "artifacts:update", "other:read"] {
        let nobody = house.caller("acme", "alice", scope);
        assert_eq!(names(&nobody).await, Vec::<String>::new());
        assert_eq!(nobody.refused("whoami", json!({})).await, "insufficient_scope");
        assert_eq!(nobody.rpc("resources/list", json!({})).await["result"]["resources"], json!([]));
        let templates = nobody.rpc("resources/templates/list", json!({})).await;
        assert_eq!(templates["result"]["resourceTemplates"], json!([]));
        let read = nobody.rpc("resources/read", json!({ "uri": "artifacts://whoami" })).await;
        assert_eq!(read["error"]["data"]["code"], json!("insufficient_scope"));
        assert!(text(&read["error"], "message").contains("artifacts:read"));
        // The token itself is good.
        let hello = nobody.rpc("initialize", initialize("2025-11-25")).await;
        assert_eq!(hello["result"]["serverInfo"]["name"], json!("doorward-artifacts"));
    }
}

#[tokio::test]
async fn permissions_are_taken_one_by_one_and_not_by_tier() {
    let house = House::start().await;
    let writer = house.caller("acme", "alice", "artifacts:create");
    assert_eq!(names(&writer).await, TOOLS[5..8]);
    assert_eq!(writer.refused("whoami", json!({})).await, "insufficient_scope");
    writer.store("a.txt", b"x").await;
    assert_eq!(writer.rpc("resources/list", json!({})).await["result"]["resources"], json!([]));
    assert_eq!(names(&house.caller("acme", "alice", "artifacts:share")).await, TOOLS[8..9]);
}

#[tokio::test]
async fn tools_are_described_in_full() {
    let house = House::start().await;
    let answer = house.user("alice").rpc("tools/list", json!({})).await;
    for tool in answer["result"]["tools"].as_array().unwrap() {
        for member in ["title", "description"] {
            assert!(!text(tool, member).is_empty(), "{tool}");
        }
        assert_eq!(tool["inputSchema"]["type"], json!("object"));
        assert_eq!(tool["inputSchema"]["additionalProperties"], json!(false));
        assert_eq!(tool["outputSchema"]["type"], json!("object"));
        assert!(tool["annotations"]["readOnlyHint"].is_boolean());
    }
}

#[tokio::test]
async fn answers_have_every_member_of_their_schema() {
    let house = House::start().await;
    let alice = house.user("alice");
    let listed = alice.rpc("tools/list", json!({})).await;
    let schema = |tool: &str| {
        let tools = listed["result"]["tools"].as_array().unwrap();
        tools.iter().find(|one| one["name"] == json!(tool)).unwrap()["outputSchema"].clone()
    };
    let stored = with(content("a.txt", b"x"), json!({ "session_id": "s" }));
    let id = text(&alice.ok("store_artifact", stored.clone()).await, "artifact_id").to_owned();
    let upload = json!({ "filename": "u", "content_type": "text/plain", "size_bytes": 1 });
    for (tool, arguments) in [
        ("whoami", json!({})),
        ("list_artifacts", json!({})),
        ("get_artifact", json!({ "artifact_id": id })),
        ("get_artifact_download_url", json!({ "artifact_id": id })),
        ("list_sessions", json!({})),
        ("store_artifact", stored),
        ("request_upload_url", upload),
        ("complete_upload", json!({ "artifact_id": id })),
        ("create_download_link", json!({ "artifact_id": id })),
        ("seal_session", json!({ "session_id": "s" })),
        ("delete_artifact", json!({ "artifact_id": id })),
    ] {
        let (answer, schema) = (alice.ok(tool, arguments).await, schema(tool));
        let members: Vec<_> = answer.as_object().unwrap().keys().collect();
        let described: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
        assert_eq!(members, described, "{tool}");
        assert_eq!(schema["required"].as_array().unwrap().len(), members.len(), "{tool}");
    }
}

#[tokio::test]
async fn resources_are_ones_own_artifacts_in_pages() {
    let house = House::start().await;
    let alice = house.user("alice");
    let first = alice.rpc("resources/list", json!({})).await;
    assert_eq!(
        first["result"]["resources"][0]["uri"],
        json!("artifacts://whoami"),
        "the list is never empty"
    );
    let mut ids = Vec::new();
    for i in 0..103 {
        ids.insert(0, alice.store(&format!("{i}.txt"), b"x").await);
    }
    let upload = json!({ "filename": "u", "content_type": "text/plain", "size_bytes": 1 });
    alice.ok("request_upload_url", upload).await;
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let page = alice
            .rpc("resources/list", if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) })
            .await;
        seen.extend(
            page["result"]["resources"].as_array().unwrap().iter().map(|item| text(item, "uri").to_owned()),
        );
        cursor = page["result"]["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(seen.remove(0), "artifacts://whoami");
    assert_eq!(seen, ids.iter().map(|id| format!("artifacts://artifact/{id}")).collect::<Vec<_>>());
    let wrong = alice.rpc("resources/list", json!({ "cursor": "nonsense" })).await;
    assert_eq!(wrong["error"]["code"], json!(-32602));
}

#[tokio::test]
async fn a_resource_is_read_as_text_or_as_base64() {
    let house = House::start().await;
    let alice = house.user("alice");
    let read = async |id: &str| {
        let uri = format!("artifacts://artifact/{id}");
        let answer = alice.rpc("resources/read", json!({ "uri": uri })).await;
        assert_eq!(answer["result"]["contents"][0]["uri"], json!(uri), "{answer}");
        answer["result"]["contents"][0].clone()
    };
    let note = read(&alice.store("note.md", "grüße".as_bytes()).await).await;
    assert_eq!((&note["text"], &note["mimeType"]), (&json!("grüße"), &json!("text/markdown")));
    // Declared as text, but none; and text, but not declared so.
    for (name, bytes, base64) in [("bad.txt", &b"\xFF\xFE"[..], "//4="), ("a.png", b"abc", "YWJj")] {
        assert_eq!(read(&alice.store(name, bytes).await).await["blob"], json!(base64), "{name}");
    }
    let me = alice.rpc("resources/read", json!({ "uri": "artifacts://whoami" })).await;
    let me: Value = serde_json::from_str(text(&me["result"]["contents"][0], "text")).unwrap();
    assert_eq!(me["tenant_name"], json!("acme"));
    for uri in
        ["artifacts://artifact/art_0000000000000000", "artifacts://artifact/../x", "file:///etc/passwd", ""]
    {
        let answer = alice.rpc("resources/read", json!({ "uri": uri })).await;
        assert_eq!(answer["error"]["code"], json!(-32002), "{uri}: {answer}");
    }
}

fn initialize(version: &str) -> Value {
    json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } })
}

#[tokio::test]
async fn every_revision_of_the_protocol_is_spoken() {
    let house = House::start().await;
    let alice = house.user("alice");
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let hello = alice.rpc("initialize", initialize(version)).await;
        assert_eq!(hello["result"]["protocolVersion"], json!(version));
        let capabilities = &hello["result"]["capabilities"];
        assert!(capabilities["tools"].is_object() && capabilities["resources"].is_object());
        let message = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
        let request = alice.post().header("mcp-protocol-version", version).json(&message);
        let answer: Value = request.send().await.unwrap().json().await.unwrap();
        assert_eq!(answer["result"]["tools"].as_array().unwrap().len(), 11, "{version}");
    }
    // From 2026-07-28 on there is no handshake: every request says what it speaks.
    let message = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "whoami", "arguments": {}, "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" },
    } } });
    let request = alice
        .post()
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "whoami")
        .json(&message);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["result"]["structuredContent"]["subject"], json!("alice"), "{answer}");
}
