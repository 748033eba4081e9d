//! Grants: who allowed what to whom, for which resource, until when. All refresh tokens that descend from one
//! authorization belong to its grant, and end with it.

use doorward_shared::{client_id::ClientId, resource::ResourceUri, scope::Scope, time::Timestamp};

use super::{
    client::{Client, Origin},
    ids::{GrantId, OrganizationId, UserId},
    policy::TokenPolicy,
    resource::Resource,
    user::User,
};

/// One authorization. It is also the record of the consent: nothing is issued without a row of this.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its identifier; `sid` of the tokens.
    pub id: GrantId,
    /// Who allowed.
    pub user_id: UserId,
    /// To whom.
    pub client_id: ClientId,
    /// For which resource, in the registered spelling.
    pub resource: ResourceUri,
    /// Which OpenID Connect scopes.
    pub oidc: Scope,
    /// Which permissions were ticked.
    pub permissions: Scope,
    /// When the person had signed in.
    pub auth_time: Timestamp,
    /// When it was allowed.
    pub created_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// How the client came to be allowed.
    pub method: Method,
    /// When and from where it was last used at this server.
    pub last_use: Option<Use>,
    /// Access tokens that were issued up to this moment are revoked: it was narrowed then.
    pub revoked_until: Option<Timestamp>,
    /// When and why it was ended, if it was.
    pub ended: Option<Ended>,
}

/// How a client came to be allowed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The client registered itself (RFC 7591).
    DynamicRegistration,
    /// The client is the one of the configuration.
    Fixed,
    /// An administrator registered the client.
    Registered,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 3] = [Self::DynamicRegistration, Self::Fixed, Self::Registered];

    /// The word in the store and in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DynamicRegistration => "dcr",
            Self::Fixed => "fixed",
            Self::Registered => "registered",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == word)
    }

    /// How this client came here.
    pub const fn of(client: &Client) -> Self {
        match client.origin {
            Origin::Dynamic => Self::DynamicRegistration,
            Origin::Fixed => Self::Fixed,
            Origin::Administrator => Self::Registered,
        }
    }
}

/// One use of a grant: a code or a refresh token of it was exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// When.
    pub at: Timestamp,
    /// From which network address.
    pub address: Option<String>,
    /// What the client called itself: the `User-Agent` header, shortened to [`Use::LONGEST_AGENT`] characters.
    pub agent: Option<String>,
}

impl Use {
    /// Longest user agent that is kept, in characters.
    pub const LONGEST_AGENT: usize = 200;

    /// A use now, by a client that calls itself `agent`. Control characters are left out.
    pub fn new(at: Timestamp, address: Option<&str>, agent: Option<&str>) -> Self {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(Self::LONGEST_AGENT).collect();
        Self { at, address: address.map(String::from), agent: agent.map(plain) }
    }
}

/// The end of a grant before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: EndReason,
}

/// Why a grant ends before its time. The words go to the store and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// An authorization code was redeemed a second time.
    CodeReplayed,
    /// A refresh token was used a second time.
    RefreshReplayed,
    /// The client revoked its token (RFC 7009).
    Revoked,
    /// An administrator revoked it.
    RevokedByAdministrator,
    /// The person, the client or the resource may no longer have tokens.
    NotAllowed,
    /// Nobody redeemed its code.
    NotRedeemed,
    /// The database was restored from a backup, and nobody knows whether the grant was ended meanwhile.
    Restored,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::CodeReplayed,
        Self::RefreshReplayed,
        Self::Revoked,
        Self::RevokedByAdministrator,
        Self::NotAllowed,
        Self::NotRedeemed,
        Self::Restored,
    ];

    /// The word for the store and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CodeReplayed => "code_replayed",
            Self::RefreshReplayed => "refresh_replayed",
            Self::Revoked => "revoked",
            Self::RevokedByAdministrator => "revoked_by_administrator",
            Self::NotAllowed => "not_allowed",
            Self::NotRedeemed => "not_redeemed",
            Self::Restored => "restored",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// Where a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Allowed, and its code was not redeemed yet.
    Pending,
    /// In use.
    Active,
    /// Past its time.
    Expired,
    /// Ended before its time.
    Ended,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Active, Self::Expired, Self::Ended];

    /// The word in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl Grant {
    /// Where it stands.
    pub fn state(&self, now: Timestamp) -> State {
        match (&self.ended, &self.last_use) {
            (Some(_), _) => State::Ended,
            (None, _) if now >= self.expires_at => State::Expired,
            (None, None) => State::Pending,
            (None, Some(_)) => State::Active,
        }
    }
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
    /// All.
    Everybody,
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

