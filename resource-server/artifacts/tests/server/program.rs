//! The program itself, as people start it: environment in, HTTP out, real tokens of an issuer that the test plays.

use std::{
    fs,
    net::TcpListener as Listener,
    path::PathBuf,
    process::{Command, Output},
    sync::Mutex,
    time::Duration,
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{
    house::{ALL, Scratch, content, files_below, noise, sha256, text},
    process::{Issuer, Program, command, free_port},
};

#[tokio::test]
async fn a_client_finds_its_way_from_the_challenge_to_the_issuer() {
    let (scratch, issuer) = (Scratch::new(), Issuer::start().await);
    let program = Program::ready(&scratch, &issuer.url).await;
    for method in [reqwest::Method::POST, reqwest::Method::GET] {
        let response = program.http.request(method, &program.resource).send().await.unwrap();
        assert_eq!(response.status(), 401);
        let challenge = response.headers()["www-authenticate"].to_str().unwrap().to_owned();
        let document = program.url("/.well-known/oauth-protected-resource/mcp");
        assert!(challenge.starts_with("Bearer ") && challenge.contains(&document), "{challenge}");
    }
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"] {
        let document: Value = program.http.get(program.url(path)).send().await.unwrap().json().await.unwrap();
        assert_eq!(document["resource"], json!(program.resource), "{path}");
        assert_eq!(document["authorization_servers"], json!([issuer.url]), "{path}");
    }
    program.stop();
}

#[tokio::test]
async fn a_token_opens_what_it_grants_and_nothing_else() {
    let (scratch, issuer) = (Scratch::new(), Issuer::start().await);
    let program = Program::ready(&scratch, &issuer.url).await;
    for (scope, count) in
        [("openid", 0), ("openid artifacts:read", 5), ("artifacts:read artifacts:create", 8), (ALL, 11)]
    {
        assert_eq!(
            program.tools(&issuer.token(&program.resource, scope, &json!({}))).await,
            count,
            "{scope}"
        );
    }
    // A narrowing that is not understood allows nothing.
    let narrow = json!({ "authorization_details": [{ "type": "folder", "locations": ["alpha/specs"] }] });
    let narrow = issuer.token(&program.resource, ALL, &narrow);
    assert_eq!(program.tools(&narrow).await, 0);
    assert_eq!(
        program.call(&narrow, "whoami", json!({})).await["_meta"]["code"],
        json!("insufficient_scope")
    );
    let elsewhere = issuer.token("http://localhost:1/mcp", ALL, &json!({}));
    assert_eq!(program.post(&elsewhere, "tools/list", json!({})).await.status(), 401);
    let old = issuer.token(&program.resource, ALL, &json!({ "iat": 1, "exp": 901 }));
    assert_eq!(program.post(&old, "tools/list", json!({})).await.status(), 401);
    program.stop();
}

