//! The authorization request and response (RFC 6749 §4.1.1, §4.1.2; RFC 7636 §4.3; RFC 8707 §2; RFC 9207 §2; OpenID
//! Connect Core §3.1.2).
//!
//! The request is read in two steps, because an error may only be sent to the client once its redirect URI is proven:
//! [`AuthorizationRequest::parse`] needs no more than the client and the address, [`AuthorizationRequest::params`] reads
//! the rest.

use crate::{
    client_id::ClientId,
    error::{ErrorCode, OAuthError},
    form::Form,
    issuer::Issuer,
    pkce::{self, CodeChallenge},
    resource::ResourceUri,
    scope::Scope,
    time::Seconds,
};

/// Longest query string that is read, in bytes.
pub const MAX_QUERY: usize = 8 * 1024;

/// A request of which only the client and the answer's address were looked at.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub client_id: ClientId,
    /// Where the answer is wanted; not yet proven to belong to the client.
    pub redirect_uri: String,
    form: Form,
}

/// The rest of a request, each value well-formed and none yet allowed.
#[derive(Clone, Debug)]
pub struct AuthorizationParams {
    /// What is asked for; empty when left out.
    pub scope: Scope,
    /// Handed back to the ID token (OpenID Connect Core §3.1.2.1).
    pub nonce: Option<String>,
    /// The proof that the code will be redeemed by the one who asked (RFC 7636).
    pub code_challenge: CodeChallenge,
    /// The resource for which a token is wanted (RFC 8707).
    pub resource: Option<ResourceUri>,
    /// Whether and how the person is to be asked.
    pub prompt: Prompt,
    /// The sign-in may be at most this old.
    pub max_age: Option<Seconds>,
    /// The address to put into the sign-in form.
    pub login_hint: Option<String>,
    /// An ID token of the person who is meant, not yet looked at.
    pub id_token_hint: Option<String>,
}

/// `prompt` (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// No page may be shown.
    pub none: bool,
    /// A new sign-in is wanted. `select_account` counts as this: the sign-in page is where another account is chosen.
    pub login: bool,
}

/// Why a request cannot even be answered by redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// Longer than [`MAX_QUERY`].
    #[error("the request is longer than {MAX_QUERY} bytes")]
    TooLong,
    /// The query is not valid percent-encoded UTF-8.
    #[error("the request is not a valid query string")]
    Encoding,
    /// `client_id` is missing, repeated or malformed.
    #[error("the request names no client: exactly one client_id is needed")]
    ClientId,
    /// `redirect_uri` is missing or repeated.
    #[error("the request names no address for the answer: exactly one redirect_uri is needed")]
    RedirectUri,
}

impl AuthorizationRequest {
    /// Reads who asks and where the answer is wanted.
    pub fn parse(query: &str) -> Result<Self, Unreadable> {
        if query.len() > MAX_QUERY {
            return Err(Unreadable::TooLong);
        }
        let form = Form::parse(query).map_err(|_| Unreadable::Encoding)?;
        let client_id = form.one("client_id").ok().flatten().and_then(|text| ClientId::parse(text).ok());
        let redirect_uri = form.one("redirect_uri").ok().flatten().map(String::from);
        Ok(Self {
            client_id: client_id.ok_or(Unreadable::ClientId)?,
            redirect_uri: redirect_uri.ok_or(Unreadable::RedirectUri)?,
            form,
        })
    }

    /// `state`, to be handed back unchanged; `None` when it is absent or repeated.
    pub fn state(&self) -> Option<&str> {
        self.form.one("state").ok().flatten()
    }

