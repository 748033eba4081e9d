//! An issuer and Alice, without a resource server: what it takes to get codes and tokens, one after the other.

use serde_json::json;

use crate::answer::Answer;
use crate::client::{Client, Discovery, Request, Tokens, register, registration, text, well_known};
use crate::house::{House, Person};
use crate::process;
use crate::visitor::Visitor;

/// Where clients want their users back.
const REDIRECT: &str = "http://127.0.0.1:49152/callback";

/// Who issues, for which resource, to whom.
#[derive(Clone, Debug)]
pub struct Scene {
    alice: Person,
    discovery: Discovery,
}

/// A code that waits to be redeemed.
#[derive(Clone, Debug)]
pub struct Code {
    /// The client that asked for it.
    pub client: Client,
    /// How it asked.
    pub request: Request,
    /// The code.
    pub text: String,
}

impl Code {
    /// Redeems it as its client should.
    pub async fn redeem(&self) -> Answer {
        self.client.redeem(&self.request, &self.text).await
    }

    /// The same code in the hands of the same client elsewhere.
    #[must_use]
    pub fn by(&self, client: &Client) -> Self {
        Self { client: client.clone(), ..self.clone() }
    }
}

impl Scene {
    /// The scene at this house.
    pub async fn at(house: &House) -> Self {
        let url = well_known(house.issuer(), "oauth-authorization-server");
        let found = Answer::to(process::client().get(url)).await;
        let discovery = Discovery {
            server: found.expect(200),
            challenge: found,
            resource_metadata_url: String::new(),
            resource: json!({"resource": house.mcp_url()}),
        };
        Self { alice: house.alice().clone(), discovery }
    }

    /// Registers a public client.
    pub async fn client(&self) -> Client {
        let endpoint = self.discovery.endpoint("registration_endpoint");
        let registered = register(&endpoint, &registration(REDIRECT)).await.expect(201);
        Client::known(self.discovery.clone(), &text(&registered["client_id"]), REDIRECT)
    }

    /// A client that is registered already.
    pub fn known(&self, client_id: &str, redirect_uri: &str) -> Client {
        Client::known(self.discovery.clone(), client_id, redirect_uri)
    }

    /// Lets Alice allow `read` in this browser, and gives the code.
    pub async fn code(&self, client: &Client, visitor: &Visitor) -> Code {
        let request = client.request();
        let text = visitor.authorize(&request.url(), &self.alice, &["read"]).await.code();
        Code { client: client.clone(), request, text }
    }

    /// Lets Alice allow `read` in this browser, and gives the tokens.
    pub async fn tokens(&self, client: &Client, visitor: &Visitor) -> Tokens {
        Tokens::read(&self.code(client, visitor).await.redeem().await)
    }

    /// What the issuer's metadata says.
    pub fn endpoint(&self, name: &str) -> String {
        self.discovery.endpoint(name)
    }
}
