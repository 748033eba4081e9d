//! How grants end or shrink by an administrator's word: verdicts that carry what the feed has to be told.

use doorward_shared::{
    client_id::ClientId, issuer::Issuer, resource::ResourceUri, revocation::Claim, scope::Scope,
    time::Timestamp,
};

use super::{
    grant::{EndReason, Grant},
    ids::{GrantId, OrganizationId, UserId},
    policy::TokenPolicy,
};

/// The verdict that a grant ends. Only decisions of `domain` make one.
#[derive(Clone, Debug)]
pub struct Revocation {
    grant: GrantId,
    reason: EndReason,
    at: Timestamp,
    forget_at: Timestamp,
}

impl Revocation {
    pub(super) fn new(grant: GrantId, reason: EndReason, policy: &TokenPolicy, now: Timestamp) -> Self {
        Self { grant, reason, at: now, forget_at: policy.forget_at(now) }
    }

    /// Which grant ends.
    pub const fn grant(&self) -> &GrantId {
        &self.grant
    }

    /// Why.
    pub const fn reason(&self) -> EndReason {
        self.reason
    }

    /// When.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// When no access token of it can be left, so that the feed may forget it.
    pub const fn forget_at(&self) -> Timestamp {
        self.forget_at
    }
}

/// Decides on a revocation by an administrator. `None`: it has ended already.
pub fn revoke(grant: &Grant, policy: &TokenPolicy, now: Timestamp) -> Option<Revocation> {
    let revocation = || Revocation::new(grant.id.clone(), EndReason::RevokedByAdministrator, policy, now);
    grant.ended.is_none().then(revocation)
}

/// Whose grants end together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose {
    /// A person's.
    User(UserId),
    /// A client's.
    Client(ClientId),
    /// Those for a resource server.
    Resource(ResourceUri),
    /// Those of an organization's people.
    Organization(OrganizationId),
    /// All that this issuer gave.
    Everybody(Issuer),
}

impl Whose {
    /// What their access tokens say, and nobody else's.
    pub fn claim(&self) -> (Claim, &str) {
        match self {
            Self::User(id) => (Claim::Sub, id.as_str()),
            Self::Client(id) => (Claim::ClientId, id.as_str()),
            Self::Resource(uri) => (Claim::Aud, uri.folded()),
            Self::Organization(id) => (Claim::Org, id.as_str()),
            Self::Everybody(issuer) => (Claim::Iss, issuer.as_str()),
        }
    }
}

/// The verdict that many grants end at once.
#[derive(Clone, Debug)]
pub struct Sweep {
    whose: Whose,
    reason: EndReason,
    at: Timestamp,
    forget_at: Timestamp,
}

impl Sweep {
    /// An administrator ends all grants of somebody or something.
    pub fn revoked(whose: Whose, policy: &TokenPolicy, now: Timestamp) -> Self {
        let forget_at = policy.forget_at(now);
        Self { whose, reason: EndReason::RevokedByAdministrator, at: now, forget_at }
    }

    /// A person ends all that they allowed.
    pub fn by_person(user: UserId, policy: &TokenPolicy, now: Timestamp) -> Self {
        Self { reason: EndReason::RevokedByPerson, ..Self::revoked(Whose::User(user), policy, now) }
    }

    /// Somebody or something may no longer have tokens.
    pub fn barred(whose: Whose, policy: &TokenPolicy, now: Timestamp) -> Self {
        Self { reason: EndReason::NotAllowed, ..Self::revoked(whose, policy, now) }
    }

    /// Whose.
    pub const fn whose(&self) -> &Whose {
        &self.whose
    }

    /// Why.
    pub const fn reason(&self) -> EndReason {
        self.reason
    }

    /// When. Tokens that were issued up to then are revoked.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// When no access token that it concerns can be left.
    pub const fn forget_at(&self) -> Timestamp {
        self.forget_at
    }
}

/// What an administrator leaves of a grant.
#[derive(Clone, Debug, Default)]
pub struct Narrower {
    /// The permissions that stay.
    pub permissions: Option<Scope>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// The verdict that a grant becomes smaller or shorter. Access tokens that were issued before say too much, and are revoked.
#[derive(Clone, Debug)]
pub struct Narrowing {
    grant: GrantId,
    before: Scope,
    permissions: Scope,
    expires_at: Timestamp,
    at: Timestamp,
    forget_at: Timestamp,
}

impl Narrowing {
    /// Which grant.
    pub const fn grant(&self) -> &GrantId {
        &self.grant
    }

    /// The permissions that it had when this was decided.
    pub const fn before(&self) -> &Scope {
        &self.before
    }

    /// The permissions that stay.
    pub const fn permissions(&self) -> &Scope {
        &self.permissions
    }

    /// When it ends.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// When. Tokens that were issued up to then are revoked.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// When no access token from before can be left.
    pub const fn forget_at(&self) -> Timestamp {
        self.forget_at
    }
}

/// Why a grant is not narrowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotNarrowed {
    /// It is over.
    #[error("the grant has ended or expired; there is nothing left of it to narrow")]
    Over,
    /// More than it has.
    #[error(
        "the grant does not have {0}; a grant is only ever made smaller, and a larger one is the person's to allow"
    )]
    Wider(String),
    /// Nothing would be left.
    #[error("nothing would be left of the grant; revoke it instead")]
    Empty,
    /// Later than now planned, or past.
    #[error("the new end must lie between now and the present end of the grant")]
    End,
    /// Nothing would change.
    #[error("that is what the grant is already; name fewer permissions or an earlier end")]
    Same,
}

