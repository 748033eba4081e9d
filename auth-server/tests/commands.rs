//! The commands as an operator and their scripts see them: exit codes, standard output, standard error.

mod bench;

use serde_json::{Value, json};

use self::bench::{Bench, Ended};

impl Bench {
    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_with("", arguments, &[])
    }

    fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).printed()
    }

    fn refused(&self, arguments: &[&str]) -> String {
        self.run(arguments).refusal()
    }

    fn create_user(&self, email: &str, password: &str) -> Ended {
        self.run_with(password, &["user", "create", "--email", email, "--password-stdin", "--json"], &[])
    }
}

#[test]
fn people_are_managed_before_the_first_start() {
    let bench = Bench::new("users");
    assert_eq!(bench.json(&["user", "list"]), json!([]));
    let created = bench.create_user("Alice@Example.test", "correct horse battery\n");
    assert_eq!(created.code, 0, "{}", created.stderr);
    assert!(!created.stdout.contains("correct"), "the password is never printed");

    let again = bench.create_user("alice@example.test", "correct horse battery");
    assert_eq!(again.code, 1);
    assert!(again.stderr.contains("already"), "{}", again.stderr);
    for (password, reason) in
        [("", "no password on standard input"), ("\n", "no password"), ("short", "at least")]
    {
        let refused = bench.create_user("bob@example.test", password);
        assert_eq!(refused.code, 1);
        assert!(refused.stderr.contains(reason), "{}", refused.stderr);
    }

    assert_eq!(bench.json(&["user", "disable", "ALICE@example.test"])["disabled"], true);
    let users = bench.json(&["user", "list"]);
    assert_eq!(users.as_array().unwrap().len(), 1, "a refused command left nothing behind");
    assert_eq!(users[0]["email"], "alice@example.test");
    assert_eq!(users[0]["disabled"], true);
    assert_eq!(users[0]["admin"], false);
    assert_eq!(bench.json(&["user", "enable", "alice@example.test"])["disabled"], false);
    assert!(bench.refused(&["user", "disable", "bob@example.test"]).contains("user list"));
}

#[test]
fn a_resource_servers_credentials_are_printed_once_and_as_its_file_wants_them() {
    let bench = Bench::new("resources");
    let add = ["resource", "add", "--url", "http://localhost:9100/mcp", "--name", "Artifacts"];
    let credentials = bench.json(&add);
    let members: Vec<_> = credentials.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["access", "client_id", "client_secret", "resource"]);
    assert_eq!(credentials["access"], "everyone");
    assert_eq!(credentials["resource"], "http://localhost:9100/mcp");
    assert!(credentials["client_id"].as_str().unwrap().starts_with("rs_"));

    assert!(bench.refused(&add).contains("registered already"));
    let shown = bench.run(&["resource", "show", "http://LOCALHOST:9100/mcp/", "--json"]);
    assert!(!shown.stdout.contains(credentials["client_secret"].as_str().unwrap()));
    let shown: Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(shown["model"]["tiers"][0]["id"], "read");
    assert_eq!(bench.json(&["resource", "list"]).as_array().unwrap().len(), 1);
    assert_eq!(bench.json(&["resource", "remove", "http://localhost:9100/mcp"])["removed"], true);
    assert!(bench.refused(&["resource", "show", "http://localhost:9100/mcp"]).contains("resource list"));
}

#[test]
fn a_permission_model_comes_from_a_toml_or_a_json_file() {
    let bench = Bench::new("models");
    let toml = "[[permissions]]\nname = \"wiki:read\"\ntools = [\"search\"]\n\n[[tiers]]\nid = \"read\"\ntitle = \"Read\"\n\
                sentence = \"Search the wiki.\"\npermissions = [\"wiki:read\"]\n";
    let json = json!({
        "permissions": [{ "name": "wiki:read", "tools": ["search"] }],
        "tiers": [{ "id": "read", "title": "Read", "sentence": "Search the wiki.", "permissions": ["wiki:read"] }],
    });
    std::fs::write(bench.0.join("model.toml"), toml).unwrap();
    std::fs::write(bench.0.join("model.json"), json.to_string()).unwrap();
    std::fs::write(bench.0.join("broken.toml"), toml.replace("permissions = [", "permits = [")).unwrap();
    for (file, url) in [("model.toml", "https://a.test/mcp"), ("model.json", "https://b.test/mcp")] {
        bench.json(&["resource", "add", "--url", url, "--name", "Wiki", "--model", file]);
        let shown = bench.json(&["resource", "show", url]);
        assert_eq!(shown["model"]["permissions"], json["permissions"]);
    }
    for file in ["broken.toml", "missing.toml"] {
        let add = ["resource", "add", "--url", "https://c.test/mcp", "--name", "Wiki", "--model", file];
        assert!(bench.refused(&add).contains(file));
    }
}

