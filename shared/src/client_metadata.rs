//! Client metadata (RFC 7591 §2): what a client says about itself when it registers or in a document that it publishes
//! (draft-ietf-oauth-client-id-metadata-document), and what it is answered.
//!
//! Unknown members are ignored (RFC 7591 §2), null counts as absent, a known member of the wrong type is an error. More
//! grant or response types than this server has are cut down, never refused: real clients list everything they can do.

mod document;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

pub use self::document::{DocumentError, MAX_DOCUMENT};

use crate::{
    error::{ErrorCode, OAuthError},
    redirect_uri::{RedirectUri, RedirectUriError},
    token::{AuthMethod, GrantType},
};

/// Most redirect URIs of one client.
pub const MAX_REDIRECT_URIS: usize = 10;
/// Longest text member, in bytes.
const MAX_TEXT: usize = 1024;

/// The metadata of a client, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientMetadata {
    /// Where answers may be sent, at least one.
    pub redirect_uris: Vec<RedirectUri>,
    /// Where people may be sent after they signed out (OpenID Connect RP-Initiated Logout §3.1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub post_logout_redirect_uris: Vec<RedirectUri>,
    /// How the client proves itself; `none` when the request left it out.
    pub token_endpoint_auth_method: AuthMethod,
    /// What it may ask the token endpoint for, cut down to what this server has.
    pub grant_types: Vec<GrantType>,
    /// Always `code`.
    pub response_types: Vec<&'static str>,
    /// The name it gives itself; nobody has checked it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// What else it says about itself.
    #[serde(flatten)]
    pub about: About,
}

/// What a client says about itself beside its name. Kept as it was said, for administrators; nothing is fetched, and no
/// decision depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// Its home page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Its logo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Its terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// Its privacy policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Which software this is, across its installs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// The version of that software.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// `native` or `web` (OpenID Connect Registration §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_type: Option<String>,
}

impl ClientMetadata {
    /// Reads the body of a registration request. `app_schemes` as in [`RedirectUri::register`].
    pub fn read(body: &Map<String, Value>, app_schemes: &[String]) -> Result<Self, OAuthError> {
        let members = Members(body);
        members.refuse_keys()?;
        let grant_types = grant_types(members.list("grant_types")?)?;
        if members.list("response_types")?.is_some_and(|types| !types.contains(&"code")) {
            return Err(invalid("response_types must contain \"code\""));
        }
        let application_type = members.text("application_type")?;
        if application_type.as_deref().is_some_and(|kind| kind != "native" && kind != "web") {
            return Err(invalid("application_type is \"native\" or \"web\""));
        }
        Ok(Self {
            redirect_uris: redirect_uris(members.list("redirect_uris")?, app_schemes)?,
            post_logout_redirect_uris: match members.list("post_logout_redirect_uris")? {
                Some(listed) if !listed.is_empty() => addresses(listed, app_schemes)?,
                _ => Vec::new(),
            },
            token_endpoint_auth_method: auth_method(members.text("token_endpoint_auth_method")?.as_deref())?,
            grant_types,
            response_types: vec!["code"],
            client_name: members.text("client_name")?,
            about: About {
                client_uri: members.https("client_uri")?,
                logo_uri: members.https("logo_uri")?,
                tos_uri: members.https("tos_uri")?,
                policy_uri: members.https("policy_uri")?,
                software_id: members.text("software_id")?,
                software_version: members.text("software_version")?,
                application_type,
            },
        })
    }
}

/// The answer to a registration (RFC 7591 §3.2.1, RFC 7592 §3). Absent members are absent, never null.
#[derive(Serialize)]
pub struct RegistrationResponse {
    /// The identifier.
    pub client_id: String,
    /// When it was issued, NumericDate.
    pub client_id_issued_at: i64,
    /// The secret, for a confidential client; shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<String>,
    /// 0: the secret does not expire. Present exactly when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_expires_at: Option<i64>,
    /// What the client shows to read, change or remove its registration.
    pub registration_access_token: String,
    /// Where it does that.
    pub registration_client_uri: String,
    /// Everything that was stored, as it was stored.
    #[serde(flatten)]
    pub metadata: ClientMetadata,
}

struct Members<'a>(&'a Map<String, Value>);

