//! One-time links that administrators hand out.

use doorward_shared::{
    secret::{AccountLink, Secret},
    time::Timestamp,
};

use super::{
    Desk, clean_name,
    users::{UserError, groups_of, show},
};
use crate::{
    domain::{
        audit::{Action, Event},
        email::Email,
        letter::Letter,
        link::{ASKED_TTL, Link, Purpose},
        user::User,
    },
    store::{Applied, StoreError},
};

/// Where the pages behind these links are, below the issuer.
pub const PATH: &str = "/link/";

/// Who is invited.
#[derive(Debug)]
pub struct Invitation {
    /// The address.
    pub email: String,
    /// What to call them.
    pub name: Option<String>,
    /// Names of groups.
    pub groups: Vec<String>,
}

/// How a link reaches its person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handing {
    /// The administrator is shown it and hands it on.
    Shown,
    /// It is mailed, and nobody is shown it.
    Mailed,
}

/// A link that was just made.
#[derive(Debug)]
pub struct MadeLink {
    /// The link.
    pub link: Link,
    /// Its secret, which is shown this once.
    pub secret: Secret<AccountLink>,
    /// How it reaches its person.
    pub handing: Handing,
}

impl MadeLink {
    /// The address to open. It is always below the configured issuer.
    pub fn url(&self, desk: Desk<'_>) -> String {
        desk.policy.issuer.url(&format!("{PATH}{}", self.secret.expose()))
    }
}

/// Invites somebody: the account comes to exist when they use the link.
pub async fn invite(desk: Desk<'_>, new: Invitation, handing: Handing) -> Result<MadeLink, UserError> {
    let email = Email::parse(&new.email)?;
    let name = new.name.as_deref().map(clean_name).transpose()?;
    let purpose = Purpose::Invitation { name, groups: groups_of(&new.groups)? };
    // The trail holds identifiers of people and nothing else of them; somebody who is only invited has none yet.
    let event = desk.event(Action::UserInvited, "invitation", desk.clock.now());
    hand_over(desk, purpose, email, event, handing).await
}

/// Makes a link with which the person chooses another password. Until they do, everything stays as it is.
pub async fn reset(desk: Desk<'_>, who: &str, handing: Handing) -> Result<MadeLink, UserError> {
    let user = show(desk, who).await?;
    if user.disabled_at.is_some() {
        return Err(UserError::Disabled(user.email));
    }
    let User { id, email, .. } = user;
    let event = desk.event(Action::ResetLinkMade, &id, desk.clock.now());
    hand_over(desk, Purpose::Reset(id), email, event, handing).await
}

/// Makes the link that somebody asked for who forgot their password. `None`: the account changed at this moment.
pub async fn asked(desk: Desk<'_>, user: User, now: Timestamp) -> Result<Option<MadeLink>, StoreError> {
    let event = desk.event(Action::ResetLinkMade, &user.id, now).with("by", "mail");
    let secret = Secret::<AccountLink>::generate(desk.entropy);
    let link = Link::new(secret.hash(), Purpose::Reset(user.id), user.email, now).lasting(ASKED_TTL);
    let applied = desk.store.put_account_link(&link, &event).await?;
    Ok((applied == Applied::Done).then_some(MadeLink { link, secret, handing: Handing::Mailed }))
}

async fn hand_over(
    desk: Desk<'_>,
    purpose: Purpose,
    email: Email,
    event: Event,
    handing: Handing,
) -> Result<MadeLink, UserError> {
    // Before a link is made that nobody would get.
    let mail = match handing {
        Handing::Shown => None,
        Handing::Mailed => Some(desk.mail.ok_or(UserError::NoMail)?),
    };
    let secret = Secret::<AccountLink>::generate(desk.entropy);
    let link = Link::new(secret.hash(), purpose, email, event.at);
    if desk.store.put_account_link(&link, &event.with("mailed", mail.is_some())).await? == Applied::Lost {
        return Err(UserError::Taken(link.email));
    }
    let made = MadeLink { link, secret, handing };
    if let Some(mail) = mail {
        mail.deliver(Letter::link(&desk.policy.issuer, &made.link, &made.url(desk))).await?;
    }
    Ok(made)
}
