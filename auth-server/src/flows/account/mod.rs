//! What people do with their own accounts, without an administrator.

pub mod password;
pub mod sessions;
