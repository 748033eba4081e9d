//! What claims say about a person.

use openidconnect::IdTokenClaims;
use openidconnect::core::CoreGenderClaim;
use serde_json::{Map, Value};

use super::types::{Others, UserInfo};
use crate::domain::upstream::{Asserted, GroupsHeard, Provider, read_groups};

/// The claims of an ID token whose signature was checked.
pub(super) type Claims = IdTokenClaims<Others, CoreGenderClaim>;

/// What an ID token says.
pub(super) fn of_id_token(provider: &Provider, claims: &Claims) -> Asserted {
    Asserted {
        subject: claims.subject().as_str().to_owned(),
        email: address(
            claims.email().map(|email| email.as_str()),
            claims.preferred_username().map(|name| name.as_str()),
        ),
        email_verified: claims.email().is_some() && claims.email_verified() == Some(true),
        name: claims.name().and_then(|name| name.get(None)).and_then(|name| plain(name.as_str())),
        groups: groups(provider, &claims.additional_claims().0),
    }
}

/// What userinfo says, which is of the same person: its subject was compared.
pub(super) fn of_userinfo(provider: &Provider, claims: &UserInfo) -> Asserted {
    Asserted {
        subject: claims.subject().as_str().to_owned(),
        email: address(
            claims.email().map(|email| email.as_str()),
            claims.preferred_username().map(|name| name.as_str()),
        ),
        email_verified: claims.email().is_some() && claims.email_verified() == Some(true),
        name: claims.name().and_then(|name| name.get(None)).and_then(|name| plain(name.as_str())),
        groups: groups(provider, &claims.additional_claims().0),
    }
}

/// Both together; what the ID token says goes first.
pub(super) fn joined(first: Asserted, second: Asserted) -> Asserted {
    let (email, email_verified) = match first.email {
        Some(email) => (Some(email), first.email_verified),
        None => (second.email, second.email_verified),
    };
    let groups = if first.groups == GroupsHeard::Absent { second.groups } else { first.groups };
    Asserted { email, email_verified, name: first.name.or(second.name), groups, ..first }
}

fn groups(provider: &Provider, claims: &Map<String, Value>) -> GroupsHeard {
    read_groups(provider.dialect, &provider.groups_claim, claims)
}

/// Entra ID often names the person's address only as their user name; it is never a verified one.
fn address(email: Option<&str>, username: Option<&str>) -> Option<String> {
    let username = username.filter(|name| name.contains('@'));
    email.or(username).filter(|text| text.len() <= 320).map(str::to_owned)
}

fn plain(name: &str) -> Option<String> {
    let name: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}
