//! Columns and rows. A column is selected under the name `"table.column"`, so that joins stay readable and a value that
//! makes no sense is named by its place.

use doorward_shared::{
    client_id::ClientId,
    jose::Algorithm,
    pkce::CodeChallenge,
    redirect_uri::RedirectUri,
    resource::ResourceUri,
    revocation::{Claim, Entry},
    secret::SecretHash,
    token::{AuthMethod, GrantType},
};

mod cells;

use self::cells::scope;
pub(super) use self::cells::{
    cell, json_about, json_allowance, json_answer, json_backchannel_logout, json_list, json_scope, list,
    maybe_time, read, senseless, time,
};
use super::Db;
use crate::{
    domain::{
        audit::{Action, Actor, Checkpoint, Event, Link, StoredEvent},
        client::{Client, ConfidentialMethod, Credentials, Origin},
        code::StoredCode,
        email::Email,
        grant::{EndReason, Ended, Grant, Method, Use},
        ids::{EventId, GrantId, OrganizationId, SessionId, UserId},
        organization::Place,
        refresh::{RefreshToken, retry::Strangers},
        resource::{Access, PermissionMode, Resource},
        session::{Session, SignInMethod},
        signing_key::{State, StoredSigningKey},
        user::{PasswordHash, User},
    },
    store::Result,
};

pub(super) type Row = <Db as sqlx::Database>::Row;

macro_rules! user_columns {
    () => {
        r#"users.id as "users.id", users.email as "users.email", users.name as "users.name",
        users.organization as "users.organization", users.group_names as "users.group_names",
        users.upstream_groups as "users.upstream_groups",
        users.password_hash as "users.password_hash",
        users.passwordless_since as "users.passwordless_since", users.admin_since as "users.admin_since",
        users.created_at as "users.created_at", users.disabled_at as "users.disabled_at",
        users.revoked_until as "users.revoked_until""#
    };
}

macro_rules! session_columns {
    () => {
        r#"sessions.hash as "sessions.hash", sessions.id as "sessions.id", sessions.user_id as "sessions.user_id",
        sessions.method as "sessions.method", sessions.address as "sessions.address",
        sessions.agent as "sessions.agent", sessions.auth_time as "sessions.auth_time", sessions.proved_at as "sessions.proved_at", sessions.last_seen_at as "sessions.last_seen_at",
        sessions.provider as "sessions.provider", sessions.ended_at as "sessions.ended_at""#
    };
}

macro_rules! client_columns {
    () => {
        r#"clients.id as "clients.id", clients.name as "clients.name", clients.origin as "clients.origin",
        clients.redirect_uris as "clients.redirect_uris",
        clients.post_logout_redirect_uris as "clients.post_logout_redirect_uris", clients.grant_types as "clients.grant_types",
        clients.auth_method as "clients.auth_method", clients.secret_hash as "clients.secret_hash",
        clients.former_secret_hash as "clients.former_secret_hash",
        clients.registration_token_hash as "clients.registration_token_hash",
        clients.ceiling as "clients.ceiling", clients.ceiling_places as "clients.ceiling_places",
        clients.backchannel_logout as "clients.backchannel_logout",
        clients.created_at as "clients.created_at",
        clients.disabled_at as "clients.disabled_at", clients.revoked_until as "clients.revoked_until",
        clients.about as "clients.about", clients.document_read_at as "clients.document_read_at""#
    };
}

macro_rules! resource_columns {
    () => {
        r#"resources.uri as "resources.uri", resources.name as "resources.name", resources.mode as "resources.mode",
        resources.access as "resources.access",
        resources.model as "resources.model", resources.client_id as "resources.client_id",
        resources.secret_hash as "resources.secret_hash", resources.former_secret_hash as "resources.former_secret_hash",
        resources.created_at as "resources.created_at",
        resources.disabled_at as "resources.disabled_at", resources.revoked_until as "resources.revoked_until""#
    };
}

macro_rules! grant_columns {
    () => {
        r#"grants.id as "grants.id", grants.user_id as "grants.user_id", grants.client_id as "grants.client_id",
        grants.resource as "grants.resource", grants.organization as "grants.organization",
        grants.oidc as "grants.oidc", grants.allowance as "grants.allowance",
        grants.auth_time as "grants.auth_time", grants.sign_in as "grants.sign_in",
        grants.session_id as "grants.session_id", grants.created_at as "grants.created_at",
        grants.expires_at as "grants.expires_at", grants.method as "grants.method",
        grants.last_used_at as "grants.last_used_at", grants.last_used_address as "grants.last_used_address",
        grants.last_used_agent as "grants.last_used_agent", grants.revoked_until as "grants.revoked_until",
        grants.ended_at as "grants.ended_at", grants.end_reason as "grants.end_reason""#
    };
}

