//! Grants: who allowed what to whom, for which resource, until when. All refresh tokens that descend from one
//! authorization belong to its grant, and end with it.

use doorward_shared::{
    allowance::Allowance, client_id::ClientId, resource::ResourceUri, scope::Scope, time::Timestamp,
};

use super::{
    client::{Client, Origin},
    ids::{GrantId, OrganizationId, SessionId, UserId},
    resource::Resource,
    session::SignInMethod,
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
    /// For whose data.
    pub organization: OrganizationId,
    /// What was allowed where: the ticked permissions at the ticked nodes.
    pub allowance: Allowance,
    /// When the person had signed in.
    pub auth_time: Timestamp,
    /// How.
    pub sign_in: SignInMethod,
    /// In which session they allowed it.
    pub session: SessionId,
    /// When it was allowed.
    pub created_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// How the client came to be allowed.
    pub method: Method,
    /// When and from where it was last used at this server.
    pub last_use: Option<Use>,
    /// Access tokens that were issued up to this moment are revoked: it was narrowed then.
    pub revoked_until: Option<Timestamp>,
    /// When and why it was ended, if it was.
    pub ended: Option<Ended>,
}

/// How a client came to be allowed something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The client registered itself (RFC 7591).
    DynamicRegistration,
    /// The client describes itself in a document (Client ID Metadata Document).
    Document,
    /// The client is the one of the configuration.
    Fixed,
    /// An administrator registered the client.
    Registered,
}

impl Method {
    /// Every method.
    pub const ALL: [Self; 4] = [Self::DynamicRegistration, Self::Document, Self::Fixed, Self::Registered];

    /// The word in the store and in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DynamicRegistration => "dcr",
            Self::Document => "cimd",
            Self::Fixed => "fixed",
            Self::Registered => "registered",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == word)
    }

    /// How this client came here.
    pub const fn of(client: &Client) -> Self {
        match client.origin {
            Origin::Dynamic => Self::DynamicRegistration,
            Origin::Document(_) => Self::Document,
            Origin::Fixed => Self::Fixed,
            Origin::Administrator => Self::Registered,
        }
    }
}

/// One use of a grant: a code or a refresh token of it was exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// When.
    pub at: Timestamp,
    /// From which network address.
    pub address: Option<String>,
    /// What the client called itself: the `User-Agent` header, shortened to [`Use::LONGEST_AGENT`] characters.
    pub agent: Option<String>,
}

impl Use {
    /// Longest user agent that is kept, in characters.
    pub const LONGEST_AGENT: usize = 200;

    /// A use now, by a client that calls itself `agent`. Control characters are left out.
    pub fn new(at: Timestamp, address: Option<&str>, agent: Option<&str>) -> Self {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control()).take(Self::LONGEST_AGENT).collect();
        Self { at, address: address.map(String::from), agent: agent.map(plain) }
    }
}

/// The end of a grant before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: EndReason,
}

/// Why a grant ends before its time. The words go to the store and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// An authorization code was redeemed a second time.
    CodeReplayed,
    /// A refresh token was used a second time.
    RefreshReplayed,
    /// The client revoked its token (RFC 7009), removed itself, or said other addresses (RFC 7592).
    Revoked,
    /// An administrator revoked it.
    RevokedByAdministrator,
    /// The person who had allowed it revoked it.
    RevokedByPerson,
    /// The person, the client or the resource may no longer have tokens.
    NotAllowed,
    /// The upstream provider at which the person signed in for it does not stand for them any more.
    UpstreamEnded,
    /// Nobody redeemed its code.
    NotRedeemed,
    /// The database was restored from a backup, and nobody knows whether the grant was ended meanwhile.
    Restored,
}

impl EndReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::CodeReplayed,
        Self::RefreshReplayed,
        Self::Revoked,
        Self::RevokedByAdministrator,
        Self::RevokedByPerson,
        Self::NotAllowed,
        Self::UpstreamEnded,
        Self::NotRedeemed,
        Self::Restored,
    ];

    /// The word for the store and the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CodeReplayed => "code_replayed",
            Self::RefreshReplayed => "refresh_replayed",
            Self::Revoked => "revoked",
            Self::RevokedByAdministrator => "revoked_by_administrator",
            Self::RevokedByPerson => "revoked_by_person",
            Self::NotAllowed => "not_allowed",
            Self::UpstreamEnded => "upstream_ended",
            Self::NotRedeemed => "not_redeemed",
            Self::Restored => "restored",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }
}

/// Where a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Allowed, and its code was not redeemed yet.
    Pending,
    /// In use.
    Active,
    /// Past its time.
    Expired,
    /// Ended before its time.
    Ended,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Pending, Self::Active, Self::Expired, Self::Ended];

    /// The word in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expired => "expired",
            Self::Ended => "ended",
        }
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

impl Grant {
    /// Where it stands.
    pub fn state(&self, now: Timestamp) -> State {
        match (&self.ended, &self.last_use) {
            (Some(_), _) => State::Ended,
            (None, _) if now >= self.expires_at => State::Expired,
            (None, None) => State::Pending,
            (None, Some(_)) => State::Active,
        }
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
    /// The resource is disabled.
    #[error("the resource is disabled")]
    ResourceDisabled,
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
    if grant.ended.is_some() {
        Err(Barred::Ended)
    } else if now >= grant.expires_at {
        Err(Barred::Expired)
    } else if user.disabled_at.is_some() {
        Err(Barred::UserDisabled)
    } else if client.disabled_at.is_some() {
        Err(Barred::ClientDisabled)
    } else {
        let resource =
            resource.filter(|resource| resource.uri == grant.resource).ok_or(Barred::ResourceGone)?;
        if resource.disabled_at.is_some() { Err(Barred::ResourceDisabled) } else { Ok(resource) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fixture::{self, NOW};

    #[test]
    fn words_are_read_as_they_are_written() {
        assert!(Method::ALL.into_iter().all(|one| Method::parse(one.as_str()) == Some(one)));
        assert!(EndReason::ALL.into_iter().all(|one| EndReason::parse(one.as_str()) == Some(one)));
        assert!(State::ALL.into_iter().all(|one| State::parse(one.as_str()) == Some(one)));
    }

    #[test]
    fn a_user_agent_is_kept_short_and_plain() {
        let used = Use::new(NOW, None, Some(&format!("a\u{1b}[2J{}", "x".repeat(300))));
        let agent = used.agent.unwrap();
        assert!(agent.starts_with("a[2J") && agent.chars().count() == Use::LONGEST_AGENT);
    }

    #[test]
    fn a_disabled_resource_bars_like_a_removed_one() {
        let (user, client) = (fixture::user(), fixture::client());
        let grant = fixture::grant(&user, "artifacts:read");
        let disabled = Resource { disabled_at: Some(NOW), ..fixture::resource() };
        let asked = |resource| may_issue(&grant, &user, &client, resource, NOW).map(|_| ()).unwrap_err();
        assert_eq!(asked(Some(&disabled)), Barred::ResourceDisabled);
        assert_eq!(asked(None), Barred::ResourceGone);
    }
}
