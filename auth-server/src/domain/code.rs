//! Authorization codes (RFC 6749 §4.1.2, §10.5): one redemption, bound to client, address, verifier and resource.

use std::error::Error;

use doorward_shared::{
    allowance::Allowance,
    error::{ErrorCode, OAuthError},
    pkce::{CodeChallenge, CodeVerifier},
    secret::{AuthorizationCode, RefreshToken, SecretHash, SessionCookie},
    time::Timestamp,
    token::{CodeExchange, GrantType},
};

use super::{
    client_auth::AuthenticatedClient,
    grant::{EndReason, Grant, may_issue},
    policy::Policy,
    refresh::NewRefreshToken,
    resource::Resource,
    revocation::Revocation,
    session::Session,
    user::User,
};

/// Wrong verifiers after which a code is dead: nobody mistypes a verifier.
pub const MAX_FAILED_TRIES: i64 = 5;

/// A new code with the grant that it stands for. Only a consented request makes one.
#[derive(Clone, Debug)]
pub struct IssuedCode {
    pub(super) hash: SecretHash<AuthorizationCode>,
    pub(super) grant: Grant,
    pub(super) session: SecretHash<SessionCookie>,
    pub(super) redirect_uri: String,
    pub(super) challenge: CodeChallenge,
    pub(super) nonce: Option<String>,
    pub(super) expires_at: Timestamp,
}

impl IssuedCode {
    /// Hash of the code.
    pub const fn hash(&self) -> &SecretHash<AuthorizationCode> {
        &self.hash
    }

    /// The grant it stands for.
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The browser session in which it was allowed.
    pub const fn session(&self) -> &SecretHash<SessionCookie> {
        &self.session
    }

    /// The address it goes to, with the port that was really used.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// The challenge to be met.
    pub const fn challenge(&self) -> &CodeChallenge {
        &self.challenge
    }

    /// The nonce for the ID token.
    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    /// Until when it can be redeemed.
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

/// A code as it is stored, with all that its redemption depends on.
#[derive(Clone, Debug)]
pub struct StoredCode {
    /// Hash of the code.
    pub hash: SecretHash<AuthorizationCode>,
    /// The grant it stands for.
    pub grant: Grant,
    /// Who allowed it.
    pub user: User,
    /// The browser session in which it was allowed.
    pub session: Session,
    /// The address it went to.
    pub redirect_uri: String,
    /// The challenge to be met.
    pub challenge: CodeChallenge,
    /// The nonce for the ID token.
    pub nonce: Option<String>,
    /// Until when it can be redeemed.
    pub expires_at: Timestamp,
    /// How often a wrong verifier came.
    pub failed_tries: i64,
    /// When it was redeemed.
    pub spent_at: Option<Timestamp>,
}

/// What a presented code is worth.
#[derive(Debug)]
pub enum Verdict<'a> {
    /// Spend it, and give tokens for this resource.
    Redeem(Redemption, &'a Resource),
    /// It was spent before by somebody who held everything: end what it gave.
    Replay(Revocation),
    /// The verifier was wrong: count, and refuse.
    WrongVerifier(FailedTry),
    /// Refuse, and change nothing.
    Refuse(OAuthError),
}

/// The verdict that a code is spent.
#[derive(Clone, Debug)]
pub struct Redemption {
    code: SecretHash<AuthorizationCode>,
    refresh_token: Option<NewRefreshToken>,
    allowance: Allowance,
    at: Timestamp,
}

/// The verdict that a failed try is counted.
#[derive(Clone, Debug)]
pub struct FailedTry(SecretHash<AuthorizationCode>);

impl Redemption {
    /// What the grant allowed when this was decided. Narrowed since, it has to be decided anew.
    pub const fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// Which code is spent.
    pub const fn code(&self) -> &SecretHash<AuthorizationCode> {
        &self.code
    }

    /// The first refresh token of the family, if the client registered the grant.
    pub const fn refresh_token(&self) -> Option<&NewRefreshToken> {
        self.refresh_token.as_ref()
    }

