//! Access tokens as JWT (RFC 9068): what is minted, and every check that a resource server makes on the claims.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{jws::Types, strict_json};
use crate::{
    client_id::ClientId,
    issuer::Issuer,
    resource::ResourceUri,
    scope::Scope,
    time::{Seconds, Timestamp},
};

/// The header's `typ` (RFC 9068 §2.1).
pub const TYPE: &str = "at+jwt";
/// What a verifier takes.
pub const TYPES: Types<'static> = Types::Required(&[TYPE]);

/// Longest `sub`, `jti`, `sid` and `org`, in bytes.
const MAX_TEXT: usize = 255;

/// The claims of an access token (RFC 9068 §2.2). Minted by serialising it; read only by [`check`], so that a value of this
/// type that came from outside has passed every check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AccessTokenClaims {
    /// The issuer, byte for byte.
    pub iss: Issuer,
    /// The person, or the client itself where no person is involved.
    pub sub: String,
    /// The one resource server that the token is good at.
    pub aud: ResourceUri,
    /// The token is dead from here on.
    pub exp: Timestamp,
    /// When it was made.
    pub iat: Timestamp,
    /// The token's own name.
    pub jti: String,
    /// The client.
    pub client_id: ClientId,
    /// What the token allows: permission atoms and OIDC scopes.
    pub scope: Scope,
    /// The grant: what an administrator revokes.
    pub sid: String,
    /// The organization.
    pub org: String,
    /// When the person last signed in; absent where no person is involved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<Timestamp>,
    /// A narrowing of `scope` to parts of the data tree (RFC 9396). Whoever does not understand it must allow nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<Vec<Map<String, Value>>>,
    /// False when the person is entitled to nothing at this resource with the data of `org`, so that the resource server can say so (403) and no
    /// client tries again and again. Written only then: a token without it is of somebody who is entitled to something, and
    /// may have ticked nothing.
    #[serde(skip_serializing_if = "is_true")]
    pub entitled: bool,
    /// Who acts for the subject (RFC 8693 §4.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub act: Option<Map<String, Value>>,
    /// The key that the presenter must prove to hold (RFC 7800). [`check`] refuses it: no proof is read yet, and a bound
    /// token that is taken as a bearer token would lose its protection (RFC 9449 §7.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Map<String, Value>>,
}

/// What a token must say to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The trusted issuer.
    pub issuer: &'a Issuer,
    /// Ourselves.
    /// `None` is for the issuer alone, whose own tokens are never for it: it compares `aud` with what it granted.
    pub audience: Option<&'a ResourceUri>,
    /// The time of the request.
    pub now: Timestamp,
    /// How far two clocks may disagree.
    pub leeway: Seconds,
    /// Longest time between `iat` and `exp`.
    pub max_lifetime: Seconds,
}

impl<'a> Expected<'a> {
    /// The leeway that is used everywhere: 60 seconds.
    pub const LEEWAY: Seconds = Seconds::new(60);
    /// The longest lifetime that is taken unless configured otherwise: 24 hours.
    pub const MAX_LIFETIME: Seconds = Seconds::hours(24);

    /// Expectations with the default leeway and lifetime.
    pub const fn new(issuer: &'a Issuer, audience: &'a ResourceUri, now: Timestamp) -> Self {
        Self { audience: Some(audience), ..Self::of_issuer(issuer, now) }
    }

    /// Expectations of the issuer towards its own tokens, whatever resource they are for.
    pub const fn of_issuer(issuer: &'a Issuer, now: Timestamp) -> Self {
        Self { issuer, audience: None, now, leeway: Self::LEEWAY, max_lifetime: Self::MAX_LIFETIME }
    }
}

