//! Group 1.19: pretending to be a client.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use e2e::answer::Answer;
use e2e::client::{Client, Tokens};
use e2e::house::{Plan, Store};
use e2e::visitor::Visitor;
use reqwest::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use serde_json::json;

use crate::stage::{PUB1, Stage, assert_json_error, changed, http, metadata};

/// A client with a refresh token, which is spent only by who is believed.
struct Victim {
    client: Client,
    secret: String,
    refresh: String,
}

impl Victim {
    async fn of(stage: &Stage, method: &str) -> Self {
        let (client, secret) = stage.confidential(method).await;
        let code = stage.code(&client, &Visitor::new(), &["read"]).await;
        let answer = if method == "client_secret_post" {
            code.redeem_with(&[("client_secret", &secret)]).await
        } else {
            let form = [
                ("grant_type", "authorization_code"),
                ("code", code.text.as_str()),
                ("code_verifier", &code.request.verifier),
            ];
            Answer::to(client.token_request(&form).basic_auth(&client.client_id, Some(&secret))).await
        };
        let refresh = Tokens::read(&answer).refresh;
        Self { client, secret, refresh }
    }

    fn id(&self) -> &str {
        &self.client.client_id
    }

    /// A refresh with these parameters besides, and this `Authorization` header.
    async fn refresh(&self, more: &[(&str, &str)], header: Option<&str>) -> Answer {
        let plain = [("grant_type", "refresh_token"), ("refresh_token", self.refresh.as_str())];
        let request = self.client.token_request(&changed(&plain, more));
        Answer::to(header.into_iter().fold(request, |request, value| request.header(AUTHORIZATION, value)))
            .await
    }

    /// Fails unless nothing was spent: the client itself still gets what it asks for.
    async fn is_unharmed(&mut self, method: &str) {
        let right = basic(self.id(), &self.secret);
        let answer = if method == "client_secret_post" {
            self.refresh(&[("client_id", self.id()), ("client_secret", &self.secret)], None).await
        } else {
            self.refresh(&[], Some(&right)).await
        };
        self.refresh = Tokens::read(&answer).refresh;
    }
}

fn basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

/// Fails unless nobody was believed, and whoever sent a Basic header is told how to send it.
fn assert_not_believed(answer: &Answer, challenged: bool) {
    assert_json_error(answer, 401, "invalid_client");
    assert_eq!(answer.headers.contains_key(WWW_AUTHENTICATE), challenged, "{answer:#?}");
}

// CA-01, CA-04
#[tokio::test]
async fn without_its_secret_in_its_place_a_client_is_not_believed() {
    let stage = Stage::start(Store::Sqlite).await;
    for method in ["client_secret_post", "client_secret_basic"] {
        let mut victim = Victim::of(&stage, method).await;
        let (id, secret) = (victim.id().to_owned(), victim.secret.clone());
        // The letter before the last: the last one holds bits that mean nothing.
        let mut wrong = secret.clone().into_bytes();
        let place = wrong.len() - 2;
        wrong[place] = if wrong[place] == b'a' { b'b' } else { b'a' };
        let wrong = String::from_utf8(wrong).expect("text");
        let by_post = |secret: &str| [("client_id", id.clone()), ("client_secret", secret.to_owned())];
        for bad in [wrong.as_str(), "", "dws_", &secret[..secret.len() - 1], &format!("{secret}a")] {
            let form = by_post(bad);
            let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_not_believed(&victim.refresh(&form, None).await, false);
            assert_not_believed(&victim.refresh(&[], Some(&basic(&id, bad))).await, true);
        }
        // The query is nobody's place.
        let query = [("client_id", id.as_str()), ("client_secret", &secret)];
        let endpoint = url::Url::parse_with_params(&stage.at("/oauth2/token"), &query).expect("a URL");
        let form = [("grant_type", "refresh_token"), ("refresh_token", &victim.refresh), ("client_id", &id)];
        assert_not_believed(&Answer::to(http().post(endpoint.clone()).form(&form)).await, false);
        assert_json_error(&Answer::to(http().post(endpoint).form(&form[..2])).await, 400, "invalid_request");
        victim.is_unharmed(method).await;
    }
    stage.close().await;
}

// CA-02, CA-06
#[tokio::test]
async fn a_secret_has_one_place_and_an_identity_one_name() {
    let stage = Stage::start(Store::Sqlite).await;
    for method in ["client_secret_post", "client_secret_basic"] {
        let mut victim = Victim::of(&stage, method).await;
        let (id, secret) = (victim.id().to_owned(), victim.secret.clone());
        let (in_body, in_header) =
            ([("client_id", id.as_str()), ("client_secret", &secret)], basic(&id, &secret));
        if method == "client_secret_post" {
            assert_not_believed(&victim.refresh(&[], Some(&in_header)).await, true);
        } else {
            assert_not_believed(&victim.refresh(&in_body, None).await, false);
        }
        let both = [&in_body[..], &in_body[1..]];
        for form in both {
            assert_json_error(&victim.refresh(form, Some(&in_header)).await, 400, "invalid_request");
        }
        let other = stage.client(&[PUB1]).await.client_id;
        for name in [other.as_str(), "nobody", &id.to_uppercase()] {
            let answer = victim.refresh(&[("client_id", name)], Some(&in_header)).await;
            assert_json_error(&answer, 400, "invalid_request");
        }
        let twice = victim.client.token_request(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", &victim.refresh),
            ("client_id", &id),
            ("client_secret", &secret),
            ("client_secret", &secret),
        ]);
        assert_json_error(&Answer::to(twice).await, 400, "invalid_request");
        let headers = victim
            .client
            .token_request(&[("grant_type", "refresh_token"), ("refresh_token", &victim.refresh)])
            .header(AUTHORIZATION, &in_header)
            .header(AUTHORIZATION, &in_header);
        assert_json_error(&Answer::to(headers).await, 400, "invalid_request");
        victim.is_unharmed(method).await;
    }
    stage.close().await;
}

