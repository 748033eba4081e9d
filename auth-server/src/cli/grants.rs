//! `grant …`.

use clap::{ArgGroup, Args, Subcommand};
use doorward_shared::time::{Clock as _, SystemClock, Timestamp};
use serde_json::json;

use super::{
    dates::{self, date},
    output::{Answer, Failure, table},
    store::Open,
};
use crate::{
    config::Config,
    domain::grant::{Method, State},
    flows::admin::{
        Desk,
        grants::{self, All, GrantError, Rest, Wanted},
        view,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List grants, newest first, those that are over included as long as they are remembered.
    List(List),
    /// Show one grant.
    Show {
        /// The identifier of the grant.
        id: String,
    },
    /// Revoke a grant, or all of somebody or something, with every token of it.
    Revoke(Revoke),
    /// Make a grant smaller or shorter; access tokens from before are revoked.
    Narrow(Narrow),
}

#[derive(Debug, Args)]
pub(super) struct List {
    /// Only those of this person: the e-mail address or the identifier.
    #[arg(long, value_name = "PERSON")]
    user: Option<String>,
    /// Only those of this client.
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Only those for this resource server.
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// Only those for the data of this organization: the name or the identifier.
    #[arg(long)]
    organization: Option<String>,
    /// Only those that stand so: pending, active, expired or ended.
    #[arg(long, value_parser = state)]
    state: Option<State>,
    /// Only those that came about like this: dcr, fixed or registered.
    #[arg(long, value_parser = method)]
    method: Option<Method>,
    /// Only those that were not used for so many days.
    #[arg(long, value_name = "DAYS")]
    unused_days: Option<u16>,
    /// Show at most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = u32::MAX, hide_default_value = true)]
    limit: u32,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true)
    .args(["id", "user", "client", "resource", "organization", "everything"]))]
pub(super) struct Revoke {
    /// The identifier of the grant.
    id: Option<String>,
    /// All of this person: the e-mail address or the identifier.
    #[arg(long, value_name = "PERSON")]
    user: Option<String>,
    /// All of this client.
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// All for this resource server.
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// All for the data of this organization: the name or the identifier.
    #[arg(long)]
    organization: Option<String>,
    /// All of everybody.
    #[arg(long)]
    everything: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(true).args(["tier", "permissions", "nodes", "expires"]))]
pub(super) struct Narrow {
    /// The identifier of the grant.
    id: String,
    /// Leave it the permissions of this tier, as far as it has them.
    #[arg(long, conflicts_with = "permissions")]
    tier: Option<String>,
    /// Leave it exactly this permission; may be given more than once.
    #[arg(long = "permission", value_name = "PERMISSION")]
    permissions: Vec<String>,
    /// Leave it this node and what is below it, as far as it has them; may be given more than once.
    #[arg(long = "node", value_name = "PATH")]
    nodes: Vec<String>,
    /// Let it end then, for example 2026-12-31 or 2026-12-31T18:00:00Z.
    #[arg(long, value_name = "DATE", value_parser = dates::parse)]
    expires: Option<Timestamp>,
}

fn state(word: &str) -> Result<State, String> {
    let known = || format!("choose one of {}", State::ALL.map(State::as_str).join(", "));
    State::parse(word).ok_or_else(known)
}

fn method(word: &str) -> Result<Method, String> {
    let known = || format!("choose one of {}", Method::ALL.map(Method::as_str).join(", "));
    Method::parse(word).ok_or_else(known)
}

pub(super) async fn run(command: Command, config: &Config) -> Result<Answer, Failure> {
    let open = Open::at(config).await?;
    let answer = carry_out(command, open.desk(config)).await;
    open.close().await;
    answer
}

