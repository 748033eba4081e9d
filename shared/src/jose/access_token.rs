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
    pub audience: &'a ResourceUri,
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
        Self { issuer, audience, now, leeway: Self::LEEWAY, max_lifetime: Self::MAX_LIFETIME }
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
    if !aud.same_as(expected.audience) {
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
        act: claims.optional_object("act")?,
        cnf: None,
    })
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

    fn optional_object(&self, name: &'static str) -> Result<Option<Map<String, Value>>, Rejection> {
        let Some(value) = self.0.get(name) else { return Ok(None) };
        value.as_object().cloned().map(Some).ok_or(Rejection::Malformed(name))
    }
}
