//! The command line: reads what is asked, carries it out, says how it went. Exit code 0: done; 1: refused or failed, with
//! the reason on standard error; 2: not understood.

mod access;
mod admin;
mod api_keys;
mod audit;
mod backup;
mod clients;
mod dates;
mod entitlements;
mod grants;
mod keys;
mod mail;
mod organizations;
mod output;
mod resources;
mod serve;
mod sessions;
mod store;
mod users;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

pub use self::output::fail;
use self::output::{Answer, Failure, Form};
use crate::config::Config;

/// An authorization server for MCP: clients find it, people sign in and decide, administrators can end any of it.
#[derive(Debug, Parser)]
#[command(name = "doorward", version, propagate_version = true)]
pub struct Order {
    /// Read settings from this TOML file; environment variables win over it.
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Print JSON for programs; with serve, write log lines as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server and keep it running until it is told to stop.
    Serve,
    /// Bring the database up to date without starting the server.
    Migrate,
    /// Check the settings and show every value with the place it comes from.
    CheckConfig,
    /// Write a copy of the database as it is now, while servers run.
    Backup(backup::Backup),
    /// Fill an empty database from a backup, without bringing back what was revoked since.
    Restore(backup::Restore),
    /// Copy the database into an empty one, such as from SQLite to PostgreSQL; no server may run.
    Move(backup::Move),
    /// Try whether mail can be sent.
    #[command(subcommand)]
    Mail(mail::Command),
    /// Manage the accounts of people.
    #[command(subcommand)]
    User(users::Command),
    /// See, revoke and narrow what people have allowed clients to do.
    #[command(subcommand)]
    Grant(grants::Command),
    /// Manage the browsers in which people are signed in.
    #[command(subcommand)]
    Session(sessions::Command),
    /// Manage the clients that an administrator registers.
    #[command(subcommand)]
    Client(clients::Command),
    /// Manage the resource servers (MCP servers) that accept tokens of this server.
    #[command(subcommand)]
    Resource(resources::Command),
    /// Manage the organizations whose data people share.
    #[command(subcommand)]
    Organization(organizations::Organizations),
    /// Manage the workspaces, projects and folders of organizations.
    #[command(subcommand)]
    Node(organizations::Nodes),
    /// Manage the rules that say who may do what where.
    #[command(subcommand)]
    Entitlement(entitlements::Command),
    /// Show what a person would get at a resource server, place by place, and why not more.
    Access(access::Access),
    /// Take over group rules from a document, or print them as one.
    #[command(subcommand)]
    Mapping(access::Mapping),
    /// Manage the API keys of people, with which scripts do what their person may do.
    #[command(subcommand)]
    Key(api_keys::Command),
    /// Check or print the audit trail: what was done, by whom, when.
    #[command(subcommand)]
    Audit(audit::Command),
    /// Manage the keys that sign tokens, and the key that encrypts them in the database.
    #[command(subcommand)]
    Keys(keys::Command),
    /// Manage the access of programs to the admin API.
    #[command(subcommand)]
    Admin(admin::Command),
}

impl Order {
    /// Reads the command line; ends the process with code 2 when it cannot be understood.
    pub fn read() -> Self {
        Self::parse()
    }

    /// Carries it out.
    pub async fn carry_out(self) -> ExitCode {
        let form = if self.json { Form::Json } else { Form::Text };
        match Box::pin(self.answer()).await {
            Ok(answer) => output::answer(&answer, form),
            Err(failure) => fail(&failure),
        }
    }