/// Decides on a narrowing.
pub fn narrow(
    grant: &Grant,
    wanted: &Narrower,
    policy: &TokenPolicy,
    now: Timestamp,
) -> Result<Narrowing, NotNarrowed> {
    if grant.ended.is_some() || now >= grant.expires_at {
        return Err(NotNarrowed::Over);
    }
    let permissions = wanted.permissions.as_ref().unwrap_or(&grant.permissions);
    if let Some(more) = permissions.iter().find(|atom| !grant.permissions.contains(atom.as_str())) {
        return Err(NotNarrowed::Wider(more.as_str().to_owned()));
    }
    if permissions.is_empty() && !grant.permissions.is_empty() {
        return Err(NotNarrowed::Empty);
    }
    let expires_at = wanted.expires_at.unwrap_or(grant.expires_at);
    if expires_at <= now || expires_at > grant.expires_at {
        return Err(NotNarrowed::End);
    }
    if *permissions == grant.permissions && expires_at == grant.expires_at {
        return Err(NotNarrowed::Same);
    }
    Ok(Narrowing {
        grant: grant.id.clone(),
        before: grant.permissions.clone(),
        permissions: permissions.clone(),
        expires_at,
        at: now,
        forget_at: policy.forget_at(now),
    })
}

#[cfg(test)]
mod tests {
    use doorward_shared::time::Seconds;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::fixture::{self, ENDED, NOW};

    fn grant() -> Grant {
        fixture::grant(&fixture::user(), "artifacts:read artifacts:create artifacts:delete")
    }

    fn to(permissions: &str) -> Narrower {
        Narrower { permissions: Some(Scope::parse(permissions).unwrap()), expires_at: None }
    }

    fn until(expires_at: Timestamp) -> Narrower {
        Narrower { permissions: None, expires_at: Some(expires_at) }
    }

    fn tried(grant: &Grant, wanted: &Narrower) -> Result<Narrowing, NotNarrowed> {
        narrow(grant, wanted, &fixture::policy().token, NOW)
    }

    #[test]
    fn a_grant_can_lose_permissions_and_time_and_never_gain_any() {
        let grant = grant();
        let narrowed = tried(&grant, &to("artifacts:read")).unwrap();
        assert_eq!(narrowed.permissions(), &Scope::parse("artifacts:read").unwrap());
        assert_eq!(narrowed.expires_at(), grant.expires_at);
        let wider = tried(&grant, &to("artifacts:read artifacts:share")).unwrap_err();
        assert_eq!(wider, NotNarrowed::Wider("artifacts:share".to_owned()));
        let shorter = tried(&grant, &until(NOW.plus(Seconds::hours(1)))).unwrap();
        assert_eq!(shorter.expires_at(), NOW.plus(Seconds::hours(1)));
        let longer = until(grant.expires_at.plus(Seconds::new(1)));
        assert_eq!(tried(&grant, &longer).unwrap_err(), NotNarrowed::End);
        assert_eq!(tried(&grant, &until(NOW)).unwrap_err(), NotNarrowed::End);
    }

    #[test]
    fn what_would_leave_nothing_or_change_nothing_is_refused() {
        let grant = grant();
        assert_eq!(tried(&grant, &to("")).unwrap_err(), NotNarrowed::Empty);
        assert_eq!(tried(&grant, &Narrower::default()).unwrap_err(), NotNarrowed::Same);
        let over = Grant { ended: Some(ENDED), ..grant.clone() };
        assert_eq!(tried(&over, &to("artifacts:read")).unwrap_err(), NotNarrowed::Over);
        let expired = Grant { expires_at: NOW, ..grant };
        assert_eq!(tried(&expired, &to("artifacts:read")).unwrap_err(), NotNarrowed::Over);
    }

    #[test]
    fn a_grant_that_has_ended_is_not_ended_again() {
        let policy = fixture::policy().token;
        let over = Grant { ended: Some(ENDED), ..grant() };
        assert!(revoke(&over, &policy, NOW).is_none());
        assert_eq!(revoke(&grant(), &policy, NOW).unwrap().reason(), EndReason::RevokedByAdministrator);
    }

    #[test]
    fn the_feed_remembers_an_end_longer_than_any_token_of_it_lives() {
        let policy = fixture::policy().token;
        let end = revoke(&grant(), &policy, NOW).unwrap();
        assert!(end.forget_at() > NOW.plus(policy.access_ttl).plus(Seconds::minutes(1)));
    }

    proptest! {
        #[test]
        fn no_narrowing_widens(mask in 0_u8..32, end in -10_i64..10_000_000) {
            let atoms = ["artifacts:read", "artifacts:create", "artifacts:delete", "artifacts:share", "artifacts:update"];
            let chosen = atoms.iter().enumerate().filter(|(i, _)| mask & (1 << i) != 0).map(|(_, atom)| *atom);
            let wanted = Narrower {
                permissions: Some(Scope::parse(&chosen.collect::<Vec<_>>().join(" ")).unwrap()),
                expires_at: Some(NOW.plus(Seconds::new(end))),
            };
            let grant = grant();
            if let Ok(narrowing) = tried(&grant, &wanted) {
                prop_assert!(narrowing.permissions().is_subset(&grant.permissions));
                prop_assert!(narrowing.expires_at() <= grant.expires_at);
                prop_assert!(narrowing.expires_at() > NOW);
                prop_assert!(!narrowing.permissions().is_empty());
            }
        }
    }
}
