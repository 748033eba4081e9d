//! A grant that goes on for longer, because the person who allowed it says so. Nobody else can: administrators only make grants
//! smaller and shorter.

use doorward_shared::time::{Seconds, Timestamp};

use super::{consent::lifetimes, grant::Grant, ids::GrantId, policy::RefreshPolicy};

/// The verdict that a grant goes on for longer.
#[derive(Clone, Debug)]
pub struct Extension {
    grant: GrantId,
    before: Timestamp,
    expires_at: Timestamp,
    idle: Seconds,
}

impl Extension {
    /// Which grant.
    pub const fn grant(&self) -> &GrantId {
        &self.grant
    }

    /// When it would have ended.
    pub const fn before(&self) -> Timestamp {
        self.before
    }

    /// When it ends.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// How long its refresh token may stay unused.
    pub const fn idle(&self) -> Seconds {
        self.idle
    }
}

/// Why a grant is not extended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExtended {
    /// It is over.
    #[error("the access is over; the application has to ask anew")]
    Over,
    /// The choice was not offered.
    #[error("this end was not offered")]
    Unknown,
    /// Nothing would be longer.
    #[error("the access lasts that long already")]
    Same,
}

/// Decides on an extension: one of the lifetimes of the consent page, counted from now.
pub fn extend(
    grant: &Grant,
    choice: &str,
    policy: &RefreshPolicy,
    now: Timestamp,
) -> Result<Extension, NotExtended> {
    if grant.ended.is_some() || now >= grant.expires_at {
        return Err(NotExtended::Over);
    }
    let chosen = lifetimes(policy).into_iter().find(|lifetime| lifetime.id == choice);
    let expires_at = now.plus(chosen.ok_or(NotExtended::Unknown)?.length);
    if expires_at <= grant.expires_at {
        return Err(NotExtended::Same);
    }
    Ok(Extension { grant: grant.id.clone(), before: grant.expires_at, expires_at, idle: policy.idle })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{self, ENDED, NOW};

    #[test]
    fn a_grant_goes_on_to_what_is_offered_and_no_further() {
        let policy = fixture::policy().refresh;
        let grant = Grant {
            expires_at: NOW.plus(Seconds::days(2)),
            ..fixture::grant(&fixture::user(), "artifacts:read")
        };
        let longer = extend(&grant, "90d", &policy, NOW).unwrap();
        assert_eq!(longer.expires_at(), NOW.plus(policy.absolute));
        assert_eq!(longer.before(), grant.expires_at);
        assert_eq!(extend(&grant, "1d", &policy, NOW).unwrap_err(), NotExtended::Same);
        for unknown in ["", "10y", "max", "-1"] {
            assert_eq!(extend(&grant, unknown, &policy, NOW).unwrap_err(), NotExtended::Unknown);
        }
        let over = [Grant { ended: Some(ENDED), ..grant.clone() }, Grant { expires_at: NOW, ..grant }];
        assert!(
            over.iter().all(|grant| extend(grant, "90d", &policy, NOW).unwrap_err() == NotExtended::Over)
        );
    }
}
