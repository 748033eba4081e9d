use doorward_shared::{
    allowance::Allowance, client_id::ClientId, issuer::Issuer, redirect_uri::RedirectUri, scope::Scope,
    secret::SystemEntropy,
};

use super::*;
use crate::domain::{
    consent::Ticked,
    fixture::{self, CHALLENGE, NOW},
};

fn query(extra: &str) -> String {
    format!(
        "response_type=code&client_id=pub1&redirect_uri=https%3A%2F%2Fapp.test%2Fcb&state=S1&code_challenge={CHALLENGE}\
         &code_challenge_method=S256&resource=https://mcp.test/a{extra}"
    )
}

fn validated(extra: &str) -> Validated {
    let bound =
        Parsed::parse(&query(extra)).unwrap().bind(Some(fixture::client()), &fixture::policy()).unwrap();
    bound.read().unwrap().validate(Some(fixture::resource()), None, &fixture::policy()).unwrap()
}

fn hinting(hint: Option<Hint>, extra: &str) -> Result<Validated, RedirectError> {
    let query = query(&format!("&id_token_hint=x.y.z{extra}"));
    let bound = Parsed::parse(&query).unwrap().bind(Some(fixture::client()), &fixture::policy());
    bound.unwrap().read().unwrap().validate(Some(fixture::resource()), hint, &fixture::policy())
}

fn hint(user: &User) -> Hint {
    let iss = fixture::policy().issuer;
    Hint { iss, sub: user.id.as_str().to_owned(), aud: fixture::client().id }
}

fn in_front_of_the_page(extra: &str) -> Asked {
    let signed_in = fixture::signed_in(&fixture::user(), Freshness::ForThisRequest);
    validated(extra).authenticate(Some(signed_in), NOW).unwrap().reaching(Reach::default())
}

fn yes(asked: &Asked, tiers: &[&str]) -> Answer {
    let tiers = tiers.iter().copied().map(String::from).collect();
    Answer {
        digest: asked.offer(&fixture::policy()).digest(),
        decision: Decision::Authorize(Ticked { tiers, ..Ticked::default() }),
    }
}

fn location(error: &RedirectError) -> String {
    error.location(&fixture::policy().issuer)
}

#[test]
fn nothing_is_sent_to_an_address_that_was_not_registered() {
    let evil = query("").replace("app.test", "evil.test");
    let refused = Parsed::parse(&evil).unwrap().bind(Some(fixture::client()), &fixture::policy());
    assert_eq!(refused.unwrap_err(), PageError::RedirectUri);
    for client in [
        None,
        Some(Client { disabled_at: Some(NOW), ..fixture::client() }),
        Some(Client { id: ClientId::parse("other").unwrap(), ..fixture::client() }),
    ] {
        assert_eq!(
            Parsed::parse(&query("")).unwrap().bind(client, &fixture::policy()).unwrap_err(),
            PageError::UnknownClient
        );
    }
}

#[test]
fn a_loopback_client_cannot_move_its_answer_to_the_port_of_this_server() {
    let policy = Policy { issuer: Issuer::parse("http://localhost:9000").unwrap(), ..fixture::policy() };
    let redirect_uris = vec![
        RedirectUri::from_registered("http://localhost/x".to_owned()),
        RedirectUri::from_registered("http://127.0.0.1/x".to_owned()),
    ];
    let bind = |uri: &str| {
        let client = Client { redirect_uris: redirect_uris.clone(), ..fixture::client() };
        let query = query("").replace("https%3A%2F%2Fapp.test%2Fcb", uri);
        Parsed::parse(&query).unwrap().bind(Some(client), &policy).map(|_| ())
    };
    assert_eq!(bind("http://localhost:9001/x"), Ok(()));
    assert_eq!(bind("http://localhost:9000/x"), Err(PageError::RedirectUri));
    assert_eq!(bind("http://127.0.0.1:9000/x"), Err(PageError::RedirectUri));
}