// CA-03
#[tokio::test]
async fn a_public_client_with_a_secret_is_set_up_wrongly_and_is_told_so() {
    let stage = Stage::start(Store::Sqlite).await;
    let client = stage.client(&[PUB1]).await;
    let tokens = stage.tokens(&client, &Visitor::new()).await;
    let (_, foreign) = stage.confidential("client_secret_basic").await;
    let victim = Victim { refresh: tokens.refresh, secret: foreign, client };
    let id = victim.id();
    for secret in [victim.secret.as_str(), "anything", ""] {
        let answer = victim.refresh(&[], Some(&basic(id, secret))).await;
        assert_not_believed(&answer, true);
        assert!(answer.body.contains("remove the client secret"), "{answer:#?}");
    }
    let posted = victim.refresh(&[("client_id", id), ("client_secret", "anything")], None).await;
    assert_not_believed(&posted, false);
    Tokens::read(&victim.refresh(&[("client_id", id)], None).await);
    stage.close().await;
}

// CA-05
#[tokio::test]
async fn a_basic_header_is_read_as_it_is_written_or_not_at_all() {
    let stage = Stage::start(Store::Sqlite).await;
    let mut victim = Victim::of(&stage, "client_secret_basic").await;
    let (id, secret) = (victim.id().to_owned(), victim.secret.clone());
    let encoded = |text: &str| STANDARD.encode(text);
    let right = format!("{id}:{secret}");
    for bad in [
        "Basic".to_owned(),
        "Basic ".to_owned(),
        "Basic %%%%".to_owned(),
        format!("Basic {}", encoded(&id)),
        format!("Basic {}", encoded(&format!(":{secret}"))),
        format!("Basic {}", encoded(&format!("{id}%zz:{secret}"))),
        format!("Basic {}", encoded(&format!("{id}:{secret}%"))),
        format!("Basic {}", encoded(&format!("{id}%00:{secret}"))),
        format!("Basic {}", encoded(&format!(" {right}"))),
        format!("Basic {}", encoded(&format!("{right}\n"))),
        format!("Basic {} ", URL_SAFE_NO_PAD.encode(format!("{right}?~"))),
        format!("Basic {}", STANDARD.encode([id.as_bytes(), b":", &[0xFF, 0xFE]].concat())),
        // Encoded twice is another text.
        format!("Basic {}", encoded(&right.replace('_', "%255F"))),
        format!("Bearer {}", encoded(&right)),
        format!("Basic, {}", encoded(&right)),
        format!("Digest username=\"{id}\""),
    ] {
        assert_not_believed(&victim.refresh(&[], Some(&bad)).await, true);
    }
    for good in ["Basic", "basic", "BASIC", "bAsIc"] {
        // Each half is form-encoded before they are joined (RFC 6749 §2.3.1), which changes nothing here, and may.
        for text in [right.clone(), right.replace('_', "%5F"), right.replace('_', "%5f")] {
            let answer = victim.refresh(&[], Some(&format!("{good} {}", encoded(&text)))).await;
            victim.refresh = Tokens::read(&answer).refresh;
        }
    }
    stage.close().await;
}

// CA-07, CA-11
#[tokio::test]
async fn an_assertion_proves_nothing_where_none_can_be_registered() {
    let stage = Stage::start(Store::Sqlite).await;
    for method in ["private_key_jwt", "client_secret_jwt", "tls_client_auth", "attest_jwt_client_auth"] {
        let mut body = metadata(&[PUB1]);
        body["token_endpoint_auth_method"] = method.into();
        assert_json_error(&stage.register(&body).await, 400, "invalid_client_metadata");
    }
    let mut victim = Victim::of(&stage, "client_secret_basic").await;
    let id = victim.id().to_owned();
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims =
        json!({"iss": id, "sub": id, "aud": stage.house.issuer(), "exp": 4_102_444_800_i64, "jti": "1"});
    let assertion = format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims));
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let asserted = [("client_assertion", assertion.as_str()), ("client_assertion_type", kind)];
    let named = [&asserted[..], &[("client_id", id.as_str())]].concat();
    assert_not_believed(&victim.refresh(&named, None).await, false);
    assert_json_error(&victim.refresh(&asserted, None).await, 400, "invalid_request");
    for header in ["x-client-cert", "client-attestation", "x-forwarded-client-cert"] {
        let form = [("grant_type", "refresh_token"), ("refresh_token", &victim.refresh), ("client_id", &id)];
        let answer = Answer::to(victim.client.token_request(&form).header(header, &assertion)).await;
        assert_not_believed(&answer, false);
    }
    victim.is_unharmed("client_secret_basic").await;
    stage.close().await;
}

// CA-13
#[tokio::test]
async fn whoever_guesses_secrets_is_slowed_and_the_client_is_not() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("LIMITS__TOKEN_FAILURES", "20");
    let stage = Stage::build(plan).await;
    let mut victim = Victim::of(&stage, "client_secret_basic").await;
    let mut statuses = Vec::new();
    for guess in 0..30 {
        let header = basic(victim.id(), &format!("dws_{guess:043}"));
        let answer = victim.refresh(&[], Some(&header)).await;
        if answer.status == 429 {
            assert_eq!(answer.header("retry-after"), "60", "{answer:#?}");
        }
        statuses.push(answer.status);
        // The true client in the same network is served all along.
        victim.is_unharmed("client_secret_basic").await;
    }
    assert_eq!((&statuses[..20], &statuses[20..]), (&[401; 20][..], &[429; 10][..]));
    stage.close().await;
}
