//! Signing out at the wish of a client (OpenID Connect RP-Initiated Logout 1.0). What a client asks for is put before the
//! person; only the person's own answer ends the session.

use doorward_shared::logout::LogoutRequest;

use super::{Context, clients, id_token::read_hint, login::signed_in};
use crate::{
    domain::{
        client::Client,
        logout::{Back, Refused, client_of, way_back},
        user::User,
    },
    store::StoreError,
};

/// What is put before the person.
#[derive(Debug)]
pub struct Wish {
    /// Who is signed in in this browser, if anybody is.
    pub user: Option<User>,
    /// Which client asks, if one does.
    pub client: Option<Client>,
    /// Where it goes afterwards.
    pub back: Option<Back>,
}

/// Why there is nothing to put before the person.
#[derive(Debug, thiserror::Error)]
pub enum NoWish {
    /// The request makes no sense.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads a client's wish. Nothing is changed.
pub async fn wish(ctx: &Context, request: &LogoutRequest, session: Option<&str>) -> Result<Wish, NoWish> {
    let hint = match request.id_token_hint.as_deref() {
        Some(text) => Some(read_hint(ctx, text).ok_or(Refused::Hint)?),
        None => None,
    };
    let client = match client_of(request, hint.as_ref())? {
        Some(id) => Some(clients::find(ctx, id).await?.ok_or(Refused::UnknownClient)?),
        None => None,
    };
    let back = way_back(request, client.as_ref())?;
    let user = signed_in(ctx, session, ctx.now()).await?.map(|found| found.user);
    Ok(Wish { user, client, back })
}