impl Members<'_> {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<String>, OAuthError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.chars().any(char::is_control) => {
                Err(invalid(format!("{name} must not hold control characters")))
            }
            Some(Value::String(text)) if text.len() <= MAX_TEXT => {
                Ok((!text.is_empty()).then(|| text.clone()))
            }
            Some(Value::String(_)) => Err(invalid(format!("{name} is longer than {MAX_TEXT} bytes"))),
            Some(_) => Err(invalid(format!("{name} must be a string"))),
        }
    }

    fn https(&self, name: &str) -> Result<Option<String>, OAuthError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let plain =
            text.bytes().all(|b| matches!(b, 0x21..=0x7E) && !matches!(b, b'"' | b'<' | b'>' | b'\\'));
        let https = Url::parse(&text).is_ok_and(|url| url.scheme() == "https" && url.username().is_empty());
        if plain && https { Ok(Some(text)) } else { Err(invalid(format!("{name} must be an https URL"))) }
    }

    fn list(&self, name: &str) -> Result<Option<Vec<&str>>, OAuthError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let texts = value.as_array().and_then(|items| items.iter().map(Value::as_str).collect());
        texts.map(Some).ok_or_else(|| invalid(format!("{name} must be an array of strings")))
    }

    /// Keys are of no use to any method of this server and are dropped; yet whoever sends a private one should learn of it.
    fn refuse_keys(&self) -> Result<(), OAuthError> {
        if self.get("jwks").is_some() && self.get("jwks_uri").is_some() {
            return Err(invalid("jwks and jwks_uri exclude each other"));
        }
        let secret = |key: &Value| {
            let has = |name: &str| key.get(name).is_some();
            key.get("kty").and_then(Value::as_str) == Some("oct")
                || ["d", "p", "q", "dp", "dq", "qi"].into_iter().any(has)
        };
        let keys = self.get("jwks").and_then(|jwks| jwks.get("keys")).and_then(Value::as_array);
        if keys.is_some_and(|keys| keys.iter().any(secret)) {
            return Err(invalid("jwks must hold public keys only"));
        }
        Ok(())
    }
}

fn redirect_uris(listed: Option<Vec<&str>>, app_schemes: &[String]) -> Result<Vec<RedirectUri>, OAuthError> {
    let listed = listed.unwrap_or_default();
    if listed.is_empty() {
        return Err(OAuthError::new(
            ErrorCode::InvalidRedirectUri,
            "redirect_uris must name at least one address",
        ));
    }
    addresses(listed, app_schemes)
}

fn addresses(listed: Vec<&str>, app_schemes: &[String]) -> Result<Vec<RedirectUri>, OAuthError> {
    let mut uris: Vec<RedirectUri> = Vec::new();
    for text in listed {
        let uri = RedirectUri::register(text, app_schemes).map_err(|e| match e {
            RedirectUriError::TooLong => invalid(e.to_string()),
            _ => OAuthError::new(ErrorCode::InvalidRedirectUri, e.to_string()),
        })?;
        if !uris.contains(&uri) {
            uris.push(uri);
        }
    }
    if uris.len() > MAX_REDIRECT_URIS {
        return Err(invalid(format!("at most {MAX_REDIRECT_URIS} redirect URIs")));
    }
    Ok(uris)
}

fn grant_types(listed: Option<Vec<&str>>) -> Result<Vec<GrantType>, OAuthError> {
    // RFC 7591 §2 says that an omitted list means the code grant alone. A client that does not speak of refresh tokens
    // would then be signed out every quarter of an hour, so the refresh grant is left out only when the list leaves it out.
    let Some(listed) = listed else { return Ok(GrantType::ALL.to_vec()) };
    let known: Vec<_> = GrantType::ALL.into_iter().filter(|known| listed.contains(&known.as_str())).collect();
    if known.contains(&GrantType::AuthorizationCode) {
        Ok(known)
    } else {
        Err(invalid(
            "grant_types must contain \"authorization_code\"; other ways to a token are not open to registration",
        ))
    }
}

