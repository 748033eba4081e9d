//! Who somebody from a provider is here: welcomed back, or new.

use doorward_shared::time::Timestamp;

use super::Stopped;
use crate::{
    domain::{
        audit::{Action, Actor, Event},
        email::Email,
        ids::{IdentityId, UserId},
        upstream::{Hearing, Identity, Provider, Source},
        user::User,
    },
    flows::{Context, Peer, random_hex},
    keys::KeyError,
    store::Applied,
    upstream::Answer,
};

/// Writes down what the provider says about somebody who is known.
pub(super) async fn welcome_back(
    ctx: &Context,
    rules: &Provider,
    identity: &Identity,
    answer: &Answer,
    peer: &Peer,
    now: Timestamp,
) -> Result<(), Stopped> {
    let standing = identity.after(&answer.asserted.groups, rules, now);
    let changed = groups_changed(ctx, identity, &standing.groups, peer, now);
    let hearing = Hearing {
        identity: identity.id.clone(),
        email: answer.asserted.email.clone(),
        standing,
        refresh_token: sealed(ctx, &identity.id, answer)?,
        at: now,
        claim: None,
    };
    // Lost: the link was taken away at this moment, and with it the right to come in.
    match ctx.store.note_hearing(&hearing, changed.as_ref()).await? {
        Applied::Done => Ok(()),
        Applied::Lost => Err(Stopped::Gone),
    }
}

/// Makes an account for somebody new.
pub(super) async fn newcomer(
    ctx: &Context,
    rules: &Provider,
    answer: &Answer,
    email: Email,
    peer: &Peer,
    now: Timestamp,
) -> Result<UserId, Stopped> {
    // Nobody knows this password: signing in here takes as long, and fails, as for any other account.
    let entropy = ctx.entropy.as_ref();
    let password = ctx.passwords.hash(random_hex(entropy), entropy).await?;
    let name = answer.asserted.name.clone();
    let user = User { passwordless_since: Some(now), ..User::new(email, name, password, now, entropy) };
    let identity = new_identity(ctx, rules, answer, &user.id, now)?;
    let created = ctx.event(Action::UserCreated, Actor::User(user.id.clone()), peer, now).on(&user.id);
    let events = [created.with("provider", rules.id.as_str()), linked(ctx, &identity, peer, now)];
    match ctx.store.insert_person(&user, &identity, &events).await? {
        Applied::Done => Ok(user.id),
        // Of two first sign-ins at once, the other one made it.
        Applied::Lost => Err(Stopped::Gone),
    }
}

pub(super) fn new_identity(
    ctx: &Context,
    rules: &Provider,
    answer: &Answer,
    user: &UserId,
    now: Timestamp,
) -> Result<Identity, KeyError> {
    let id = IdentityId::generate(now, ctx.entropy.as_ref());
    let blank = Identity {
        refresh_token: sealed(ctx, &id, answer)?,
        id,
        provider: rules.id.clone(),
        subject: answer.asserted.subject.clone(),
        user_id: user.clone(),
        email: answer.asserted.email.clone(),
        groups: Vec::new(),
        source: Source::Listed,
        created_at: now,
        checked_at: now,
        ended_at: None,
    };
    let standing = blank.after(&answer.asserted.groups, rules, now);
    Ok(Identity { groups: standing.groups, source: standing.source, ..blank })
}

pub(super) fn linked(ctx: &Context, identity: &Identity, peer: &Peer, now: Timestamp) -> Event {
    ctx.event(Action::IdentityLinked, Actor::User(identity.user_id.clone()), peer, now)
        .on(&identity.id)
        .with("provider", identity.provider.as_str())
        .with("user", identity.user_id.as_str())
}

/// The event for groups that changed, if they did.
pub(super) fn groups_changed(
    ctx: &Context,
    identity: &Identity,
    groups: &[String],
    peer: &Peer,
    now: Timestamp,
) -> Option<Event> {
    (identity.groups != groups).then(|| {
        let gone = identity.groups.iter().filter(|name| !groups.contains(name)).count();
        let new = groups.iter().filter(|name| !identity.groups.contains(name)).count();
        ctx.event(Action::GroupsChanged, Actor::Server, peer, now)
            .on(&identity.user_id)
            .with("provider", identity.provider.as_str())
            .with("added", new)
            .with("removed", gone)
    })
}

fn sealed(ctx: &Context, id: &IdentityId, answer: &Answer) -> Result<Option<String>, KeyError> {
    let seal = |token: &zeroize::Zeroizing<String>| {
        ctx.keys.data_key().seal(&Identity::seal_context(id), token.as_bytes(), ctx.entropy.as_ref())
    };
    answer.refresh_token.as_ref().map(seal).transpose()
}
