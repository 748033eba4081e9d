//! `user …`.

use std::{
    io::{self, Read},
    time::Duration,
};

use clap::{ArgAction, Args, Subcommand};
use doorward_shared::secret::SystemEntropy;
use serde_json::json;

use super::{
    dates::date,
    mail,
    output::{Answer, Failure, table},
    store::Open,
};
use crate::{
    config::Config,
    domain::user::{MAX_PASSWORD, User},
    flows::admin::{
        Desk, Standing, identities,
        links::{self, Handing, Invitation, MadeLink},
        passkeys,
        users::{self, Groups, NewUser, Role},
        view,
    },
    password::Passwords,
};

/// How long a notice to a person may take to be sent.
const LAST_MAILS: Duration = Duration::from_secs(8);

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make an account.
    Create(Create),
    /// Invite somebody: prints a one-time link, good for a day, of which an account comes.
    Invite {
        /// The e-mail address, which will be the account's name.
        #[arg(long, value_name = "ADDRESS")]
        email: String,
        /// What to call the person.
        #[arg(long)]
        name: Option<String>,
        /// Put the person into this group; may be given more than once.
        #[arg(long = "group", value_name = "GROUP")]
        groups: Vec<String>,
        /// Mail the link to the person instead of printing it.
        #[arg(long)]
        mail: bool,
    },
    /// Print a one-time link, good for a day, with which a person chooses another password.
    Reset {
        /// The e-mail address of the account.
        email: String,
        /// Mail the link to the person instead of printing it.
        #[arg(long)]
        mail: bool,
    },
    /// Take the second factor of a person away, who lost the app and the recovery codes.
    ForgetSecondFactor {
        /// The e-mail address of the account.
        email: String,
    },
    /// List the passkeys of a person.
    Passkeys {
        /// The e-mail address or the identifier of the account.
        user: String,
    },
    /// Remove a passkey, so that nobody signs in with it any more.
    RemovePasskey {
        /// The identifier of the passkey.
        #[arg(allow_hyphen_values = true)]
        id: String,
    },
    /// List all accounts.
    List,
    /// Say which groups a person is in.
    Groups {
        /// The e-mail address or the identifier of the account.
        user: String,
        /// Put the person into this group; may be given more than once.
        #[arg(long, value_name = "GROUP")]
        join: Vec<String>,
        /// Take the person out of this group; may be given more than once.
        #[arg(long, value_name = "GROUP")]
        leave: Vec<String>,
    },
    /// Disable an account, which signs the person out everywhere.
    Disable {
        /// The e-mail address of the account.
        email: String,
    },
    /// List a person's accounts at upstream providers, with the groups that they bring.
    Identities {
        /// The e-mail address of the account here.
        email: String,
    },
    /// Take the link to an account at an upstream provider away; what came of signing in there ends.
    Unlink {
        /// The e-mail address of the account here.
        email: String,
        /// The id of the provider in the configuration.
        provider: String,
    },
    /// Enable a disabled account again.
    Enable {
        /// The e-mail address of the account.
        email: String,
    },
}

#[derive(Debug, Args)]
pub(super) struct Create {
    /// The e-mail address, which is the account's name.
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    /// What to call the person.
    #[arg(long)]
    name: Option<String>,
    /// Make the person an administrator of this server.
    #[arg(long)]
    admin: bool,
    /// Put the person into this group; may be given more than once.
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,
    /// Read the password from standard input; it is never taken from the command line.
    #[arg(long, required = true, action = ArgAction::SetTrue)]
    password_stdin: bool,
}

pub(super) async fn run(command: Command, config: &Config) -> Result<Answer, Failure> {
    // Read before the database is opened, so that nobody waits for a person at a keyboard.
    let password = if matches!(command, Command::Create(_)) { password_from_stdin()? } else { String::new() };
    let open = Open::at(config).await?;
    let mail = mail::way(config)?;
    let desk = Desk { mail: mail.as_ref(), ..open.desk(config) };
    let answer = carry_out(command, password, desk).await;
    if let Some(mail) = mail {
        mail.close(LAST_MAILS).await;
    }
    open.close().await;
    answer
}

