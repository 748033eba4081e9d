//! The permissions of this server, as they are registered with the authorization server.

/// See what is there, resources included.
pub const READ: &str = "artifacts:read";
/// Store.
pub const CREATE: &str = "artifacts:create";
/// Move to another folder.
pub const UPDATE: &str = "artifacts:update";
/// Make a public link.
pub const SHARE: &str = "artifacts:share";
/// Delete, and seal sessions.
pub const DELETE: &str = "artifacts:delete";
