//! `grant_type=refresh_token` (RFC 6749 §6): load, decide, sign, apply.

use std::sync::Arc;

use doorward_shared::{
    error::OAuthError,
    secret::{RefreshToken, Secret},
    time::Seconds,
    token::{Refresh, TokenResponse},
};

use super::{retry, sign};
use crate::{
    domain::{
        audit::{Action, Actor},
        client_auth::AuthenticatedClient,
        refresh::{self, Verdict},
        token::Subject,
    },
    flows::{Context, Peer, access_token, upstream},
    store::Applied,
};

/// One to rotate, one for each retry that is counted, one to decide, and one more.
const TURNS: u8 = 6;

/// Rotates a refresh token.
pub(super) async fn refresh(
    ctx: &Arc<Context>,
    who: &AuthenticatedClient<'_>,
    asked: &Refresh,
    peer: &Peer,
) -> Result<TokenResponse, OAuthError> {
    let secret =
        Secret::<RefreshToken>::parse(&asked.refresh_token).ok_or_else(|| refresh::refused("malformed"))?;
    // Before anything is loaded: what is decided below is decided on what the provider says now.
    upstream::renew(ctx, &secret.hash(), &who.client().id, peer).await?;
    // After the question, which may take its time: a retry is counted from here.
    let now = ctx.now();
    let from = retry::sender(peer, now);
    let fresh = Secret::<RefreshToken>::generate(ctx.entropy.as_ref());
    // Another turn comes only after a lost race, and then sees a spent token: the loser is a replay or a retry like any other.
    for _ in 0..TURNS {
        let stored =
            ctx.store.refresh_token(&secret.hash()).await?.ok_or_else(|| refresh::refused("unknown"))?;
        let resource = ctx.store.resource(&stored.grant.resource).await?;
        let ended = |action| {
            let client = Actor::Client(who.client().id.clone());
            ctx.event(action, client, peer, now).on(&stored.grant.id)
        };
        match refresh::decide(&stored, who, (asked, &from), resource.as_ref(), fresh.hash(), &ctx.policy, now)
        {
            Verdict::Rotate(rotation, resource) => {
                let (grant, user) = (&stored.grant, &stored.user);
                let rules = ctx.store.rules_for(&user.id, &resource.uri).await?;
                let (client, registration) = (who.client(), &ctx.policy.registration);
                let subject = Subject { grant, user, client, registration, resource, rules: &rules };
                let signed = sign(ctx, &subject, rotation.narrowed_to(), None, now)?;
                let answer = signed.with(Some(&fresh));
                let rotation = if ctx.policy.refresh.retry_window > Seconds::new(0) {
                    rotation.keeping(retry::keep(ctx, (&secret, &fresh), &answer, asked, &from, now)?)
                } else {
                    rotation
                };
                if ctx.store.rotate(&rotation, &peer.uses(now)).await? == Applied::Done {
                    return Ok(answer);
                }
            }
            Verdict::Retry(retried, resource) => {
                let counted = match &retried.counted {
                    Some(counted) => ctx.store.count_retry(counted).await?,
                    None => Applied::Done,
                };
                if counted == Applied::Done {
                    tracing::info!(grant = %stored.grant.id, strange = retried.counted.is_some(), "a refresh is answered again");
                    let answer = retry::again(&secret, &retried, now)?;
                    if access_token::live(ctx, &answer.access_token, now).await?.is_some() {
                        return Ok(answer);
                    }
                    // Less is allowed by now than when it was answered first.
                    let (grant, user) = (&stored.grant, &stored.user);
                    let rules = ctx.store.rules_for(&user.id, &resource.uri).await?;
                    let (client, registration) = (who.client(), &ctx.policy.registration);
                    let subject = Subject { grant, user, client, registration, resource, rules: &rules };
                    let narrowed_to = asked.scope.as_ref().filter(|scope| !scope.is_empty());
                    let signed = sign(ctx, &subject, narrowed_to, None, now)?;
                    return Ok(TokenResponse { refresh_token: answer.refresh_token, ..signed.with(None) });
                }
            }
            Verdict::Replay(revocation) => {
                let event = ended(Action::RefreshReplayed).with("generation", stored.generation);
                // Lost: another replay ended it a moment earlier; this one is a replay all the same.
                let _ended = ctx.store.end_grant(&revocation, &event).await?;
                return Err(refresh::replayed(&ctx.policy.refresh).because(revocation.reason().as_str()));
            }
            Verdict::End(revocation, barred) => {
                let event = ended(Action::GrantBarred).with("because", barred.to_string());
                let _ended = ctx.store.end_grant(&revocation, &event).await?;
                return Err(refresh::refused(barred));
            }
            Verdict::Refuse(error) => return Err(error),
        }
    }
    Err(refresh::refused("lost every race"))
}
