//! A whole sign-in: client and person together, from the MCP URL to the tokens.

use crate::client::{Client, Request, Tokens};
use crate::house::{House, Person};
use crate::mcp::Mcp;
use crate::visitor::{Callback, Visitor};

/// A client that got its tokens.
#[derive(Clone, Debug)]
pub struct Session {
    /// The client.
    pub client: Client,
    /// The authorization request that it sent.
    pub request: Request,
    /// Where its user came back to it.
    pub callback: Callback,
    /// What it got for the code.
    pub tokens: Tokens,
}

impl Session {
    /// Registers a new client and lets Alice sign in and tick these tiers.
    pub async fn begin(house: &House, tiers: &[&str]) -> Self {
        let client = Client::register(house.mcp_url()).await;
        Self::of(client, house.alice(), tiers).await
    }

    /// Lets somebody sign in with a fresh browser for a client that is registered already.
    pub async fn of(client: Client, person: &Person, tiers: &[&str]) -> Self {
        let request = client.request();
        let callback = Visitor::new().authorize(&request.url(), person, tiers).await;
        let tokens = Tokens::read(&client.redeem(&request, &callback.code()).await);
        Self { client, request, callback, tokens }
    }

    /// Refreshes once, which must succeed.
    pub async fn refresh(&mut self) {
        self.tokens = Tokens::read(&self.client.refresh(&self.tokens.refresh).await);
    }

    /// The MCP server, with the present access token.
    pub async fn mcp(&self, house: &House) -> Mcp {
        Mcp::connect(house.mcp_url(), &self.tokens.access).await
    }
}