#[tokio::test]
async fn no_secret_reaches_the_log_and_every_request_is_one_event() {
    let (scratch, issuer) = (Scratch::new(), Issuer::start().await);
    let program = Program::ready(&scratch, &issuer.url).await;
    let token = issuer.token(&program.resource, ALL, &json!({}));
    let bytes = noise(1000);
    let stored = program.call(&token, "store_artifact", content("a.bin", &bytes)).await;
    let id = json!({ "artifact_id": stored["structuredContent"]["artifact_id"] });
    let download = program.call(&token, "get_artifact_download_url", id.clone()).await;
    let link = program.call(&token, "create_download_link", id).await;
    let announced = json!({ "filename": "u", "content_type": "text/plain", "size_bytes": 6 });
    let upload = program.call(&token, "request_upload_url", announced).await;
    let urls = [(&download, "download_url"), (&link, "url"), (&upload, "upload_url")];
    let urls = urls.map(|(result, member)| text(&result["structuredContent"], member).to_owned());
    for url in &urls[..2] {
        assert_eq!(program.http.get(url).send().await.unwrap().bytes().await.unwrap(), bytes);
    }
    let sent = program.http.put(&urls[2]).body("hush-1").send().await.unwrap();
    assert_eq!(sent.status(), 200);
    let _ = program.http.get(program.url("/nothing/hush-2?hush-3=hush-4")).send().await;
    program.call(&token, "hush-5", json!({ "hush-6": 1 })).await;
    let log = program.stop();

    let mut secrets: Vec<String> =
        urls.iter().map(|url| url.rsplit('/').next().unwrap().to_owned()).collect();
    secrets.extend(token.split('.').map(str::to_owned));
    secrets.extend((1..=6).map(|i| format!("hush-{i}")));
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log");
    }
    let events: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|event| event["message"] == json!("request"))
        .collect();
    let of = |tool: &str| {
        events.iter().find(|event| event["tool"] == json!(tool)).unwrap_or_else(|| panic!("{tool}\n{log}"))
    };
    let event = of("store_artifact");
    for (member, value) in [
        ("route", json!("/mcp")),
        ("verb", json!("POST")),
        ("status", json!(200)),
        ("method", json!("tools/call")),
        ("subject", json!("alice")),
        ("organization", json!("acme")),
        ("client", json!("client-1")),
        ("grant", json!("grant-1")),
    ] {
        assert_eq!(event[member], value, "{member}");
    }
    assert!(event["duration_ms"].is_u64());
    assert_eq!(
        event["request_id"], stored["_meta"]["request_id"],
        "the log and the answer name the same request"
    );
    let routes: Vec<_> = events.iter().map(|event| event["route"].as_str().unwrap()).collect();
    for route in ["/downloads/{address}", "/links/{link}", "/uploads/{address}", "(none)"] {
        assert!(routes.contains(&route), "{route}: {routes:?}");
    }
    assert!(events.iter().any(|event| event["code"] == json!("insufficient_scope")));
}

#[tokio::test]
async fn it_starts_again_and_serves_while_the_issuer_is_away() {
    let (scratch, issuer) = (Scratch::new(), Issuer::start().await);
    let program = Program::ready(&scratch, &issuer.url).await;
    let token = issuer.token(&program.resource, ALL, &json!({}));
    program.call(&token, "store_artifact", content("a.txt", b"kept")).await;
    program.stop();
    issuer.server.abort();
    let program = Program::ready(&scratch, &issuer.url).await;
    let token = issuer.token(&program.resource, ALL, &json!({}));
    let list = program.call(&token, "list_artifacts", json!({})).await;
    assert_eq!(list["structuredContent"]["artifacts"][0]["filename"], json!("a.txt"));
    program.stop();
}

