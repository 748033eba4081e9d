//! Whose account here somebody is who signed in upstream, and who has no way in any more.

use super::{Asserted, Identity, Provider};
use crate::domain::{email::Email, user::User};

/// What becomes of somebody who signed in upstream.
#[derive(Clone, Debug)]
pub enum Arrival<'a> {
    /// They are known: this is who they are.
    Known(&'a Identity),
    /// They may be this person, who has to prove it once by signing in here.
    Confirm(&'a User),
    /// They are new.
    New(Email),
}

/// Why somebody who signed in upstream is not signed in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// They are in none of the groups that may sign in.
    #[error("none of the groups that may sign in was named")]
    Group,
    /// Somebody here has the address, and nobody vouches that it is the same person.
    #[error("an account here has this e-mail address, and the provider does not vouch for it")]
    EmailTaken,
    /// The provider named no address that could be an account's name.
    #[error("the provider named no usable e-mail address")]
    NoEmail,
    /// Nobody here has the address, and nobody vouches that it is theirs.
    #[error("the provider does not vouch for the e-mail address, so nobody gets an account by it")]
    Unverified,
    /// Nobody new gets an account.
    #[error("nobody new gets an account by signing in with this provider")]
    NotCreated,
    /// The account here is disabled.
    #[error("the account is disabled")]
    Disabled,
    /// The person here has another account at this provider.
    #[error("the account here is linked to another account at this provider")]
    LinkedToAnother,
}

/// Decides. `known` is the identity with this provider and subject, with its person; `namesake` the account here with the
/// address that was asserted, and the identity that it has at this provider.
pub fn arrive<'a>(
    provider: &Provider,
    asserted: &Asserted,
    known: Option<(&'a Identity, &User)>,
    namesake: Option<(&'a User, Option<&Identity>)>,
) -> Result<Arrival<'a>, Refused> {
    if !provider.admits(&asserted.groups) {
        return Err(Refused::Group);
    }
    // The subject alone says who it is. An address that changed upstream, to whosever, moves nothing here.
    if let Some((identity, user)) = known {
        return if user.disabled_at.is_some() {
            Err(Refused::Disabled)
        } else {
            Ok(Arrival::Known(identity))
        };
    }
    let email = asserted.email.as_deref().and_then(|text| Email::parse(text).ok()).ok_or(Refused::NoEmail)?;
    let vouched = asserted.email_verified && provider.trust_email;
    match namesake {
        Some(_) if !vouched => Err(Refused::EmailTaken),
        Some((_, Some(_))) => Err(Refused::LinkedToAnother),
        Some((user, None)) if user.disabled_at.is_some() => Err(Refused::Disabled),
        Some((user, None)) => Ok(Arrival::Confirm(user)),
        None if !provider.create_accounts => Err(Refused::NotCreated),
        // Whoever has an account has its address in every list, invitation and rule here.
        None if !vouched => Err(Refused::Unverified),
        None => Ok(Arrival::New(email)),
    }
}

/// Whether somebody can still come in: with a password that somebody knows, with one of so many passkeys, or through a provider that
/// stands for them.
pub fn can_come_in(user: &User, identities: &[Identity], passkeys: usize) -> bool {
    let stands = |identity: &Identity| identity.ended_at.is_none();
    user.passwordless_since.is_none() || passkeys > 0 || identities.iter().any(stands)
}
