//! What people do with their own accounts, without an administrator.

pub mod links;
pub mod password;
pub mod sessions;
