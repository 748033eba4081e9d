//! What people do with their own accounts, in a browser without scripts.

mod links;
mod person;
mod sessions;
