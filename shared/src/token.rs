//! The token and revocation endpoints: who calls (RFC 6749 §2.3), what is asked (§4.1.3, §6, RFC 7009 §2.1), what is
//! answered (§5.1).

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    authorization::one_resource,
    client_id::ClientId,
    error::{ErrorCode, OAuthError},
    form::{self, Form},
    resource::ResourceUri,
    scope::Scope,
};

/// A way to get a token. `ALL` feeds metadata, registration checks and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    /// RFC 6749 §4.1.
    AuthorizationCode,
    /// RFC 6749 §6.
    RefreshToken,
}

impl GrantType {
    /// Every grant type of this server.
    pub const ALL: [Self; 2] = [Self::AuthorizationCode, Self::RefreshToken];

    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
        }
    }

    /// Reads the text of the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant_type| grant_type.as_str() == text)
    }
}

/// How a client proves itself at the token endpoint (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A public client: PKCE only.
    None,
    /// The secret in the body.
    ClientSecretPost,
    /// The secret in a Basic header.
    ClientSecretBasic,
}

impl AuthMethod {
    /// Every method, `none` first: some clients take the first one, and most are public.
    pub const ALL: [Self; 3] = [Self::None, Self::ClientSecretPost, Self::ClientSecretBasic];

    /// The text on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretPost => "client_secret_post",
            Self::ClientSecretBasic => "client_secret_basic",
        }
    }

    /// Reads the text of the wire.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == text)
    }
}

/// What a caller presented about itself, not yet believed.
pub struct PresentedClient {
    /// Who it says it is.
    pub client_id: ClientId,
    /// What it showed.
    pub proof: PresentedProof,
}

/// The proof that came along.
pub enum PresentedProof {
    /// Nothing but the identifier.
    None,
    /// `client_secret` in the body.
    Post(String),
    /// A Basic header.
    Basic(String),
}

impl fmt::Debug for PresentedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PresentedClient({})", self.client_id)
    }
}

impl PresentedClient {
    /// Reads the client's identifier and proof from the `Authorization` header and the body.
    pub fn read(authorization: Option<&str>, form: &Form) -> Result<Self, OAuthError> {
        let invalid = |text: &'static str| OAuthError::new(ErrorCode::InvalidRequest, text);
        let one =
            |name| form.one(name).map_err(|e| OAuthError::new(ErrorCode::InvalidRequest, e.to_string()));
        let (body_id, body_secret) = (one("client_id")?, one("client_secret")?);
        let Some(header) = authorization else {
            let id = body_id.ok_or_else(|| invalid("client_id is missing"))?;
            let client_id = ClientId::parse(id).map_err(|_| unknown_client())?;
            let proof =
                body_secret.map_or(PresentedProof::None, |secret| PresentedProof::Post(secret.to_owned()));
            return Ok(Self { client_id, proof });
        };
        let (id, secret) = basic(header).ok_or_else(|| {
            OAuthError::new(
                ErrorCode::InvalidClient,
                "the Authorization header is not a Basic header of RFC 6749 2.3.1",
            )
        })?;
        if body_secret.is_some() {
            return Err(invalid("send the client secret once: in the header or in the body"));
        }
        if body_id.is_some_and(|body_id| body_id != id) {
            return Err(invalid("client_id in the body differs from the one in the header"));
        }
        let client_id = ClientId::parse(&id).map_err(|_| unknown_client())?;
        Ok(Self { client_id, proof: PresentedProof::Basic(secret) })
    }
}

/// The answer for a client that does not exist, is disabled, or failed to prove itself (RFC 6749 §5.2).
pub fn unknown_client() -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidClient,
        "unknown client or wrong client secret; register the client again",
    )
}

fn basic(header: &str) -> Option<(String, String)> {
    let (scheme, token) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (id, secret) = text.split_once(':')?;
    // RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
    Some((form::decode(id).ok()?, form::decode(secret).ok()?))
}

/// A request to the token endpoint.
#[derive(Debug)]
pub enum TokenRequest {
    /// RFC 6749 §4.1.3.
    AuthorizationCode(CodeExchange),
    /// RFC 6749 §6.
    RefreshToken(Refresh),
}

/// The parameters of `grant_type=authorization_code`, untrusted.
pub struct CodeExchange {
    /// The code's text.
    pub code: String,
    /// The address the code came to; OAuth 2.1 §10.2 allows it to be left out.
    pub redirect_uri: Option<String>,
    /// The secret behind the challenge.
    pub code_verifier: String,
    /// The resource (RFC 8707 §2.2).
    pub resource: Option<ResourceUri>,
}

/// The parameters of `grant_type=refresh_token`, untrusted.
pub struct Refresh {
    /// The refresh token's text.
    pub refresh_token: String,
    /// A narrower scope, if one is wanted; empty means "as granted".
    pub scope: Option<Scope>,
    /// The resource (RFC 8707 §2.2).
    pub resource: Option<ResourceUri>,
}

