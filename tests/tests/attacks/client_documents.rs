//! Group 1.14: a stranger says where this server should look, and gets nothing by it but a page.

use std::time::Duration;

use e2e::answer::Answer;
use e2e::house::{Plan, Store};
use e2e::namespace::{self, Network};
use e2e::origin::{Origin, document};
use e2e::visitor::Visitor;
use serde_json::json;

use crate::stage::{PUB1, Stage, ask, assert_login};

const REDIRECT: &str = "http://127.0.0.1:49152/callback";

/// The answer to a request of the client with this identifier.
async fn begin(stage: &Stage, client_id: &str) -> Answer {
    ask(&stage.known(client_id, REDIRECT).request().url()).await
}

async fn refused(stage: &Stage, client_id: &str, error: &str) -> Answer {
    let answer = begin(stage, client_id).await;
    assert_eq!(answer.status, 400, "{client_id}: {answer:#?}");
    assert!(answer.body.contains(&format!("data-error=\"{error}\"")), "{client_id}: {answer:#?}");
    answer
}

// CM-01, CM-02, CM-03, CM-04, CM-08
#[tokio::test]
async fn an_identifier_that_only_looks_like_a_document_is_nobody() {
    let stage = Stage::start(Store::Sqlite).await;
    for id in [
        "http://app.test/c.json",
        "https://app.test",
        "https://app.test/",
        "https://app.test/a/../c.json",
        "https://app.test/./c.json",
        "https://app.test/%2e%2e/c.json",
        "https://app.test/%2E/c.json",
        "https://u:p@app.test/c.json",
        "https://app.test/c.json#x",
        "https://app.test\\c.json",
        "https:app.test/c",
        "https:///app.test/c",
        "https://2130706433/c.json",
        "https://0x7f000001/c.json",
        "https://0177.0.0.1/c.json",
        "https://127.1/c.json",
        "https://127.0.0.1./c.json",
    ] {
        refused(&stage, id, "unknown_client").await;
    }
    stage.close().await;
}

// CM-27, CM-31
#[tokio::test]
async fn the_server_does_not_fetch_from_itself() {
    let stage = Stage::start(Store::Sqlite).await;
    let port = stage.port();
    for host in ["localhost", "127.0.0.1", "[::1]"] {
        refused(&stage, &format!("http://{host}:{port}/.well-known/c.json"), "unknown_client").await;
    }
    stage.close().await;
}

// CM-13, CM-14, CM-15, CM-18, CM-19, CM-28
#[tokio::test]
async fn what_cannot_be_loaded_is_told_in_one_sentence_whatever_it_was() {
    let stage = Stage::start(Store::Sqlite).await;
    let origin = Origin::start().await;
    let json = "content-type: application/json\r\n";
    let good = |path: &str| document(&origin.url(path)).to_string();
    let elsewhere = origin.publish("/elsewhere.json", &json!({}));
    for status in [301, 302, 303, 307, 308] {
        origin.say(&format!("/{status}"), status, &format!("location: {elsewhere}\r\n{json}"), &good("/x"));
    }
    for status in [201, 204, 206, 304, 404, 500] {
        let body = if status == 204 || status == 304 { String::new() } else { good(&format!("/{status}")) };
        origin.say(&format!("/{status}"), status, json, &body);
    }
    origin.say("/html", 200, "content-type: text/html\r\n", &good("/html"));
    origin.say("/untyped", 200, "", &good("/untyped"));
    origin.say("/gzip", 200, &format!("{json}content-encoding: gzip\r\n"), &good("/gzip"));
    origin.say("/long", 200, json, &format!("{}{}", good("/long"), " ".repeat(5 * 1024)));
    origin.say("/bom", 200, json, &format!("\u{feff}{}", good("/bom")));
    origin.say(
        "/twice",
        200,
        json,
        &good("/twice").replacen('{', "{\"client_id\":\"https://evil.test/c\",", 1),
    );
    origin.say("/other", 200, json, &good("/another"));
    origin.say("/slash", 200, json, &good("/slash/"));
    origin.say("/text", 200, json, "no JSON");
    let mut told = Vec::new();
    for path in [
        "/301", "/302", "/303", "/307", "/308", "/201", "/204", "/206", "/304", "/404", "/500", "/html",
        "/untyped", "/gzip", "/long", "/bom", "/twice", "/other", "/slash", "/text",
    ] {
        let answer = refused(&stage, &origin.url(path), "client_metadata_unavailable").await;
        told.push(without_reference(&answer.body));
        assert_eq!(origin.asked(path), 1, "{path}");
        // An error is not kept: the next request asks again.
        refused(&stage, &origin.url(path), "client_metadata_unavailable").await;
        assert_eq!(origin.asked(path), 2, "{path}");
    }
    // Nobody listens there at all.
    let nobody = refused(&stage, "http://127.0.0.1:9/c.json", "client_metadata_unavailable").await;
    told.push(without_reference(&nobody.body));
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:#?}");
    assert_eq!(origin.asked("/elsewhere.json"), 0, "no redirect is followed");
    stage.close().await;
}

