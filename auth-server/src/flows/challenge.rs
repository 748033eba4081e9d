//! Challenges for passkeys. Nothing is stored when one is set: it proves by itself that this server made it, for whom, for what
//! and when.

use doorward_shared::time::{Seconds, Timestamp};

use super::{Context, random_hex};

/// How long an answer may take.
const TTL: Seconds = Seconds::minutes(5);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// To make a passkey.
    Register,
    /// To sign in with one.
    SignIn,
}

impl Deed {
    const fn word(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::SignIn => "sign in",
        }
    }
}

/// A new challenge, for the browser or session that `whose` names.
pub(super) fn new(ctx: &Context, deed: Deed, whose: &str, now: Timestamp) -> String {
    let nonce = random_hex(ctx.entropy.as_ref());
    let at = now.seconds().to_string();
    let tag = ctx.challenges.tag(&[deed.word(), whose, &at, &nonce]);
    format!("{at}.{nonce}.{tag}")
}

/// True when this server set the challenge, for this deed and to this browser or session, and not too long ago.
pub(super) fn holds(ctx: &Context, deed: Deed, whose: &str, challenge: &str, now: Timestamp) -> bool {
    let mut parts = challenge.splitn(3, '.');
    let (Some(at), Some(nonce), Some(tag)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let young =
        at.parse().is_ok_and(|at| (-60..TTL.get()).contains(&now.since(Timestamp::from_seconds(at)).get()));
    young && ctx.challenges.check(&[deed.word(), whose, at, nonce], tag)
}
