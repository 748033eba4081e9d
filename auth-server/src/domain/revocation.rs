//! How grants end or shrink by an administrator's word: verdicts that carry what the feed has to be told.

use doorward_shared::{
    allowance::Allowance,
    client_id::ClientId,
    issuer::Issuer,
    resource::ResourceUri,
    revocation::Claim,
    scope::Scope,
    time::{Seconds, Timestamp},
};

use super::{
    grant::{EndReason, Grant},
    ids::{GrantId, OrganizationId, UserId},
    policy::TokenPolicy,
};

/// How long the feed goes on telling of what no token can be left of: longer than anything that resource servers make with a
/// token and let outlive it. One that was away for so long has missed nothing that it needs.
const TELL_FOR: Seconds = Seconds::days(100);

/// Entries that expired by then are told no more, and forgotten.
pub fn told_since(now: Timestamp) -> Timestamp {
    now.minus(TELL_FOR)
}

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

/// Decides on a revocation by the person who had allowed it. `None`: it has ended already.
pub fn revoke_by_person(grant: &Grant, policy: &TokenPolicy, now: Timestamp) -> Option<Revocation> {
    let revocation = || Revocation::new(grant.id.clone(), EndReason::RevokedByPerson, policy, now);
    grant.ended.is_none().then(revocation)
}