#[test]
fn an_unsupported_scope_is_named_and_the_reader_told_where_permissions_are_chosen() {
    let bound = Parsed::parse(&query("&scope=openid+artifacts:read"))
        .unwrap()
        .bind(Some(fixture::client()), &fixture::policy());
    let read = bound.unwrap().read().unwrap();
    let error = read.validate(Some(fixture::resource()), None, &fixture::policy()).unwrap_err();
    assert_eq!(error.error().code(), ErrorCode::InvalidScope);
    assert!(error.error().description().starts_with("unsupported scope artifacts:read"));
    let location = location(&error);
    assert!(location.starts_with("https://app.test/cb?error=invalid_scope&"), "{location}");
    assert!(location.ends_with("&state=S1&iss=https%3A%2F%2Fas.test"), "{location}");
}

#[test]
fn without_a_resource_nothing_is_issued() {
    let read = Parsed::parse(&query(""))
        .unwrap()
        .bind(Some(fixture::client()), &fixture::policy())
        .unwrap()
        .read()
        .unwrap();
    let error = read.validate(None, None, &fixture::policy()).unwrap_err();
    assert_eq!(error.error().code(), ErrorCode::InvalidTarget);
}

#[test]
fn a_sign_in_must_be_there_live_and_fresh_enough() {
    let user = fixture::user();
    let earlier = || Some(fixture::signed_in(&user, Freshness::Earlier));
    assert!(matches!(validated("").authenticate(None, NOW), Err(Pause::Login(_))));
    assert!(validated("").authenticate(earlier(), NOW).is_ok());
    assert!(matches!(validated("&prompt=login").authenticate(earlier(), NOW), Err(Pause::Login(_))));
    let again = Some(fixture::signed_in(&user, Freshness::ForThisRequest));
    assert!(validated("&prompt=login").authenticate(again, NOW).is_ok());
    let later = NOW.plus(Seconds::new(3));
    assert!(matches!(validated("&max_age=1").authenticate(earlier(), later), Err(Pause::Login(_))));
    assert!(validated("&max_age=3").authenticate(earlier(), later).is_ok());
    // No age at all is asked for: a sign-in of this second is not one for this request.
    assert!(matches!(validated("&max_age=0").authenticate(earlier(), NOW), Err(Pause::Login(_))));
    let again = Some(fixture::signed_in(&user, Freshness::ForThisRequest));
    assert!(validated("&max_age=0").authenticate(again, later).is_ok());
    let mut disabled = fixture::signed_in(&user, Freshness::ForThisRequest);
    disabled.user.disabled_at = Some(NOW);
    assert!(matches!(validated("").authenticate(Some(disabled), NOW), Err(Pause::Login(_))));
}

#[test]
fn a_request_says_whether_it_asks_for_a_proof() {
    for (query, asks) in
        [("", false), ("prompt=consent", false), ("prompt=consent+login", true), ("max_age=600", true)]
    {
        assert_eq!(asks_for_proof(query), asks, "{query}");
    }
}

#[test]
fn a_sign_in_of_which_nobody_knows_when_it_was_proved_is_no_answer_to_who_asks_when() {
    let user = fixture::user();
    let with = |proved_at, freshness| {
        let found = fixture::signed_in(&user, freshness);
        Some(SignedIn { session: Session { proved_at, ..found.session }, ..found })
    };
    let old = Some(NOW.minus(Seconds::hours(1)));
    for proved_at in [None, old] {
        for extra in ["&prompt=login", "&max_age=0", "&max_age=600"] {
            // The person is asked once; whoever comes back no better ends with an answer, not where they began.
            let asked = validated(extra).authenticate(with(proved_at, Freshness::Earlier), NOW);
            assert!(matches!(asked, Err(Pause::Login(_))), "{extra}");
            let Err(Pause::Refuse(error)) =
                validated(extra).authenticate(with(proved_at, Freshness::Unproved), NOW)
            else {
                panic!("{extra}: not refused");
            };
            assert_eq!(error.error().code(), ErrorCode::LoginRequired);
        }
        assert!(validated("").authenticate(with(proved_at, Freshness::Unproved), NOW).is_ok());
    }
    assert!(validated("&max_age=3600").authenticate(with(old, Freshness::Unproved), NOW).is_ok());
}