/// Why claims are refused. For logs and metrics; never told to the presenter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Rejection {
    /// No JSON object, or a member twice.
    #[error("the claims are not a JSON object with distinct members")]
    Json,
    /// A claim that must be there is not.
    #[error("the claim {0} is missing")]
    Missing(&'static str),
    /// A claim has another type or form than its definition says. It is never treated as absent.
    #[error("the claim {0} is malformed")]
    Malformed(&'static str),
    /// `iss` is not the trusted issuer.
    #[error("the token is of another issuer")]
    Issuer,
    /// `aud` is not exactly us.
    #[error("the token is for another audience")]
    Audience,
    /// `exp` is past.
    #[error("the token has expired")]
    Expired,
    /// `iat` or `nbf` lies ahead.
    #[error("the token is not valid yet")]
    NotYet,
    /// `exp` is not after `iat`, or too long after it.
    #[error("the token's lifetime is out of bounds")]
    Lifetime,
    /// `cnf`: the token is bound to a key.
    #[error("the token is bound to a key and was sent as a bearer token")]
    Bound,
}

/// Checks the payload of a token whose signature and type were verified (RFC 9068 §4).
///
/// Every claim is read with its exact type. `aud` is one string, the same as ours after the folding of
/// [`ResourceUri::same_as`]; `iss` is equal byte for byte. The bounds are `now < exp + leeway`, `iat <= now + leeway` and
/// `0 < exp - iat <= max_lifetime`.
pub fn check(payload: &[u8], expected: &Expected<'_>) -> Result<AccessTokenClaims, Rejection> {
    let claims = Claims(strict_json::object(payload).map_err(|_| Rejection::Json)?);

    if claims.text("iss")? != expected.issuer.as_str() {
        return Err(Rejection::Issuer);
    }
    let aud = ResourceUri::parse(claims.text("aud")?).map_err(|_| Rejection::Malformed("aud"))?;
    if expected.audience.is_some_and(|ours| !aud.same_as(ours)) {
        return Err(Rejection::Audience);
    }

    let latest = expected.now.plus(expected.leeway);
    let (exp, iat) = (claims.time("exp")?, claims.time("iat")?);
    if expected.now >= exp.plus(expected.leeway) {
        return Err(Rejection::Expired);
    }
    if iat > latest || claims.optional_time("nbf")?.is_some_and(|nbf| nbf > latest) {
        return Err(Rejection::NotYet);
    }
    let lifetime = exp.since(iat);
    if lifetime <= Seconds::new(0) || lifetime > expected.max_lifetime {
        return Err(Rejection::Lifetime);
    }
    if claims.0.contains_key("cnf") {
        return Err(Rejection::Bound);
    }

    Ok(AccessTokenClaims {
        iss: expected.issuer.clone(),
        sub: claims.name("sub")?,
        aud,
        exp,
        iat,
        jti: claims.name("jti")?,
        client_id: ClientId::parse(claims.text("client_id")?)
            .map_err(|_| Rejection::Malformed("client_id"))?,
        scope: claims.scope()?,
        sid: claims.name("sid")?,
        org: claims.name("org")?,
        auth_time: claims.optional_time("auth_time")?,
        authorization_details: claims.details()?,
        entitled: claims.optional_flag("entitled")?.unwrap_or(true),
        act: claims.optional_object("act")?,
        cnf: None,
    })
}

/// The condition under which `entitled` need not be written.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
pub(crate) const fn is_true(flag: &bool) -> bool {
    *flag
}

struct Claims(Map<String, Value>);

impl Claims {
    fn text(&self, name: &'static str) -> Result<&str, Rejection> {
        let value = self.0.get(name).ok_or(Rejection::Missing(name))?;
        value.as_str().filter(|text| !text.is_empty()).ok_or(Rejection::Malformed(name))
    }

    fn name(&self, name: &'static str) -> Result<String, Rejection> {
        let text = self.text(name)?;
        let legal = text.len() <= MAX_TEXT && !text.chars().any(char::is_control);
        if legal { Ok(text.to_owned()) } else { Err(Rejection::Malformed(name)) }
    }

    fn time(&self, name: &'static str) -> Result<Timestamp, Rejection> {
        self.optional_time(name)?.ok_or(Rejection::Missing(name))
    }

    fn optional_time(&self, name: &'static str) -> Result<Option<Timestamp>, Rejection> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        // Whole seconds only: `null`, a text, a fraction and a number beyond 63 bits are malformed, not absent.
        value.as_i64().map(|seconds| Some(Timestamp::from_seconds(seconds))).ok_or(Rejection::Malformed(name))
    }

    fn scope(&self) -> Result<Scope, Rejection> {
        let Some(value) = self.0.get("scope") else { return Ok(Scope::default()) };
        value.as_str().and_then(|text| Scope::parse(text).ok()).ok_or(Rejection::Malformed("scope"))
    }

    fn details(&self) -> Result<Option<Vec<Map<String, Value>>>, Rejection> {
        const NAME: &str = "authorization_details";
        let Some(value) = self.0.get(NAME) else { return Ok(None) };
        let items = value.as_array().ok_or(Rejection::Malformed(NAME))?;
        let items: Option<Vec<_>> = items.iter().map(|item| item.as_object().cloned()).collect();
        items.map(Some).ok_or(Rejection::Malformed(NAME))
    }

    fn optional_flag(&self, name: &'static str) -> Result<Option<bool>, Rejection> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or(Rejection::Malformed(name))
    }

    fn optional_object(&self, name: &'static str) -> Result<Option<Map<String, Value>>, Rejection> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_object().cloned().map(Some).ok_or(Rejection::Malformed(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn issuer() -> Issuer {
        Issuer::parse("https://as.test").unwrap()
    }

    fn audience() -> ResourceUri {
        ResourceUri::parse("https://mcp.test/a").unwrap()
    }

    fn good() -> AccessTokenClaims {
        AccessTokenClaims {
            iss: issuer(),
            sub: "01ALICE".to_owned(),
            aud: audience(),
            exp: NOW.plus(Seconds::new(900)),
            iat: NOW,
            jti: "01TOKEN".to_owned(),
            client_id: ClientId::parse("https://app.test/client.json").unwrap(),
            scope: Scope::parse("artifacts:read openid").unwrap(),
            sid: "01GRANT".to_owned(),
            org: "01ORG".to_owned(),
            auth_time: Some(NOW),
            authorization_details: None,
            entitled: true,
            act: None,
            cnf: None,
        }
    }

    fn check_at(payload: &[u8], now: Timestamp) -> Result<AccessTokenClaims, Rejection> {
        check(payload, &Expected::new(&issuer(), &audience(), now))
    }

    fn check_value(claims: &Value) -> Result<AccessTokenClaims, Rejection> {
        check_at(claims.to_string().as_bytes(), NOW)
    }

    /// The good claims with one of them replaced.
    fn with(name: &str, value: Value) -> Result<AccessTokenClaims, Rejection> {
        let mut claims = serde_json::to_value(good()).unwrap();
        claims[name] = value;
        check_value(&claims)
    }

    /// The good claims with one of them removed.
    fn without(name: &str) -> Result<AccessTokenClaims, Rejection> {
        let mut claims = serde_json::to_value(good()).unwrap();
        claims.as_object_mut().unwrap().remove(name);
        check_value(&claims)
    }

    /// The good claims with one of them written by hand.
    fn with_text(name: &str, text: &str) -> Result<AccessTokenClaims, Rejection> {
        let mut claims = serde_json::to_value(good()).unwrap();
        claims[name] = json!("@@@");
        check_at(claims.to_string().replace("\"@@@\"", text).as_bytes(), NOW)
    }

    #[test]
    fn what_is_minted_is_taken_and_reads_the_same() {
        assert_eq!(check_value(&serde_json::to_value(good()).unwrap()), Ok(good()));
        let mut machine = good();
        machine.auth_time = None;
        machine.authorization_details = Some(vec![json!({"type": "folder"}).as_object().unwrap().clone()]);
        machine.act = Some(json!({"sub": "agent"}).as_object().unwrap().clone());
        machine.entitled = false;
        let written = serde_json::to_value(&machine).unwrap();
        assert!(!written.to_string().contains("null"));
        assert_eq!(written["entitled"], json!(false));
        assert_eq!(check_value(&written), Ok(machine));
    }

    // JT-14, IM-12
    #[test]
    fn the_issuer_is_compared_byte_for_byte() {
        for iss in [
            json!("https://as.test/"),
            json!("https://AS.test"),
            json!("https://other.test"),
            json!("https://as.test:443"),
        ] {
            assert_eq!(with("iss", iss.clone()), Err(Rejection::Issuer), "{iss}");
        }
        for iss in [json!(["https://as.test"]), json!(null), json!(""), json!({}), json!(1)] {
            assert_eq!(with("iss", iss.clone()), Err(Rejection::Malformed("iss")), "{iss}");
        }
        assert_eq!(without("iss"), Err(Rejection::Missing("iss")));
    }

    // JT-15, JT-16, JT-17
    #[test]
    fn the_audience_is_exactly_one_text_and_exactly_us() {
        for aud in [
            "https://mcp.test",
            "https://mcp.test/ab",
            "https://mcp.test/a/b",
            "https://mcp.test/A",
            "http://mcp.test/a",
        ] {
            assert_eq!(with("aud", json!(aud)), Err(Rejection::Audience), "{aud}");
        }
        for aud in [
            json!(["https://mcp.test/a", "https://other.test"]),
            json!(["https://mcp.test/a"]),
            json!(null),
            json!(""),
            json!([]),
            json!({}),
            json!(7),
            json!("not a url"),
            json!("https://mcp.test/a#x"),
            json!(" https://mcp.test/a"),
        ] {
            assert_eq!(with("aud", aud.clone()), Err(Rejection::Malformed("aud")), "{aud}");
        }
        assert_eq!(without("aud"), Err(Rejection::Missing("aud")));
        assert!(with("aud", json!("https://MCP.test:443/a/")).is_ok());
    }

    // JT-19
    #[test]
    fn a_token_dies_sixty_seconds_after_its_expiry() {
        let text = serde_json::to_vec(&good()).unwrap();
        let at = |seconds: i64| check_at(&text, NOW.plus(Seconds::new(900 + seconds)));
        assert!(at(0).is_ok() && at(30).is_ok() && at(59).is_ok());
        assert_eq!(at(60), Err(Rejection::Expired));
        assert_eq!(at(61), Err(Rejection::Expired));
        assert_eq!(without("exp"), Err(Rejection::Missing("exp")));
    }

    // JT-20, JT-21
    #[test]
    fn a_time_of_another_type_is_a_failure_and_never_absent() {
        for name in ["exp", "iat", "nbf", "auth_time"] {
            for text in [
                r#""9999999999""#,
                "null",
                "true",
                "1800000100.5",
                "1e12",
                "9223372036854775808",
                "[1]",
                "{}",
            ] {
                assert_eq!(with_text(name, text), Err(Rejection::Malformed(name)), "{name} {text}");
            }
            for text in ["1e400", "NaN", "Infinity", "0x10", "01"] {
                assert_eq!(with_text(name, text), Err(Rejection::Json), "{name} {text}");
            }
        }
        assert_eq!(with_text("exp", "-1"), Err(Rejection::Expired));
        assert_eq!(with_text("exp", "-9223372036854775808"), Err(Rejection::Expired));
    }

    // JT-21, JT-22
    #[test]
    fn a_token_from_the_future_or_with_an_endless_life_is_refused() {
        let later = |seconds| json!(NOW.plus(Seconds::new(seconds)));
        assert!(with("nbf", later(60)).is_ok());
        assert_eq!(with("nbf", later(61)), Err(Rejection::NotYet));
        assert!(with("iat", later(60)).is_ok());
        assert_eq!(with("iat", later(61)), Err(Rejection::NotYet));
        assert_eq!(with("iat", later(3600)), Err(Rejection::NotYet));
        assert!(with("exp", later(86_400)).is_ok());
        assert_eq!(with("exp", later(86_401)), Err(Rejection::Lifetime));
        assert_eq!(with_text("exp", "9223372036854775807"), Err(Rejection::Lifetime));
        assert_eq!(with("exp", later(0)), Err(Rejection::Lifetime));
        assert_eq!(without("iat"), Err(Rejection::Missing("iat")));
    }

    // JT-23
    #[test]
    fn a_claim_that_occurs_twice_is_refused() {
        let text = serde_json::to_string(&good()).unwrap();
        for extra in [
            r#""aud":"https://mcp.test/a""#,
            r#""\u0061ud":"https://other.test""#,
            r#""sub":"mallory""#,
            r#""x":{"a":1,"a":1}"#,
        ] {
            let twice = text.replacen('{', &format!("{{{extra},"), 1);
            assert_eq!(check_at(twice.as_bytes(), NOW), Err(Rejection::Json), "{extra}");
        }
    }

    // JT-24
    #[test]
    fn a_claim_of_nearly_the_same_name_is_another_claim() {
        let text = serde_json::to_string(&good()).unwrap();
        for (name, other) in
            [("aud", "AUD"), ("sub", "Sub"), ("sub", "sub\\u0000"), ("exp", "exp "), ("scope", "scopes")]
        {
            let renamed = text.replacen(&format!("\"{name}\""), &format!("\"{other}\""), 1);
            let checked = check_at(renamed.as_bytes(), NOW);
            match name {
                "scope" => assert!(checked.unwrap().scope.is_empty()),
                _ => assert_eq!(checked, Err(Rejection::Missing(name))),
            }
        }
    }

    // JT-25
    #[test]
    fn what_is_no_json_object_is_refused() {
        let text = serde_json::to_string(&good()).unwrap();
        let deep = text.replacen('{', &format!("{{\"x\":{}{},", "[".repeat(1000), "]".repeat(1000)), 1);
        let surrogate = text.replacen("01ALICE", "\\ud800", 1);
        for payload in [
            "",
            "x",
            "[]",
            "null",
            "\u{feff}{}",
            &format!("{text}x"),
            &format!("[{text}]"),
            &deep,
            &surrogate,
        ] {
            assert_eq!(check_at(payload.as_bytes(), NOW), Err(Rejection::Json));
        }
        assert_eq!(check_at(&[text.as_bytes(), b"\xFF"].concat(), NOW), Err(Rejection::Json));
    }

    // JT-27
    #[test]
    fn every_claim_that_names_somebody_must_be_there_and_be_a_text() {
        for name in ["sub", "jti", "client_id", "sid", "org"] {
            assert_eq!(without(name), Err(Rejection::Missing(name)));
            for bad in [
                json!(null),
                json!(""),
                json!(1),
                json!(["x"]),
                json!("x".repeat(256)),
                json!("a\u{0}b"),
                json!("a\nb"),
            ] {
                assert_eq!(with(name, bad.clone()), Err(Rejection::Malformed(name)), "{name} {bad}");
            }
        }
    }

    // JT-28
    #[test]
    fn a_scope_is_one_text_within_bounds() {
        assert_eq!(with("scope", json!("b a b")).unwrap().scope, Scope::parse("a b").unwrap());
        assert!(without("scope").unwrap().scope.is_empty());
        let endless = (0..100_000).map(|i| i.to_string()).collect::<Vec<_>>().join(" ");
        for bad in [json!(["a"]), json!(null), json!(1), json!("a  b"), json!(endless)] {
            assert_eq!(with("scope", bad), Err(Rejection::Malformed("scope")));
        }
    }

    // JT-33
    #[test]
    fn a_token_that_is_bound_to_a_key_is_no_bearer_token() {
        for cnf in [json!({"jkt": "x"}), json!({}), json!(null), json!("x")] {
            assert_eq!(with("cnf", cnf), Err(Rejection::Bound));
        }
    }

    #[test]
    fn a_narrowing_that_cannot_be_read_is_refused() {
        for bad in [json!({}), json!(null), json!("x"), json!([1]), json!([{}, "x"])] {
            assert_eq!(
                with("authorization_details", bad),
                Err(Rejection::Malformed("authorization_details"))
            );
        }
        assert_eq!(with("act", json!("x")), Err(Rejection::Malformed("act")));
    }

    #[test]
    fn who_is_entitled_to_nothing_is_told_by_false_and_by_nothing_else() {
        let written = serde_json::to_value(good()).unwrap();
        assert!(written.get("entitled").is_none());
        assert!(check_value(&written).unwrap().entitled && with("entitled", json!(true)).unwrap().entitled);
        assert!(!with("entitled", json!(false)).unwrap().entitled);
        for bad in [json!(null), json!("false"), json!(0), json!([]), json!({})] {
            assert_eq!(with("entitled", bad.clone()), Err(Rejection::Malformed("entitled")), "{bad}");
        }
    }

    // JT-34
    #[test]
    fn a_claim_that_is_not_ours_gives_nothing() {
        for (name, value) in
            [("roles", json!(["admin"])), ("email_verified", json!(true)), ("permissions", json!(["x"]))]
        {
            assert_eq!(with(name, value), Ok(good()));
        }
    }

    proptest! {
        #[test]
        fn no_payload_panics_and_none_but_ours_is_taken(payload in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(check_at(&payload, NOW).is_err());
        }

        #[test]
        fn no_time_panics(exp in any::<i64>(), iat in any::<i64>(), now in any::<i64>()) {
            let mut claims = good();
            (claims.exp, claims.iat) = (Timestamp::from_seconds(exp), Timestamp::from_seconds(iat));
            let taken = check_at(&serde_json::to_vec(&claims).unwrap(), Timestamp::from_seconds(now)).is_ok();
            if taken {
                prop_assert!(i128::from(now) < i128::from(exp) + 60);
                prop_assert!(i128::from(iat) <= i128::from(now) + 60);
                prop_assert!((1..=86_400).contains(&(i128::from(exp) - i128::from(iat))));
            }
        }

        #[test]
        fn what_is_minted_is_taken(sub in "[a-zA-Z0-9:|-]{1,40}", scope in "[a-z:]{1,9}( [a-z:]{1,9}){0,5}") {
            let mut claims = good();
            claims.sub = sub;
            claims.scope = Scope::parse(&scope).unwrap();
            prop_assert_eq!(check_value(&serde_json::to_value(&claims).unwrap()), Ok(claims));
        }
    }
}
