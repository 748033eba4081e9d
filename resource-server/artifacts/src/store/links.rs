//! Links that open without credentials. The store keeps hashes: who reads the database cannot open anything.

use doorward_resource_server::Maker;
use doorward_shared::time::Timestamp;
use sqlx::Row;

use super::{
    Store,
    reach::find,
    records::{Artifact, artifact, artifact_columns},
    revocations::{self, maker, maker_columns},
};
use crate::{
    caller::Caller,
    errors::{Code, Refusal},
    ids::ArtifactId,
    permissions::{READ, SHARE},
    plans::Plan,
};

/// Who a link is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKind {
    /// The agent that asked; one hour; counts against nothing.
    Agent,
    /// Anybody who has the address; counts against the plan.
    Public,
}

impl LinkKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Public => "public",
        }
    }

    /// What making one needs.
    const fn permission(self) -> &'static str {
        match self {
            Self::Agent => READ,
            Self::Public => SHARE,
        }
    }
}

/// A link that is to be made.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Who it is for.
    pub kind: LinkKind,
    /// Hash of its address.
    pub address_hash: String,
    /// Until when it opens.
    pub expires_at: Timestamp,
}

/// A link that opens.
#[derive(Clone, Debug)]
pub struct OpenLink {
    /// What it opens.
    pub artifact: Artifact,
    /// The credential that made it.
    pub maker: Maker,
}

impl Store {
    /// Makes a link to an artifact whose bytes are complete. It ends when the artifact is moved, since who moves it decides anew
    /// who may have it, and when the credential that made it is revoked.
    pub async fn link(
        &self,
        caller: &Caller,
        id: &ArtifactId,
        link: &NewLink,
        plan: &Plan,
        now: Timestamp,
    ) -> Result<Artifact, Refusal> {
        let mut tx = self.begin().await?;
        let (artifact, _) = find(&mut tx, caller, link.kind.permission(), id).await?.readable(now)?;
        revocations::may_make(&mut tx, caller).await?;
        let made = sqlx::query(
            "insert into links (link_hash, kind, artifact_id, organization, created_at, expires_at, subject, client_id, \
             credential, grant_id, token_id, key_id, issued_at) \
             select $1, $2, $3, $4, $5, $6, $8, $9, $10, $11, $12, $13, $14 where $2 <> 'public' or (select count(*) from links join artifacts on \
             artifacts.artifact_id = links.artifact_id where links.organization = $4 and kind = 'public' \
             and links.expires_at > $5 and links.ended_at is null and deleted_at is null \
             and (artifacts.expires_at is null or artifacts.expires_at > $5)) < $7",
        )
        .bind(&link.address_hash)
        .bind(link.kind.as_str())
        .bind(id.as_str())
        .bind(&caller.organization)
        .bind(now.seconds())
        .bind(link.expires_at.seconds())
        .bind(plan.links)
        .bind(&caller.subject)
        .bind(&caller.client_id)
        .bind(&caller.credential)
        .bind(&caller.grant)
        .bind(&caller.token_id)
        .bind(&caller.key_id)
        .bind(caller.issued_at.seconds())
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Err(Refusal::new(
                Code::QuotaExceeded,
                format!(
                    "All public links of the plan {:?} are in use ({}). A link ends when it expires, its artifact ends or is moved, or the \
                     credential that made it is revoked.",
                    plan.name, plan.links
                ),
            ));
        }
        tx.commit().await?;
        Ok(artifact)
    }

    /// What an address opens, with the artifact in whatever state it is.
    pub async fn open_link(
        &self,
        kind: LinkKind,
        address_hash: &str,
        now: Timestamp,
    ) -> Result<OpenLink, Refusal> {
        let row = sqlx::query(concat!(
            "select links.expires_at as link_expires_at, links.ended_at as link_ended_at, ",
            maker_columns!("links"),
            ", ",
            artifact_columns!(),
            " from links join artifacts on artifacts.artifact_id = links.artifact_id where link_hash = $1 and kind = $2",
        ))
        .bind(address_hash)
        .bind(kind.as_str())
        .fetch_optional(&self.read)
        .await?;
        let row = row.ok_or_else(unknown_link)?;
        if row.try_get::<i64, _>("link_expires_at")? <= now.seconds() {
            return Err(Refusal::new(Code::ArtifactExpired, "This link has expired."));
        }
        if row.try_get::<Option<i64>, _>("link_ended_at")?.is_some() {
            return Err(ended_link());
        }
        Ok(OpenLink { artifact: artifact(&row)?, maker: maker(&row)? })
    }
}

/// The answer to a link that somebody ended before its time.
pub(crate) fn ended_link() -> Refusal {
    Refusal::new(
        Code::ArtifactExpired,
        "This link has ended: what made it was revoked, or the file was moved.",
    )
}

/// The answer to every address that opens nothing and never did.
pub(crate) fn unknown_link() -> Refusal {
    Refusal::new(Code::ArtifactNotFound, "Nothing is shared under this address.")
}