    /// When.
    pub const fn at(&self) -> Timestamp {
        self.at
    }
}

impl FailedTry {
    /// Which code.
    pub const fn code(&self) -> &SecretHash<AuthorizationCode> {
        &self.0
    }
}

/// The answer for a code that is unknown, spent, expired or somebody else's.
pub fn refused(cause: impl Into<Box<dyn Error + Send + Sync>>) -> OAuthError {
    OAuthError::new(
        ErrorCode::InvalidGrant,
        "the authorization code is unknown, expired, already used, or was issued for another request; start the sign-in again",
    )
    .because(cause)
}

/// Decides on a redemption. `fresh` is the hash of the refresh token that would be given.
pub fn decide<'a>(
    code: &StoredCode,
    who: &AuthenticatedClient<'_>,
    asked: &CodeExchange,
    resource: Option<&'a Resource>,
    fresh: SecretHash<RefreshToken>,
    policy: &Policy,
    now: Timestamp,
) -> Verdict<'a> {
    let grant = &code.grant;
    if grant.client_id != who.client().id {
        return Verdict::Refuse(refused("presented by another client"));
    }
    if asked.redirect_uri.as_ref().is_some_and(|uri| *uri != code.redirect_uri) {
        return Verdict::Refuse(refused("another redirect_uri than the one that was used"));
    }
    let met =
        CodeVerifier::parse(&asked.code_verifier).is_some_and(|verifier| code.challenge.is_met_by(&verifier));
    if !met {
        // A thief without the verifier must not be able to end the tokens of the one who had it.
        return match code.spent_at {
            Some(_) => Verdict::Refuse(refused("spent, and the verifier is wrong")),
            None => Verdict::WrongVerifier(FailedTry(code.hash)),
        };
    }
    if code.spent_at.is_some() {
        return Verdict::Replay(Revocation::new(
            grant.id.clone(),
            EndReason::CodeReplayed,
            &policy.token,
            now,
        ));
    }
    if asked.resource.as_ref().is_some_and(|resource| !resource.same_as(&grant.resource)) {
        return Verdict::Refuse(OAuthError::new(
            ErrorCode::InvalidTarget,
            "the code was issued for another resource; leave the resource parameter out or send the same one",
        ));
    }
    if code.failed_tries >= MAX_FAILED_TRIES {
        return Verdict::Refuse(refused("too many wrong verifiers"));
    }
    if now >= code.expires_at {
        return Verdict::Refuse(refused("expired"));
    }
    if !code.session.is_live(&policy.session, now) {
        return Verdict::Refuse(refused("the browser session in which it was allowed has ended"));
    }
    let resource = match may_issue(grant, &code.user, who.client(), resource, now) {
        Ok(resource) => resource,
        Err(barred) => return Verdict::Refuse(refused(barred)),
    };
    let refresh_token = who
        .may_use(GrantType::RefreshToken)
        .is_ok()
        .then(|| NewRefreshToken::first(grant, fresh, &policy.refresh, now));
    let allowance = grant.allowance.clone();
    Verdict::Redeem(Redemption { code: code.hash, refresh_token, allowance, at: now }, resource)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use doorward_shared::{client_id::ClientId, resource::ResourceUri, time::Seconds, token::PresentedProof};

    use super::*;
    use crate::domain::{
        client::Client,
        client_auth::authenticate,
        fixture::{self, ENDED, NOW, VERIFIER},
    };

    fn asked() -> CodeExchange {
        CodeExchange {
            code: String::new(),
            redirect_uri: Some("https://app.test/cb".to_owned()),
            code_verifier: VERIFIER.to_owned(),
            resource: None,
        }
    }

    static RESOURCE: LazyLock<Resource> = LazyLock::new(fixture::resource);

    fn verdict_of(
        code: &StoredCode,
        client: &Client,
        asked: &CodeExchange,
        now: Timestamp,
    ) -> Verdict<'static> {
        let who = authenticate(client, &PresentedProof::None).unwrap();
        decide(code, &who, asked, Some(&RESOURCE), fixture::hash(), &fixture::policy(), now)
    }

    fn verdict(code: &StoredCode, asked: &CodeExchange) -> Verdict<'static> {
        verdict_of(code, &fixture::client(), asked, NOW)
    }

    fn is_refused(verdict: &Verdict<'_>) -> bool {
        matches!(verdict, Verdict::Refuse(error) if error.code() == ErrorCode::InvalidGrant)
    }

    #[test]
    fn a_good_code_is_redeemed_with_the_first_refresh_token_of_its_family() {
        let Verdict::Redeem(redemption, _) = verdict(&fixture::code(), &asked()) else { panic!("redeemed") };
        assert_eq!(redemption.refresh_token().unwrap().generation(), 0);
        let without = CodeExchange { redirect_uri: None, ..asked() };
        assert!(matches!(verdict(&fixture::code(), &without), Verdict::Redeem(..)));
    }

    #[test]
    fn a_client_without_the_refresh_grant_gets_no_refresh_token() {
        let client = Client { grant_types: vec![GrantType::AuthorizationCode], ..fixture::client() };
        let Verdict::Redeem(redemption, _) = verdict_of(&fixture::code(), &client, &asked(), NOW) else {
            panic!()
        };
        assert!(redemption.refresh_token().is_none());
    }

    #[test]
    fn a_second_use_by_the_holder_of_everything_ends_what_the_first_one_gave() {
        let spent = StoredCode { spent_at: Some(NOW), ..fixture::code() };
        let Verdict::Replay(revocation) = verdict(&spent, &asked()) else { panic!("replay") };
        assert_eq!((revocation.grant(), revocation.reason()), (&spent.grant.id, EndReason::CodeReplayed));
        let elsewhere = CodeExchange { resource: ResourceUri::parse("https://mcp.test/b").ok(), ..asked() };
        assert!(matches!(verdict(&spent, &elsewhere), Verdict::Replay(_)));
    }

    #[test]
    fn a_thief_without_the_verifier_cannot_end_anything() {
        let spent = StoredCode { spent_at: Some(NOW), ..fixture::code() };
        let wrong = CodeExchange { code_verifier: VERIFIER.replace('d', "e"), ..asked() };
        assert!(is_refused(&verdict(&spent, &wrong)));
        assert!(matches!(verdict(&fixture::code(), &wrong), Verdict::WrongVerifier(_)));
        for short in ["", "short", &"a".repeat(129)] {
            let wrong = CodeExchange { code_verifier: short.to_owned(), ..asked() };
            assert!(matches!(verdict(&fixture::code(), &wrong), Verdict::WrongVerifier(_)));
        }
    }

    #[test]
    fn somebody_elses_code_is_refused_and_not_touched() {
        let other = Client { id: ClientId::parse("evil").unwrap(), ..fixture::client() };
        for code in [fixture::code(), StoredCode { spent_at: Some(NOW), ..fixture::code() }] {
            assert!(is_refused(&verdict_of(&code, &other, &asked(), NOW)));
        }
    }

    #[test]
    fn a_code_is_bound_to_its_address_and_its_resource() {
        let elsewhere = CodeExchange { redirect_uri: Some("https://app.test/other".to_owned()), ..asked() };
        assert!(is_refused(&verdict(&fixture::code(), &elsewhere)));
        let other = CodeExchange { resource: ResourceUri::parse("https://mcp.test/b").ok(), ..asked() };
        let Verdict::Refuse(error) = verdict(&fixture::code(), &other) else { panic!("refused") };
        assert_eq!(error.code(), ErrorCode::InvalidTarget);
        let same = CodeExchange { resource: ResourceUri::parse("HTTPS://MCP.test/a/").ok(), ..asked() };
        assert!(matches!(verdict(&fixture::code(), &same), Verdict::Redeem(..)));
    }

    #[test]
    fn what_changed_after_the_yes_counts() {
        let mut ended_session = fixture::code();
        ended_session.session.ended_at = Some(NOW);
        let mut disabled = fixture::code();
        disabled.user.disabled_at = Some(NOW);
        let mut over = fixture::code();
        over.grant.ended = Some(ENDED);
        let guessed = StoredCode { failed_tries: MAX_FAILED_TRIES, ..fixture::code() };
        for code in [ended_session, disabled, over, guessed] {
            assert!(is_refused(&verdict(&code, &asked())));
        }
        assert!(is_refused(&verdict_of(
            &fixture::code(),
            &fixture::client(),
            &asked(),
            NOW.plus(Seconds::new(60))
        )));
        let client = fixture::client();
        let who = authenticate(&client, &PresentedProof::None).unwrap();
        let gone = decide(&fixture::code(), &who, &asked(), None, fixture::hash(), &fixture::policy(), NOW);
        assert!(is_refused(&gone));
    }
}
