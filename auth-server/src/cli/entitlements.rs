//! `entitlement …`.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::json;

use super::{
    output::{Answer, Failure, table},
    store::Open,
};
use crate::{
    config::Config,
    flows::admin::{
        Desk, Standing,
        entitlements::{self, MadeRule, NewRule, Whom},
        view,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a rule. The first one for a resource server makes it for listed people only.
    Add(Add),
    /// List all rules.
    List,
    /// Remove a rule.
    Remove {
        /// The identifier of the rule.
        id: String,
    },
    /// Disable a rule, so that it allows nothing.
    Disable {
        /// The identifier of the rule.
        id: String,
    },
    /// Enable a disabled rule again.
    Enable {
        /// The identifier of the rule.
        id: String,
    },
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whom").required(true).args(["user", "group", "everyone"]))]
pub(super) struct Add {
    /// For this person: the e-mail address or the identifier.
    #[arg(long, value_name = "PERSON")]
    user: Option<String>,
    /// For everybody in the group with this name.
    #[arg(long)]
    group: Option<String>,
    /// For everybody with an account.
    #[arg(long)]
    everyone: bool,
    /// What they may do.
    #[arg(long)]
    tier: String,
    /// At this resource server; without it, at each.
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// With the data of this organization: the name or the identifier; without it, each with their own data.
    #[arg(long, value_name = "ORGANIZATION")]
    organization: Option<String>,
    /// With this node and what is below it; without it, all of the data.
    #[arg(long, value_name = "PATH")]
    node: Option<String>,
}

pub(super) async fn run(command: Command, config: &Config) -> Result<Answer, Failure> {
    let open = Open::at(config).await?;
    let answer = carry_out(command, open.desk(config)).await;
    open.close().await;
    answer
}

async fn carry_out(command: Command, desk: Desk<'_>) -> Result<Answer, Failure> {
    match command {
        Command::Add(Add { user, group, everyone: _, tier, resource, organization, node }) => {
            let whom = match (user, group) {
                (Some(user), _) => Whom::Person(user),
                (None, Some(group)) => Whom::Group(group),
                (None, None) => Whom::Everyone,
            };
            let made = entitlements::add(desk, &NewRule { whom, tier, resource, organization, node }).await?;
            printed("added", &made)
        }
        Command::List => {
            let shown: Vec<_> = entitlements::list(desk).await?.iter().map(view::Entitlement::from).collect();
            let rows: Vec<_> = shown.iter().map(row).collect();
            let heading = ["ID", "WHO", "TIER", "RESOURCE", "DATA", "STATE"];
            Answer::new(table(heading, &rows, "no rules yet"), &shown)
        }
        Command::Remove { id } => {
            let rule = entitlements::remove(desk, &id).await?;
            Answer::new(format!("removed the rule {}", rule.id), &json!({ "id": id, "removed": true }))
        }
        Command::Disable { id } => standing(desk, &id, Standing::Disabled).await,
        Command::Enable { id } => standing(desk, &id, Standing::Enabled).await,
    }
}

async fn standing(desk: Desk<'_>, id: &str, standing: Standing) -> Result<Answer, Failure> {
    let made = entitlements::set_standing(desk, id, standing).await?;
    printed(if standing == Standing::Disabled { "disabled" } else { "enabled" }, &made)
}

fn printed(done: &str, made: &MadeRule) -> Result<Answer, Failure> {
    let mut text = format!("{done} the rule {}", made.rule.id);
    for resource in &made.listed {
        text = format!(
            "{text}\n{resource} is for listed people only from now on: who is named by no rule may do nothing \
             there; to undo this: doorward resource set {resource} --access everyone"
        );
    }
    Answer::new(text, &view::NewEntitlement::from(made))
}

fn row(rule: &view::Entitlement) -> [String; 6] {
    let who = match (&rule.user_id, &rule.group) {
        (Some(id), _) => id.clone(),
        (None, Some(group)) => format!("group {group}"),
        (None, None) => "everyone".to_owned(),
    };
    let organization = rule.organization.clone().unwrap_or_else(|| "own".to_owned());
    let data =
        rule.node.as_ref().map_or_else(|| organization.clone(), |node| format!("{organization}:{node}"));
    [
        rule.id.clone(),
        who,
        rule.tier.clone(),
        rule.resource.clone().unwrap_or_else(|| "each".to_owned()),
        data,
        if rule.disabled { "disabled" } else { "enabled" }.to_owned(),
    ]
}