    async fn answer(self) -> Result<Answer, Failure> {
        let mut config = Config::load(self.config.as_deref())?;
        match self.command {
            Command::Serve => {
                if self.json {
                    config.log.format = crate::config::LogFormat::Json;
                }
                Box::pin(serve::serve(config)).await
            }
            Command::Migrate => serve::migrate(&config).await,
            Command::CheckConfig => serve::check_config(&config),
            Command::Backup(command) => backup::back_up(command, &config).await,
            Command::Restore(command) => backup::restore(command, &config).await,
            Command::Move(command) => backup::carry_over(command, &config).await,
            Command::Mail(command) => mail::run(command, &config).await,
            Command::User(command) => users::run(command, &config).await,
            Command::Grant(command) => grants::run(command, &config).await,
            Command::Session(command) => sessions::run(command, &config).await,
            Command::Client(command) => clients::run(command, &config).await,
            Command::Resource(command) => resources::run(command, &config).await,
            Command::Organization(command) => organizations::run(command, &config).await,
            Command::Node(command) => organizations::run_nodes(command, &config).await,
            Command::Entitlement(command) => entitlements::run(command, &config).await,
            Command::Access(command) => access::run(command, &config).await,
            Command::Mapping(command) => access::run_mapping(command, &config).await,
            Command::Key(command) => api_keys::run(command, &config).await,
            Command::Audit(command) => audit::run(command, &config).await,
            Command::Keys(command) => keys::run(command, &config).await,
            Command::Admin(command) => admin::run(command, &config).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn understood(line: &str) -> bool {
        Order::try_parse_from(std::iter::once("doorward").chain(line.split_whitespace())).is_ok()
    }

    #[test]
    fn the_command_line_is_sound_and_every_part_of_it_has_a_help_text() {
        let command = Order::command();
        command.clone().debug_assert();
        let mut open = vec![command];
        while let Some(command) = open.pop() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            let own = command.get_arguments().filter(|a| !matches!(a.get_id().as_str(), "help" | "version"));
            for argument in own {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
            open.extend(command.get_subcommands().cloned());
        }
    }

    #[test]
    fn the_contract_for_outside_programs_is_understood() {
        for line in [
            "serve --config FILE",
            "migrate --json",
            "check-config --json --config FILE",
            "user create --email a@b.test --name Alice --admin --group ops --group dev --password-stdin",
            "user list --json",
            "user invite --email a@b.test --name Alice --group ops --json",
            "user reset a@b.test --json",
            "user reset a@b.test --mail",
            "user invite --email a@b.test --mail --json",
            "mail test --to a@b.test --json",
            "user forget-second-factor a@b.test",
            "user passkeys a@b.test --json",
            "user remove-passkey -L4ooks_like_an_option",
            "session end --user a@b.test",
            "audit export --since 5",
            "audit verify --checkpoint FILE --json",
            "user groups a@b.test --join ops --leave dev --json",
            "user disable a@b.test",
            "user enable a@b.test",
            "resource add --url http://localhost:9100/mcp --name Artifacts --mode consent --model FILE --json",
            "resource list",
            "resource show http://localhost:9100/mcp",
            "resource remove http://localhost:9100/mcp",
            "resource remove http://localhost:9100/mcp --force",
            "resource rotate-secret http://localhost:9100/mcp --json",
            "resource retire-secret http://localhost:9100/mcp",
            "client create --name N --redirect-uri https://a.test/cb --redirect-uri https://b.test/cb --public",
            "client create --name N --redirect-uri https://a.test/cb --confidential basic --client-id x --ceiling read",
            "client list",
            "client delete x",
            "client create --name N --redirect-uri https://a.test/cb --public --ceiling read --ceiling-node acme:alpha --ceiling-node own",
            "resource set http://localhost:9100/mcp --access listed",
            "resource add --url http://localhost:9100/mcp --name Artifacts --access listed",
            "organization create Acme",
            "organization list --json",
            "node add Acme alpha/site/specs --title Specs",
            "node list Acme",
            "node remove Acme alpha --force",
            "entitlement add --group staff --tier write --resource http://localhost:9100/mcp --organization Acme --node alpha",
            "access --user a@b.test --client x --resource http://localhost:9100/mcp --organization Acme --json",
            "mapping import FILE --dry-run",
            "mapping import FILE --json",
            "mapping export",
            "entitlement add --user a@b.test --tier read",
            "entitlement add --everyone --tier read",
            "entitlement list --json",
            "entitlement remove ent_x",
            "entitlement disable ent_x",
            "entitlement enable ent_x",
            "keys list --json",
            "keys rotate",
            "keys revoke -L4ooks_like_an_option",
            "keys rekey --new-kek-file FILE",
            "client disable x",
            "client enable x",
            "resource disable http://localhost:9100/mcp",
            "resource enable http://localhost:9100/mcp",
            "grant list --json",
            "grant list --user a@b.test --client x --resource http://localhost:9100/mcp --organization org_x",
            "grant list --state active --method dcr --unused-days 30 --limit 10",
            "grant show grt_x",
            "grant revoke grt_x",
            "grant revoke --user a@b.test",
            "grant revoke --client x",
            "grant revoke --resource http://localhost:9100/mcp",
            "grant revoke --organization org_x",
            "grant revoke --everything",
            "grant narrow grt_x --tier read",
            "grant narrow grt_x --expires 2026-12-31",
            "grant narrow grt_x --tier read --node alpha/site --node beta",
            "grant narrow grt_x --permission artifacts:read --permission artifacts:create --expires 2026-12-31T18:00:00Z",
            "session list",
            "session list --user a@b.test",
            "session end ses_x",
            "admin key create --name N --permission grants:read --permission users:write --expires 7d --json",
            "admin key create --name N --permission *",
            "admin key list",
            "admin key revoke adk_x",
            "key create --user a@b.test --name N --node alpha/site --node beta --tier write --expires 7d --json",
            "key create --user a@b.test --name N --node alpha beta --tier read",
            "key create --user a@b.test --name N --grant alpha=read --grant alpha/site=destroy --organization acme",
            "key create --user a@b.test --name N --full --resource http://localhost:9100/mcp --expires never",
            "key list --json",
            "key list --user a@b.test",
            "key revoke key_x",
            "backup --to FILE",
            "restore --from FILE --json",
            "restore --from FILE --nothing-lost",
            "restore --from FILE --audit FILE",
            "move --to postgres://doorward@localhost/doorward",
            "move --to-file FILE",
        ] {
            assert!(understood(line), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_or_would_show_a_secret_is_not_understood() {
        for line in [
            "",
            "start",
            "user create --email a@b.test",
            "user create --email a@b.test --password hunter22222",
            "user invite",
            "user reset",
            "mail test",
            "session end",
            "session end ses_x --user a@b.test",
            "client create --name N --redirect-uri https://a.test/cb",
            "client create --name N --redirect-uri https://a.test/cb --public --confidential post",
            "client create --name N --redirect-uri https://a.test/cb --confidential jwt",
            "client create --name N --public",
            "resource add --url http://localhost:9100/mcp --name N --mode scope",
            "resource add --url http://localhost:9100/mcp",
            "resource set http://localhost:9100/mcp --access nobody",
            "entitlement add --tier read",
            "entitlement add --everyone --group staff --tier read",
            "entitlement add --group staff",
            "node add Acme",
            "keys revoke",
            "keys rekey",
            "grant list --state alive",
            "grant list --method x",
            "grant revoke",
            "grant revoke grt_x --everything",
            "grant revoke --user a@b.test --client x",
            "grant narrow grt_x",
            "grant narrow grt_x --tier read --permission artifacts:read",
            "grant narrow grt_x --expires soon",
            "admin key create --name N",
            "admin key create --name N --permission everything",
            "admin key create --name N --permission * --expires 2d",
            "admin key create --name N --permission * --secret dwa_x",
            "key create --user a@b.test --name N",
            "key create --user a@b.test --name N --node alpha",
            "key create --user a@b.test --name N --tier read --full",
            "key create --user a@b.test --name N --tier read --grant alpha=write",
            "key create --user a@b.test --name N --grant alpha",
            "key create --user a@b.test --name N --tier read --expires 8h",
            "key revoke",
            "restore --from FILE --nothing-lost --audit FILE",
            "restore",
            "backup",
            "move",
            "move --to sqlite:a --to-file FILE",
        ] {
            assert!(!understood(line), "{line}");
        }
    }
}