/// Decides on the end of a grant whose person the upstream provider does not stand for any more. `None`: it has ended already.
pub fn upstream_ended(grant: &Grant, policy: &TokenPolicy, now: Timestamp) -> Option<Revocation> {
    let revocation = || Revocation::new(grant.id.clone(), EndReason::UpstreamEnded, policy, now);
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
    /// Those for the data of an organization.
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

    /// A client ends all that it was allowed, by going or by becoming another.
    pub fn by_client(client: ClientId, policy: &TokenPolicy, now: Timestamp) -> Self {
        Self { reason: EndReason::Revoked, ..Self::revoked(Whose::Client(client), policy, now) }
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
    /// What stays allowed, where.
    pub allowance: Option<Allowance>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// The verdict that a grant becomes smaller or shorter. Access tokens that were issued before say too much, and are revoked.
#[derive(Clone, Debug)]
pub struct Narrowing {
    grant: GrantId,
    before: Allowance,
    allowance: Allowance,
    expires_at: Timestamp,
    at: Timestamp,
    forget_at: Timestamp,
}

impl Narrowing {
    /// Which grant.
    pub const fn grant(&self) -> &GrantId {
        &self.grant
    }

    /// What it allowed when this was decided.
    pub const fn before(&self) -> &Allowance {
        &self.before
    }

    /// What stays allowed.
    pub const fn allowance(&self) -> &Allowance {
        &self.allowance
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
    let allowance = wanted.allowance.as_ref().unwrap_or(&grant.allowance);
    if let Some(more) = beyond(allowance, &grant.allowance) {
        return Err(NotNarrowed::Wider(more));
    }
    if allowance.is_empty() && !grant.allowance.is_empty() {
        return Err(NotNarrowed::Empty);
    }
    let expires_at = wanted.expires_at.unwrap_or(grant.expires_at);
    if expires_at <= now || expires_at > grant.expires_at {
        return Err(NotNarrowed::End);
    }
    if *allowance == grant.allowance && expires_at == grant.expires_at {
        return Err(NotNarrowed::Same);
    }
    Ok(Narrowing {
        grant: grant.id.clone(),
        before: grant.allowance.clone(),
        allowance: allowance.clone(),
        expires_at,
        at: now,
        forget_at: policy.forget_at(now),
    })
}

/// The first thing that `wanted` has and `held` has not, in words.
fn beyond(wanted: &Allowance, held: &Allowance) -> Option<String> {
    if wanted.is_subset(held) {
        return None;
    }
    let lacks =
        |atoms: &Scope, held: &Scope| atoms.iter().find(|atom| !held.contains(atom.as_str())).cloned();
    let whole = lacks(wanted.held_everywhere(), held.held_everywhere()).map(|atom| atom.to_string());
    let mut nodes = wanted.nodes().iter();
    whole.or_else(|| {
        nodes.find_map(|(node, atoms)| Some(format!("{} at {node}", lacks(atoms, &held.held_at(node))?)))
    })
}

#[cfg(test)]
mod tests {
    use doorward_shared::node::NodePath;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::fixture::{self, ENDED, NOW};

    fn grant() -> Grant {
        fixture::grant(&fixture::user(), "artifacts:read artifacts:create artifacts:delete")
    }

    fn to(permissions: &str) -> Narrower {
        Narrower { allowance: Some(everywhere(permissions)), expires_at: None }
    }

    fn everywhere(permissions: &str) -> Allowance {
        Allowance::everywhere(Scope::parse(permissions).unwrap())
    }

    fn until(expires_at: Timestamp) -> Narrower {
        Narrower { allowance: None, expires_at: Some(expires_at) }
    }

    fn tried(grant: &Grant, wanted: &Narrower) -> Result<Narrowing, NotNarrowed> {
        narrow(grant, wanted, &fixture::policy().token, NOW)
    }

    #[test]
    fn a_grant_can_lose_permissions_and_time_and_never_gain_any() {
        let grant = grant();
        let narrowed = tried(&grant, &to("artifacts:read")).unwrap();
        assert_eq!(narrowed.allowance(), &everywhere("artifacts:read"));
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
    fn a_grant_for_some_nodes_is_not_moved_to_others() {
        let node = |path: &str| NodePath::parse(path).unwrap();
        let read = Scope::parse("artifacts:read").unwrap();
        let mut grant = grant();
        grant.allowance = Allowance::at_node(node("alpha"), read.clone());
        let at = |path: &str| Narrower {
            allowance: Some(Allowance::at_node(node(path), read.clone())),
            expires_at: None,
        };
        assert!(tried(&grant, &at("alpha/site")).is_ok());
        let elsewhere = NotNarrowed::Wider("artifacts:read at beta".to_owned());
        assert_eq!(tried(&grant, &at("beta")).unwrap_err(), elsewhere);
        let everywhere = NotNarrowed::Wider("artifacts:read".to_owned());
        assert_eq!(tried(&grant, &to("artifacts:read")).unwrap_err(), everywhere);
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
        fn no_narrowing_widens(
            mask in 0_u8..32, node in proptest::option::of(proptest::sample::select(vec!["alpha", "alpha/site", "beta"])),
            end in -10_i64..10_000_000,
        ) {
            let atoms = ["artifacts:read", "artifacts:create", "artifacts:delete", "artifacts:share", "artifacts:update"];
            let chosen = atoms.iter().enumerate().filter(|(i, _)| mask & (1 << i) != 0).map(|(_, atom)| *atom);
            let wanted = Narrower {
                allowance: Some(Allowance::at(
                    &node.map(|node| NodePath::parse(node).unwrap()).into_iter().collect::<Vec<_>>(),
                    &Scope::parse(&chosen.collect::<Vec<_>>().join(" ")).unwrap(),
                )),
                expires_at: Some(NOW.plus(Seconds::new(end))),
            };
            let mut grant = grant();
            grant.allowance = grant.allowance.intersection(&everywhere("artifacts:read")).union(&Allowance::at_node(
                NodePath::parse("alpha").unwrap(),
                grant.allowance.atoms(),
            ));
            if let Ok(narrowing) = tried(&grant, &wanted) {
                prop_assert!(narrowing.allowance().is_subset(&grant.allowance));
                prop_assert!(narrowing.expires_at() <= grant.expires_at);
                prop_assert!(narrowing.expires_at() > NOW);
                prop_assert!(!narrowing.allowance().is_empty());
            }
        }
    }
}