async fn carry_out(command: Command, desk: Desk<'_>) -> Result<Answer, Failure> {
    match command {
        Command::List(list) => shown(desk, list).await,
        Command::Show { id } => {
            let (grant, user) = grants::show(desk, &id).await?;
            let grant = view::Grant::of(&grant, &user, SystemClock.now());
            Answer::new(description(&grant), &grant)
        }
        Command::Revoke(Revoke { id: Some(id), .. }) => {
            match grants::revoke(desk, &id).await {
                // Whoever repeats a command finds what they wanted.
                Ok(_) | Err(GrantError::Ended(_)) => {}
                Err(error) => return Err(error.into()),
            }
            Answer::new(format!("revoked the grant {id}"), &json!({ "id": id, "revoked": true }))
        }
        Command::Revoke(whose) => {
            let revoked = grants::revoke_all(desk, &all(whose)).await?;
            let plural = if revoked == 1 { "grant" } else { "grants" };
            Answer::new(format!("revoked {revoked} {plural}"), &json!({ "revoked": revoked }))
        }
        Command::Narrow(Narrow { id, tier, permissions, nodes, expires: expires_at }) => {
            let permissions = (!permissions.is_empty()).then_some(permissions);
            let (grant, user) =
                grants::narrow_to(desk, &id, &Rest { tier, permissions, nodes, expires_at }).await?;
            let grant = view::Grant::of(&grant, &user, SystemClock.now());
            Answer::new(format!("narrowed the grant\n{}", description(&grant)), &grant)
        }
    }
}

/// Clap made sure that exactly one of them is there.
fn all(whose: Revoke) -> All {
    match whose {
        Revoke { user: Some(user), .. } => All::OfUser(user),
        Revoke { client: Some(client), .. } => All::OfClient(client),
        Revoke { resource: Some(resource), .. } => All::ForResource(resource),
        Revoke { organization: Some(organization), .. } => All::OfOrganization(organization),
        _ => All::OfEverybody,
    }
}

async fn shown(desk: Desk<'_>, list: List) -> Result<Answer, Failure> {
    let List { user, client, resource, organization, state, method, unused_days, limit } = list;
    let wanted = Wanted { user, client, resource, organization, method, state, unused_days };
    let now = SystemClock.now();
    let found = grants::list(desk, &wanted, None, limit).await?;
    let grants: Vec<_> = found.iter().map(|(grant, user)| view::Grant::of(grant, user, now)).collect();
    let rows: Vec<_> = grants.iter().map(row).collect();
    let heading = ["ID", "PERSON", "CLIENT", "RESOURCE", "PERMISSIONS", "METHOD", "STATE", "LAST USED"];
    Answer::new(table(heading, &rows, "no grants"), &grants)
}

fn row(grant: &view::Grant) -> [String; 8] {
    [
        grant.id.clone(),
        grant.email.clone(),
        grant.client_id.clone(),
        grant.resource.clone(),
        grant.permissions.join(" "),
        grant.method.clone(),
        grant.state.clone(),
        grant.last_used_at.map_or_else(|| "never".to_owned(), date),
    ]
}

/// What is allowed everywhere, then what is allowed at nodes.
fn places(places: &[view::AllowedAt]) -> String {
    let line = |place: &view::AllowedAt| match &place.node {
        None => place.permissions.join(" "),
        Some(node) => format!("{} at {node}", place.permissions.join(" ")),
    };
    places.iter().map(line).collect::<Vec<_>>().join("\n             ")
}

fn description(grant: &view::Grant) -> String {
    let state = match (&grant.end_reason, grant.ended_at) {
        (Some(reason), Some(at)) => format!("{} {} ({reason})", grant.state, date(at)),
        _ => grant.state.clone(),
    };
    let used = grant.last_used_at.map_or_else(|| "never".to_owned(), date);
    let from = [&grant.last_used_address, &grant.last_used_user_agent];
    let from: Vec<_> = from.into_iter().flatten().map(String::as_str).collect();
    [
        format!("id:          {}", grant.id),
        format!("person:      {} ({})", grant.email, grant.user_id),
        format!("client:      {}", grant.client_id),
        format!("resource:    {}", grant.resource),
        format!("data of:     {}", grant.organization),
        format!("permissions: {}", places(&grant.places)),
        format!("openid:      {}", grant.openid.join(" ")),
        format!("method:      {}", grant.method),
        format!("state:       {state}"),
        format!("created:     {}", date(grant.created_at)),
        format!("expires:     {}", date(grant.expires_at)),
        format!("last used:   {used} {}", from.join(" ")).trim_end().to_owned(),
    ]
    .join("\n")
}