macro_rules! code_columns {
    () => {
        r#"authorization_codes.hash as "authorization_codes.hash",
        authorization_codes.redirect_uri as "authorization_codes.redirect_uri",
        authorization_codes.code_challenge as "authorization_codes.code_challenge",
        authorization_codes.nonce as "authorization_codes.nonce",
        authorization_codes.expires_at as "authorization_codes.expires_at",
        authorization_codes.failed_tries as "authorization_codes.failed_tries",
        authorization_codes.spent_at as "authorization_codes.spent_at""#
    };
}

macro_rules! refresh_token_columns {
    () => {
        r#"refresh_tokens.hash as "refresh_tokens.hash", refresh_tokens.generation as "refresh_tokens.generation",
        refresh_tokens.expires_at as "refresh_tokens.expires_at", refresh_tokens.spent_at as "refresh_tokens.spent_at",
        refresh_tokens.answer as "refresh_tokens.answer",
        (select count(*) from refresh_tokens successors where successors.grant_id = refresh_tokens.grant_id
            and successors.generation = refresh_tokens.generation + 1 and successors.spent_at is null) as "successors.waiting",
        grants.strange_retries as "grants.strange_retries", grants.strange_since as "grants.strange_since""#
    };
}

macro_rules! signing_key_columns {
    () => {
        r#"signing_keys.kid as "signing_keys.kid", signing_keys.position as "signing_keys.position",
        signing_keys.algorithm as "signing_keys.algorithm", signing_keys.state as "signing_keys.state",
        signing_keys.public_jwk as "signing_keys.public_jwk", signing_keys.sealed as "signing_keys.sealed",
        signing_keys.created_at as "signing_keys.created_at", signing_keys.activated_at as "signing_keys.activated_at",
        signing_keys.retired_at as "signing_keys.retired_at", signing_keys.removed_at as "signing_keys.removed_at""#
    };
}

macro_rules! event_columns {
    () => {
        r#"audit_events.id as "audit_events.id", audit_events.at as "audit_events.at",
        audit_events.actor_kind as "audit_events.actor_kind", audit_events.actor as "audit_events.actor",
        audit_events.action as "audit_events.action", audit_events.object as "audit_events.object",
        audit_events.address as "audit_events.address", audit_events.detail as "audit_events.detail",
        audit_events.sequence as "audit_events.sequence", audit_events.hash as "audit_events.hash""#
    };
}

pub(super) use {
    client_columns, code_columns, event_columns, grant_columns, refresh_token_columns, resource_columns,
    session_columns, signing_key_columns, user_columns,
};

pub(super) fn user(row: &Row) -> Result<User> {
    Ok(User {
        id: read(row, "users.id", UserId::parse)?,
        email: read(row, "users.email", |text| Email::parse(text).ok())?,
        name: cell(row, "users.name")?,
        organization: read(row, "users.organization", OrganizationId::parse)?,
        groups: list(row, "users.group_names", |text| Some(text.to_owned()))?,
        upstream_groups: list(row, "users.upstream_groups", |text| Some(text.to_owned()))?,
        password: PasswordHash::from_phc(cell(row, "users.password_hash")?),
        passwordless_since: maybe_time(row, "users.passwordless_since")?,
        admin_since: maybe_time(row, "users.admin_since")?,
        created_at: time(row, "users.created_at")?,
        disabled_at: maybe_time(row, "users.disabled_at")?,
        revoked_until: maybe_time(row, "users.revoked_until")?,
    })
}

pub(super) fn session(row: &Row) -> Result<Session> {
    Ok(Session {
        id: read(row, "sessions.id", SessionId::parse)?,
        hash: read(row, "sessions.hash", SecretHash::from_text)?,
        user_id: read(row, "sessions.user_id", UserId::parse)?,
        method: read(row, "sessions.method", SignInMethod::parse)?,
        address: cell(row, "sessions.address")?,
        agent: cell(row, "sessions.agent")?,
        auth_time: time(row, "sessions.auth_time")?,
        proved_at: maybe_time(row, "sessions.proved_at")?,
        last_seen_at: time(row, "sessions.last_seen_at")?,
        provider: cell(row, "sessions.provider")?,
        ended_at: maybe_time(row, "sessions.ended_at")?,
    })
}

fn maybe_hash<K>(row: &Row, column: &'static str) -> Result<Option<SecretHash<K>>> {
    let text = cell::<Option<&str>>(row, column)?;
    text.map(|text| SecretHash::from_text(text).ok_or_else(|| senseless(column))).transpose()
}

