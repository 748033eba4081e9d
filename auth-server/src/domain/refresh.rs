//! Refresh tokens: used once, rotated, and the whole family ends at the first sign of a copy (RFC 9700 §4.14.2).
//!
//! The verdict is the whole rule. A retry window would be one more verdict (hand out the sealed answer again) and one
//! more arm in the flow; nothing else would know.

use doorward_shared::{
    error::{ErrorCode, OAuthError},
    scope::Scope,
    secret::{RefreshToken as RefreshTokenKind, SecretHash},
    time::Timestamp,
    token::Refresh,
};

use super::{
    client_auth::AuthenticatedClient,
    grant::{Barred, EndReason, Grant, Revocation, may_issue},
    ids::GrantId,
    policy::{Policy, RefreshPolicy, ReplayError},
    resource::Resource,
    user::User,
};

/// A refresh token as it is stored, with all that its use depends on.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// Hash of the token.
    pub hash: SecretHash<RefreshTokenKind>,
    /// The family it belongs to.
    pub grant: Grant,
    /// Who allowed it.
    pub user: User,
    /// 0 for the first of the family, then one more at each rotation. Order is kept by this, never by time.
    pub generation: i64,
    /// When it dies unused.
    pub expires_at: Timestamp,
    /// When it was used.
    pub spent_at: Option<Timestamp>,
}

/// A refresh token to be stored. Only verdicts hold one.
#[derive(Clone, Debug)]
pub struct NewRefreshToken {
    hash: SecretHash<RefreshTokenKind>,
    grant: GrantId,
    generation: i64,
    created_at: Timestamp,
    expires_at: Timestamp,
}

impl NewRefreshToken {
    pub(super) fn first(
        grant: &Grant,
        hash: SecretHash<RefreshTokenKind>,
        policy: &RefreshPolicy,
        now: Timestamp,
    ) -> Self {
        // Rotation never extends the absolute end.
        let expires_at = now.plus(policy.idle).min(grant.expires_at);
        Self { hash, grant: grant.id.clone(), generation: 0, created_at: now, expires_at }
    }

    /// Hash of the token.
    pub const fn hash(&self) -> &SecretHash<RefreshTokenKind> {
        &self.hash
    }

    /// The family.
    pub const fn grant(&self) -> &GrantId {
        &self.grant
    }

    /// Its place in the family.
    pub const fn generation(&self) -> i64 {
        self.generation
    }

    /// When it is made.
    pub const fn created_at(&self) -> Timestamp {
        self.created_at
    }

    /// When it dies unused.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// What a presented refresh token is worth.
#[derive(Debug)]
pub enum Verdict {
    /// Spend it and hand out its successor.
    Rotate(Rotation),
    /// It was used before: somebody has a copy. End the family.
    Replay(Revocation),
    /// Nobody may have tokens on this grant any more. End the family, without alarm.
    End(Revocation, Barred),
    /// Refuse, and change nothing.
    Refuse(OAuthError),
}

/// The verdict that a refresh token is replaced by its successor.
#[derive(Clone, Debug)]
pub struct Rotation {
    spent: SecretHash<RefreshTokenKind>,
    successor: NewRefreshToken,
    narrowed_to: Option<Scope>,
}

impl Rotation {
    /// Which token is spent.
    pub const fn spent(&self) -> &SecretHash<RefreshTokenKind> {
        &self.spent
    }

    /// What replaces it.
    pub const fn successor(&self) -> &NewRefreshToken {
        &self.successor
    }

    /// The scope that was asked for this one access token; the successor keeps the grant's.
    pub const fn narrowed_to(&self) -> Option<&Scope> {
        self.narrowed_to.as_ref()
    }

    /// When.
    pub const fn at(&self) -> Timestamp {
        self.successor.created_at
    }
}

/// The answer for a refresh token that is unknown, expired or somebody else's.
pub fn refused(cause: &'static str) -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidGrant,
        "the refresh token is unknown, expired, revoked, or belongs to another client; sign in again",
    )
    .because(cause)
}

/// The answer for a replay.
pub fn replayed(policy: &RefreshPolicy) -> OAuthError {
    let code = match policy.replay_error {
        ReplayError::RefreshReplayed => ErrorCode::RefreshReplayed,
        ReplayError::InvalidGrant => ErrorCode::InvalidGrant,
    };
    OAuthError::new(
        code,
        "this refresh token was already used, so all tokens of this sign-in were ended; sign in again, and store each \
         new refresh token before the next request",
    )
}

/// Decides on a refresh. `fresh` is the hash of the token that would be handed out.
pub fn decide(
    token: &RefreshToken,
    who: &AuthenticatedClient<'_>,
    asked: &Refresh,
    resource: Option<&Resource>,
    fresh: SecretHash<RefreshTokenKind>,
    policy: &Policy,
    now: Timestamp,
) -> Verdict {
    let grant = &token.grant;
    if grant.client_id != who.client().id {
        return Verdict::Refuse(refused("presented by another client"));
    }
    let replay = || Verdict::Replay(Revocation::new(grant.id.clone(), EndReason::RefreshReplayed, now));
    if grant.ended_at.is_some() || now >= grant.expires_at {
        // A copy is told that it is one even when the family is over: of many that race, all but one hear the same.
        return if token.spent_at.is_some() { replay() } else { Verdict::Refuse(refused("the grant has ended")) };
    }
    let granted = grant.oidc.union(&grant.permissions);
    if asked.scope.as_ref().is_some_and(|scope| !scope.is_subset(&granted)) {
        return Verdict::Refuse(OAuthError::new(
            ErrorCode::InvalidScope,
            "scope exceeds what was granted; leave it out to keep the grant, or sign in again for more",
        ));
    }
    if asked.resource.as_ref().is_some_and(|resource| !resource.same_as(&grant.resource)) {
        return Verdict::Refuse(OAuthError::new(
            ErrorCode::InvalidTarget,
            "the refresh token was issued for another resource; leave the resource parameter out or send the same one",
        ));
    }
    if let Err(barred) = may_issue(grant, &token.user, who.client(), resource, now) {
        return Verdict::End(Revocation::new(grant.id.clone(), EndReason::NotAllowed, now), barred);
    }
    if token.spent_at.is_some() {
        return replay();
    }
    if now >= token.expires_at {
        return Verdict::Refuse(refused("unused for too long"));
    }
    let first = NewRefreshToken::first(grant, fresh, &policy.refresh, now);
    let successor = NewRefreshToken { generation: token.generation + 1, ..first };
    let narrowed_to = asked.scope.clone().filter(|scope| !scope.is_empty());
    Verdict::Rotate(Rotation { spent: token.hash, successor, narrowed_to })
}

/// Decides on a revocation by the client (RFC 7009 §2.1): any token of the family, spent or not, ends it.
pub fn revoke(grant: &Grant, who: &AuthenticatedClient<'_>, now: Timestamp) -> Option<Revocation> {
    let own = grant.client_id == who.client().id && grant.ended_at.is_none();
    own.then(|| Revocation::new(grant.id.clone(), EndReason::Revoked, now))
}
