//! A client ID metadata document: what a client publishes about itself at the URL that is its identifier.
//!
//! Real documents list more than this server can do, and things that it does not know. What is extra is left out; what is
//! dangerous, or says something else than the URL, makes the document unfit.

use serde_json::{Map, Value};

use super::{About, ClientMetadata, Members, grant_types};
use crate::{
    client_id::DocumentUrl,
    jose::strict_json,
    redirect_uri::{RedirectUri, RedirectUriError},
    token::AuthMethod,
};

/// Longest document that is read, in bytes ("Maximum Response Size" in the draft).
pub const MAX_DOCUMENT: usize = 5 * 1024;
/// Schemes of redirect URIs that make a whole document unfit: whoever writes one of them is not mistaken but hostile.
const DANGEROUS: [&str; 7] = ["javascript", "data", "vbscript", "blob", "file", "about", "filesystem"];

/// Why a document is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// It is no document of this client: no JSON object, or one that does not name its own URL. Who knows what it is.
    #[error("{0}")]
    Foreign(&'static str),
    /// It is, and breaks a rule; what the developer of the client has to change.
    #[error("{0}")]
    Unfit(String),
}

impl ClientMetadata {
    /// Reads the document that was found at `url`. `app_schemes` as in [`RedirectUri::register`].
    pub fn read_document(
        body: &[u8],
        url: &DocumentUrl,
        app_schemes: &[String],
    ) -> Result<Self, DocumentError> {
        let object = strict_json::object(body)
            .map_err(|_| DocumentError::Foreign("it is no JSON object, or one with a member twice"))?;
        // By the draft a plain comparison of strings.
        if object.get("client_id").and_then(Value::as_str) != Some(url.as_str()) {
            return Err(DocumentError::Foreign(
                "the client_id in it is not its own URL, character by character",
            ));
        }
        read(&object, app_schemes).map_err(DocumentError::Unfit)
    }
}

fn read(object: &Map<String, Value>, app_schemes: &[String]) -> Result<ClientMetadata, String> {
    let members = Members(object);
    if let Some(secret) =
        ["client_secret", "client_secret_expires_at"].into_iter().find(|name| members.get(name).is_some())
    {
        return Err(format!("{secret} must not be in a document that everybody can read"));
    }
    let list = |name| members.list(name).map_err(|error| error.description());
    let text = |name| members.text(name).map_err(|error| error.description());
    members.refuse_keys().map_err(|error| error.description())?;
    let redirect_uris = addresses(list("redirect_uris")?.unwrap_or_default(), app_schemes)?;
    if redirect_uris.is_empty() {
        return Err("redirect_uris must name at least one address that is https, http on loopback, or an app's own scheme".into());
    }
    if list("response_types")?.is_some_and(|types| !types.contains(&"code")) {
        return Err("response_types must contain \"code\"".into());
    }
    let single = text("token_endpoint_auth_method")?;
    let about = |name: &str| members.https(name).ok().flatten();
    Ok(ClientMetadata {
        redirect_uris,
        post_logout_redirect_uris: addresses(
            list("post_logout_redirect_uris")?.unwrap_or_default(),
            app_schemes,
        )?,
        token_endpoint_auth_method: auth_method(
            single.as_deref(),
            list("token_endpoint_auth_methods_supported")?.unwrap_or_default(),
        )?,
        grant_types: grant_types(list("grant_types")?).map_err(|error| error.description())?,
        response_types: vec!["code"],
        client_name: text("client_name")?,
        about: About {
            client_uri: about("client_uri"),
            logo_uri: about("logo_uri"),
            tos_uri: about("tos_uri"),
            policy_uri: about("policy_uri"),
            software_id: text("software_id")?,
            software_version: text("software_version")?,
            application_type: text("application_type")?.filter(|kind| kind == "native" || kind == "web"),
        },
    })
}

fn addresses(listed: Vec<&str>, app_schemes: &[String]) -> Result<Vec<RedirectUri>, String> {
    let mut uris: Vec<RedirectUri> = Vec::new();
    for text in listed {
        match RedirectUri::register(text, app_schemes) {
            Ok(uri) if uris.contains(&uri) => {}
            Ok(uri) => uris.push(uri),
            // A scheme that no operator named yet must not keep the client from its other addresses.
            Err(RedirectUriError::Scheme) if !is_dangerous(text) => {}
            Err(error) => return Err(format!("redirect URIs: {error}")),
        }
    }
    Ok(uris)
}

fn is_dangerous(uri: &str) -> bool {
    let scheme = uri.split(':').next().unwrap_or_default().trim();
    DANGEROUS.iter().any(|dangerous| scheme.eq_ignore_ascii_case(dangerous))
}

