//! The wire vocabulary of Doorward: pure values and parsers, shared by the authorization server and the resource-server
//! kit. Nothing here does I/O, and Cargo keeps it so: no runtime, HTTP or database crate is linked.
//!
//! | module | source |
//! |---|---|
//! | [`form`] | strict `application/x-www-form-urlencoded`, RFC 6749 §3.1, §3.2 |
//! | [`scope`], [`permission`] | RFC 6749 §3.3; our permission atoms and nested tiers |
//! | [`node`], [`allowance`] | our data tree; what is allowed where, RFC 9396 |
//! | [`issuer`], [`metadata`] | RFC 8414, OpenID Connect Discovery, RFC 9728 |
//! | [`resource`] | RFC 8707 |
//! | [`client_id`], [`client_metadata`], [`redirect_uri`] | RFC 7591, RFC 8252 |
//! | [`authorization`], [`pkce`] | RFC 6749 §4.1, RFC 7636, RFC 9207 |
//! | [`logout`] | OpenID Connect RP-Initiated Logout |
//! | [`token`] | RFC 6749 §4.1.3, §5, §6, RFC 7009 |
//! | [`bearer`] | RFC 6750 §3 |
//! | [`introspection`], [`revocation`] | RFC 7662; our revocation feed |
//! | [`jose`] | RFC 7515, RFC 7517, RFC 9068, OpenID Connect Core §2 |
//! | [`error`] | RFC 6749 §4.1.2.1, §5.2 |
//! | [`secret`], [`time`] | opaque credentials; NumericDate (RFC 7519 §2) |

pub mod allowance;
pub mod authorization;
pub mod bearer;
pub mod client_id;
pub mod client_metadata;
pub mod error;
pub mod form;
pub mod introspection;
pub mod issuer;
pub mod jose;
pub mod logout;
pub mod metadata;
pub mod node;
pub mod permission;
pub mod pkce;
pub mod redirect_uri;
pub mod resource;
pub mod revocation;
pub mod scope;
pub mod secret;
pub mod time;
pub mod token;
