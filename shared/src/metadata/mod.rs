//! The two discovery documents. A member that does not apply is absent, never `null`: strict clients refuse `null`.

pub mod authorization_server;
pub mod protected_resource;
