//! Token introspection (RFC 7662): the answer, as it is given and as a resource server reads it.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    jose::{access_token::is_true, strict_json},
    time::Timestamp,
};

/// What the authorization server says about a token (RFC 7662 §2.2). Its members have the names of the claims of an access
/// token.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Introspection {
    /// The token is good now, for the resource server or the client that asks.
    Active(Box<Active>),
    /// It is not; why is nobody's business.
    Inactive(Inactive),
}

/// `{"active":false}` and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Inactive {
    active: bool,
}

/// A token that is good.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Active {
    /// Always true.
    pub active: bool,
    /// Always `Bearer`.
    pub token_type: String,
    /// The issuer.
    pub iss: String,
    /// The person, or the client itself where no person is involved.
    pub sub: String,
    /// The resource server that the token is for.
    pub aud: String,
    /// The token is dead from here on; absent for a key that does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<Timestamp>,
    /// When it was made.
    pub iat: Timestamp,
    /// The token's own name.
    pub jti: String,
    /// The client.
    pub client_id: String,
    /// What the token allows, at this moment.
    #[serde(default)]
    pub scope: String,
    /// The grant.
    pub sid: String,
    /// The organization.
    pub org: String,
    /// When the person last signed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<Timestamp>,
    /// The narrowing of `scope` to parts of the data tree (RFC 9396).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_details: Option<Vec<Map<String, Value>>>,
    /// False when the person is entitled to nothing at the resource server that the token is for, with the data of `org`;
    /// absent otherwise.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub entitled: bool,
    /// The name that its owner gave to an API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// How many requests a minute each process of the resource server lets an API key make; absent: as many as it likes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<NonZeroU32>,
    /// Who acts for the subject (RFC 8693 §4.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Map<String, Value>>,
}

const fn yes() -> bool {
    true
}

/// The answer is no introspection answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an introspection answer")]
pub struct IntrospectionSyntax;

impl Introspection {
    /// The answer for every token that is not good here.
    pub const INACTIVE: Self = Self::Inactive(Inactive { active: false });

    /// Reads an answer. Members that are there must have their type; `active` without the members that a decision needs is
    /// an error, never a yes.
    pub fn read(bytes: &[u8]) -> Result<Self, IntrospectionSyntax> {
        let members = strict_json::object(bytes).map_err(|_| IntrospectionSyntax)?;
        match members.get("active") {
            Some(Value::Bool(false)) => Ok(Self::INACTIVE),
            Some(Value::Bool(true)) => serde_json::from_value(Value::Object(members))
                .map(|active| Self::Active(Box::new(active)))
                .map_err(|_| IntrospectionSyntax),
            _ => Err(IntrospectionSyntax),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active() -> Active {
        Active {
            active: true,
            token_type: "Bearer".to_owned(),
            iss: "https://as.example.test".to_owned(),
            sub: "usr_1".to_owned(),
            aud: "https://rs.example.test/mcp".to_owned(),
            exp: Some(Timestamp::from_seconds(2000)),
            iat: Timestamp::from_seconds(1000),
            jti: "jti_1".to_owned(),
            client_id: "dcr_1".to_owned(),
            scope: "artifacts:read".to_owned(),
            sid: "grt_1".to_owned(),
            org: "org_1".to_owned(),
            auth_time: None,
            authorization_details: None,
            entitled: true,
            credential: None,
            rate_limit: None,
            act: None,
        }
    }

    #[test]
    fn an_answer_is_read_as_it_was_written() {
        for answer in [Introspection::INACTIVE, Introspection::Active(Box::new(active()))] {
            let bytes = serde_json::to_vec(&answer).unwrap();
            assert_eq!(Introspection::read(&bytes), Ok(answer));
        }
    }

    #[test]
    fn a_key_has_a_name_and_its_owner_may_be_entitled_to_nothing() {
        let Ok(Value::Object(whole)) = serde_json::to_value(active()) else { panic!("an object") };
        assert!(!whole.contains_key("entitled") && !whole.contains_key("credential"));
        let with = |name: &str, value: Value| {
            let mut more = whole.clone();
            more.insert(name.to_owned(), value);
            Introspection::read(&serde_json::to_vec(&more).unwrap())
        };
        let key = Active {
            entitled: false,
            credential: Some("CI".to_owned()),
            rate_limit: NonZeroU32::new(60),
            ..active()
        };
        let bytes = serde_json::to_vec(&key).unwrap();
        assert_eq!(Introspection::read(&bytes), Ok(Introspection::Active(Box::new(key))));
        for bad in [Value::Null, Value::from("false"), Value::from(0)] {
            assert_eq!(with("entitled", bad), Err(IntrospectionSyntax));
        }
        assert_eq!(with("credential", Value::from(7)), Err(IntrospectionSyntax));
        for bad in [0.into(), (-1).into(), 1.5.into(), Value::from("60"), 4_294_967_296_i64.into()] {
            assert_eq!(with("rate_limit", bad), Err(IntrospectionSyntax));
        }
    }

    #[test]
    fn inactive_says_nothing_else() {
        assert_eq!(serde_json::to_string(&Introspection::INACTIVE).unwrap(), r#"{"active":false}"#);
        let chatty = br#"{"active":false,"sub":"usr_1"}"#;
        assert_eq!(Introspection::read(chatty), Ok(Introspection::INACTIVE));
    }

    #[test]
    fn a_yes_that_leaves_something_out_is_no_yes() {
        let Ok(Value::Object(whole)) = serde_json::to_value(active()) else { panic!("an object") };
        for name in ["token_type", "iss", "sub", "aud", "iat", "jti", "client_id", "sid", "org"] {
            let mut less = whole.clone();
            less.remove(name);
            assert_eq!(
                Introspection::read(&serde_json::to_vec(&less).unwrap()),
                Err(IntrospectionSyntax),
                "{name}"
            );
            let mut wrong = whole.clone();
            wrong.insert(name.to_owned(), Value::Array(Vec::new()));
            assert_eq!(
                Introspection::read(&serde_json::to_vec(&wrong).unwrap()),
                Err(IntrospectionSyntax),
                "{name}"
            );
        }
        for text in ["{}", r#"{"active":"true"}"#, r#"{"active":1}"#, "[]", "", r#"{"active":true}"#] {
            assert_eq!(Introspection::read(text.as_bytes()), Err(IntrospectionSyntax), "{text}");
        }
    }
}
