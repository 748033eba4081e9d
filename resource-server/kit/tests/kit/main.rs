//! The kit over real HTTP: a scripted authorization server on one side, a raw client on the other, and in the middle the
//! tower layer and the actix middleware, which must behave alike.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admission;
mod allowance;
mod api_keys;
mod authority;
mod away;
mod bad_pages;
mod documents;
mod feed;
mod forged;
mod hosts;
mod issuer;
mod keys;
mod maker;
mod opaque;
mod rate;
mod reach;
mod revocations;
mod tokens;
mod web;
