//! What tokens say (RFC 9068, OpenID Connect Core §2).

use doorward_shared::{
    allowance::Allowance,
    jose::{
        Algorithm,
        access_token::AccessTokenClaims,
        id_token::{IdTokenClaims, PersonClaims, at_hash},
    },
    scope::Scope,
    time::{Seconds, Timestamp},
};
use serde_json::{Map, Value};

use super::{
    client::Client,
    entitlement::{Rule, Seat, effective, entitlement},
    grant::{Grant, may_issue},
    policy::{Policy, RegistrationPolicy},
    resource::Resource,
    user::User,
};

/// Everything that a token is about. Its parts were checked by a verdict before.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The grant.
    pub grant: &'a Grant,
    /// Who allowed it.
    pub user: &'a User,
    /// To whom.
    pub client: &'a Client,
    /// What clients may have that registered themselves.
    pub registration: &'a RegistrationPolicy,
    /// For which resource.
    pub resource: &'a Resource,
    /// The rules in force, as far as they concern this person at this resource.
    pub rules: &'a [Rule],
}

/// What a token carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// OpenID Connect scopes, and every permission that is allowed somewhere.
    pub scope: Scope,
    /// Where permissions are allowed, when that is not everywhere (RFC 9396).
    pub details: Option<Vec<Map<String, Value>>>,
    /// Whether the person may do anything at the resource with the data that the token is for.
    pub entitled: bool,
}

impl Subject<'_> {
    /// What is allowed now, where: the effective permission.
    fn allowance(&self) -> Allowance {
        effective(&self.grant.allowance, self.client.under(self.registration), self.seat())
    }

    fn seat(&self) -> Seat<'_> {
        let Self { grant, user, resource, rules, .. } = *self;
        Seat { user, resource, organization: &grant.organization, rules }
    }

    /// What a token made now may carry: the granted OpenID Connect scopes, and the effective permissions. `narrowed_to` is
    /// the smaller scope that the client asked for.
    pub fn carries(&self, narrowed_to: Option<&Scope>) -> Carried {
        let (oidc, allowance) = (&self.grant.oidc, self.allowance());
        match narrowed_to {
            None => self.carried(oidc, &allowance),
            Some(asked) => self.carried(&oidc.intersection(asked), &allowance.only(asked)),
        }
    }

    /// What of a token is still allowed: a group that was lost since does not wait for the next refresh, and what was gained
    /// since does.
    pub fn still_carries(&self, token: &AccessTokenClaims) -> Carried {
        let then = Allowance::of_token(&token.scope, token.authorization_details.as_deref());
        self.carried(&self.grant.oidc.intersection(&token.scope), &self.allowance().intersection(&then))
    }

    fn carried(&self, oidc: &Scope, allowance: &Allowance) -> Carried {
        // What is left out is not allowed: too long a token would be refused whole.
        let allowance = allowance.fitting();
        let entitled = !entitlement(self.seat()).is_empty();
        Carried { scope: oidc.union(&allowance.atoms()), details: allowance.to_details(), entitled }
    }

    /// When a token is said to be made: now, or one second after the moment up to which tokens are revoked. A token that is
    /// allowed anew in the very second of a revocation must not be taken for one from before.
    fn issued_at(&self, now: Timestamp) -> Timestamp {
        let revoked_until = [
            self.grant.revoked_until,
            self.user.revoked_until,
            self.client.revoked_until,
            self.resource.revoked_until,
        ];
        let earliest = revoked_until.into_iter().flatten().max().map(|until| until.plus(Seconds::new(1)));
        earliest.map_or(now, |earliest| earliest.max(now))
    }

    /// The claims of an access token. It never outlives its grant.
    pub fn access_token(
        &self,
        carried: &Carried,
        jti: String,
        policy: &Policy,
        now: Timestamp,
    ) -> AccessTokenClaims {
        let now = self.issued_at(now);
        AccessTokenClaims {
            iss: policy.issuer.clone(),
            sub: self.user.id.as_str().to_owned(),
            aud: self.resource.uri.clone(),
            exp: now.plus(policy.token.access_ttl).min(self.grant.expires_at),
            iat: now,
            jti,
            client_id: self.client.id.clone(),
            scope: carried.scope.clone(),
            sid: self.grant.id.as_str().to_owned(),
            org: self.grant.organization.as_str().to_owned(),
            auth_time: Some(self.grant.auth_time),
            authorization_details: carried.details.clone(),
            entitled: carried.entitled,
            act: None,
            cnf: None,
        }
    }

    /// The claims of an ID token that will be signed with this algorithm, when `openid` was granted.
    pub fn id_token(
        &self,
        scope: &Scope,
        nonce: Option<&str>,
        (access_token, algorithm): (&str, Algorithm),
        policy: &Policy,
        now: Timestamp,
    ) -> Option<IdTokenClaims> {
        scope.contains("openid").then(|| IdTokenClaims {
            iss: policy.issuer.clone(),
            sub: self.user.id.as_str().to_owned(),
            aud: self.client.id.clone(),
            exp: now.plus(ID_TOKEN_TTL),
            iat: now,
            auth_time: self.grant.auth_time,
            amr: self.grant.sign_in.amr(),
            nonce: nonce.map(String::from),
            at_hash: Some(at_hash(access_token, algorithm)),
            sid: Some(self.grant.session.as_str().to_owned()),
            person: person_claims(self.user, scope),
        })
    }
}

/// True when an access token of this grant, issued at `iat`, is good now: nothing that it stands on has ended, and nothing
/// was revoked after it was issued.
pub fn is_live(iat: Timestamp, subject: &Subject<'_>, now: Timestamp) -> bool {
    let Subject { grant, user, client, resource, .. } = *subject;
    may_issue(grant, user, client, Some(resource), now).is_ok() && subject.issued_at(iat) == iat
}

/// An ID token is read at once or never. Keys outlive it, since [`forget_at`](super::policy::TokenPolicy::forget_at) is later.
const ID_TOKEN_TTL: Seconds = Seconds::minutes(15);

/// What the scopes `profile` and `email` tell about a person. Nobody proved yet that a local address belongs to its
/// account, so `email_verified` is false.
pub fn person_claims(user: &User, scope: &Scope) -> PersonClaims {
    let email = scope.contains("email");
    PersonClaims {
        name: user.name.clone().filter(|_| scope.contains("profile")),
        email: email.then(|| user.email.as_str().to_owned()),
        email_verified: email.then_some(false),
    }
}