fn auth_method(text: Option<&str>) -> Result<AuthMethod, OAuthError> {
    let Some(text) = text else { return Ok(AuthMethod::None) };
    AuthMethod::parse(text).ok_or_else(|| {
        let all = AuthMethod::ALL.map(AuthMethod::as_str).join(", ");
        invalid(format!("token_endpoint_auth_method must be one of {all}"))
    })
}

fn invalid(text: impl Into<String>) -> OAuthError {
    OAuthError::new(ErrorCode::InvalidClientMetadata, text.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<ClientMetadata, ErrorCode> {
        let Value::Object(map) = body else { panic!("an object") };
        ClientMetadata::read(&map, &["cursor".to_owned()]).map_err(|e| e.code())
    }

    #[test]
    fn what_vs_code_sends_is_cut_down_and_not_refused() {
        let metadata = read(json!({
            "client_name": "Visual Studio Code",
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": ["code"],
            "redirect_uris": ["https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect",
                "http://127.0.0.1/", "http://127.0.0.1:33418/"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        }))
        .unwrap();
        assert_eq!(metadata.grant_types, GrantType::ALL);
        assert_eq!(metadata.redirect_uris.len(), 4);
    }

    #[test]
    fn an_omitted_method_means_public_and_unknown_members_are_dropped() {
        let metadata =
            read(json!({"redirect_uris": ["https://app.test/cb"], "is_admin": true, "client_uri": null}))
                .unwrap();
        assert_eq!(metadata.token_endpoint_auth_method, AuthMethod::None);
        let answer = serde_json::to_value(&metadata).unwrap();
        assert_eq!(
            answer,
            json!({"redirect_uris": ["https://app.test/cb"], "token_endpoint_auth_method": "none",
                "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"]})
        );
    }

    #[test]
    fn each_wrong_member_has_its_code() {
        let many: Vec<_> = (0..=MAX_REDIRECT_URIS).map(|i| format!("https://app.test/{i}")).collect();
        let long = format!("https://app.test/{}", "a".repeat(9000));
        for (change, code) in [
            (json!({"redirect_uris": []}), ErrorCode::InvalidRedirectUri),
            (json!({"redirect_uris": null}), ErrorCode::InvalidRedirectUri),
            (json!({"redirect_uris": "https://app.test/cb"}), ErrorCode::InvalidClientMetadata),
            (json!({"redirect_uris": [null]}), ErrorCode::InvalidClientMetadata),
            (json!({"redirect_uris": ["javascript:alert(1)"]}), ErrorCode::InvalidRedirectUri),
            (json!({"redirect_uris": many}), ErrorCode::InvalidClientMetadata),
            (json!({"redirect_uris": [long]}), ErrorCode::InvalidClientMetadata),
            (json!({"client_name": 7}), ErrorCode::InvalidClientMetadata),
            (json!({"client_name": "a\u{0}"}), ErrorCode::InvalidClientMetadata),
            (json!({"client_name": "x".repeat(2000)}), ErrorCode::InvalidClientMetadata),
            (json!({"logo_uri": "javascript:alert(1)"}), ErrorCode::InvalidClientMetadata),
            (json!({"client_uri": "http://app.test"}), ErrorCode::InvalidClientMetadata),
            (json!({"tos_uri": "https://app.test/\"x"}), ErrorCode::InvalidClientMetadata),
            (json!({"grant_types": ["client_credentials", "password"]}), ErrorCode::InvalidClientMetadata),
            (json!({"response_types": ["token"]}), ErrorCode::InvalidClientMetadata),
            (json!({"token_endpoint_auth_method": "private_key_jwt"}), ErrorCode::InvalidClientMetadata),
            (json!({"jwks": {"keys": [{"kty": "oct", "k": "AA"}]}}), ErrorCode::InvalidClientMetadata),
            (json!({"jwks": {"keys": [{"kty": "RSA", "d": "AA"}]}}), ErrorCode::InvalidClientMetadata),
            (
                json!({"jwks": {"keys": []}, "jwks_uri": "https://app.test/jwks"}),
                ErrorCode::InvalidClientMetadata,
            ),
            (json!({"application_type": "toaster"}), ErrorCode::InvalidClientMetadata),
        ] {
            let mut body = json!({"redirect_uris": ["https://app.test/cb"]});
            let shown = change.to_string();
            body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            assert_eq!(read(body), Err(code), "{shown}");
        }
    }
}
