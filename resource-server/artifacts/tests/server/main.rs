//! The whole server over real HTTP, on a real store, with callers that the tests name.
#![expect(clippy::unwrap_used, reason = "what a test cannot set up fails the test")]

mod artifacts;
mod ended;
mod folders;
mod gate;
mod house;
mod isolation;
mod links;
mod lists;
mod moves;
mod narrowing;
mod process;
mod program;
mod reach;
mod recovery;
mod revoked;
mod transport;
mod uploads;
