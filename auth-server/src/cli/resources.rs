//! `resource …`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use doorward_shared::permission::PermissionModel;
use serde_json::json;

use super::{
    output::{Answer, Failure, table},
    store::Open,
};
use crate::{
    config::Config,
    domain::resource::{Access, PermissionMode, Resource},
    flows::admin::{
        Desk, Standing,
        resources::{self, MadeResource, ModelForm, NewResource},
        view,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Register a resource server and print its credentials, which are shown this once.
    Add(Add),
    /// List all resource servers.
    List,
    /// Show one resource server with its permissions and tiers.
    Show {
        /// The address of the resource server.
        url: String,
    },
    /// Say whom a resource server is for.
    Set {
        /// The address of the resource server.
        url: String,
        /// Whom it is for.
        #[arg(long)]
        access: Who,
    },
    /// Disable a resource server and end everything that was allowed there.
    Disable {
        /// The address of the resource server.
        url: String,
    },
    /// Enable a disabled resource server again; nothing that ended comes back.
    Enable {
        /// The address of the resource server.
        url: String,
    },
    /// Print other credentials of a resource server, which are shown this once; the secret it has stays good as well.
    RotateSecret {
        /// The address of the resource server.
        url: String,
    },
    /// Make the secret from before the last rotation good for nothing.
    RetireSecret {
        /// The address of the resource server.
        url: String,
    },
    /// Remove a resource server and end everything that was allowed there.
    Remove {
        /// The address of the resource server.
        url: String,
        /// Remove the rules that name it, too.
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub(super) struct Add {
    /// The address that clients connect to, which is also the audience of the tokens.
    #[arg(long)]
    url: String,
    /// The name that people see on the consent page.
    #[arg(long)]
    name: String,
    /// How permissions are chosen: people tick them on the consent page.
    #[arg(long, default_value = "consent")]
    mode: Mode,
    /// Whom it is for. The first rule for it makes it "listed".
    #[arg(long, default_value = "everyone")]
    access: Who,
    /// Read permissions and tiers from this TOML or JSON file; without it they are those of the reference server.
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Who {
    /// Everybody with an account may do everything with their own data; rules (entitlements) add to that.
    Everyone,
    /// Those only whom a rule (entitlement) names.
    Listed,
}

impl From<Who> for Access {
    fn from(who: Who) -> Self {
        match who {
            Who::Everyone => Self::Everyone,
            Who::Listed => Self::Listed,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    /// People tick permissions on the consent page.
    Consent,
}

pub(super) async fn run(command: Command, config: &Config) -> Result<Answer, Failure> {
    let open = Open::at(config).await?;
    let answer = carry_out(command, open.desk(config)).await;
    open.close().await;
    answer
}

async fn carry_out(command: Command, desk: Desk<'_>) -> Result<Answer, Failure> {
    match command {
        Command::Add(Add { url, name, mode: Mode::Consent, access, model }) => {
            let model = model.as_deref().map(read_model).transpose()?;
            let new = NewResource { url, name, mode: PermissionMode::Consent, access: access.into(), model };
            let closed = new.access == Access::Everyone;
            let made = resources::add(desk, new).await?;
            let closed = closed && made.resource.access == Access::Listed;
            printed("registered", &made, if closed { CLOSED } else { "" })
        }
        Command::List => {
            let all = resources::list(desk).await?;
            let rows: Vec<_> = all.iter().map(row).collect();
            let text =
                table(["URL", "NAME", "MODE", "ACCESS", "STATE", "TIERS"], &rows, "no resource servers yet");
            Answer::new(text, &all.iter().map(view::Resource::from).collect::<Vec<_>>())
        }
        Command::Show { url } => {
            let resource = resources::show(desk, &url).await?;
            Answer::new(description(&resource), &view::Resource::from(&resource))
        }
        Command::Set { url, access } => {
            let resource = resources::set_access(desk, &url, access.into()).await?;
            let text = format!("{} is for {}", resource.uri, words(resource.access));
            Answer::new(text, &view::Resource::from(&resource))
        }
        Command::Disable { url } => standing(desk, &url, Standing::Disabled).await,
        Command::Enable { url } => standing(desk, &url, Standing::Enabled).await,
        Command::RotateSecret { url } => {
            printed("made another secret for", &resources::rotate_secret(desk, &url).await?, "")
        }
        Command::RetireSecret { url } => {
            let uri = resources::retire_secret(desk, &url).await?;
            Answer::new(
                format!("retired the former secret of {uri}"),
                &json!({ "resource": uri.as_str(), "retired": true }),
            )
        }
        Command::Remove { url, force } => {
            let uri = resources::remove(desk, &url, force).await?;
            Answer::new(format!("removed {uri}"), &json!({ "resource": uri.as_str(), "removed": true }))
        }
    }
}

/// Why a resource server that was to be for everyone is not.
const CLOSED: &str = "\nit is for those only whom a rule names, since there is a rule without --resource; \
    `resource set --access everyone` opens it";

fn printed(done: &str, made: &MadeResource, more: &str) -> Result<Answer, Failure> {
    let credentials = view::Credentials::from(made);
    let line = serde_json::to_string(&credentials)?;
    let uri = &made.resource.uri;
    let text = format!(
        "{done} {uri}; write this line to the credentials file of the resource server now, it is not shown again:\n{line}{more}"
    );
    Answer::new(text, &credentials)
}

fn read_model(path: &Path) -> Result<PermissionModel, Failure> {
    let because =
        |reason: &dyn std::fmt::Display| Failure::because(format_args!("{}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| because(&error))?;
    let json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    let form = if json { ModelForm::Json } else { ModelForm::Toml };
    resources::read_model(&text, form).map_err(|error| because(&error))
}

const fn words(access: Access) -> &'static str {
    match access {
        Access::Everyone => "everyone, each with their own data, and those whom a rule names",
        Access::Listed => "those only whom a rule names (`entitlement list`)",
    }
}

fn row(resource: &Resource) -> [String; 6] {
    let tiers: Vec<_> = resource.model.tiers().iter().map(|tier| tier.id.as_str()).collect();
    let state = if resource.disabled_at.is_some() { "disabled" } else { "enabled" };
    let (url, mode) = (resource.uri.to_string(), resource.mode.as_str().to_owned());
    let access = resource.access.as_str().to_owned();
    [url, resource.name.clone(), mode, access, state.to_owned(), tiers.join(" < ")]
}

fn description(resource: &Resource) -> String {
    let mut lines = vec![
        format!("url:       {}", resource.uri),
        format!("name:      {}", resource.name),
        format!("mode:      {}", resource.mode.as_str()),
        format!("access:    {}", words(resource.access)),
        format!("client_id: {}", resource.client_id),
        format!("state:     {}", if resource.disabled_at.is_some() { "disabled" } else { "enabled" }),
    ];
    for tier in resource.model.tiers() {
        let tools: Vec<_> = resource.model.tools_of(tier).collect();
        lines.push(format!("tier {}: {} ({})", tier.id, tier.title, tier.sentence));
        lines.push(format!("  permissions: {}", tier.permissions.join(" ")));
        lines.push(format!("  tools: {}", tools.join(" ")));
    }
    lines.join("\n")
}

async fn standing(desk: Desk<'_>, url: &str, standing: Standing) -> Result<Answer, Failure> {
    let uri = resources::set_standing(desk, url, standing).await?;
    let disabled = standing == Standing::Disabled;
    let word = if disabled { "disabled" } else { "enabled" };
    Answer::new(format!("{word} {uri}"), &json!({ "resource": uri.as_str(), "disabled": disabled }))
}
