//! `grant_type=refresh_token` (RFC 6749 §6): load, decide, sign, apply.

use doorward_shared::{
    error::OAuthError,
    secret::{RefreshToken, Secret},
    token::{Refresh, TokenResponse},
};

use super::sign;
use crate::{
    domain::{
        client_auth::AuthenticatedClient,
        refresh::{self, Verdict},
        token::Subject,
    },
    flows::Context,
    store::Applied,
};

/// Rotates a refresh token.
pub(super) async fn refresh(
    ctx: &Context,
    who: &AuthenticatedClient<'_>,
    asked: &Refresh,
) -> Result<TokenResponse, OAuthError> {
    let now = ctx.now();
    let secret =
        Secret::<RefreshToken>::parse(&asked.refresh_token).ok_or_else(|| refresh::refused("malformed"))?;
    let fresh = Secret::<RefreshToken>::generate(ctx.entropy.as_ref());
    // The second turn comes only after a lost race, and then sees a spent token: the loser is a replay like any other.
    for _ in 0..2 {
        let stored =
            ctx.store.refresh_token(&secret.hash()).await?.ok_or_else(|| refresh::refused("unknown"))?;
        let resource = ctx.store.resource(&stored.grant.resource).await?;
        match refresh::decide(&stored, who, asked, resource.as_ref(), fresh.hash(), &ctx.policy, now) {
            Verdict::Rotate(rotation, resource) => {
                let subject =
                    Subject { grant: &stored.grant, user: &stored.user, client: who.client(), resource };
                let signed = sign(ctx, &subject, rotation.narrowed_to(), None, now)?;
                if ctx.store.rotate(&rotation).await? == Applied::Done {
                    return Ok(signed.with(Some(&fresh)));
                }
            }
            Verdict::Replay(revocation) => {
                // Lost: another replay ended it a moment earlier; this one is a replay all the same.
                let _ended = ctx.store.end_grant(&revocation).await?;
                return Err(refresh::replayed(&ctx.policy.refresh).because(revocation.reason().as_str()));
            }
            Verdict::End(revocation, barred) => {
                let _ended = ctx.store.end_grant(&revocation).await?;
                return Err(refresh::refused(barred));
            }
            Verdict::Refuse(error) => return Err(error),
        }
    }
    Err(refresh::refused("lost the race twice"))
}