    /// Reads everything else. The error goes to the client.
    pub fn params(&self) -> Result<AuthorizationParams, OAuthError> {
        let invalid = |text: String| OAuthError::new(ErrorCode::InvalidRequest, text);
        let one = |name| self.form.one(name).map_err(|repeated| invalid(repeated.to_string()));
        one("state")?;
        if one("request")?.is_some() {
            return Err(OAuthError::new(
                ErrorCode::RequestNotSupported,
                "request objects are not supported; send the parameters in the query",
            ));
        }
        if one("request_uri")?.is_some() {
            return Err(OAuthError::new(
                ErrorCode::RequestUriNotSupported,
                "request_uri is not supported; send the parameters in the query",
            ));
        }
        match one("response_type")? {
            Some("code") => {}
            Some(_) => {
                return Err(OAuthError::new(
                    ErrorCode::UnsupportedResponseType,
                    "only response_type=code is supported",
                ));
            }
            None => return Err(invalid("response_type is missing; send response_type=code".to_owned())),
        }
        if one("response_mode")?.is_some_and(|mode| mode != "query") {
            return Err(invalid("only response_mode=query is supported".to_owned()));
        }
        Ok(AuthorizationParams {
            scope: Scope::parse(one("scope")?.unwrap_or_default())
                .map_err(|e| OAuthError::new(ErrorCode::InvalidScope, e.to_string()))?,
            nonce: one("nonce")?.map(String::from),
            code_challenge: challenge(one("code_challenge")?, one("code_challenge_method")?)
                .map_err(invalid)?,
            resource: one_resource(self.form.all("resource"))?,
            prompt: Prompt::parse(one("prompt")?.unwrap_or_default()).map_err(invalid)?,
            max_age: one("max_age")?.map(max_age).transpose().map_err(invalid)?,
            login_hint: one("login_hint")?.map(String::from),
            id_token_hint: one("id_token_hint")?.map(String::from),
        })
    }
}

fn challenge(challenge: Option<&str>, method: Option<&str>) -> Result<CodeChallenge, String> {
    let challenge = challenge.ok_or("PKCE is required: code_challenge is missing (RFC 7636)")?;
    // An absent method means "plain" (RFC 7636 §4.3), which is refused like every other.
    if method != Some(pkce::METHOD) {
        return Err("only code_challenge_method=S256 is supported".to_owned());
    }
    CodeChallenge::parse(challenge).ok_or_else(|| {
        "code_challenge is not the base64url text of a SHA-256 (43 characters, no padding)".to_owned()
    })
}

/// Reads the repeatable `resource` parameter. Repeats of the same one are folded, since a real client sends them; two
/// different ones are refused, because a token here has one audience.
pub fn one_resource<'a>(values: impl Iterator<Item = &'a str>) -> Result<Option<ResourceUri>, OAuthError> {
    let mut found: Option<ResourceUri> = None;
    for value in values {
        let next = ResourceUri::parse(value)
            .map_err(|e| OAuthError::new(ErrorCode::InvalidTarget, e.to_string()))?;
        if found.as_ref().is_some_and(|first| !first.same_as(&next)) {
            return Err(OAuthError::new(
                ErrorCode::InvalidTarget,
                "one resource at a time: a token is good at exactly one; ask again for the other",
            ));
        }
        found.get_or_insert(next);
    }
    Ok(found)
}

fn max_age(text: &str) -> Result<Seconds, String> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let seconds = if plain { text.parse::<u32>().ok() } else { None };
    seconds
        .map(|n| Seconds::new(i64::from(n)))
        .ok_or_else(|| "max_age is a whole number of seconds".to_owned())
}

impl Prompt {
    fn parse(text: &str) -> Result<Self, String> {
        let mut prompt = Self::default();
        let mut words = 0;
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            words += 1;
            match word {
                "none" => prompt.none = true,
                "login" | "select_account" => prompt.login = true,
                // Consent is always asked; unknown words come from newer specifications and ask for less than that.
                _ => {}
            }
        }
        if prompt.none && words > 1 {
            return Err("prompt=none cannot be combined with another value".to_owned());
        }
        Ok(prompt)
    }
}