/// The method that the document chose, or else one that it offers. A document is public: a method with a shared secret cannot be
/// meant ("Client Metadata Document" in the draft).
fn auth_method(chosen: Option<&str>, offered: Vec<&str>) -> Result<AuthMethod, String> {
    let usable = |text: &str| AuthMethod::parse(text).filter(|method| *method == AuthMethod::None);
    let (Some(chosen), offered) = (chosen, offered.into_iter().find_map(usable)) else {
        return Ok(AuthMethod::None);
    };
    // A sentence of a stranger must not stand on a page of ours.
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let shown = if chosen.len() <= 40 && chosen.chars().all(is_word) { chosen } else { "(no word)" };
    if chosen.starts_with("client_secret_") {
        return Err(format!(
            "token_endpoint_auth_method {shown} needs a secret, and a document cannot hold one"
        ));
    }
    usable(chosen).or(offered).ok_or_else(|| {
        format!("token_endpoint_auth_method {shown} is not supported here: publish \"none\", alone or in token_endpoint_auth_methods_supported")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{client_id::ClientId, token::GrantType};

    const URL: &str = "https://app.test/client.json";

    fn url() -> DocumentUrl {
        ClientId::parse(URL).unwrap().document_url().unwrap().unwrap()
    }

    fn read(document: &Value) -> Result<ClientMetadata, DocumentError> {
        ClientMetadata::read_document(document.to_string().as_bytes(), &url(), &["cursor".to_owned()])
    }

    fn with(change: &Value) -> Result<ClientMetadata, DocumentError> {
        let mut document =
            json!({"client_id": URL, "client_name": "App", "redirect_uris": ["https://app.test/cb"]});
        document.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        read(&document)
    }

    #[test]
    fn what_real_documents_list_beyond_us_is_left_out() {
        let metadata = with(&json!({
            "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback", "someapp://cb", "cursor://cb"],
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "toaster",
            "client_uri": "http://app.test",
            "something_new": {"a": [1]},
            "logo_uri": null,
        }))
        .unwrap();
        let uris: Vec<_> = metadata.redirect_uris.iter().map(RedirectUri::as_str).collect();
        assert_eq!(uris, ["http://localhost/callback", "http://127.0.0.1/callback", "cursor://cb"]);
        assert_eq!(metadata.grant_types, GrantType::ALL);
        assert_eq!(metadata.about, About::default());
    }

    #[test]
    fn an_offered_method_stands_in_for_one_that_is_not_known() {
        for (change, method) in [
            (json!({}), Ok(AuthMethod::None)),
            (json!({"token_endpoint_auth_method": "none"}), Ok(AuthMethod::None)),
            (
                json!({"token_endpoint_auth_method": "tls_client_auth", "token_endpoint_auth_methods_supported": ["tls_client_auth", "none"]}),
                Ok(AuthMethod::None),
            ),
            (json!({"token_endpoint_auth_method": "tls_client_auth"}), Err(())),
        ] {
            let read = with(&change).map(|metadata| metadata.token_endpoint_auth_method);
            assert_eq!(read.map_err(|_| ()), method, "{change}");
        }
    }

    #[test]
    fn no_sentence_of_a_document_is_repeated() {
        for method in ["call +1 555 0100 now", "client_secret_basic call us"] {
            let Err(DocumentError::Unfit(text)) = with(&json!({"token_endpoint_auth_method": method})) else {
                panic!("{method}")
            };
            assert!(!text.contains("call"), "{text}");
        }
    }

    // CM-19.
    #[test]
    fn a_document_that_does_not_name_its_own_url_is_somebody_elses() {
        for id in [
            json!("https://app.test/client.json/"),
            json!("https://app.test:443/client.json"),
            json!("https://APP.test/client.json"),
            json!("https://app.test/%63lient.json"),
            json!(null),
            json!(7),
        ] {
            assert!(matches!(with(&json!({"client_id": id})), Err(DocumentError::Foreign(_))), "{id}");
        }
    }

    // CM-18.
    #[test]
    fn a_document_that_two_readers_would_read_differently_is_none() {
        let body = |text: &str| ClientMetadata::read_document(text.as_bytes(), &url(), &[]);
        let rest = r#""redirect_uris":["https://app.test/cb"]}"#;
        let id = format!(r#""client_id":"{URL}","#);
        assert!(body(&format!("{{{id}{rest}")).is_ok());
        for bad in [
            format!("\u{feff}{{{id}{rest}"),
            format!("{{{id}{id}{rest}"),
            format!(r#"{{"client_id":"https://evil.test/x",{id}{rest}"#),
            format!("[{{{id}{rest}]"),
            String::new(),
        ] {
            assert!(matches!(body(&bad), Err(DocumentError::Foreign(_))), "{bad}");
        }
    }

    // CM-20, CM-21.
    #[test]
    fn a_document_that_breaks_a_rule_says_which() {
        for (change, word) in [
            (json!({"redirect_uris": null}), "redirect_uris"),
            (json!({"redirect_uris": []}), "redirect_uris"),
            (json!({"redirect_uris": ["someapp://cb"]}), "redirect_uris"),
            (json!({"redirect_uris": ["https://app.test/cb", "javascript:alert(1)"]}), "scheme"),
            (json!({"redirect_uris": ["https://app.test/cb", "JavaScript:alert(1)"]}), "scheme"),
            (json!({"redirect_uris": ["https://app.test/*"]}), "wildcards"),
            (json!({"redirect_uris": ["http://app.test/cb"]}), "https"),
            (json!({"redirect_uris": "https://app.test/cb"}), "array"),
            (json!({"token_endpoint_auth_method": "client_secret_basic"}), "secret"),
            (json!({"token_endpoint_auth_method": "client_secret_post"}), "secret"),
            (json!({"token_endpoint_auth_method": "client_secret_jwt"}), "secret"),
            (json!({"client_secret": "x"}), "client_secret"),
            (json!({"client_secret_expires_at": 0}), "client_secret_expires_at"),
            (json!({"grant_types": ["implicit"]}), "authorization_code"),
            (json!({"response_types": ["token"]}), "code"),
            (json!({"jwks": {"keys": [{"kty": "RSA", "d": "AA"}]}}), "public keys"),
        ] {
            match with(&change) {
                Err(DocumentError::Unfit(text)) => assert!(text.contains(word), "{change}: {text}"),
                other => panic!("{change}: {other:?}"),
            }
        }
    }
}