#[test]
fn a_hint_says_who_is_meant_and_signs_nobody_in() {
    let (alice, bob) = (fixture::user(), fixture::user());
    let code = |pause: Result<Authenticated, Pause>| match pause {
        Err(Pause::Refuse(error)) => error.error().code(),
        other => panic!("{other:?}"),
    };
    let of_alice = |extra| hinting(Some(hint(&alice)), extra).unwrap();
    let signed_in = |user, freshness| Some(fixture::signed_in(user, freshness));
    assert!(of_alice("").authenticate(signed_in(&alice, Freshness::Earlier), NOW).is_ok());
    for nobody in [None, signed_in(&bob, Freshness::Earlier)] {
        assert!(matches!(of_alice("").authenticate(nobody.clone(), NOW), Err(Pause::Login(_))));
        let silent = of_alice("&prompt=none").authenticate(nobody, NOW);
        assert_eq!(code(silent), ErrorCode::LoginRequired);
    }
    // Bob was asked as Alice is meant, and is no Alice.
    let answered = of_alice("").authenticate(signed_in(&bob, Freshness::ForThisRequest), NOW);
    assert_eq!(code(answered), ErrorCode::LoginRequired);

    let of_another_client = Hint { aud: ClientId::parse("other").unwrap(), ..hint(&alice) };
    for useless in [None, Some(of_another_client)] {
        assert_eq!(hinting(useless, "").unwrap_err().error().code(), ErrorCode::InvalidRequest);
    }
}

#[test]
fn where_no_page_may_be_shown_the_client_is_told_what_is_missing() {
    let Err(Pause::Refuse(error)) = validated("&prompt=none").authenticate(None, NOW) else {
        panic!("refused")
    };
    assert_eq!(error.error().code(), ErrorCode::LoginRequired);
    let asked = in_front_of_the_page("&prompt=none");
    let Err(Pause::Refuse(error)) = asked.consent(None, &fixture::policy(), NOW) else { panic!("refused") };
    assert_eq!(error.error().code(), ErrorCode::ConsentRequired);
}

#[test]
fn only_an_answer_to_what_is_shown_now_counts() {
    let policy = fixture::policy();
    assert!(matches!(in_front_of_the_page("").consent(None, &policy, NOW), Err(Pause::Consent(_))));
    let stale = Answer { digest: "stale".to_owned(), ..yes(&in_front_of_the_page(""), &["read"]) };
    assert!(matches!(in_front_of_the_page("").consent(Some(stale), &policy, NOW), Err(Pause::Consent(_))));
    // The digest is bound to the person: another person's yes is no answer.
    let of_another = yes(&in_front_of_the_page(""), &["read"]);
    assert!(matches!(
        in_front_of_the_page("").consent(Some(of_another), &policy, NOW),
        Err(Pause::Consent(_))
    ));
}

#[test]
fn a_no_goes_to_the_client_and_a_yes_becomes_a_code_for_exactly_what_was_ticked() {
    let policy = fixture::policy();
    let asked = in_front_of_the_page("");
    let deny = Answer { decision: Decision::Deny, ..yes(&asked, &[]) };
    let Err(Pause::Refuse(error)) = asked.consent(Some(deny), &policy, NOW) else { panic!("refused") };
    assert_eq!(error.error().code(), ErrorCode::AccessDenied);

    let asked = in_front_of_the_page("&scope=openid&nonce=N");
    let answer = yes(&asked, &["read"]);
    let code = Secret::<AuthorizationCode>::generate(&SystemEntropy);
    let grant = GrantId::generate(NOW, &SystemEntropy);
    let (location, issued) =
        asked.consent(Some(answer), &policy, NOW).unwrap().issue(&code, grant, &policy, NOW);
    let expected = format!("https://app.test/cb?code={}&state=S1&iss=https%3A%2F%2Fas.test", code.expose());
    assert_eq!(location, expected);
    assert_eq!(issued.grant().allowance, Allowance::everywhere(Scope::parse("artifacts:read").unwrap()));
    assert_eq!(issued.grant().oidc, Scope::parse("openid").unwrap());
    assert_eq!((issued.nonce(), issued.expires_at()), (Some("N"), NOW.plus(Seconds::new(60))));
}