pub(super) fn client(row: &Row) -> Result<Client> {
    let method = read(row, "clients.auth_method", AuthMethod::parse)?;
    let secret = || read(row, "clients.secret_hash", SecretHash::from_text);
    let former = maybe_hash(row, "clients.former_secret_hash")?;
    Ok(Client {
        id: read(row, "clients.id", |text| ClientId::parse(text).ok())?,
        name: cell(row, "clients.name")?,
        origin: origin(row)?,
        redirect_uris: list(row, "clients.redirect_uris", address)?,
        post_logout_redirect_uris: list(row, "clients.post_logout_redirect_uris", address)?,
        grant_types: list(row, "clients.grant_types", GrantType::parse)?,
        credentials: match method {
            AuthMethod::None => Credentials::Public,
            AuthMethod::ClientSecretPost => {
                Credentials::Confidential { method: ConfidentialMethod::Post, secret: secret()?, former }
            }
            AuthMethod::ClientSecretBasic => {
                Credentials::Confidential { method: ConfidentialMethod::Basic, secret: secret()?, former }
            }
        },
        registration_token: maybe_hash(row, "clients.registration_token_hash")?,
        ceiling: cell(row, "clients.ceiling")?,
        ceiling_places: list(row, "clients.ceiling_places", Place::parse)?,
        backchannel_logout: cell::<Option<&str>>(row, "clients.backchannel_logout")?
            .map(|text| serde_json::from_str(text).map_err(|_| senseless("clients.backchannel_logout")))
            .transpose()?,
        created_at: time(row, "clients.created_at")?,
        disabled_at: maybe_time(row, "clients.disabled_at")?,
        revoked_until: maybe_time(row, "clients.revoked_until")?,
        about: read(row, "clients.about", |text| serde_json::from_str(text).ok())?,
    })
}

/// Every stored address was checked when it was registered.
#[expect(clippy::unnecessary_wraps, reason = "the form of a reader of cells")]
fn address(text: &str) -> Option<RedirectUri> {
    Some(RedirectUri::from_registered(text.to_owned()))
}

fn origin(row: &Row) -> Result<Origin> {
    let read_at = maybe_time(row, "clients.document_read_at")?;
    let document = read_at.map(Origin::Document);
    let origins = [Some(Origin::Dynamic), document, Some(Origin::Administrator), Some(Origin::Fixed)];
    read(row, "clients.origin", |text| origins.into_iter().flatten().find(|origin| origin.as_str() == text))
}

pub(super) fn resource(row: &Row) -> Result<Resource> {
    Ok(Resource {
        uri: read(row, "resources.uri", |text| ResourceUri::parse(text).ok())?,
        name: cell(row, "resources.name")?,
        mode: read(row, "resources.mode", PermissionMode::parse)?,
        access: read(row, "resources.access", Access::parse)?,
        model: read(row, "resources.model", |text| serde_json::from_str(text).ok())?,
        client_id: read(row, "resources.client_id", |text| ClientId::parse(text).ok())?,
        secret: read(row, "resources.secret_hash", SecretHash::from_text)?,
        former: maybe_hash(row, "resources.former_secret_hash")?,
        created_at: time(row, "resources.created_at")?,
        disabled_at: maybe_time(row, "resources.disabled_at")?,
        revoked_until: maybe_time(row, "resources.revoked_until")?,
    })
}

pub(super) fn grant(row: &Row) -> Result<Grant> {
    Ok(Grant {
        id: read(row, "grants.id", GrantId::parse)?,
        user_id: read(row, "grants.user_id", UserId::parse)?,
        client_id: read(row, "grants.client_id", |text| ClientId::parse(text).ok())?,
        resource: read(row, "grants.resource", |text| ResourceUri::parse(text).ok())?,
        oidc: scope(row, "grants.oidc")?,
        organization: read(row, "grants.organization", OrganizationId::parse)?,
        allowance: read(row, "grants.allowance", |text| serde_json::from_str(text).ok())?,
        auth_time: time(row, "grants.auth_time")?,
        sign_in: read(row, "grants.sign_in", SignInMethod::parse)?,
        session: read(row, "grants.session_id", SessionId::parse)?,
        created_at: time(row, "grants.created_at")?,
        expires_at: time(row, "grants.expires_at")?,
        method: read(row, "grants.method", Method::parse)?,
        last_use: last_use(row)?,
        revoked_until: maybe_time(row, "grants.revoked_until")?,
        ended: match maybe_time(row, "grants.ended_at")? {
            Some(at) => Some(Ended { at, reason: read(row, "grants.end_reason", EndReason::parse)? }),
            None => None,
        },
    })
}

