use std::collections::BTreeSet;

use doorward_resource_server::Allowance;
use doorward_shared::{permission::PermissionModel, scope::Scope};
use serde_json::json;

use super::*;

fn caller(scope: &str) -> Caller {
    Caller {
        organization: "org".to_owned(),
        subject: "alice".to_owned(),
        client_id: "client".to_owned(),
        grant: "grant".to_owned(),
        token_id: "token".to_owned(),
        key_id: None,
        issued_at: Timestamp::from_seconds(0),
        allowance: Allowance::everywhere(Scope::parse(scope).unwrap()),
        credential: None,
        api_key_last_4: None,
    }
}

fn names(scope: &str) -> Vec<String> {
    visible(&caller(scope)).iter().map(|tool| tool.name.to_string()).collect()
}

#[test]
fn the_table_is_what_people_have_agreed_to() {
    let rows: Vec<_> = TOOLS.iter().map(|row| (row.name, row.permission, row.effect)).collect();
    assert_eq!(
        rows,
        [
            ("whoami", "artifacts:read", Effect::Reads),
            ("list_artifacts", "artifacts:read", Effect::Reads),
            ("get_artifact", "artifacts:read", Effect::Reads),
            ("get_artifact_download_url", "artifacts:read", Effect::Reads),
            ("list_sessions", "artifacts:read", Effect::Reads),
            ("store_artifact", "artifacts:create", Effect::AddsOnce),
            ("request_upload_url", "artifacts:create", Effect::Adds),
            ("complete_upload", "artifacts:create", Effect::AddsOnce),
            ("create_download_link", "artifacts:share", Effect::Destroys),
            ("delete_artifact", "artifacts:delete", Effect::DestroysOnce),
            ("seal_session", "artifacts:delete", Effect::DestroysOnce),
        ]
    );
}

#[test]
fn the_tiers_open_5_8_and_11_tools() {
    let model = PermissionModel::artifacts();
    let scope = |tier: &str| model.expand([tier]).unwrap().to_string();
    assert_eq!(
        names(&scope("read")),
        ["whoami", "list_artifacts", "get_artifact", "get_artifact_download_url", "list_sessions"]
    );
    let counts = ["read", "write", "destroy"].map(|tier| names(&scope(tier)).len());
    assert_eq!(counts, [5, 8, 11]);
}

#[test]
fn the_table_and_the_registered_model_agree_on_every_tool() {
    let model = PermissionModel::artifacts();
    for tier in model.tiers() {
        let scope = model.expand([tier.id.as_str()]).unwrap().to_string();
        let ours: BTreeSet<_> = names(&scope).into_iter().collect();
        let registered: BTreeSet<_> = model.tools_of(tier).map(str::to_owned).collect();
        assert_eq!(ours, registered, "{}", tier.id);
    }
}

#[test]
fn without_a_permission_of_this_server_there_is_no_tool() {
    for scope in ["", "openid profile email", "artifacts:update", "artifacts:readx", "other:read"] {
        assert!(names(scope).is_empty(), "{scope:?}");
        assert_eq!(
            permitted(&caller(scope), "whoami").err().map(|refusal| refusal.code()),
            Some(Code::InsufficientScope)
        );
    }
}

#[test]
fn an_ungranted_tool_is_refused_with_the_name_of_its_permission() {
    let refusal = permitted(&caller("artifacts:read"), "store_artifact").err().unwrap();
    assert_eq!(refusal.code(), Code::InsufficientScope);
    assert!(refusal.message().contains("artifacts:create") && refusal.message().contains("consent page"));
}

#[test]
fn a_name_that_is_no_tool_learns_nothing() {
    for name in ["drop_everything", "", "WHOAMI", "whoami ", "store_artifact\0"] {
        let refusal = permitted(&caller("artifacts:read artifacts:create"), name).err().unwrap();
        assert_eq!(refusal.code(), Code::InsufficientScope);
        assert!(!refusal.message().contains("artifacts:"), "{name:?}");
    }
}

#[test]
fn annotations_say_what_a_tool_does() {
    let tools = visible(&caller("artifacts:read artifacts:create artifacts:share artifacts:delete"));
    assert_eq!(tools.len(), 11);
    for (tool, row) in tools.iter().zip(&TOOLS) {
        let hints = serde_json::to_value(tool.annotations.as_ref().unwrap()).unwrap();
        assert_eq!(hints["readOnlyHint"], json!(row.permission == READ), "{}", row.name);
        assert_eq!(hints["destructiveHint"], json!(matches!(row.permission, SHARE | DELETE)), "{}", row.name);
        assert_eq!(hints["openWorldHint"], json!(false));
    }
    let once = |name: &str| {
        tools.iter().find(|tool| tool.name == name).unwrap().annotations.clone().unwrap().is_idempotent()
    };
    assert!(
        once("store_artifact")
            && once("delete_artifact")
            && !once("request_upload_url")
            && !once("create_download_link")
    );
}

#[test]
fn every_schema_is_a_closed_object_with_single_types() {
    for row in &TOOLS {
        let schemas = (row.schemas)();
        assert_eq!(schemas.input.get("type"), Some(&json!("object")), "{}", row.name);
        assert_eq!(schemas.input.get("additionalProperties"), Some(&json!(false)), "{}", row.name);
        assert_eq!(schemas.output.get("type"), Some(&json!("object")), "{}", row.name);
        let properties =
            schemas.input.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        for (name, property) in properties {
            assert!(property["type"].is_string(), "{}: {name}: {property}", row.name);
            assert!(property["description"].is_string(), "{}: {name}", row.name);
        }
    }
}

#[test]
fn the_schemas_stay_as_they_are() {
    let schema = Value::Object((*(TOOLS[5].schemas)().input).clone());
    assert_eq!(schema["required"], json!(["filename", "content"]));
    assert_eq!(schema["properties"]["session_id"]["pattern"], json!(crate::ids::SessionId::PATTERN));
    let schema = Value::Object((*(TOOLS[1].schemas)().input).clone());
    assert_eq!(schema["properties"]["limit"]["maximum"], json!(200));
    assert_eq!(schema.get("required"), None);
}
