//! The conformance suite of the store's port: every test runs on SQLite and on PostgreSQL, and passes on both.
//!
//! Verdicts come from `domain` only, as they do in the flows: see `world`.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[macro_use]
mod backend;
mod account_links;
mod admin_keys;
mod api_keys;
mod backups;
mod clients;
mod codes;
mod feed;
mod grants;
mod hold;
mod housekeeping;
mod identities;
mod kill;
mod logouts;
mod meanwhile;
mod opening;
mod pages;
mod permissions;
mod proofs;
mod refresh_tokens;
mod registrations;
mod resources;
mod sessions;
mod signing_keys;
mod trail;
mod users;
mod world;
