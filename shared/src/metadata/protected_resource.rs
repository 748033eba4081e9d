//! Protected-resource metadata (RFC 9728 §2).

use serde::{Deserialize, Serialize};

use crate::{issuer::Issuer, resource::ResourceUri};

/// What a resource server says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedResourceMetadata {
    /// The configured identifier, exactly (RFC 9728 §3.3: clients compare it with the address they asked).
    pub resource: ResourceUri,
    /// Who issues tokens for it. One: real clients use the first and ignore the rest.
    pub authorization_servers: Vec<Issuer>,
    /// The scopes that a client may ask for. Never `offline_access`: that is between client and authorization server.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// Always `header` (RFC 6750 §2.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bearer_methods_supported: Vec<String>,
    /// A name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// A page for developers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<String>,
}

impl ProtectedResourceMetadata {
    /// A document with the members that are always there.
    pub fn new(resource: ResourceUri, issuer: Issuer, scopes: &[&str]) -> Self {
        Self {
            resource,
            authorization_servers: vec![issuer],
            scopes_supported: scopes.iter().copied().map(String::from).collect(),
            bearer_methods_supported: vec!["header".to_owned()],
            resource_name: None,
            resource_documentation: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_is_printed_exactly_as_configured_and_absent_members_are_absent() {
        let resource = ResourceUri::parse("http://localhost:9100/mcp").unwrap();
        let issuer = Issuer::parse("http://localhost:9000").unwrap();
        let document = ProtectedResourceMetadata::new(resource, issuer, &["openid"]);
        assert_eq!(
            serde_json::to_string(&document).unwrap(),
            concat!(
                r#"{"resource":"http://localhost:9100/mcp","authorization_servers":["http://localhost:9000"],"#,
                r#""scopes_supported":["openid"],"bearer_methods_supported":["header"]}"#
            )
        );
    }
}
