//! Refresh tokens: used once, rotated, and the whole family ends at the first sign of a copy (RFC 9700 §4.14.2).
//!
//! The verdict is the whole rule. Where the operator gives clients a time to ask again (`refresh.retry_window`), [`retry`] says
//! when a spent token gets the same answer once more; without one it never does.

pub mod retry;

use std::error::Error;

use doorward_shared::{
    allowance::Allowance,
    error::{ErrorCode, OAuthError},
    scope::Scope,
    secret::{RefreshToken as RefreshTokenKind, SecretHash},
    time::Timestamp,
    token::Refresh,
};

use self::retry::{KeptAnswer, Retry, Second, Sender, Strangers};
use super::{
    client_auth::AuthenticatedClient,
    grant::{Barred, EndReason, Grant, may_issue},
    ids::GrantId,
    policy::{Policy, RefreshPolicy, ReplayError, TokenPolicy},
    resource::Resource,
    revocation::Revocation,
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
    /// What it was answered with, where that is kept for a retry.
    pub answer: Option<KeptAnswer>,
    /// True for a used token whose successor was not used yet.
    pub successor_waits: bool,
    /// Retries of the family that came from somewhere else.
    pub strangers: Strangers,
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
pub enum Verdict<'a> {
    /// Spend it and hand out its successor, with an access token for this resource.
    Rotate(Rotation, &'a Resource),
    /// It was used a moment ago by the same client, which asks for the same again. Hand out the same answer; an access token of it
    /// that was revoked since is replaced by one for this resource.
    Retry(Retry, &'a Resource),
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
    allowance: Allowance,
    narrowed_to: Option<Scope>,
    answer: Option<KeptAnswer>,
}

impl Rotation {
    /// Keeps the answer with the token that is spent.
    #[must_use]
    pub fn keeping(mut self, answer: KeptAnswer) -> Self {
        self.answer = Some(answer);
        self
    }

    /// The answer, where it is to be kept for a retry.
    pub const fn answer(&self) -> Option<&KeptAnswer> {
        self.answer.as_ref()
    }

    /// What the grant allowed when this was decided. Narrowed since, it has to be decided anew.
    pub const fn allowance(&self) -> &Allowance {
        &self.allowance
    }

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
pub fn refused(cause: impl Into<Box<dyn Error + Send + Sync>>) -> OAuthError {
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
pub fn decide<'a>(
    token: &RefreshToken,
    who: &AuthenticatedClient<'_>,
    (asked, from): (&Refresh, &Sender),
    resource: Option<&'a Resource>,
    fresh: SecretHash<RefreshTokenKind>,
    policy: &Policy,
    now: Timestamp,
) -> Verdict<'a> {
    let grant = &token.grant;
    if grant.client_id != who.client().id {
        return Verdict::Refuse(refused("presented by another client"));
    }
    // Before anything else that the request says: whatever is asked for with a copy, it is a copy. One of a family that is
    // over is told so too; of many that race, all but one hear the same.
    if let Some(spent_at) = token.spent_at {
        let allowed = || may_issue(grant, &token.user, who.client(), resource, now);
        return match retry::decide(token, spent_at, asked, from, &policy.refresh, now) {
            Second::Same(retry) => match allowed() {
                Ok(resource) => Verdict::Retry(retry, resource),
                Err(barred) => end(grant, barred, policy, now),
            },
            Second::Other => Verdict::Refuse(refused("a retry that asks for something else")),
            Second::Replay => Verdict::Replay(Revocation::new(
                grant.id.clone(),
                EndReason::RefreshReplayed,
                &policy.token,
                now,
            )),
        };
    }
    if grant.ended.is_some() || now >= grant.expires_at {
        return Verdict::Refuse(refused("the grant has ended"));
    }
    let granted = grant.oidc.union(&grant.allowance.atoms());
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
    let resource = match may_issue(grant, &token.user, who.client(), resource, now) {
        Ok(resource) => resource,
        Err(barred) => return end(grant, barred, policy, now),
    };
    if now >= token.expires_at {
        return Verdict::Refuse(refused("unused for too long"));
    }
    let first = NewRefreshToken::first(grant, fresh, &policy.refresh, now);
    let successor = NewRefreshToken { generation: token.generation + 1, ..first };
    let narrowed_to = asked.scope.clone().filter(|scope| !scope.is_empty());
    let allowance = grant.allowance.clone();
    let rotation = Rotation { spent: token.hash, successor, allowance, narrowed_to, answer: None };
    Verdict::Rotate(rotation, resource)
}

fn end<'a>(grant: &Grant, barred: Barred, policy: &Policy, now: Timestamp) -> Verdict<'a> {
    Verdict::End(Revocation::new(grant.id.clone(), EndReason::NotAllowed, &policy.token, now), barred)
}

/// Decides on a revocation by the client (RFC 7009 §2.1): any token of the family, spent or not, ends it.
pub fn revoke(
    grant: &Grant,
    who: &AuthenticatedClient<'_>,
    policy: &TokenPolicy,
    now: Timestamp,
) -> Option<Revocation> {
    let own = grant.client_id == who.client().id && grant.ended.is_none();
    own.then(|| Revocation::new(grant.id.clone(), EndReason::Revoked, policy, now))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use doorward_shared::{client_id::ClientId, resource::ResourceUri, time::Seconds, token::PresentedProof};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::{
        client::Client,
        client_auth::authenticate,
        fixture::{self, ENDED, NOW},
    };

    fn asked() -> Refresh {
        Refresh { refresh_token: String::new(), scope: None, resource: None }
    }

    static RESOURCE: LazyLock<Resource> = LazyLock::new(fixture::resource);

    fn verdict_of(
        token: &RefreshToken,
        client: &Client,
        asked: &Refresh,
        now: Timestamp,
    ) -> Verdict<'static> {
        let who = authenticate(client, &PresentedProof::None).unwrap();
        decide(
            token,
            &who,
            (asked, &Sender::default()),
            Some(&RESOURCE),
            fixture::hash(),
            &fixture::policy(),
            now,
        )
    }

    fn verdict(token: &RefreshToken, asked: &Refresh) -> Verdict<'static> {
        verdict_of(token, &fixture::client(), asked, NOW)
    }

    fn refusal(verdict: &Verdict<'_>) -> Option<ErrorCode> {
        if let Verdict::Refuse(error) = verdict { Some(error.code()) } else { None }
    }

    fn scope(text: &str) -> Refresh {
        Refresh { scope: Some(Scope::parse(text).unwrap()), ..asked() }
    }

    #[test]
    fn a_live_token_is_rotated_and_its_successor_is_one_generation_on() {
        let token = fixture::refresh_token();
        let Verdict::Rotate(rotation, _) = verdict(&token, &asked()) else { panic!("rotated") };
        assert_eq!(rotation.spent(), &token.hash);
        assert_eq!(rotation.successor().generation(), token.generation + 1);
        assert_eq!(rotation.successor().expires_at(), NOW.plus(Seconds::days(30)));
    }

    #[test]
    fn rotation_never_extends_the_absolute_end() {
        let mut token = fixture::refresh_token();
        token.grant.expires_at = NOW.plus(Seconds::days(2));
        let Verdict::Rotate(rotation, _) = verdict(&token, &asked()) else { panic!("rotated") };
        assert_eq!(rotation.successor().expires_at(), token.grant.expires_at);
    }

    #[test]
    fn a_spent_token_is_a_replay_whenever_it_comes() {
        let spent = RefreshToken { spent_at: Some(NOW), ..fixture::refresh_token() };
        assert!(matches!(verdict(&spent, &asked()), Verdict::Replay(_)));
        let later = NOW.plus(Seconds::days(80));
        assert!(matches!(verdict_of(&spent, &fixture::client(), &asked(), later), Verdict::Replay(_)));
        for odd in [
            scope("artifacts:delete"),
            Refresh { resource: ResourceUri::parse("https://mcp.test/b").ok(), ..asked() },
        ] {
            assert!(matches!(verdict(&spent, &odd), Verdict::Replay(_)));
        }
        let mut over = spent;
        over.grant.ended = Some(ENDED);
        assert!(matches!(verdict(&over, &asked()), Verdict::Replay(_)));
    }

    #[test]
    fn the_unspent_head_of_an_ended_family_is_an_invalid_grant() {
        let mut token = fixture::refresh_token();
        token.grant.ended = Some(ENDED);
        assert_eq!(refusal(&verdict(&token, &asked())), Some(ErrorCode::InvalidGrant));
    }

    #[test]
    fn another_client_changes_nothing_even_with_a_spent_token() {
        let evil = Client { id: ClientId::parse("evil").unwrap(), ..fixture::client() };
        for spent_at in [None, Some(NOW)] {
            let token = RefreshToken { spent_at, ..fixture::refresh_token() };
            assert_eq!(refusal(&verdict_of(&token, &evil, &asked(), NOW)), Some(ErrorCode::InvalidGrant));
        }
    }

    #[test]
    fn more_than_was_granted_is_refused_and_less_is_given_once() {
        let token = fixture::refresh_token();
        assert_eq!(refusal(&verdict(&token, &scope("artifacts:delete"))), Some(ErrorCode::InvalidScope));
        let Verdict::Rotate(rotation, _) = verdict(&token, &scope("artifacts:read")) else {
            panic!("rotated")
        };
        assert_eq!(rotation.narrowed_to(), Some(&Scope::parse("artifacts:read").unwrap()));
        let Verdict::Rotate(rotation, _) = verdict(&token, &scope("")) else { panic!("rotated") };
        assert_eq!(rotation.narrowed_to(), None);
    }

    #[test]
    fn another_resource_is_refused_before_anything_is_spent() {
        let other = Refresh { resource: ResourceUri::parse("https://mcp.test/b").ok(), ..asked() };
        assert_eq!(refusal(&verdict(&fixture::refresh_token(), &other)), Some(ErrorCode::InvalidTarget));
    }

    #[test]
    fn a_disabled_person_or_a_removed_resource_ends_the_family() {
        let mut token = fixture::refresh_token();
        token.user.disabled_at = Some(NOW);
        assert!(matches!(verdict(&token, &asked()), Verdict::End(_, Barred::UserDisabled)));
        let client = fixture::client();
        let who = authenticate(&client, &PresentedProof::None).unwrap();
        let token = fixture::refresh_token();
        let asked = asked();
        let gone = decide(
            &token,
            &who,
            (&asked, &Sender::default()),
            None,
            fixture::hash(),
            &fixture::policy(),
            NOW,
        );
        assert!(matches!(gone, Verdict::End(_, Barred::ResourceGone)));
    }

    #[test]
    fn an_idle_token_dies() {
        let later = NOW.plus(Seconds::days(30));
        let idle = verdict_of(&fixture::refresh_token(), &fixture::client(), &asked(), later);
        assert_eq!(refusal(&idle), Some(ErrorCode::InvalidGrant));
    }

    #[test]
    fn the_wire_code_of_a_replay_is_the_operators_choice() {
        let mut policy = fixture::policy().refresh;
        assert_eq!(replayed(&policy).code(), ErrorCode::RefreshReplayed);
        policy.replay_error = ReplayError::InvalidGrant;
        assert_eq!(replayed(&policy).code(), ErrorCode::InvalidGrant);
    }

    proptest! {
        #[test]
        fn nothing_is_ever_rotated_that_is_spent_over_or_somebody_elses(
            spent: bool, ended: bool, disabled: bool, foreign: bool, age in 0_i64..200,
        ) {
            let mut token = fixture::refresh_token();
            token.spent_at = spent.then_some(NOW);
            token.grant.ended = ended.then_some(ENDED);
            token.user.disabled_at = disabled.then_some(NOW);
            let mut client = fixture::client();
            if foreign {
                client.id = ClientId::parse("evil").unwrap();
            }
            let now = NOW.plus(Seconds::days(age));
            let rotated = matches!(verdict_of(&token, &client, &asked(), now), Verdict::Rotate(..));
            prop_assert_eq!(rotated, !spent && !ended && !disabled && !foreign && age < 30);
        }
    }
}