#[tokio::test]
async fn a_kill_in_the_middle_loses_nothing_that_was_acknowledged() {
    let (scratch, issuer) = (Scratch::new(), Issuer::start().await);
    for enough in [3, 10, 25] {
        let mut program = Program::ready(&scratch, &issuer.url).await;
        let token = issuer.token(&program.resource, ALL, &json!({}));
        let acknowledged = Mutex::new(Vec::new());
        let stores = (0..8).map(async |_| {
            loop {
                let bytes = noise(60_000);
                let params = json!({ "name": "store_artifact", "arguments": content("a.bin", &bytes) });
                let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
                let request = program.http.post(&program.resource).bearer_auth(&token).json(&message);
                let Ok(response) = request.send().await else { break };
                let Ok(answer) = response.json::<Value>().await else { break };
                let id = text(&answer["result"]["structuredContent"], "artifact_id").to_owned();
                acknowledged.lock().unwrap().push((id, sha256(&bytes)));
            }
        });
        let pid = program.child.id().to_string();
        let kill = async {
            while acknowledged.lock().unwrap().len() < enough {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        };
        tokio::join!(join_all(stores), kill);
        program.child.wait().unwrap();

        let program = Program::ready(&scratch, &issuer.url).await;
        let token = issuer.token(&program.resource, ALL, &json!({}));
        let acknowledged = acknowledged.into_inner().unwrap();
        for (id, hash) in acknowledged {
            let url = program.call(&token, "get_artifact_download_url", json!({ "artifact_id": id })).await;
            let url = text(&url["structuredContent"], "download_url").to_owned();
            let bytes = program.http.get(url).send().await.unwrap().bytes().await.unwrap();
            assert_eq!(sha256(&bytes), hash);
        }
        let me = program.call(&token, "whoami", json!({})).await;
        let files = files_below(&scratch.path().join("data/artifacts/blobs"));
        let held = files.iter().map(|path| fs::metadata(path).unwrap().len()).sum::<u64>();
        assert_eq!(
            me["structuredContent"]["usage_storage_bytes"],
            json!(held),
            "files, rows and counters agree"
        );
        assert_eq!(fs::read_dir(scratch.path().join("data/artifacts/incoming")).unwrap().count(), 0);
        program.stop();
    }
}

#[tokio::test]
async fn without_keys_it_is_alive_and_not_ready() {
    let scratch = Scratch::new();
    let program = Program::start(&scratch, &format!("http://localhost:{}", free_port())).await;
    program.wait_for("/readyz", 503).await;
    assert_eq!(program.post("x.y.z", "tools/list", json!({})).await.status(), 401);
    program.stop();
}

fn run(scratch: &Scratch, arguments: &[&str], environment: &[(&str, &str)]) -> (Output, String, String) {
    let mut command = command(scratch.path());
    let output = command.args(arguments).envs(environment.iter().copied()).output().unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8(bytes.clone()).unwrap());
    (output, out, err)
}

#[test]
fn what_cannot_work_stops_the_start_with_one_clear_line() {
    let scratch = Scratch::new();
    let credentials = r#"{"resource":"http://a.test/mcp","client_id":"c","client_secret":"s"}"#;
    fs::write(scratch.path().join("other.credentials"), credentials).unwrap();
    fs::write(scratch.path().join("bad.toml"), "data_dri = \"x\"\n").unwrap();
    let taken = Listener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (name, value, part) in [
        ("DOORWARD_ARTIFACTS__LISTN", "x", "did you mean DOORWARD_ARTIFACTS__LISTEN?"),
        (
            "DOORWARD_ARTIFACTS__CREDENTIALS_FILE",
            "other.credentials",
            "it is for the resource http://a.test/mcp",
        ),
        ("DOORWARD_ARTIFACTS__LISTEN", &taken, "cannot listen on"),
        ("DOORWARD_ARTIFACTS__ISSUER", "http://as.example.test", "the issuer must be https"),
        ("--config", "bad.toml", "data_dri in bad.toml is not a setting; did you mean data_dir?"),
        ("--config", "none.toml", "none.toml: "),
    ] {
        let (output, out, err) = match name {
            "--config" => run(&scratch, &[name, value], &[]),
            _ => run(&scratch, &[], &[(name, value)]),
        };
        assert_eq!(output.status.code(), Some(1), "{part}");
        let last = err.lines().last().unwrap();
        assert!(last.starts_with("doorward-artifacts: ") && last.contains(part), "{part}: {err}");
        assert_eq!(out, "");
    }
    assert_eq!(run(&scratch, &["--no-such-flag"], &[]).0.status.code(), Some(2));
}

#[test]
fn the_settings_in_force_can_be_looked_at_without_starting() {
    let scratch = Scratch::new();
    let elsewhere = [("DOORWARD_ARTIFACTS__DATA_DIR", "/elsewhere")];
    let (output, out, _) = run(&scratch, &["--check-config"], &elsewhere);
    assert!(output.status.success());
    assert!(out.contains("data_dir = \"/elsewhere\""), "{out}");
    assert!(out.contains("resource = \"http://localhost:9100/mcp\""), "{out}");
    assert_eq!(scratch.files(), Vec::<PathBuf>::new(), "nothing was made");
    let (_, help, _) = run(&scratch, &["--help"], &[]);
    assert!(
        help.contains("DOORWARD_ARTIFACTS__CREDENTIALS_FILE") && help.contains("--config <FILE>"),
        "{help}"
    );
}
