//! The reference MCP server: eleven tools over a real artifact store, behind tokens of a Doorward authorization server.
//!
//! | module | duty |
//! |---|---|
//! | [`tools`] | the table tool → permission, the gate, the eleven tools |
//! | [`store`] | rows in SQLite, bytes in files; every verb one transaction |
//! | [`uploads`], [`downloads`], [`moves`] | the addresses that are opened without MCP |
//! | [`permissions`] | what can be granted |
//! | [`mcp`], [`resources`], [`transport`] | MCP over Streamable HTTP |
//! | [`standing`] | whether the credential that made an address still counts |
//! | [`caller`] | who calls: the one place that reads what the kit has verified |
//! | [`app`], [`config`], [`telemetry`] | the program |

pub mod app;
mod body;
pub mod caller;
pub mod config;
pub mod context;
pub mod credentials;
pub mod dates;
pub mod downloads;
pub mod errors;
pub mod ids;
pub mod mcp;
pub mod moves;
pub mod permissions;
pub mod plans;
pub mod resources;
pub mod serve;
pub mod standing;
pub mod store;
pub mod telemetry;
pub mod tools;
pub mod transport;
pub mod uploads;

#[cfg(test)]
mod scratch;
