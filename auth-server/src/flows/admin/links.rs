//! One-time links that administrators hand out.

use doorward_shared::secret::{AccountLink, Secret};

use super::{
    Desk, clean_name,
    users::{UserError, groups_of, show},
};
use crate::{
    domain::{
        audit::Action,
        email::Email,
        link::{Link, Purpose},
        user::User,
    },
    store::Applied,
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

/// A link that was just made.
#[derive(Debug)]
pub struct MadeLink {
    /// The link.
    pub link: Link,
    /// Its secret, which is shown this once.
    pub secret: Secret<AccountLink>,
}

impl MadeLink {
    /// The address to open. It is always below the configured issuer.
    pub fn url(&self, desk: Desk<'_>) -> String {
        desk.policy.issuer.url(&format!("{PATH}{}", self.secret.expose()))
    }
}

/// Invites somebody: the account comes to exist when they use the link.
pub async fn invite(desk: Desk<'_>, new: Invitation) -> Result<MadeLink, UserError> {
    let email = Email::parse(&new.email)?;
    let name = new.name.as_deref().map(clean_name).transpose()?;
    let purpose = Purpose::Invitation { name, groups: groups_of(&new.groups)? };
    make(desk, purpose, email, Action::UserInvited).await
}

/// Makes a link with which the person chooses another password. Until they do, everything stays as it is.
pub async fn reset(desk: Desk<'_>, who: &str) -> Result<MadeLink, UserError> {
    let user = show(desk, who).await?;
    if user.disabled_at.is_some() {
        return Err(UserError::Disabled(user.email));
    }
    let User { id, email, .. } = user;
    make(desk, Purpose::Reset(id), email, Action::ResetLinkMade).await
}

async fn make(desk: Desk<'_>, purpose: Purpose, email: Email, action: Action) -> Result<MadeLink, UserError> {
    let now = desk.clock.now();
    let secret = Secret::<AccountLink>::generate(desk.entropy);
    // The trail holds identifiers of people and nothing else of them; somebody who is only invited has none yet.
    let event = match &purpose {
        Purpose::Invitation { .. } => desk.event(action, "invitation", now),
        Purpose::Reset(user) => desk.event(action, user, now),
    };
    let link = Link::new(secret.hash(), purpose, email, now);
    match desk.store.put_account_link(&link, &event).await? {
        Applied::Done => Ok(MadeLink { link, secret }),
        Applied::Lost => Err(UserError::Taken(link.email)),
    }
}
