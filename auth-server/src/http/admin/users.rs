//! `/users`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    problem::Problem,
    query::Limit,
    route::{Call, Created, Gone, MaybeBody, NoBody, NoQuery, Page, Shown},
};
use crate::{
    domain::user::User,
    flows::admin::{
        Standing,
        links::{self, Handing, Invitation},
        sessions,
        users::{self, Groups, NewUser, Role, UserError},
        view,
    },
};

/// Which people, and which page of them.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    /// The one with this e-mail address.
    #[schemars(length(min = 1))]
    email: Option<String>,
    /// How many the page shows.
    #[serde(default)]
    limit: Limit,
    /// `next_cursor` of the page before.
    #[schemars(length(min = 1))]
    cursor: Option<String>,
}

/// What an account is made from.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CreateUser")]
pub(super) struct Create {
    /// The e-mail address, which is the account's name.
    #[schemars(email)]
    email: String,
    /// What to call the person.
    #[schemars(length(min = 1, max = 100))]
    name: Option<String>,
    /// Names of groups.
    #[serde(default)]
    groups: Vec<String>,
    /// Whether the person administers this server. A key needs the permission `*` for that.
    #[serde(default)]
    admin: bool,
    /// The password.
    #[schemars(length(min = 8, max = 1024))]
    password: String,
}

/// What changes of an account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ChangeUser")]
pub(super) struct Change {
    /// Names of groups: all that the person is in from now on.
    groups: Vec<String>,
}

pub(super) async fn change(call: Call, _: NoQuery, change: Change) -> Result<Shown<view::User>, Problem> {
    let user = named(&call).await?;
    let groups = Groups::Exactly(change.groups);
    Ok(Shown(view::User::from(&users::set_groups(call.desk(), user.id.as_str(), groups).await?)))
}

pub(super) async fn list(call: Call, query: Query, _: NoBody) -> Result<Shown<Page<view::User>>, Problem> {
    let after = call.position(query.cursor.as_deref())?;
    let users =
        users::page(call.desk(), query.email.as_deref(), after.as_deref(), query.limit.and_one()).await?;
    Ok(call.page(users, query.limit, |user| user.id.to_string(), |row| row.into()))
}

pub(super) async fn show(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::User>, Problem> {
    Ok(Shown(view::User::from(&named(&call).await?)))
}

pub(super) async fn create(call: Call, _: NoQuery, new: Create) -> Result<Created<view::User>, Problem> {
    let Create { email, name, groups, admin, password } = new;
    let role = if admin { Role::Administrator } else { Role::Person };
    if role == Role::Administrator {
        call.may_make_administrators()?;
    }
    let new = NewUser { email, name, groups, role, password };
    let user = users::create(call.desk(), &call.context().passwords, new).await?;
    Ok(Created(view::User::from(&user)))
}

/// Who is invited.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "InviteUser")]
pub(super) struct Invite {
    /// The e-mail address, which will be the account's name.
    #[schemars(email)]
    email: String,
    /// What to call the person.
    #[schemars(length(min = 1, max = 100))]
    name: Option<String>,
    /// Names of groups.
    #[serde(default)]
    groups: Vec<String>,
    /// Mails the link to the person, and shows it to nobody.
    #[serde(default)]
    send: bool,
}

/// How the link reaches the person.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ResetUser")]
pub(super) struct Reset {
    /// Mails the link to the person, and shows it to nobody.
    #[serde(default)]
    send: bool,
}

const fn handing(send: bool) -> Handing {
    if send { Handing::Mailed } else { Handing::Shown }
}

pub(super) async fn invite(call: Call, _: NoQuery, new: Invite) -> Result<Created<view::Link>, Problem> {
    let Invite { email, name, groups, send } = new;
    let made = links::invite(call.desk(), Invitation { email, name, groups }, handing(send)).await?;
    Ok(Created(view::Link::new(call.desk(), &made)))
}

pub(super) async fn reset(
    call: Call,
    _: NoQuery,
    MaybeBody(how): MaybeBody<Reset>,
) -> Result<Created<view::Link>, Problem> {
    let user = named(&call).await?;
    // Whoever has the link signs in as the person.
    if user.admin_since.is_some() {
        call.may_make_administrators()?;
    }
    let made = links::reset(call.desk(), user.id.as_str(), handing(how.send)).await?;
    Ok(Created(view::Link::new(call.desk(), &made)))
}

pub(super) async fn forget_second_factor(call: Call, _: NoQuery, _: NoBody) -> Result<Gone, Problem> {
    let user = named(&call).await?;
    if user.admin_since.is_some() {
        call.may_make_administrators()?;
    }
    users::forget_second_factor(call.desk(), user.id.as_str()).await?;
    Ok(Gone)
}

pub(super) async fn end_sessions(
    call: Call,
    _: NoQuery,
    _: NoBody,
) -> Result<Shown<view::EndedSessions>, Problem> {
    let user = named(&call).await?;
    let sessions = sessions::end_all(call.desk(), user.id.as_str()).await?;
    Ok(Shown(view::EndedSessions { sessions }))
}

pub(super) async fn disable(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::User>, Problem> {
    standing(&call, Standing::Disabled).await
}

pub(super) async fn enable(call: Call, _: NoQuery, _: NoBody) -> Result<Shown<view::User>, Problem> {
    standing(&call, Standing::Enabled).await
}

async fn named(call: &Call) -> Result<User, Problem> {
    users::show(call.desk(), call.id()).await.map_err(|error| Problem::from(error).in_path())
}

async fn standing(call: &Call, standing: Standing) -> Result<Shown<view::User>, Problem> {
    let user = named(call).await?;
    users::set_standing(call.desk(), user.email.as_str(), standing).await?;
    Ok(Shown(view::User::from(&users::show(call.desk(), user.id.as_str()).await?)))
}

impl From<UserError> for Problem {
    fn from(error: UserError) -> Self {
        match error {
            UserError::Store(error) => error.into(),
            UserError::Taken(_) | UserError::Raced | UserError::Disabled(_) | UserError::NoMail => {
                Self::conflict(&error)
            }
            UserError::Unknown(_) | UserError::UnknownId(_) | UserError::NoSecondFactor(_) => {
                Self::not_found(&error)
            }
            UserError::Busy(_) | UserError::NotMailed(_) => Self::busy(&error),
            UserError::Email(_) | UserError::Name(_) | UserError::Password(_) => Self::invalid(&error),
        }
    }
}
