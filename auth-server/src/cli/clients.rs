//! `client …`.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use doorward_shared::redirect_uri::RedirectUri;
use serde_json::{Map, Value, json};

use super::{
    output::{Answer, Failure, table},
    store::Open,
};
use crate::{
    config::Config,
    domain::client::{Client, ConfidentialMethod},
    flows::admin::{
        Desk,
        clients::{self, ClientKind, NewClient},
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Register a client; a confidential one gets a secret that is shown this once.
    Create(Create),
    /// List all clients, those that registered themselves included.
    List,
    /// Remove a client and end everything it was allowed.
    Delete {
        /// The identifier of the client.
        id: String,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("kind").required(true).args(["public", "confidential"]))]
pub(super) struct Create {
    /// The name that people see on the consent page.
    #[arg(long)]
    name: String,
    /// An address that answers may be sent to, compared exactly; may be given up to ten times.
    #[arg(long = "redirect-uri", value_name = "URI", required = true)]
    redirect_uris: Vec<String>,
    /// The client has no secret, as every program on somebody's own computer.
    #[arg(long)]
    public: bool,
    /// The client has a secret and sends it in this place.
    #[arg(long, value_name = "METHOD")]
    confidential: Option<Method>,
    /// Give the client this identifier instead of a new one.
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Never give the client more than this tier, whatever a person ticks.
    #[arg(long, value_name = "TIER")]
    ceiling: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Method {
    /// In the body of the request.
    Post,
    /// In the Authorization header.
    Basic,
}

pub(super) async fn run(command: Command, config: &Config) -> Result<Answer, Failure> {
    let open = Open::at(config).await?;
    let answer = carry_out(command, open.desk(config)).await;
    open.close().await;
    answer
}

async fn carry_out(command: Command, desk: Desk<'_>) -> Result<Answer, Failure> {
    match command {
        Command::Create(Create { name, redirect_uris, public: _, confidential, client_id, ceiling }) => {
            let kind = match confidential {
                None => ClientKind::Public,
                Some(Method::Post) => ClientKind::Confidential(ConfidentialMethod::Post),
                Some(Method::Basic) => ClientKind::Confidential(ConfidentialMethod::Basic),
            };
            let made =
                clients::create(desk, &NewClient { name, redirect_uris, kind, client_id, ceiling }).await?;
            let mut text = format!("client_id: {}", made.client.id);
            let mut members = members(&made.client);
            if let Some(secret) = &made.secret {
                text = format!(
                    "{text}\nclient_secret: {} (keep it now, it is not shown again)",
                    secret.expose()
                );
                members.insert("client_secret".to_owned(), secret.expose().into());
            }
            Answer::new(text, &members)
        }
        Command::List => {
            let clients = clients::list(desk).await?;
            let rows: Vec<_> = clients.iter().map(row).collect();
            let text = table(["CLIENT ID", "NAME", "LABEL", "METHOD", "CEILING"], &rows, "no clients yet");
            Answer::new(text, &clients.iter().map(members).collect::<Vec<_>>())
        }
        Command::Delete { id } => {
            let id = clients::delete(desk, &id).await?;
            Answer::new(
                format!("removed the client {id}"),
                &json!({ "client_id": id.as_str(), "deleted": true }),
            )
        }
    }
}

fn row(client: &Client) -> [String; 5] {
    [
        client.id.to_string(),
        client.name.clone().unwrap_or_default(),
        client.label().as_str().to_owned(),
        client.auth_method().as_str().to_owned(),
        client.ceiling.clone().unwrap_or_default(),
    ]
}

fn members(client: &Client) -> Map<String, Value> {
    let value = json!({
        "client_id": client.id.as_str(),
        "client_name": client.name,
        "label": client.label().as_str(),
        "token_endpoint_auth_method": client.auth_method().as_str(),
        "redirect_uris": client.redirect_uris.iter().map(RedirectUri::as_str).collect::<Vec<_>>(),
        "grant_types": client.grant_types.iter().map(|grant| grant.as_str()).collect::<Vec<_>>(),
        "ceiling": client.ceiling,
        "disabled": client.disabled_at.is_some(),
        "created_at": client.created_at.seconds(),
    });
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
