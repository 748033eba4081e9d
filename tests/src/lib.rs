//! Doorward from the outside: what the tests of rings 3 and 4 use to start it, visit it and be its client.
//!
//! Nothing here links Doorward's own code. The programs run as real processes, pages are read as a browser without
//! scripts reads them, and every parameter of every request can be bent by the test that sends it.
//!
//! | module | who it plays |
//! |---|---|
//! | [`house`] | the operator: starts `doorward` and `doorward-artifacts`, creates people, restarts, reads logs |
//! | [`compose`] | the same with `docker-compose.yml` |
//! | [`totp`] | the app that makes codes |
//! | [`visitor`] | the person at a browser without scripts |
//! | [`admin`] | the administrator: the admin API with a key or a browser |
//! | [`client`] | an MCP client: discovery, registration, PKCE, tokens |
//! | [`scene`] | an issuer, clients and Alice: codes and tokens in one call |
//! | [`session`] | client and person together: a whole sign-in in one call |
//! | [`mcp`] | the same client speaking MCP with the token it got |
//! | [`kills`] | a server that is killed while it revokes |
//! | [`driver`] | real clients of other people, run as child processes |
//! | [`smtp`] | a mail server, which keeps what it is sent |
//! | [`authority`] | who signs the certificates of other servers |
//! | [`origin`] | a web server on which clients publish their documents |
//! | [`namespace`] | a network of its own, with names that lie, in which every packet is seen |
//! | [`receiver`] | clients that are told when a session ends |
//! | [`redis`] | Redis, which may be stopped, wiped and cut off |
//! | [`postgres`] | `PostgreSQL`, which may be stopped, frozen and killed |
//! | [`idp`] | an OpenID Connect provider in four dialects, which lies on demand |
//! | [`proxy`] | what stands between clients and servers: it spreads requests, and loses answers |
//! | [`replicas`] | several servers that are one, and resource servers that follow them |

#![expect(clippy::missing_panics_doc, reason = "a test harness reports every failure by panicking")]

pub mod admin;
pub mod answer;
pub mod authority;
pub mod client;
pub mod compose;
pub mod driver;
pub mod house;
pub mod idp;
pub mod kills;
pub mod mcp;
pub mod namespace;
pub mod origin;
pub mod page;
pub mod peer_idp;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod redis;
pub mod replicas;
pub mod scene;
pub mod session;
pub mod smtp;
pub mod totp;
pub mod visitor;

/// A secret of 256 fresh random bits in base64url, as PKCE verifiers, `state` and `nonce` want them.
pub fn fresh() -> String {
    use base64::Engine as _;
    use rand::TryRng as _;
    let mut bytes = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives random bytes");
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// Runs each named story on both stores: `async fn story(store: Store)` becomes the tests `sqlite::story` and
/// `postgres::story`.
///
/// The stories stay ordinary functions, so that one left out of the list is reported as unused.
#[macro_export]
macro_rules! on_both_stores {
    ($($story:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test]
            async fn $story() {
                super::$story($crate::house::Store::Sqlite).await;
            })+
        }

        mod postgres {
            $(#[tokio::test]
            async fn $story() {
                super::$story($crate::house::Store::Postgres).await;
            })+
        }
    };
}