fn create<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["client", "create", "--name", "Script", "--redirect-uri"], more].concat()
}

#[test]
fn clients_get_what_was_asked_for_and_a_secret_only_once() {
    let bench = Bench::new("clients");
    let public = bench.json(&create(&["http://127.0.0.1/cb", "--public", "--client-id", "mine"]));
    assert_eq!(public["client_id"], "mine");
    assert_eq!(public["token_endpoint_auth_method"], "none");
    assert!(public.get("client_secret").is_none());

    let confidential =
        bench.json(&create(&["https://app.test/cb", "--confidential", "post", "--ceiling", "read"]));
    assert_eq!(confidential["token_endpoint_auth_method"], "client_secret_post");
    assert_eq!(confidential["label"], "registered");
    let secret = confidential["client_secret"].as_str().unwrap();
    let listed = bench.run(&["client", "list", "--json"]).stdout;
    assert!(!listed.contains(secret));
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap().as_array().unwrap().len(), 2);

    for (more, reason) in [
        (&["http://app.test/cb", "--public"][..], "use https"),
        (&["http://localhost:9000/cb", "--public"], "points to the authorization server itself"),
        (&["https://app.test/cb", "--public", "--client-id", "mine"], "already"),
        (&["https://app.test/cb", "--public", "--client-id", "https://x.test/c"], "metadata document"),
        (&["https://app.test/cb", "--public", "--client-id", "rs_1"], "resource server"),
        (
            &["https://app.test/cb", "--public", "--client-id", "d685c6a7-5cb9-4612-ba2b-cab12e38d9e0"],
            "configuration",
        ),
    ] {
        let stderr = bench.refused(&create(more));
        assert!(stderr.contains(reason), "{stderr}");
    }
    bench.json(&["resource", "add", "--url", "https://mcp.test/mcp", "--name", "A"]);
    let unknown = create(&["https://app.test/cb", "--public", "--ceiling", "nothing"]);
    assert!(bench.refused(&unknown).contains("known tiers: destroy, read, write"));

    assert_eq!(bench.json(&["client", "delete", "mine"])["deleted"], true);
    assert!(bench.refused(&["client", "delete", "mine"]).contains("client list"));
    let fixed = bench.refused(&["client", "delete", "d685c6a7-5cb9-4612-ba2b-cab12e38d9e0"]);
    assert!(fixed.contains("fixed_client.enabled = false"), "{fixed}");
}