/// The page without the words by which its log line is found.
fn without_reference(page: &str) -> String {
    let hexadecimal = |word: &&str| word.len() == 8 && word.chars().all(|c| c.is_ascii_hexdigit());
    let words = page.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| !hexadecimal(word)).collect::<Vec<_>>().join(" ")
}

// CM-20, CM-21
#[tokio::test]
async fn a_document_that_breaks_a_rule_tells_its_developer_which() {
    let stage = Stage::start(Store::Sqlite).await;
    let origin = Origin::start().await;
    for (path, change, words) in [
        ("/basic", json!({"token_endpoint_auth_method": "client_secret_basic"}), "client_secret_basic"),
        ("/post", json!({"token_endpoint_auth_method": "client_secret_post"}), "client_secret_post"),
        ("/jwt", json!({"token_endpoint_auth_method": "client_secret_jwt"}), "client_secret_jwt"),
        ("/secret", json!({"client_secret": "s3"}), "client_secret"),
        ("/none", json!({"redirect_uris": null}), "redirect_uris"),
        ("/empty", json!({"redirect_uris": []}), "redirect_uris"),
        ("/script", json!({"redirect_uris": [REDIRECT, "javascript:alert(1)"]}), "scheme"),
        ("/ours", json!({"redirect_uris": [stage.at("/oauth2/authorize")]}), "authorization server itself"),
    ] {
        let url = origin.publish(path, &change);
        let answer = refused(&stage, &url, "invalid_client_metadata").await;
        assert!(answer.body.contains(words), "{words}: {answer:#?}");
        assert!(!answer.body.contains("alert(1)") && !answer.body.contains("s3\""), "{answer:#?}");
    }
    let url = origin.publish("/good", &json!({"redirect_uris": ["https://app.test/cb"]}));
    refused(&stage, &url, "invalid_redirect_uri").await;
    stage.close().await;
}

// CM-16
#[tokio::test]
async fn a_slow_origin_holds_nobody_else_up() {
    let stage = Stage::start(Store::Sqlite).await;
    let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://127.0.0.1:{}/c.json", mute.local_addr().expect("an address").port());
    let waiting = async {
        refused(&stage, &url, "client_metadata_unavailable").await;
        "the one who waits"
    };
    let other = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_login(&ask(&stage.client(&[PUB1]).await.request().url()).await);
        "the other one"
    };
    {
        tokio::pin!(waiting, other);
        let first = tokio::select! {
            first = &mut waiting => first,
            first = &mut other => first,
        };
        assert_eq!(first, "the other one");
        waiting.await;
    }
    stage.close().await;
}

// CM-17, CM-26
#[tokio::test]
async fn a_flood_of_documents_is_stopped_and_nothing_is_stored() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("CLIENT_DOCUMENTS__PER_ADDRESS", "20");
    let stage = Stage::build(plan).await;
    let origin = Origin::start().await;
    let urls: Vec<_> = (0..40).map(|i| origin.publish(&format!("/{i}.json"), &json!({}))).collect();
    let known = stage.client(&[PUB1]).await;
    let mut statuses = Vec::new();
    for url in &urls {
        statuses.push(begin(&stage, url).await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 20, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 20, "{statuses:?}");
    // What was looked up already needs no look, and others are not concerned.
    assert_login(&begin(&stage, &urls[0]).await);
    assert_login(&ask(&known.request().url()).await);
    let listed = stage.house.cli(&["client", "list", "--json"], "").json();
    let stored = listed.as_array().expect("a list").iter().filter(|client| client["origin"] == "document");
    assert_eq!(stored.count(), 0, "nobody consented to any: {listed:#}");
    stage.close().await;
}

// CM-22
#[tokio::test]
async fn a_document_with_loopback_addresses_only_is_named_for_the_risk() {
    let stage = Stage::start(Store::Sqlite).await;
    let origin = Origin::start().await;
    let url = origin.publish("/c.json", &json!({"client_name": "Claude Code"}));
    let client = stage.known(&url, REDIRECT);
    let page = Visitor::new().reach_consent(&client.request().url(), stage.house.alice()).await;
    assert!(page.text.contains("Any program on this computer can pose as this application"), "{}", page.text);
    assert!(page.text.contains(&origin.url("").replace("http://", "")), "the host is named: {}", page.text);
    assert_eq!(page.form("decision").data["client-label"], "unverified");
    stage.close().await;
}

// CM-32
#[tokio::test]
async fn a_client_that_an_administrator_registered_under_a_url_is_not_looked_up() {
    let stage = Stage::start(Store::Sqlite).await;
    let origin = Origin::start().await;
    let url = origin.publish("/c.json", &json!({"client_name": "Impostor"}));
    let create = [
        "client",
        "create",
        "--name",
        "Ours",
        "--client-id",
        &url,
        "--redirect-uri",
        "https://app.test/cb",
        "--public",
    ];
    stage.house.cli(&create, "").ok();
    let client = stage.known(&url, "https://app.test/cb");
    let page = Visitor::new().reach_consent(&client.request().url(), stage.house.alice()).await;
    assert_eq!(page.form("decision").data["client-label"], "registered");
    assert_eq!(origin.asked("/c.json"), 0);
    stage.close().await;
}

