//! Moving: an artifact lies in one folder, and in another from then on.

use doorward_resource_server::NodePath;
use doorward_shared::time::Timestamp;

use super::{
    Store,
    artifacts::stamp,
    reach::{enter, find},
    records::Artifact,
};
use crate::{caller::Caller, errors::Refusal, ids::ArtifactId, permissions::UPDATE};

impl Store {
    /// Moves an artifact whose bytes are complete to `folder`; without one, to the organization itself. The permission to
    /// update is needed in both places. Every address that opens it ends: those who made them may not be allowed to where it
    /// is now. Moving it to where it is changes nothing.
    pub async fn relocate(
        &self,
        caller: &Caller,
        id: &ArtifactId,
        folder: Option<&NodePath>,
        now: Timestamp,
    ) -> Result<Artifact, Refusal> {
        let mut tx = self.begin().await?;
        let (artifact, _) = find(&mut tx, caller, UPDATE, id).await?.readable(now)?;
        if !caller.may_in(UPDATE, folder) {
            return Err(caller.refusal(UPDATE, folder, Refusal::folder_not_found));
        }
        if artifact.folder.as_ref() == folder {
            return Ok(artifact);
        }
        enter(&mut tx, &caller.organization, folder).await?;
        sqlx::query("update artifacts set folder = $1 where artifact_id = $2")
            .bind(folder.map(NodePath::as_str))
            .bind(id.as_str())
            .execute(&mut *tx)
            .await?;
        sqlx::query("update links set ended_at = $1 where artifact_id = $2 and ended_at is null")
            .bind(now.seconds())
            .bind(id.as_str())
            .execute(&mut *tx)
            .await?;
        stamp(&mut tx, caller, id, now).await?;
        let moved = find(&mut tx, caller, UPDATE, id).await?;
        tx.commit().await?;
        Ok(moved)
    }
}
