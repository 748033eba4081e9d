//! What may be lost, in memory and in Redis: one suite for both, and what happens when Redis is not there, hangs, is wiped,
//! is full, or holds what somebody else wrote. Every test with Redis starts a `redis-server` of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[macro_use]
mod server;
mod both;
mod foreign;
mod outage;
