//! What Doorward decides: pure functions on plain data. No I/O and no clock: `now` is a parameter, and so is the source
//! of random bits where a new identifier is made.

pub mod address;
pub mod admin_key;
pub mod amendment;
pub mod api_key;
pub mod audit;
pub mod audit_chain;
pub mod authorize;
pub mod backchannel_logout;
pub mod client;
pub mod client_auth;
pub mod client_document;
pub mod code;
pub mod consent;
pub mod email;
pub mod entitlement;
pub mod extension;
#[cfg(test)]
mod fixture;
pub mod grant;
pub mod ids;
pub mod key_life;
pub mod letter;
pub mod link;
pub mod logout;
pub mod mapping;
pub mod organization;
pub mod passkey;
pub mod policy;
pub mod preview;
pub mod refresh;
pub mod registration;
pub mod resource;
pub mod restore;
pub mod revocation;
pub mod session;
pub mod signing_key;
pub mod software;
pub mod throttle;
pub mod token;
pub mod totp;
pub mod upstream;
pub mod user;