// CM-05, CM-06, CM-07, CM-09, CM-10, CM-11, CM-12, CM-30
#[tokio::test]
async fn no_packet_reaches_an_address_that_is_not_public() {
    if !namespace::inside("client_documents::no_packet_reaches_an_address_that_is_not_public") {
        return;
    }
    let network = Network::begin(&[
        "93.184.216.34/32",
        "10.1.1.1/32",
        "192.168.1.1/32",
        "169.254.169.254/32",
        "172.16.9.9/32",
        "fd00::1/128",
    ]);
    let names = ["good.test", "mixed.test", "private.test", "rebind.test"];
    let authority = e2e::authority::Authority::for_names(&names);
    let good = Origin::with_tls("93.184.216.34", "good.test", &authority).await;
    let inner = Origin::with_tls("10.1.1.1", "private.test", &authority).await;
    network.name("good.test", &[&["93.184.216.34"]]);
    network.name("mixed.test", &[&["93.184.216.34", "10.1.1.1"]]);
    network.name("private.test", &[&["10.1.1.1"]]);
    network.name("metadata.google.internal", &[&["169.254.169.254"]]);
    network.name("six.test", &[&["fd00::1"]]);
    network.name("mapped.test", &[&["::ffff:10.1.1.1"]]);
    network.name("nat.test", &[&["64:ff9b::a01:101"]]);
    network.name("tunnel.test", &[&["2002:a01:101::1"]]);
    network.name("home.test", &[&["127.0.0.1"]]);
    network.name("foo.localhost", &[&["127.0.0.1"]]);
    network.name("rebind.test", &[&["93.184.216.34"], &["10.1.1.1"]]);
    for path in ["/c.json", "/again.json"] {
        inner.publish(path, &json!({}));
    }

    let mut plan = Plan::on(Store::Sqlite).without_artifacts();
    plan.settings.push(("SSL_CERT_FILE".to_owned(), authority.path("ca.pem")));
    // A proxy of the environment would dial without looking.
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"] {
        plan.settings.push((name.to_owned(), "http://10.1.1.1:443".to_owned()));
    }
    let stage = Stage::build(plan).await;

    good.publish("/c.json", &json!({}));
    assert_login(&begin(&stage, "https://good.test/c.json").await);
    assert_eq!(good.asked("/c.json"), 1);

    for id in [
        "https://10.1.1.1/c.json",
        "https://192.168.1.1/c.json",
        "https://169.254.169.254/c.json",
        "https://0.0.0.0/c.json",
        "https://172.16.0.1/c.json",
        "https://100.64.0.1/c.json",
        "https://192.0.0.1/c.json",
        "https://198.18.0.1/c.json",
        "https://224.0.0.1/c.json",
        "https://240.0.0.1/c.json",
        "https://255.255.255.255/c.json",
        "https://[::]/c.json",
        "https://[::ffff:a01:101]/c.json",
        "https://[fd00::1]/c.json",
        "https://[fe80::1]/c.json",
        "https://[ff02::1]/c.json",
        "https://[64:ff9b::a01:101]/c.json",
        "https://[2002:a01:101::]/c.json",
        "https://[2001::1]/c.json",
    ] {
        refused(&stage, id, "unknown_client").await;
    }
    for name in [
        "private.test",
        "mixed.test",
        "metadata.google.internal",
        "six.test",
        "mapped.test",
        "nat.test",
        "tunnel.test",
        "home.test",
        "foo.localhost",
        "nowhere.test",
    ] {
        refused(&stage, &format!("https://{name}/c.json"), "client_metadata_unavailable").await;
    }
    // The first answer is what is dialled; the name is not asked twice for one connection, and not once for none.
    good.say(
        "/c.json",
        200,
        "content-type: application/json\r\n",
        &document("https://rebind.test/c.json").to_string(),
    );
    assert_login(&begin(&stage, "https://rebind.test/c.json").await);
    assert_eq!(network.asked("rebind.test"), 1);
    // Another document of the same host is another connection, and that is looked at again.
    refused(&stage, "https://rebind.test/again.json", "client_metadata_unavailable").await;
    assert_eq!(network.asked("rebind.test"), 2);

    // A last packet of our own, to an address that was never named, shows that the counter counts, and that it is done counting.
    let marker = "172.16.9.9:443";
    let _ = tokio::time::timeout(Duration::from_secs(1), tokio::net::TcpStream::connect(marker)).await;
    network.wait_for("172.16.9.9").await;
    let elsewhere = network.packets(|address| {
        !address.is_loopback() && !["93.184.216.34", "172.16.9.9"].contains(&address.to_string().as_str())
    });
    assert_eq!(elsewhere, 0, "{network:#?}");
    assert_eq!(inner.asked("/c.json") + inner.asked("/again.json"), 0);
    stage.close().await;
}
