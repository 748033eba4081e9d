//! Refusals, and the answers they become (RFC 6750 §3, RFC 6749 §5.2).

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use doorward_shared::{bearer::Challenge, error::ErrorCode, time::Timestamp};
use serde_json::json;

use crate::{ResourceServer, metrics::Reason, rate::RateLimited};

/// Seconds after which a client may try again when its token cannot be checked.
const RETRY_AFTER: &str = "5";

/// Why a request does not reach the handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no token.
    NoCredentials,
    /// There is a token, and it is not good. The reason is for the operator; the presenter is not told.
    InvalidToken(Reason),
    /// There is more than one `Authorization` or `x-api-key` header.
    RepeatedCredentials,
    /// The token is good and does not allow what was asked.
    InsufficientScope,
    /// The token is good, and its person is entitled to nothing at this resource with the data that the token is for.
    NotEntitled(Arc<NotEntitled>),
    /// The API key is good, and made as many requests as it may for now.
    RateLimited(Arc<RateLimited>),
    /// It cannot be known at the moment whether the token is good.
    Unavailable,
}

/// Who is entitled to nothing, and with whose data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotEntitled {
    /// The person: `sub` of the token.
    pub subject: String,
    /// The organization: `org` of the token.
    pub organization: String,
}

/// An HTTP answer, for any framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, printable ASCII.
    pub headers: Vec<(&'static str, String)>,
    /// The body; its type is in the headers.
    pub body: String,
}

impl Answer {
    /// An error in the body form of RFC 6749 §5.2, never cached.
    pub(crate) fn error(status: u16, error: &str, description: &str) -> Self {
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("cache-control", "no-store".to_owned()),
            ("x-content-type-options", "nosniff".to_owned()),
        ];
        Self { status, headers, body: json!({"error": error, "error_description": description}).to_string() }
    }

    #[must_use]
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

impl ResourceServer {
    /// The answer for a refusal. In a handler of a plain API, [`Refusal::InsufficientScope`] is the one to use; an MCP tool
    /// refuses inside its result instead, so that the model reads why.
    pub fn answer(&self, refusal: Refusal) -> Answer {
        let document = &self.documents.challenge_url;
        let challenge = Challenge::new(document.clone());
        match refusal {
            Refusal::NoCredentials => {
                let description = format!(
                    "This server needs an access token. Add its address to an MCP client that can sign in with OAuth; \
                     how to get a token is described at {document}. A token or an API key is sent as Authorization: \
                     Bearer, then a space and the token."
                );
                Answer::error(401, "unauthorized", &description).with("www-authenticate", challenge.to_string())
            }
            Refusal::InvalidToken(_) => self.challenge(
                ErrorCode::InvalidToken,
                "The access token is malformed, has expired, was revoked or is for another server. Get a new one.",
            ),
            Refusal::RepeatedCredentials => self.challenge(
                ErrorCode::InvalidRequest,
                "The request has more than one credential. Send one Authorization header, or one x-api-key header.",
            ),
            Refusal::InsufficientScope => self.challenge(
                ErrorCode::InsufficientScope,
                "The access token does not allow this. Connect again and tick the permission on the consent page.",
            ),
            // No challenge: signing in again changes nothing, and clients would do it again and again.
            Refusal::NotEntitled(who) => Answer::error(
                ErrorCode::InsufficientScope.status(),
                ErrorCode::InsufficientScope.as_str(),
                &self.missing(&who),
            ),
            Refusal::RateLimited(limited) => too_many(&limited),
            Refusal::Unavailable => Answer::error(
                503,
                ErrorCode::TemporarilyUnavailable.as_str(),
                "The access token cannot be checked at the moment, because the authorization server does not answer. Try again \
                 in a few seconds.",
            )
            .with("retry-after", RETRY_AFTER),
        }
    }

    /// What an administrator has to do, as far as it is known here: who, where and with whose data, and not how much.
    fn missing(&self, who: &NotEntitled) -> String {
        let NotEntitled { subject, organization } = who;
        let resource = shell_word(self.resource.as_str());
        format!(
            "You are signed in, and your account is entitled to nothing at {name} with the data of the organization that this \
             connection is for. An administrator of the authorization server can change that with this command: doorward \
             entitlement add --user {subject} --tier TIER --resource {resource} --organization {organization} (in place of TIER, \
             what you are to have; doorward resource show {resource} lists the tiers). What is missing can also be a group \
             mapping: --group NAME in place of --user for a group that you are in, or a place in a group that has one. After \
             that, it works with your next token, and you need not sign in again. If you may use another organization, \
             disconnect, connect again, and choose it on the consent page.",
            name = self.documents.name,
            subject = shell_word(subject),
            organization = shell_word(organization),
        )
    }

    fn challenge(&self, code: ErrorCode, description: &'static str) -> Answer {
        // No scope: permissions are chosen on the consent page, and a hint that the authorization endpoint would refuse
        // leads a client into a loop.
        let challenge = Challenge::new(self.documents.challenge_url.clone()).with_error(code, description);
        Answer::error(code.status(), code.as_str(), description)
            .with("www-authenticate", challenge.to_string())
    }
}

/// The text as one word of a command that somebody pastes into a shell.
fn shell_word(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:%@+,=".contains(&b);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The answer for a key that was used too often. It names the key by what its owner calls it, never by its text.
fn too_many(limited: &RateLimited) -> Answer {
    let RateLimited { key, credential, limit, retry_after, until } = limited;
    let name = credential.as_deref().map_or_else(|| key.clone(), |name| format!("{name:?} ({key})"));
    let until_words = httpdate::fmt_http_date(to_system(*until));
    let description = format!(
        "The API key {name} may make {limit} requests a minute at this server, and has made them. Wait {seconds} seconds, \
         until {until_words}, or use a key with a higher limit.",
        seconds = retry_after.get(),
    );
    let mut answer = Answer::error(429, "rate_limited", &description);
    answer.body = json!({
        "error": "rate_limited",
        "error_description": description,
        "key": key,
        "credential": credential,
        "limit": limit,
        "retry_after": retry_after.get(),
        "retry_at": until.seconds(),
    })
    .to_string();
    answer.with("retry-after", retry_after.get().to_string())
}

fn to_system(moment: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(moment.seconds()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_into_a_shell_is_one_word_and_does_nothing() {
        assert_eq!(shell_word("https://mcp.test:9100/mcp"), "https://mcp.test:9100/mcp");
        assert_eq!(shell_word("https://mcp.test/a?b=1&c=$(id)"), "'https://mcp.test/a?b=1&c=$(id)'");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
