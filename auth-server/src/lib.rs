//! Doorward: an authorization server for MCP.
//!
//! **shared** is what crosses a wire. **domain** is what we decide. **store** is what we remember. **http** is how we speak.
//! **flows** carry a request from one to the other: *load, decide, apply*. Everything below `flows` is either pure or an
//! instrument; nothing below knows who called it. `tests/layering.rs` holds the floors.

pub mod app;
pub mod cli;
pub mod config;
pub mod domain;
pub mod ephemeral;
pub mod flows;
pub mod http;
pub mod keys;
pub mod mail;
pub mod outbound;
pub mod password;
pub mod store;

pub mod telemetry;
pub mod upstream;