#[test]
fn what_administrators_do_works_before_the_first_start() {
    let bench = Bench::new("administer");
    for list in [&["grant", "list"][..], &["session", "list"], &["admin", "key", "list"]] {
        assert_eq!(bench.json(list), json!([]), "{list:?}");
    }
    bench.json(&["resource", "add", "--url", "https://mcp.test/mcp", "--name", "A"]);
    for (word, disabled) in [("disable", true), ("enable", false)] {
        let changed = bench.json(&["resource", word, "https://mcp.test/mcp"]);
        assert_eq!(changed, json!({"resource": "https://mcp.test/mcp", "disabled": disabled}));
        assert_eq!(bench.json(&["resource", "show", "https://mcp.test/mcp"])["disabled"], disabled);
    }
    assert_eq!(bench.json(&["grant", "revoke", "--everything"]), json!({"revoked": 0}));
    for (arguments, reason) in [
        (&["grant", "show", "grt_x"][..], "grant list"),
        (&["grant", "revoke", "grt_01J00000000000000000000000"], "grant list"),
        (&["grant", "revoke", "--user", "nobody@example.test"], "user list"),
        (&["grant", "revoke", "--client", "nobody"], "client list"),
        (&["grant", "revoke", "--resource", "https://nobody.test/"], "resource list"),
        (&["grant", "list", "--organization", "x"], "org_"),
        (&["session", "end", "ses_x"], "session list"),
        (&["client", "disable", "nobody"], "client list"),
        (&["resource", "disable", "https://nobody.test/"], "resource list"),
        (&["admin", "key", "revoke", "adk_x"], "admin key list"),
        (&["admin", "key", "create", "--name", " ", "--permission", "*"], "another one"),
    ] {
        let said = bench.refused(arguments);
        assert!(said.contains(reason), "{arguments:?}: {said}");
    }
    let made = bench.json(&[
        "admin",
        "key",
        "create",
        "--name",
        "N",
        "--permission",
        "grants:read",
        "--expires",
        "1y",
    ]);
    assert!(made["secret"].as_str().is_some_and(|secret| secret.starts_with("dwa_")));
    let listed = bench.json(&["admin", "key", "list"]);
    assert_eq!((&listed[0]["id"], listed[0].get("secret")), (&made["id"], None));
    assert_eq!(listed[0]["permissions"], json!(["grants:read"]));
}

