//! Links that open without credentials. The store keeps hashes: who reads the database cannot open anything.

use doorward_shared::time::Timestamp;
use sqlx::Row;

use super::{
    Store,
    reach::find,
    records::{Artifact, artifact, artifact_columns},
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

impl Store {
    /// Makes a link to an artifact whose bytes are complete. It ends when the artifact is moved: who moves it decides anew who
    /// may have it.
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
        let made = sqlx::query(
            "insert into links (link_hash, kind, artifact_id, organization, created_at, expires_at) \
             select $1, $2, $3, $4, $5, $6 where $2 <> 'public' or (select count(*) from links join artifacts on \
             artifacts.artifact_id = links.artifact_id where links.organization = $4 and kind = 'public' \
             and links.expires_at > $5 and deleted_at is null \
             and (artifacts.expires_at is null or artifacts.expires_at > $5)) < $7",
        )
        .bind(&link.address_hash)
        .bind(link.kind.as_str())
        .bind(id.as_str())
        .bind(&caller.organization)
        .bind(now.seconds())
        .bind(link.expires_at.seconds())
        .bind(plan.links)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Err(Refusal::new(
                Code::QuotaExceeded,
                format!(
                    "All public links of the plan {:?} are in use ({}). A link ends when it expires or its artifact ends.",
                    plan.name, plan.links
                ),
            ));
        }
        tx.commit().await?;
        Ok(artifact)
    }

    /// The artifact that an address opens, in whatever state it is.
    pub async fn open_link(
        &self,
        kind: LinkKind,
        address_hash: &str,
        now: Timestamp,
    ) -> Result<Artifact, Refusal> {
        let row = sqlx::query(concat!(
            "select links.expires_at as link_expires_at, ",
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
        Ok(artifact(&row)?)
    }
}

/// The answer to every address that opens nothing and never did.
pub(crate) fn unknown_link() -> Refusal {
    Refusal::new(Code::ArtifactNotFound, "Nothing is shared under this address.")
}
