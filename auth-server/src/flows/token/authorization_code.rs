//! `grant_type=authorization_code` (RFC 6749 §4.1.3).

use doorward_shared::{
    error::OAuthError,
    secret::{AuthorizationCode, RefreshToken, Secret},
    token::{CodeExchange, TokenResponse},
};

use super::sign;
use crate::{
    domain::{
        audit::{Action, Actor},
        client_auth::AuthenticatedClient,
        code::{self, Verdict},
        token::Subject,
    },
    flows::{Context, Peer},
    store::Applied,
};

/// Redeems a code.
pub(super) async fn redeem(
    ctx: &Context,
    who: &AuthenticatedClient<'_>,
    asked: &CodeExchange,
    peer: &Peer,
) -> Result<TokenResponse, OAuthError> {
    let now = ctx.now();
    let secret = Secret::<AuthorizationCode>::parse(&asked.code).ok_or_else(|| code::refused("malformed"))?;
    let fresh = Secret::<RefreshToken>::generate(ctx.entropy.as_ref());
    // The second turn comes only after a lost race, and then sees a spent code or a narrower grant.
    for _ in 0..2 {
        let stored = ctx.store.code(&secret.hash()).await?.ok_or_else(|| code::refused("unknown"))?;
        let resource = ctx.store.resource(&stored.grant.resource).await?;
        match code::decide(&stored, who, asked, resource.as_ref(), fresh.hash(), &ctx.policy, now) {
            Verdict::Redeem(redemption, resource) => {
                let (grant, user) = (&stored.grant, &stored.user);
                let rules = ctx.store.rules_for(&user.id, &resource.uri).await?;
                let (client, registration) = (who.client(), &ctx.policy.registration);
                let subject = Subject { grant, user, client, registration, resource, rules: &rules };
                let signed = sign(ctx, &subject, None, stored.nonce.as_deref(), now)?;
                let client = Actor::Client(who.client().id.clone());
                let event = ctx.event(Action::CodeRedeemed, client, peer, now).on(&stored.grant.id);
                if ctx.store.redeem(&redemption, &peer.uses(now), &event).await? == Applied::Done {
                    return Ok(signed.with(redemption.refresh_token().map(|_| &fresh)));
                }
            }
            Verdict::Replay(revocation) => {
                // Lost: another replay ended it a moment earlier.
                let client = Actor::Client(who.client().id.clone());
                let event = ctx.event(Action::CodeReplayed, client, peer, now).on(&stored.grant.id);
                let _ended = ctx.store.end_grant(&revocation, &event).await?;
                return Err(code::refused(revocation.reason().as_str()));
            }
            Verdict::WrongVerifier(failed) => {
                ctx.store.count_failed_try(&failed).await?;
                return Err(code::refused("wrong verifier"));
            }
            Verdict::Refuse(error) => return Err(error),
        }
    }
    Err(code::refused("lost the race twice"))
}