#[test]
fn settings_are_checked_and_explained_without_showing_a_password() {
    let bench = Bench::new("settings");
    std::fs::write(bench.0.join("doorward.toml"), "[token]\naccess_ttl = \"5m\"\n").unwrap();
    let variables = [("DOORWARD__STORE__URL", "postgres://dw:hunter2@db.test/doorward")];
    let arguments = ["check-config", "--config", "doorward.toml", "--json"];
    let ended = bench.run_with("", &arguments, &variables);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(!ended.stdout.contains("hunter2"));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    let setting = |key: &str| {
        let settings = report["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["key"] == key).cloned().unwrap()
    };
    assert_eq!(
        setting("token.access_ttl")["source"],
        json!({"from": "file", "path": "doorward.toml", "line": 2})
    );
    assert_eq!(setting("store.url")["source"], json!({"from": "variable", "name": "DOORWARD__STORE__URL"}));
    assert_eq!(setting("log.level")["source"], json!({"from": "default"}));
    assert_eq!(report["warnings"].as_array().unwrap().len(), 1);

    let wrong = bench.run_with("", &["check-config"], &[("DOORWARD__TOKEN__ACESS_TTL", "5m")]);
    assert_eq!((wrong.code, wrong.stdout.as_str()), (1, ""));
    assert!(wrong.stderr.contains("did you mean DOORWARD__TOKEN__ACCESS_TTL?"), "{}", wrong.stderr);
    assert!(!bench.0.join("data").exists(), "checking settings makes no files");
}

#[test]
fn the_schema_can_be_brought_up_to_date_without_a_start() {
    let bench = Bench::new("migrate");
    let version = bench.json(&["migrate"])["schema_version"].as_i64().unwrap();
    assert!(version >= 1);
    assert_eq!(bench.json(&["migrate"])["schema_version"], version);
}

#[test]
fn what_is_not_understood_ends_with_code_2() {
    let bench = Bench::new("usage");
    assert_eq!(bench.run(&["no-such-command"]).code, 2);
    assert_eq!(bench.run(&["user", "create", "--email", "a@b.test", "--password", "x"]).code, 2);
    assert_eq!(bench.run(&["--version"]).code, 0);
}

#[test]
fn a_second_server_on_the_same_file_does_not_start_and_says_why() {
    use doorward::store::{
        Location,
        hold::{Role, hold},
    };
    let bench = Bench::new("two-servers");
    bench.run(&["migrate"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let location = Location::Sqlite(bench.0.join("data/doorward.db"));
    let _served = runtime.block_on(hold(&location, Role::Server)).unwrap();
    let refused = bench.run(&["serve"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(
        refused.stderr.contains("another `doorward serve` runs on ./data/doorward.db"),
        "{}",
        refused.stderr
    );
    // Commands work beside a server.
    assert_eq!(bench.json(&["user", "list"]), json!([]));
}

#[test]
fn who_may_do_what_where_is_said_before_the_first_start() {
    let bench = Bench::new("permissions");
    let mcp = "http://localhost:9100/mcp";
    bench.json(&["resource", "add", "--url", mcp, "--name", "Artifacts"]);
    bench.create_user("alice@example.test", "correct horse battery");
    let acme = bench.json(&["organization", "create", "Acme"]);
    assert!(acme["id"].as_str().unwrap().starts_with("org_"));
    assert!(bench.refused(&["organization", "create", "Acme"]).contains("already"));
    assert!(bench.refused(&["organization", "create", "own"]).contains("another name"));
    let node = bench.json(&["node", "add", "Acme", "alpha/site/specs", "--title", "Specs"]);
    assert_eq!((&node["kind"], &node["title"]), (&json!("folder"), &json!("Specs")));
    let nodes = bench.json(&["node", "list", acme["id"].as_str().unwrap()]);
    let paths: Vec<_> = nodes.as_array().unwrap().iter().map(|node| node["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["alpha", "alpha/site", "alpha/site/specs"], "those above it are made too");
    assert!(bench.refused(&["node", "add", "Acme", "alpha"]).contains("already"));
    assert!(bench.refused(&["node", "add", "Acme", "Alpha"]).contains("lower-case"));
    assert!(bench.refused(&["node", "add", "Nobody", "alpha"]).contains("organization list"));

    let add = |more: &[&'static str]| [&["entitlement", "add"][..], more].concat();
    let staff = bench.json(&add(&[
        "--group",
        "staff",
        "--tier",
        "write",
        "--organization",
        "Acme",
        "--node",
        "alpha",
    ]));
    assert_eq!(staff["listed"], json!([mcp]));
    assert_eq!(bench.json(&["resource", "show", mcp])["access"], "listed");
    let alice = bench.json(&add(&["--user", "alice@example.test", "--tier", "read", "--resource", mcp]));
    assert_eq!((&alice["organization"], &alice["listed"]), (&Value::Null, &json!([])));
    for (wrong, reason) in [
        (
            &["--group", "staff", "--tier", "write", "--organization", "Acme", "--node", "alpha"][..],
            "says the same",
        ),
        (&["--everyone", "--tier", "admin"], "known tiers: destroy, read, write"),
        (&["--everyone", "--tier", "read", "--resource", "http://localhost:1/mcp"], "resource list"),
        (&["--everyone", "--tier", "read", "--organization", "Nobody"], "organization list"),
        (&["--everyone", "--tier", "read", "--organization", "Acme", "--node", "beta"], "doorward node add"),
        (&["--user", "bob@example.test", "--tier", "read"], "user list"),
    ] {
        let refused = bench.refused(&add(wrong));
        assert!(refused.contains(reason), "{refused}");
    }
    let id = staff["id"].as_str().unwrap();
    assert_eq!(bench.json(&["entitlement", "disable", id])["disabled"], true);
    assert_eq!(bench.json(&["entitlement", "enable", id])["disabled"], false);
    assert_eq!(bench.json(&["entitlement", "list"]).as_array().unwrap().len(), 2);
    assert_eq!(bench.json(&["entitlement", "remove", id])["removed"], true);
    assert!(bench.refused(&["entitlement", "remove", id]).contains("entitlement list"));
    assert_eq!(bench.json(&["resource", "set", mcp, "--access", "everyone"])["access"], "everyone");

    let groups = bench.json(&["user", "groups", "alice@example.test", "--join", "staff", "--join", "ops"]);
    assert_eq!(groups["groups"], json!(["ops", "staff"]));
    let left = bench.json(&["user", "groups", "alice@example.test", "--leave", "ops"]);
    assert_eq!(left["groups"], json!(["staff"]));

    let client = ["client", "create", "--name", "N", "--redirect-uri", "https://app.test/cb", "--public"];
    let bounded =
        bench.json(&[&client[..], &["--ceiling-node", "Acme:alpha", "--ceiling-node", "own"]].concat());
    assert_eq!(bounded["ceiling_nodes"], json!([format!("{}:alpha", acme["id"].as_str().unwrap()), "own"]));
    let unknown = [&client[..], &["--ceiling-node", "Acme:beta"]].concat();
    assert!(bench.refused(&unknown).contains("doorward node add"));
}
