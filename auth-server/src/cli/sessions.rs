//! `session …`.

use clap::{ArgGroup, Subcommand};
use serde_json::json;

use super::{
    dates::date,
    output::{Answer, Failure, table},
    store::Open,
};
use crate::{
    config::Config,
    flows::admin::{Desk, sessions, view},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List the browsers in which people are signed in.
    List {
        /// Only those of this person: the e-mail address or the identifier.
        #[arg(long, value_name = "PERSON")]
        user: Option<String>,
    },
    /// Sign a browser out, or every browser of a person.
    #[command(group = ArgGroup::new("which").required(true).args(["id", "user"]))]
    End {
        /// The identifier of the session.
        id: Option<String>,
        /// All of this person: the e-mail address or the identifier. What applications were allowed goes on.
        #[arg(long, value_name = "PERSON")]
        user: Option<String>,
    },
}

pub(super) async fn run(command: Command, config: &Config) -> Result<Answer, Failure> {
    let open = Open::at(config).await?;
    let answer = carry_out(command, open.desk(config)).await;
    open.close().await;
    answer
}

async fn carry_out(command: Command, desk: Desk<'_>) -> Result<Answer, Failure> {
    match command {
        Command::List { user } => {
            let all = sessions::page(desk, user.as_deref(), None, u32::MAX).await?;
            let shown: Vec<_> = all.iter().map(view::Session::from).collect();
            let rows: Vec<_> = shown.iter().map(row).collect();
            let text = table(["ID", "PERSON", "SIGNED IN", "LAST SEEN"], &rows, "nobody is signed in");
            Answer::new(text, &shown)
        }
        Command::End { user: Some(user), .. } => {
            let sessions = sessions::end_all(desk, &user).await?;
            Answer::new(format!("ended {sessions} sessions of {user}"), &view::EndedSessions { sessions })
        }
        Command::End { id, user: None } => {
            let id = id.unwrap_or_default();
            sessions::end(desk, &id).await?;
            Answer::new(format!("ended the session {id}"), &json!({ "id": id, "ended": true }))
        }
    }
}

fn row(session: &view::Session) -> [String; 4] {
    [session.id.clone(), session.user_id.clone(), date(session.auth_time), date(session.last_seen_at)]
}
