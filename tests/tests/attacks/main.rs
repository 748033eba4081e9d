//! Known attacks, tried over real HTTP on a real process. `docs/attacks.md` is the list: what is tried, by which test, and
//! the construction that forbids it. The comment over each test names the cases that it covers.
//!
//! Every test ends with [`stage::Stage::close`]: the good twin of what was tried still works, no answer was a 5xx, and no
//! secret is in the log, which is written at its most talkative.

mod api_keys;
mod authorization_request;
mod browser;
mod client_authentication;
mod client_configuration;
mod client_documents;
mod code;
mod consent;
mod cookies;
mod ended;
mod feed;
mod fuzz;
mod guessing;
mod http;
mod issuer;
mod keys;
mod leakage;
mod login;
mod logout;
mod mail;
mod malformed;
mod nodes;
mod outage;
mod races;
mod raw;
mod redirect_uri;
mod redis;
mod refresh;
mod registration;
mod resource;
mod retry;
mod revocation;
mod session;
mod sockets;
mod stage;
mod tls;
mod trail;
mod upstream;
mod way;
