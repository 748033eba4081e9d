//! Grants: who allowed what to whom, for which resource, until when. All refresh tokens that descend from one
//! authorization belong to its grant, and end with it.

use doorward_shared::{client_id::ClientId, resource::ResourceUri, scope::Scope, time::Timestamp};

use super::{
    client::Client,
    ids::{GrantId, UserId},
    resource::Resource,
    user::User,
};

/// One authorization. It is also the record of the consent: nothing is issued without a row of this.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Its identifier; `sid` of the tokens.
    pub id: GrantId,
    /// Who allowed.
    pub user_id: UserId,
    /// To whom.
    pub client_id: ClientId,
    /// For which resource, in the registered spelling.
    pub resource: ResourceUri,
    /// Which OpenID Connect scopes.
    pub oidc: Scope,
    /// Which permissions were ticked.
    pub permissions: Scope,
    /// When the person had signed in.
    pub auth_time: Timestamp,
    /// When it was allowed.
    pub created_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// When it was ended, if it was.
    pub ended_at: Option<Timestamp>,
}

/// Why a grant ends before its time. The words go to the store and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// An authorization code was redeemed a second time.
    CodeReplayed,
    /// A refresh token was used a second time.
    RefreshReplayed,
    /// The client revoked its token (RFC 7009).
    Revoked,
    /// The person, the client or the resource may no longer have tokens.
    NotAllowed,
}

impl EndReason {
    /// The word for the store and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CodeReplayed => "code_replayed",
            Self::RefreshReplayed => "refresh_replayed",
            Self::Revoked => "revoked",
            Self::NotAllowed => "not_allowed",
        }
    }
}

/// The verdict that a grant ends. Only decisions of `domain` make one.
#[derive(Clone, Debug)]
pub struct Revocation {
    grant: GrantId,
    reason: EndReason,
    at: Timestamp,
}

impl Revocation {
    pub(super) const fn new(grant: GrantId, reason: EndReason, at: Timestamp) -> Self {
        Self { grant, reason, at }
    }

    /// Which grant ends.
    pub const fn grant(&self) -> &GrantId {
        &self.grant
    }

    /// Why.
    pub const fn reason(&self) -> EndReason {
        self.reason
    }

    /// When.
    pub const fn at(&self) -> Timestamp {
        self.at
    }
}

/// Why no token may be issued. For the log; strangers are told `invalid_grant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barred {
    /// The grant was ended.
    #[error("the grant was ended")]
    Ended,
    /// The grant is past its time.
    #[error("the grant has expired")]
    Expired,
    /// The person is disabled.
    #[error("the user is disabled")]
    UserDisabled,
    /// The client is disabled.
    #[error("the client is disabled")]
    ClientDisabled,
    /// The resource was removed or registered anew under another spelling.
    #[error("the resource is not registered any more")]
    ResourceGone,
}

/// The one question that every way to a token asks: may anything be issued on this grant, now?
/// Answers with the resource that it may be issued for.
pub fn may_issue<'a>(
    grant: &Grant,
    user: &User,
    client: &Client,
    resource: Option<&'a Resource>,
    now: Timestamp,
) -> Result<&'a Resource, Barred> {
    if grant.ended_at.is_some() {
        Err(Barred::Ended)
    } else if now >= grant.expires_at {
        Err(Barred::Expired)
    } else if user.disabled_at.is_some() {
        Err(Barred::UserDisabled)
    } else if client.disabled_at.is_some() {
        Err(Barred::ClientDisabled)
    } else {
        resource.filter(|resource| resource.uri == grant.resource).ok_or(Barred::ResourceGone)
    }
}