async fn carry_out(command: Command, password: String, desk: Desk<'_>) -> Result<Answer, Failure> {
    match command {
        Command::Create(Create { email, name, admin, groups, password_stdin: _ }) => {
            let role = if admin { Role::Administrator } else { Role::Person };
            let passwords = Passwords::new(&SystemEntropy);
            let user =
                users::create(desk, &passwords, NewUser { email, name, groups, role, password }).await?;
            Answer::new(format!("made the account {}", user.email), &view::User::from(&user))
        }
        Command::Invite { email, name, groups, mail } => {
            let made = links::invite(desk, Invitation { email, name, groups }, handing(mail)).await?;
            link(desk, &made)
        }
        Command::Reset { email, mail } => link(desk, &links::reset(desk, &email, handing(mail)).await?),
        Command::ForgetSecondFactor { email } => {
            let email = users::forget_second_factor(desk, &email).await?;
            let json = json!({ "email": email.as_str(), "second_factor": false });
            Answer::new(format!("took the second factor of {email} away"), &json)
        }
        Command::Passkeys { user } => {
            let (all, user) = passkeys::list(desk, &user).await?;
            let shown: Vec<_> = all.iter().map(view::Passkey::from).collect();
            let row = |one: &view::Passkey| {
                let used = one.last_used_at.map_or_else(|| "never".to_owned(), date);
                [one.id.clone(), one.name.clone(), date(one.created_at), used]
            };
            let rows: Vec<_> = shown.iter().map(row).collect();
            let none = format!("{} has no passkeys", user.email);
            Answer::new(table(["ID", "NAME", "REGISTERED", "LAST USED"], &rows, &none), &shown)
        }
        Command::RemovePasskey { id } => {
            let (passkey, user) = passkeys::remove(desk, &id).await?;
            let text = format!("removed the passkey {:?} of {}", passkey.name, user.email);
            Answer::new(text, &json!({ "id": passkey.id, "removed": true }))
        }
        Command::List => {
            let users = users::list(desk).await?;
            let rows: Vec<_> = users.iter().map(row).collect();
            let text = table(["EMAIL", "NAME", "ROLE", "STATE", "GROUPS"], &rows, "no accounts yet");
            Answer::new(text, &users.iter().map(view::User::from).collect::<Vec<_>>())
        }
        Command::Groups { user, join, leave } => {
            let user = users::set_groups(desk, &user, Groups::Change { join, leave }).await?;
            let text = format!("{} is in: {}", user.email, user.all_groups().join(", "));
            Answer::new(text, &view::User::from(&user))
        }
        Command::Identities { email } => {
            let identities: Vec<_> =
                identities::list(desk, &email).await?.iter().map(view::Identity::from).collect();
            let rows: Vec<_> = identities.iter().map(identity_row).collect();
            let head = ["PROVIDER", "SUBJECT", "EMAIL", "GROUPS", "STATE"];
            Answer::new(table(head, &rows, "no accounts at upstream providers"), &identities)
        }
        Command::Unlink { email, provider } => {
            let identity = identities::unlink_at(desk, &email, &provider).await?;
            Answer::new(format!("unlinked {email} from {provider}"), &view::Identity::from(&identity))
        }
        Command::Disable { email } => standing(desk, &email, Standing::Disabled).await,
        Command::Enable { email } => standing(desk, &email, Standing::Enabled).await,
    }
}

const fn handing(mail: bool) -> Handing {
    if mail { Handing::Mailed } else { Handing::Shown }
}

fn link(desk: Desk<'_>, made: &MadeLink) -> Result<Answer, Failure> {
    let text = match made.handing {
        Handing::Shown => made.url(desk),
        Handing::Mailed => {
            format!("mailed the link to {}; it is good until {}", made.link.email, date(made.link.expires_at))
        }
    };
    Answer::new(text, &view::Link::new(desk, made))
}

async fn standing(desk: Desk<'_>, email: &str, standing: Standing) -> Result<Answer, Failure> {
    let email = users::set_standing(desk, email, standing).await?;
    let (word, disabled) = match standing {
        Standing::Enabled => ("enabled", false),
        Standing::Disabled => ("disabled", true),
    };
    Answer::new(format!("{word} {email}"), &json!({ "email": email.as_str(), "disabled": disabled }))
}

/// One line break at the end belongs to the shell, not to the password.
fn password_from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    // A password over the limit is refused later; reading on without end would not make it shorter.
    let most = u64::try_from(MAX_PASSWORD).unwrap_or(u64::MAX).saturating_add(3);
    let read = io::stdin().lock().take(most).read_to_string(&mut text);
    if let Err(error) = read {
        return Err(Failure::because(format_args!(
            "no password on standard input ({error}); send UTF-8 text"
        )));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let password = line.strip_suffix('\r').unwrap_or(line);
    if password.is_empty() {
        return Err(Failure::because(
            "no password on standard input; send it there, for example: doorward … < FILE",
        ));
    }
    Ok(password.to_owned())
}

fn row(user: &User) -> [String; 5] {
    let role = if user.admin_since.is_some() { "administrator" } else { "person" };
    let state = if user.disabled_at.is_some() { "disabled" } else { "enabled" };
    let name = user.name.clone().unwrap_or_default();
    [user.email.to_string(), name, role.to_owned(), state.to_owned(), user.all_groups().join(",")]
}

fn identity_row(identity: &view::Identity) -> [String; 5] {
    let state = identity
        .note
        .as_ref()
        .map_or_else(|| identity.groups_source.clone(), |note| format!("{}: {note}", identity.groups_source));
    let email = identity.email.clone().unwrap_or_default();
    [identity.provider.clone(), identity.subject.clone(), email, identity.groups.join(","), state]
}
