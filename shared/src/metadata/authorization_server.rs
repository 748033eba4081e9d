//! Authorization-server metadata (RFC 8414 §2) together with the members of OIDC Discovery §3: one document,
//! served at every well-known address, so that no client can see two truths.

use serde::{Deserialize, Serialize};

use crate::issuer::Issuer;

/// The document. Unknown members are ignored when it is read; lists that are empty are left out when it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the members are those of the RFCs")]
pub struct AuthorizationServerMetadata {
    /// The issuer, byte for byte (RFC 8414 §3.3: readers compare it).
    pub issuer: Issuer,
    /// Where people are sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub authorization_endpoint: String,
    /// Where codes and refresh tokens are exchanged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub token_endpoint: String,
    /// Where the public keys are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jwks_uri: String,
    /// Dynamic client registration (RFC 7591); absent when it is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// RFC 7009.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// RFC 7662.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    /// Our revocation feed ([`crate::revocation`]), for resource servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation_feed_endpoint: Option<String>,
    /// OIDC Core §5.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_endpoint: Option<String>,
    /// What the authorization endpoint accepts as `scope`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes_supported: Vec<String>,
    /// Always `code`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_types_supported: Vec<String>,
    /// Always `query`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_modes_supported: Vec<String>,
    /// The grants of the token endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grant_types_supported: Vec<String>,
    /// Always `public` (OIDC Core §8).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_types_supported: Vec<String>,
    /// How ID tokens are signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub id_token_signing_alg_values_supported: Vec<String>,
    /// How clients authenticate at the token endpoint; `none` first, since clients look for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_endpoint_auth_methods_supported: Vec<String>,
    /// How client assertions are signed (RFC 7523).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    /// How clients authenticate at the revocation endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revocation_endpoint_auth_methods_supported: Vec<String>,
    /// How callers authenticate at the introspection endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub introspection_endpoint_auth_methods_supported: Vec<String>,
    /// Always `S256` (RFC 7636); clients refuse a document without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub code_challenge_methods_supported: Vec<String>,
    /// Every redirect carries `iss` (RFC 9207 §3).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
    /// A URL may be a client identifier (Client ID Metadata Documents §5).
    #[serde(default)]
    pub client_id_metadata_document_supported: bool,
    /// The claims that ID tokens and userinfo may carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims_supported: Vec<String>,
    /// Where clients send people to sign out (OpenID Connect RP-Initiated Logout §2.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_session_endpoint: Option<String>,
    /// Clients are told when a session ends (OpenID Connect Back-Channel Logout §2.1).
    #[serde(default)]
    pub backchannel_logout_supported: bool,
    /// They are told which session: `sid` is in ID tokens and logout tokens.
    #[serde(default)]
    pub backchannel_logout_session_supported: bool,
    /// The values of `prompt` that are honoured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompt_values_supported: Vec<String>,
    /// Always false: no request objects (OIDC Core §6).
    #[serde(default)]
    pub request_parameter_supported: bool,
    /// Always false. Its default would be true, so it must be written (OIDC Discovery §3).
    #[serde(default)]
    pub request_uri_parameter_supported: bool,
    /// A page for developers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_documentation: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_are_ignored_and_absent_ones_are_never_null() {
        let text = r#"{"issuer":"https://as.test","jwks_uri":"https://as.test/jwks","x":[1],"token_endpoint":"https://as.test/t"}"#;
        let document: AuthorizationServerMetadata = serde_json::from_str(text).unwrap();
        assert_eq!(document.jwks_uri, "https://as.test/jwks");
        let written = serde_json::to_string(&document).unwrap();
        assert!(!written.contains("null") && !written.contains("[]"), "{written}");
        assert!(written.contains(r#""request_uri_parameter_supported":false"#));
    }

    #[test]
    fn an_issuer_that_is_not_in_normal_form_is_no_document() {
        assert!(
            serde_json::from_str::<AuthorizationServerMetadata>(r#"{"issuer":"https://as.test/"}"#).is_err()
        );
    }
}
