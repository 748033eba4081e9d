//! `organization …` and `node …`.

use clap::Subcommand;

use super::{
    dates::date,
    output::{Answer, Failure, table},
    store::Open,
};
use crate::{
    config::Config,
    flows::admin::{Desk, organizations, view},
};

#[derive(Debug, Subcommand)]
pub(super) enum Organizations {
    /// Make an organization, whose data people share.
    Create {
        /// What it is called, here and on the consent page.
        name: String,
    },
    /// List all organizations; every person has one of their own besides.
    List,
}

#[derive(Debug, Subcommand)]
pub(super) enum Nodes {
    /// Make a node, and those above it that are not there yet.
    Add {
        /// The name or the identifier of the organization.
        organization: String,
        /// Where: workspace/project/folder…
        path: String,
        /// What people read instead of the path.
        #[arg(long)]
        title: Option<String>,
    },
    /// List the nodes of an organization.
    List {
        /// The name or the identifier of the organization.
        organization: String,
    },
    /// Remove a node and everything below it.
    Remove {
        /// The name or the identifier of the organization.
        organization: String,
        /// Which.
        path: String,
        /// Remove the rules that name it or a node below it, and end the grants and API keys that do.
        #[arg(long)]
        force: bool,
    },
}

pub(super) async fn run(command: Organizations, config: &Config) -> Result<Answer, Failure> {
    let open = Open::at(config).await?;
    let answer = carry_out(command, open.desk(config)).await;
    open.close().await;
    answer
}

pub(super) async fn run_nodes(command: Nodes, config: &Config) -> Result<Answer, Failure> {
    let open = Open::at(config).await?;
    let answer = carry_out_nodes(command, open.desk(config)).await;
    open.close().await;
    answer
}

async fn carry_out(command: Organizations, desk: Desk<'_>) -> Result<Answer, Failure> {
    match command {
        Organizations::Create { name } => {
            let made = organizations::create(desk, &name).await?;
            let text = format!("made the organization {} ({})", made.name, made.id);
            Answer::new(text, &view::Organization::from(&made))
        }
        Organizations::List => {
            let all = organizations::list(desk).await?;
            let shown: Vec<_> = all.iter().map(view::Organization::from).collect();
            let row = |one: &view::Organization| [one.id.clone(), one.name.clone(), date(one.created_at)];
            let rows: Vec<_> = shown.iter().map(row).collect();
            Answer::new(table(["ID", "NAME", "CREATED"], &rows, "no organizations yet"), &shown)
        }
    }
}

async fn carry_out_nodes(command: Nodes, desk: Desk<'_>) -> Result<Answer, Failure> {
    match command {
        Nodes::Add { organization, path, title } => {
            let made = organizations::add_node(desk, &organization, &path, title.as_deref()).await?;
            let text = format!("made the {} {}", made.path.kind().as_str(), made.path);
            Answer::new(text, &view::Node::from(&made))
        }
        Nodes::List { organization } => {
            let all = organizations::nodes(desk, &organization).await?;
            let shown: Vec<_> = all.iter().map(view::Node::from).collect();
            let row = |node: &view::Node| {
                [node.path.clone(), node.kind.clone(), node.title.clone().unwrap_or_default()]
            };
            let rows: Vec<_> = shown.iter().map(row).collect();
            Answer::new(table(["PATH", "KIND", "TITLE"], &rows, "no nodes yet"), &shown)
        }
        Nodes::Remove { organization, path, force } => {
            let went = organizations::remove_node(desk, &organization, &path, force).await?;
            let text = format!(
                "removed {path}, with {} rules; {} grants ended and {} API keys were revoked",
                went.rules, went.grants, went.api_keys
            );
            Answer::new(text, &view::RemovedNode::from(went))
        }
    }
}
