use doorward_shared::issuer::Issuer;

use super::*;
use crate::domain::{client::TrustLabel, fixture};

fn url(text: &str) -> DocumentUrl {
    DocumentUrl::parse(text).unwrap()
}

fn hosts(texts: &[&str]) -> Vec<HostPattern> {
    texts.iter().map(|text| HostPattern::parse(text).unwrap()).collect()
}

#[test]
fn a_public_host_is_far_and_anything_else_is_barred() {
    let policy = fixture::policy();
    for (text, answer) in [
        ("https://app.test/c.json", Ok(Way::Far)),
        ("https://8.8.8.8/c.json", Ok(Way::Far)),
        ("https://10.1.1.1/c.json", Err(Barred::Address)),
        ("https://169.254.169.254/c.json", Err(Barred::Address)),
        ("https://[::ffff:7f00:1]/c.json", Err(Barred::Address)),
        ("https://[fe80::1]/c.json", Err(Barred::Address)),
        ("https://app.test:8443/c.json", Err(Barred::Port)),
        // CM-27.
        ("https://as.test/c.json", Err(Barred::Ourselves)),
        // CM-31.
        ("https://localhost/c.json", Err(Barred::Loopback)),
        ("http://localhost:9999/c.json", Err(Barred::Loopback)),
        ("http://127.0.0.1:9999/c.json", Err(Barred::Loopback)),
        ("https://[::1]/c.json", Err(Barred::Loopback)),
    ] {
        assert_eq!(way(&url(text), &policy), answer, "{text}");
    }
}

#[test]
fn a_server_on_loopback_accepts_loopback_documents_but_not_its_own() {
    let mut policy = fixture::policy();
    policy.issuer = Issuer::parse("http://localhost:9000").unwrap();
    assert_eq!(way(&url("http://127.0.0.1:9999/c.json"), &policy), Ok(Way::Near));
    assert_eq!(way(&url("https://app.test/c.json"), &policy), Ok(Way::Far));
    assert_eq!(way(&url("https://10.1.1.1/c.json"), &policy), Err(Barred::Address));
    for own in ["http://localhost:9000/c.json", "http://127.0.0.1:9000/c.json", "http://[::1]:9000/c.json"] {
        assert_eq!(way(&url(own), &policy), Err(Barred::Ourselves), "{own}");
    }
}

#[test]
fn the_operator_has_the_last_word_on_hosts_and_ports() {
    let mut policy = fixture::policy();
    let rules = &mut policy.client_documents;
    rules.allowed_hosts = hosts(&["app.test", "*.good.test"]);
    rules.denied_hosts = hosts(&["bad.good.test"]);
    rules.ports = vec![443, 8443];
    for (text, answer) in [
        ("https://app.test/c.json", Ok(Way::Far)),
        ("https://app.test:8443/c.json", Ok(Way::Far)),
        ("https://app.test:8444/c.json", Err(Barred::Port)),
        ("https://a.good.test/c.json", Ok(Way::Far)),
        ("https://bad.good.test/c.json", Err(Barred::Host)),
        ("https://other.test/c.json", Err(Barred::Host)),
        ("https://good.test/c.json", Err(Barred::Host)),
    ] {
        assert_eq!(way(&url(text), &policy), answer, "{text}");
    }
    policy.client_documents.enabled = false;
    assert_eq!(way(&url("https://app.test/c.json"), &policy), Err(Barred::Off));
}

// CM-25.
#[test]
fn a_copy_is_good_for_as_long_as_the_origin_says_within_our_bounds() {
    for (cache_control, age, seconds) in [
        (None, None, 600),
        (Some("public"), None, 600),
        (Some("max-age=300"), None, 300),
        (Some("Max-Age=\"300\""), None, 300),
        (Some("public, max-age=3600, s-maxage=120"), None, 120),
        (Some("max-age=300"), Some("100"), 200),
        (Some("max-age=300"), Some("-100"), 300),
        (Some("max-age=300"), Some("999999999999999999999"), 60),
        (Some("max-age=999999999999999999999"), None, 86_400),
        (Some("max-age=300"), Some("299"), 60),
        (Some("max-age=0"), None, 60),
        (Some("no-store"), None, 60),
        (Some("no-cache, max-age=9999"), None, 60),
        (Some("private, max-age=300"), None, 300),
        (Some("max-age=315360000"), None, 86_400),
        (Some("max-age=18446744073709551615"), None, 86_400),
        (Some("max-age=-1"), None, 600),
        (Some("max-age"), None, 600),
    ] {
        assert_eq!(good_for(cache_control, age), Seconds::new(seconds), "{cache_control:?} {age:?}");
    }
}

#[test]
fn a_document_makes_an_unverified_client_and_an_administrators_word_stays() {
    let policy = fixture::policy();
    let at = url("https://zed.dev/oauth/client-metadata.json");
    let metadata = bundled(&at).unwrap();
    let fresh = admit(metadata.clone(), &at, None, &policy, fixture::NOW, fixture::NOW).unwrap();
    assert_eq!((fresh.id.as_str(), fresh.label()), (at.as_str(), TrustLabel::Unverified));
    let mut stored = fresh;
    stored.ceiling = Some("read".to_owned());
    stored.disabled_at = Some(fixture::NOW);
    stored.redirect_uris = vec![];
    let later = fixture::NOW.plus(Seconds::hours(1));
    let again = admit(metadata, &at, Some(&stored), &policy, later, later).unwrap();
    assert_eq!(again.origin, Origin::Document(later));
    assert_eq!((again.ceiling, again.disabled_at), (stored.ceiling, stored.disabled_at));
    assert_eq!(again.created_at, fixture::NOW);
    assert_eq!(again.redirect_uris.len(), 1);
}

#[test]
fn a_document_that_points_to_this_server_is_refused() {
    let policy = fixture::policy();
    let at = url("https://app.test/c.json");
    let body =
        br#"{"client_id":"https://app.test/c.json","redirect_uris":["https://as.test/oauth2/authorize"]}"#;
    let metadata = ClientMetadata::read_document(body, &at, &[]).unwrap();
    assert!(admit(metadata, &at, None, &policy, fixture::NOW, fixture::NOW).is_err());
}
