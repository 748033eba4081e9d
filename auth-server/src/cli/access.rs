//! `access …` and `mapping …`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{
    output::{Answer, Failure, table},
    store::Open,
};
use crate::{
    config::Config,
    flows::admin::{
        Desk,
        access::{self, Question},
        mappings::{self, Mode},
        view,
    },
};

/// What would this person get, and why not more.
#[derive(Debug, Args)]
pub(super) struct Access {
    /// Who: the e-mail address or the identifier.
    #[arg(long, value_name = "PERSON")]
    user: String,
    /// Through this client; without it, what the person may do at all.
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// At this resource server.
    #[arg(long, value_name = "URL")]
    resource: String,
    /// With the data of this organization: the name or the identifier, or "own"; without it, of each that rules name for the
    /// person, and their own.
    #[arg(long, value_name = "ORGANIZATION")]
    organization: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Mapping {
    /// Let the group rules of the resource servers that a document names become those of the document.
    Import {
        /// The document: JSON in the form of the `mcp_scopes` collection.
        file: PathBuf,
        /// Say who would gain and lose what, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Print the group rules in force as such a document.
    Export,
}

pub(super) async fn run(asked: Access, config: &Config) -> Result<Answer, Failure> {
    let open = Open::at(config).await?;
    let answer = preview(asked, open.desk(config)).await;
    open.close().await;
    answer
}

pub(super) async fn run_mapping(command: Mapping, config: &Config) -> Result<Answer, Failure> {
    let open = Open::at(config).await?;
    let answer = map(command, open.desk(config)).await;
    open.close().await;
    answer
}

async fn preview(asked: Access, desk: Desk<'_>) -> Result<Answer, Failure> {
    let Access { user, client, resource, organization } = asked;
    let reports = access::preview(desk, &Question { user, client, resource, organization }).await?;
    let shown: Vec<_> = reports.iter().map(view::Access::from).collect();
    let mut rows = Vec::new();
    for organization in &shown {
        let data = organization.name.clone().unwrap_or_else(|| "own".to_owned());
        for place in &organization.places {
            let node = place.node.clone().unwrap_or_else(|| "(all)".to_owned());
            for tier in &place.tiers {
                let allowed = if tier.allowed { "yes" } else { "no" }.to_owned();
                rows.push([data.clone(), node.clone(), tier.tier.clone(), allowed, tier.because.join("; ")]);
            }
        }
    }
    Answer::new(table(["DATA", "NODE", "TIER", "ALLOWED", "BECAUSE"], &rows, "nothing"), &shown)
}

async fn map(command: Mapping, desk: Desk<'_>) -> Result<Answer, Failure> {
    match command {
        Mapping::Import { file, dry_run } => {
            let text = std::fs::read_to_string(&file)
                .map_err(|error| Failure::because(format_args!("{}: {error}", file.display())))?;
            let mode = if dry_run { Mode::Preview } else { Mode::Apply };
            let outcome = view::Mapping::from(&mappings::import(desk, &text, mode).await?);
            Answer::new(told(&outcome), &outcome)
        }
        Mapping::Export => {
            let scopes = mappings::export(desk).await?;
            Answer::new(serde_json::to_string_pretty(&scopes)?, &scopes)
        }
    }
}

fn told(outcome: &view::Mapping) -> String {
    let mut lines: Vec<_> = outcome
        .findings
        .iter()
        .map(|finding| format!("{}: scope {:?}: {}", finding.level, finding.scope, finding.text))
        .collect();
    let places = |sign: &str, places: &[view::AllowedAt]| -> Vec<String> {
        let at = |place: &view::AllowedAt| {
            place.node.as_ref().map(|node| format!(" at {node}")).unwrap_or_default()
        };
        places.iter().map(|place| format!("  {sign} {}{}", place.permissions.join(" "), at(place))).collect()
    };
    for effect in &outcome.people {
        lines.push(format!("{} at {} ({}):", effect.email, effect.resource, effect.organization));
        lines.extend(places("gains", &effect.gains));
        lines.extend(places("loses", &effect.loses));
        let has = places("then has", &effect.has);
        lines.extend(if has.is_empty() { vec!["  then has nothing".to_owned()] } else { has });
    }
    for resource in &outcome.listed {
        lines.push(format!("{resource} is for listed people only by this"));
    }
    let (added, removed, people) = (outcome.added.len(), outcome.removed.len(), outcome.people.len());
    let enabled = outcome.enabled.len();
    let verb = if outcome.applied { "were" } else { "would be" };
    lines.push(format!(
        "{added} rules {verb} added, {enabled} enabled and {removed} removed; it changes something for {people} people"
    ));
    lines.join("\n")
}
