//! `client …`.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use serde_json::json;

use super::{
    output::{Answer, Failure, table},
    store::Open,
};
use crate::{
    config::Config,
    domain::{
        amendment::Ceiling,
        client::{Client, ConfidentialMethod},
        software::Registrations,
    },
    flows::admin::{
        Desk, Standing,
        clients::{self, ClientKind, Listed, MadeClient, NewClient, NewFacts},
        view,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Register a client; a confidential one gets a secret that is shown this once.
    Create(Create),
    /// List clients, those that registered themselves included; registrations of the same software are one line.
    List {
        /// Show each registration.
        #[arg(long)]
        all: bool,
    },
    /// Change the bounds of a client, or its name and addresses. What it was allowed goes on, with what is left of it.
    Set(Set),
    /// Disable a client and end everything it was allowed.
    Disable {
        /// The identifier of the client.
        id: String,
    },
    /// Enable a disabled client again; nothing that ended comes back.
    Enable {
        /// The identifier of the client.
        id: String,
    },
    /// Give a confidential client another secret, which is shown this once; the one it has stays good as well.
    RotateSecret {
        /// The identifier of the client.
        id: String,
    },
    /// Make the secret from before the last rotation good for nothing.
    RetireSecret {
        /// The identifier of the client.
        id: String,
    },
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
    /// An address that people may be sent to after they signed out, compared exactly; may be given up to ten times.
    #[arg(long = "post-logout-redirect-uri", value_name = "URI")]
    post_logout_redirect_uris: Vec<String>,
    /// An address that is told when a session ends in which the client got an ID token (OpenID Connect Back-Channel Logout).
    #[arg(long = "backchannel-logout-uri", value_name = "URI")]
    backchannel_logout_uri: Option<String>,
    /// The client needs to be told which session; it always is.
    #[arg(long, requires = "backchannel_logout_uri")]
    backchannel_logout_session_required: bool,
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
    /// Give the client something for this data only; may be given more than once. ORGANIZATION is a name or an identifier, or
    /// "own" for each person's own data.
    #[arg(long = "ceiling-node", value_name = "ORGANIZATION[:PATH]")]
    ceiling_places: Vec<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args([
    "name", "redirect_uris", "ceiling", "no_ceiling", "ceiling_places", "no_ceiling_nodes",
]))]
pub(super) struct Set {
    /// The identifier of the client.
    id: String,
    /// The name that people see on the consent page; for clients that an administrator registered.
    #[arg(long)]
    name: Option<String>,
    /// An address that answers may be sent to, in place of all that there are; may be given up to ten times, for clients that
    /// an administrator registered.
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
    /// Never give the client more than this tier, whatever a person ticks.
    #[arg(long, value_name = "TIER")]
    ceiling: Option<String>,
    /// Give the client every tier that a person ticks.
    #[arg(long, conflicts_with = "ceiling")]
    no_ceiling: bool,
    /// Give the client something for this data only, in place of all that is named; may be given more than once. ORGANIZATION
    /// is a name or an identifier, or "own" for each person's own data.
    #[arg(long = "ceiling-node", value_name = "ORGANIZATION[:PATH]")]
    ceiling_places: Vec<String>,
    /// Give the client something for all data.
    #[arg(long, conflicts_with = "ceiling_places")]
    no_ceiling_nodes: bool,
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
        Command::Create(create) => {
            let Create {
                name,
                redirect_uris,
                post_logout_redirect_uris,
                backchannel_logout_uri,
                backchannel_logout_session_required,
                public: _,
                confidential,
                client_id,
                ceiling,
                ceiling_places,
            } = create;
            let kind = match confidential {
                None => ClientKind::Public,
                Some(Method::Post) => ClientKind::Confidential(ConfidentialMethod::Post),
                Some(Method::Basic) => ClientKind::Confidential(ConfidentialMethod::Basic),
            };
            let new = NewClient {
                name,
                redirect_uris,
                post_logout_redirect_uris,
                backchannel_logout_uri,
                backchannel_logout_session_required,
                kind,
                client_id,
                ceiling,
                ceiling_places,
            };
            printed(&clients::create(desk, &new).await?)
        }
        Command::List { all } => {
            let clients = clients::list(desk, if all { Listed::All } else { Listed::Folded }).await?;
            let rows: Vec<_> = clients.iter().map(row).collect();
            let heads = ["CLIENT ID", "NAME", "LABEL", "METHOD", "STATE", "CEILING", "COUNT"];
            let text = table(heads, &rows, "no clients yet");
            Answer::new(text, &clients.iter().map(view::ListedClient::from).collect::<Vec<_>>())
        }
        Command::Set(set) => {
            let Set { id, name, redirect_uris, ceiling, no_ceiling, ceiling_places, no_ceiling_nodes } = set;
            let given = |texts: Vec<String>| Some(texts).filter(|texts| !texts.is_empty());
            let facts = NewFacts {
                name,
                redirect_uris: given(redirect_uris),
                ceiling: match ceiling {
                    Some(tier) => Some(Ceiling::Tier(tier)),
                    None => no_ceiling.then_some(Ceiling::Unbounded),
                },
                ceiling_places: if no_ceiling_nodes { Some(Vec::new()) } else { given(ceiling_places) },
            };
            let client = clients::change(desk, &id, &facts).await?;
            Answer::new(bounds(&client), &view::Client::from(&client))
        }
        Command::Disable { id } => standing(desk, &id, Standing::Disabled).await,
        Command::Enable { id } => standing(desk, &id, Standing::Enabled).await,
        Command::RotateSecret { id } => printed(&clients::rotate_secret(desk, &id).await?),
        Command::RetireSecret { id } => {
            let id = clients::retire_secret(desk, &id).await?;
            Answer::new(
                format!("retired the former secret of {id}"),
                &json!({ "client_id": id.as_str(), "retired": true }),
            )
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

/// A client with its new secret.
fn printed(made: &MadeClient) -> Result<Answer, Failure> {
    let mut text = format!("client_id: {}", made.client.id);
    if let Some(secret) = &made.secret {
        text = format!("{text}\nclient_secret: {} (keep it now, it is not shown again)", secret.expose());
    }
    Answer::new(text, &view::NewClient::from(made))
}

/// What a client can be given, in words.
fn bounds(client: &Client) -> String {
    let tier = client.ceiling.as_deref().map_or("every tier".to_owned(), |tier| format!("{tier} at most"));
    let places: Vec<_> = client.ceiling_places.iter().map(ToString::to_string).collect();
    let data = if places.is_empty() { "all data".to_owned() } else { places.join(", ") };
    format!("{} can be given {tier}, for {data}", client.id)
}

fn row(registrations: &Registrations) -> [String; 7] {
    let client = &registrations.first;
    [
        client.id.to_string(),
        client.name.clone().unwrap_or_default(),
        client.label().as_str().to_owned(),
        client.auth_method().as_str().to_owned(),
        if client.disabled_at.is_some() { "disabled" } else { "enabled" }.to_owned(),
        client.ceiling.clone().unwrap_or_default(),
        registrations.count.to_string(),
    ]
}

async fn standing(desk: Desk<'_>, id: &str, standing: Standing) -> Result<Answer, Failure> {
    let id = clients::set_standing(desk, id, standing).await?;
    let disabled = standing == Standing::Disabled;
    let word = if disabled { "disabled" } else { "enabled" };
    Answer::new(format!("{word} {id}"), &json!({ "client_id": id.as_str(), "disabled": disabled }))
}
