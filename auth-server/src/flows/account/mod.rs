//! What people do with their own accounts, without an administrator.

pub mod api_keys;
pub mod apps;
pub mod links;
pub mod passkeys;
pub mod password;
pub mod providers;
pub mod second_factor;
pub mod sessions;