fn last_use(row: &Row) -> Result<Option<Use>> {
    let Some(at) = maybe_time(row, "grants.last_used_at")? else { return Ok(None) };
    let address = cell(row, "grants.last_used_address")?;
    Ok(Some(Use { at, address, agent: cell(row, "grants.last_used_agent")? }))
}

pub(super) fn code(row: &Row) -> Result<StoredCode> {
    Ok(StoredCode {
        hash: read(row, "authorization_codes.hash", SecretHash::from_text)?,
        grant: grant(row)?,
        user: user(row)?,
        session: session(row)?,
        redirect_uri: cell(row, "authorization_codes.redirect_uri")?,
        challenge: read(row, "authorization_codes.code_challenge", CodeChallenge::parse)?,
        nonce: cell(row, "authorization_codes.nonce")?,
        expires_at: time(row, "authorization_codes.expires_at")?,
        failed_tries: cell(row, "authorization_codes.failed_tries")?,
        spent_at: maybe_time(row, "authorization_codes.spent_at")?,
    })
}

pub(super) fn refresh_token(row: &Row) -> Result<RefreshToken> {
    Ok(RefreshToken {
        hash: read(row, "refresh_tokens.hash", SecretHash::from_text)?,
        grant: grant(row)?,
        user: user(row)?,
        generation: cell(row, "refresh_tokens.generation")?,
        expires_at: time(row, "refresh_tokens.expires_at")?,
        spent_at: maybe_time(row, "refresh_tokens.spent_at")?,
        answer: cell::<Option<&str>>(row, "refresh_tokens.answer")?
            .map(|text| serde_json::from_str(text).map_err(|_| senseless("refresh_tokens.answer")))
            .transpose()?,
        successor_waits: cell::<i64>(row, "successors.waiting")? > 0,
        strangers: Strangers {
            count: u32::try_from(cell::<i64>(row, "grants.strange_retries")?)
                .map_err(|_| senseless("grants.strange_retries"))?,
            since: time(row, "grants.strange_since")?,
        },
    })
}

pub(super) fn signing_key(row: &Row) -> Result<StoredSigningKey> {
    Ok(StoredSigningKey {
        kid: cell(row, "signing_keys.kid")?,
        position: cell(row, "signing_keys.position")?,
        algorithm: read(row, "signing_keys.algorithm", Algorithm::parse)?,
        state: read(row, "signing_keys.state", State::parse)?,
        public_jwk: cell(row, "signing_keys.public_jwk")?,
        sealed: cell(row, "signing_keys.sealed")?,
        created_at: time(row, "signing_keys.created_at")?,
        activated_at: maybe_time(row, "signing_keys.activated_at")?,
        retired_at: maybe_time(row, "signing_keys.retired_at")?,
        removed_at: maybe_time(row, "signing_keys.removed_at")?,
    })
}

pub(super) fn entry(row: &Row) -> Result<Entry> {
    Ok(Entry {
        sequence: cell(row, "revocations.sequence")?,
        claim: read(row, "revocations.claim", Claim::parse)?,
        value: cell(row, "revocations.value")?,
        issued_until: maybe_time(row, "revocations.issued_until")?,
        exp: time(row, "revocations.expires_at")?,
    })
}

pub(super) fn event(row: &Row) -> Result<StoredEvent> {
    let actor: Option<String> = cell(row, "audit_events.actor")?;
    let event = Event {
        id: read(row, "audit_events.id", EventId::parse)?,
        at: time(row, "audit_events.at")?,
        actor: read(row, "audit_events.actor_kind", |kind| Actor::from_parts(kind, actor.as_deref()))?,
        action: read(row, "audit_events.action", Action::parse)?,
        object: cell(row, "audit_events.object")?,
        address: cell(row, "audit_events.address")?,
        detail: read(row, "audit_events.detail", |text| serde_json::from_str(text).ok())?,
    };
    let link = match cell(row, "audit_events.sequence")? {
        Some(sequence) => Some(Link { sequence, hash: cell(row, "audit_events.hash")? }),
        None => None,
    };
    Ok(StoredEvent { event, link })
}

pub(super) fn checkpoint(row: &Row) -> Result<Checkpoint> {
    Ok(Checkpoint {
        link: Link {
            sequence: cell(row, "audit_checkpoints.sequence")?,
            hash: cell(row, "audit_checkpoints.hash")?,
        },
        at: time(row, "audit_checkpoints.at")?,
        signed: cell(row, "audit_checkpoints.signed")?,
    })
}
