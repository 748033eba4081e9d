//! `mail …`.

use std::sync::Arc;

use clap::Subcommand;
use doorward_shared::{
    secret::SystemEntropy,
    time::{Clock as _, SystemClock},
};
use serde_json::json;

use super::output::{Answer, Failure};
use crate::{
    config::Config,
    domain::{email::Email, letter::Letter},
    mail::Mail,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Send one mail, and say in plain words what went wrong if it was not taken.
    Test {
        /// To whom.
        #[arg(long, value_name = "ADDRESS")]
        to: String,
    },
}

/// The way to the SMTP server, if one is named in the settings.
pub(super) fn way(config: &Config) -> Result<Option<Mail>, Failure> {
    let new = |settings| Mail::new(settings, &config.policy.issuer, Arc::new(SystemEntropy));
    Ok(config.mail.clone().map(new).transpose()?)
}

pub(super) async fn run(command: Command, config: &Config) -> Result<Answer, Failure> {
    let Command::Test { to } = command;
    let to = Email::parse(&to)?;
    let Some(mail) = way(config)? else {
        return Err(Failure::because("mail is not set up; write mail.host and mail.from, see docs/mail.md"));
    };
    mail.deliver(Letter::trial(&config.policy.issuer, &to, SystemClock.now())).await?;
    let text = format!("the mail server took a mail to {to}; look whether it arrives, and where");
    Answer::new(text, &json!({ "to": to.as_str(), "sent": true }))
}