/// Why no token may be issued. For the log; strangers are told `invalid_grant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// The grant was ended.
    #[error("the grant was ended")]
    Ended,
    /// The grant is past its time.
    #[error("the grant has expired")]
    Expired,
    /// The person is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The client is disabled.
    #[error("the client is disabled")]
    ClientDisabled,
    /// The resource was removed or registered anew under another spelling.
    #[error("the resource is not registered any more")]
    ResourceGone,
    /// The resource is disabled.
    #[error("the resource is disabled")]
    ResourceDisabled,
}

/// The one question that every way to a token asks: may anything be issued on this grant, now?
/// Answers with the resource that it may be issued for.
pub fn may_issue<'a>(
    grant: &Grant,
    user: &User,
    client: &Client,
    resource: Option<&'a Resource>,
    now: Timestamp,
) -> Result<&'a Resource, Barred> {
    if grant.ended.is_some() {
        Err(Barred::Ended)
    } else if now >= grant.expires_at {
        Err(Barred::Expired)
    } else if user.disabled_at.is_some() {
        Err(Barred::UserDisabled)
    } else if client.disabled_at.is_some() {
        Err(Barred::ClientDisabled)
    } else {
        let resource =
            resource.filter(|resource| resource.uri == grant.resource).ok_or(Barred::ResourceGone)?;
        if resource.disabled_at.is_some() { Err(Barred::ResourceDisabled) } else { Ok(resource) }
    }
}

#[cfg(test)]
mod tests {
    use doorward_shared::time::Seconds;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::fixture;

    const NOW: Timestamp = fixture::NOW;

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
        let ended = Ended { at: NOW, reason: EndReason::Revoked };
        let over = Grant { ended: Some(ended), ..grant.clone() };
        assert_eq!(tried(&over, &to("artifacts:read")).unwrap_err(), NotNarrowed::Over);
        let expired = Grant { expires_at: NOW, ..grant };
        assert_eq!(tried(&expired, &to("artifacts:read")).unwrap_err(), NotNarrowed::Over);
    }

    #[test]
    fn a_grant_that_has_ended_is_not_ended_again() {
        let policy = fixture::policy().token;
        let over = Grant { ended: Some(Ended { at: NOW, reason: EndReason::Revoked }), ..grant() };
        assert!(revoke(&over, &policy, NOW).is_none());
        assert_eq!(revoke(&grant(), &policy, NOW).unwrap().reason(), EndReason::RevokedByAdministrator);
    }

    #[test]
    fn the_feed_remembers_an_end_longer_than_any_token_of_it_lives() {
        let policy = fixture::policy().token;
        let end = revoke(&grant(), &policy, NOW).unwrap();
        assert!(end.forget_at() > NOW.plus(policy.access_ttl).plus(Seconds::minutes(1)));
    }

    #[test]
    fn words_are_read_as_they_are_written() {
        assert!(Method::ALL.into_iter().all(|one| Method::parse(one.as_str()) == Some(one)));
        assert!(EndReason::ALL.into_iter().all(|one| EndReason::parse(one.as_str()) == Some(one)));
        assert!(State::ALL.into_iter().all(|one| State::parse(one.as_str()) == Some(one)));
    }

    #[test]
    fn a_user_agent_is_kept_short_and_plain() {
        let used = Use::new(NOW, None, Some(&format!("a\u{1b}[2J{}", "x".repeat(300))));
        let agent = used.agent.unwrap();
        assert!(agent.starts_with("a[2J") && agent.chars().count() == Use::LONGEST_AGENT);
    }

    #[test]
    fn a_disabled_resource_bars_like_a_removed_one() {
        let (grant, user, client) = (grant(), fixture::user(), fixture::client());
        let disabled = Resource { disabled_at: Some(NOW), ..fixture::resource() };
        let asked = |resource| may_issue(&grant, &user, &client, resource, NOW).map(|_| ()).unwrap_err();
        assert_eq!(asked(Some(&disabled)), Barred::ResourceDisabled);
        assert_eq!(asked(None), Barred::ResourceGone);
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
