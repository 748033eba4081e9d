//! The reading of our own ID tokens when they come back as hints.

use doorward_shared::jose::{
    id_token::{self, Hint},
    jws::Unverified,
};

use super::Context;

/// What an ID token says that this server signed with a key that it still publishes, however old it is.
pub(super) fn read_hint(ctx: &Context, text: &str) -> Option<Hint> {
    let unverified = Unverified::parse(text).ok()?;
    let key = ctx.keys.current().verifying().get(unverified.kid()?)?.clone();
    let payload = unverified.verify(&key, id_token::TYPES).ok()?;
    Hint::read(&payload, &ctx.policy.issuer)
}