/// The address of an answer: the proven redirect URI with the answer's parameters. `iss` is always among them (RFC 9207).
pub fn response_location(
    redirect_uri: &str,
    issuer: &Issuer,
    state: Option<&str>,
    answer: &[(&str, &str)],
) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(answer);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    query.append_pair("iss", issuer.as_str());
    let separator = if redirect_uri.contains('?') { '&' } else { '?' };
    format!("{redirect_uri}{separator}{}", query.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "response_type=code&client_id=pub1&redirect_uri=https%3A%2F%2Fapp.test%2Fcb&state=S1\
        &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";

    fn refused(change: &str) -> ErrorCode {
        AuthorizationRequest::parse(&format!("{GOOD}{change}")).unwrap().params().unwrap_err().code()
    }

    fn without(name: &str) -> String {
        GOOD.split('&').filter(|pair| !pair.trim_start().starts_with(name)).collect::<Vec<_>>().join("&")
    }

    #[test]
    fn the_plain_request_is_read() {
        let request =
            AuthorizationRequest::parse(&format!("{GOOD}&scope=openid&resource=https://mcp.test/a")).unwrap();
        let params = request.params().unwrap();
        assert_eq!(request.state(), Some("S1"));
        assert!(params.scope.contains("openid"));
        assert_eq!(params.resource.unwrap().as_str(), "https://mcp.test/a");
    }

    #[test]
    fn who_cannot_be_answered_gets_no_redirect() {
        assert_eq!(AuthorizationRequest::parse(&without("client_id")).unwrap_err(), Unreadable::ClientId);
        assert_eq!(
            AuthorizationRequest::parse(&without("redirect_uri")).unwrap_err(),
            Unreadable::RedirectUri
        );
        for (extra, error) in [
            ("&client_id=other", Unreadable::ClientId),
            ("&redirect_uri=https://evil.test", Unreadable::RedirectUri),
            ("&x=%zz", Unreadable::Encoding),
            (&format!("&state={}", "s".repeat(MAX_QUERY)), Unreadable::TooLong),
        ] {
            assert_eq!(AuthorizationRequest::parse(&format!("{GOOD}{extra}")).unwrap_err(), error);
        }
    }

    #[test]
    fn pkce_is_s256_or_nothing() {
        for name in ["code_challenge=", "code_challenge_method=", "code_challenge"] {
            let code = AuthorizationRequest::parse(&without(name)).unwrap().params().unwrap_err().code();
            assert_eq!(code, ErrorCode::InvalidRequest, "{name}");
        }
        for method in ["plain", "s256", "S256%20", "S512"] {
            let query = GOOD.replace("method=S256", &format!("method={method}"));
            let code = AuthorizationRequest::parse(&query).unwrap().params().unwrap_err().code();
            assert_eq!(code, ErrorCode::InvalidRequest, "{method}");
        }
    }

    #[test]
    fn what_is_asked_otherwise_is_refused_by_its_own_code() {
        for (change, code) in [
            ("&response_type=code", ErrorCode::InvalidRequest),
            ("&response_mode=fragment", ErrorCode::InvalidRequest),
            ("&request=x", ErrorCode::RequestNotSupported),
            ("&request_uri=https://169.254.169.254/x", ErrorCode::RequestUriNotSupported),
            ("&scope=a++b", ErrorCode::InvalidScope),
            ("&state=again", ErrorCode::InvalidRequest),
            ("&prompt=none+login", ErrorCode::InvalidRequest),
            ("&max_age=-1", ErrorCode::InvalidRequest),
            ("&max_age=1e9", ErrorCode::InvalidRequest),
            ("&resource=https://mcp.test/a%23f", ErrorCode::InvalidTarget),
            ("&resource=https://mcp.test/a&resource=https://mcp.test/b", ErrorCode::InvalidTarget),
        ] {
            assert_eq!(refused(change), code, "{change}");
        }
        let token = GOOD.replace("response_type=code", "response_type=token");
        let code = AuthorizationRequest::parse(&token).unwrap().params().unwrap_err().code();
        assert_eq!(code, ErrorCode::UnsupportedResponseType);
    }

    #[test]
    fn the_same_resource_twice_is_one_resource() {
        let query = format!("{GOOD}&resource=https://mcp.test/a&resource=https://MCP.test/a/");
        let params = AuthorizationRequest::parse(&query).unwrap().params().unwrap();
        assert_eq!(params.resource.unwrap().as_str(), "https://mcp.test/a");
    }

    #[test]
    fn the_answer_keeps_the_registered_query_and_encodes_the_state() {
        let issuer = Issuer::parse("https://as.test").unwrap();
        assert_eq!(
            response_location("https://app.test/cb?x=1", &issuer, Some("a b\r\n&"), &[("code", "C")]),
            "https://app.test/cb?x=1&code=C&state=a+b%0D%0A%26&iss=https%3A%2F%2Fas.test"
        );
    }
}