impl fmt::Debug for CodeExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeExchange")
    }
}

impl fmt::Debug for Refresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Refresh")
    }
}

impl TokenRequest {
    /// Reads the body of a token request.
    pub fn parse(form: &Form) -> Result<Self, OAuthError> {
        let one =
            |name| form.one(name).map_err(|e| OAuthError::new(ErrorCode::InvalidRequest, e.to_string()));
        let need = |name: &'static str| {
            one(name)?
                .map(String::from)
                .ok_or_else(|| OAuthError::new(ErrorCode::InvalidRequest, format!("{name} is missing")))
        };
        let grant_type = need("grant_type")?;
        match GrantType::parse(&grant_type) {
            Some(GrantType::AuthorizationCode) => Ok(Self::AuthorizationCode(CodeExchange {
                code: need("code")?,
                redirect_uri: one("redirect_uri")?.map(String::from),
                code_verifier: need("code_verifier")?,
                resource: one_resource(form.all("resource"))?,
            })),
            Some(GrantType::RefreshToken) => Ok(Self::RefreshToken(Refresh {
                refresh_token: need("refresh_token")?,
                scope: one("scope")?
                    .map(Scope::parse)
                    .transpose()
                    .map_err(|e| OAuthError::new(ErrorCode::InvalidScope, e.to_string()))?,
                resource: one_resource(form.all("resource"))?,
            })),
            None => Err(OAuthError::new(
                ErrorCode::UnsupportedGrantType,
                "supported grant types are authorization_code and refresh_token",
            )),
        }
    }

    /// The grant type that is asked.
    pub const fn grant_type(&self) -> GrantType {
        match self {
            Self::AuthorizationCode(_) => GrantType::AuthorizationCode,
            Self::RefreshToken(_) => GrantType::RefreshToken,
        }
    }
}

/// The answer with tokens (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3). Absent members are absent, never null.
#[derive(Serialize)]
pub struct TokenResponse {
    /// The access token, a JWT (RFC 9068).
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Life of the access token in seconds.
    pub expires_in: i64,
    /// The refresh token, when the client registered the grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// What was granted: scopes of OpenID Connect and permissions.
    pub scope: Scope,
    /// The ID token, when `openid` was granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenResponse(scope {})", self.scope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: Option<&str>, body: &str) -> Result<PresentedClient, ErrorCode> {
        PresentedClient::read(header, &Form::parse(body).unwrap()).map_err(|e| e.code())
    }

    #[test]
    fn basic_is_decoded_once_and_its_scheme_is_case_insensitive() {
        let header = format!("bAsIc {}", STANDARD.encode("a%2Bb:c+d"));
        let client = read(Some(&header), "").unwrap();
        assert_eq!(client.client_id.as_str(), "a+b");
        assert!(matches!(client.proof, PresentedProof::Basic(secret) if secret == "c d"));
    }

    #[test]
    fn a_malformed_header_is_an_invalid_client() {
        for token in ["%%%", &STANDARD.encode("no-colon"), &STANDARD.encode("a%zz:b"), &STANDARD.encode(":b")]
        {
            assert_eq!(
                read(Some(&format!("Basic {token}")), "").unwrap_err(),
                ErrorCode::InvalidClient,
                "{token}"
            );
        }
        assert_eq!(read(Some("Bearer x"), "").unwrap_err(), ErrorCode::InvalidClient);
    }

    #[test]
    fn two_proofs_or_two_identities_are_an_invalid_request() {
        let header = format!("Basic {}", STANDARD.encode("a:b"));
        assert_eq!(read(Some(&header), "client_secret=b").unwrap_err(), ErrorCode::InvalidRequest);
        assert_eq!(read(Some(&header), "client_id=c").unwrap_err(), ErrorCode::InvalidRequest);
        assert!(read(Some(&header), "client_id=a").is_ok());
        assert_eq!(read(None, "").unwrap_err(), ErrorCode::InvalidRequest);
    }

    #[test]
    fn an_empty_scope_at_refresh_is_as_good_as_none() {
        let form = Form::parse("grant_type=refresh_token&refresh_token=x&scope=").unwrap();
        assert!(matches!(
            TokenRequest::parse(&form),
            Ok(TokenRequest::RefreshToken(Refresh { scope: None, .. }))
        ));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (body, code) in [
            ("", ErrorCode::InvalidRequest),
            ("grant_type=password", ErrorCode::UnsupportedGrantType),
            ("grant_type=authorization_code&code=x", ErrorCode::InvalidRequest),
            ("grant_type=refresh_token", ErrorCode::InvalidRequest),
            ("grant_type=refresh_token&refresh_token=a&refresh_token=a", ErrorCode::InvalidRequest),
            ("grant_type=refresh_token&refresh_token=a&resource=x", ErrorCode::InvalidTarget),
        ] {
            assert_eq!(TokenRequest::parse(&Form::parse(body).unwrap()).unwrap_err().code(), code, "{body}");
        }
    }
}
