//! The endpoints that machines call.

pub(super) mod authorize;
pub(super) mod client_configuration;
pub(super) mod introspect;
pub(super) mod leaked;
pub(super) mod register;
pub(super) mod revocations;
pub(super) mod revoke;
pub(super) mod token;
pub(super) mod userinfo;
pub(super) mod well_known;
