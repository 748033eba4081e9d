//! How far a caller reaches: which rows a question to the database may find.

use doorward_resource_server::NodePath;
use sqlx::SqliteConnection;

use super::records::{Artifact, artifact, artifact_columns};
use crate::{
    caller::{Caller, Places},
    errors::Refusal,
    ids::ArtifactId,
};

/// The condition that `artifacts.folder` is in the places that a parameter names, as [`places`] writes them. Parameter 1 is the
/// organization. The folders are found once, not for every artifact.
macro_rules! in_places {
    ($parameter:literal) => {
        concat!(
            "(",
            $parameter,
            " is null or artifacts.folder in (select folders.folder from folders where folders.organization = $1 \
             and exists (select 1 from json_each(",
            $parameter,
            ") as place where folders.folder = place.value \
             or substr(folders.folder, 1, length(place.value) + 1) = place.value || '/')))"
        )
    };
}
pub(super) use in_places;

/// Where `permission` is allowed: null for everywhere, else the folders as JSON.
pub(super) fn places(caller: &Caller, permission: &str) -> Option<String> {
    match caller.places(permission) {
        Places::Everywhere => None,
        Places::In(folders) => Some(within(folders)),
    }
}

/// These folders and everything below them.
pub(super) fn within<'a>(folders: impl IntoIterator<Item = &'a NodePath>) -> String {
    folders
        .into_iter()
        .map(|folder| serde_json::json!(folder.as_str()))
        .collect::<serde_json::Value>()
        .to_string()
}

/// Notes that a folder is in use.
pub(super) async fn enter(
    connection: &mut SqliteConnection,
    organization: &str,
    folder: Option<&NodePath>,
) -> Result<(), sqlx::Error> {
    if let Some(folder) = folder {
        sqlx::query("insert into folders (organization, folder) values ($1, $2) on conflict do nothing")
            .bind(organization)
            .bind(folder.as_str())
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// The artifact, if `permission` is allowed where it lies. What cannot be seen is answered as what does not exist.
pub(super) async fn find(
    connection: &mut SqliteConnection,
    caller: &Caller,
    permission: &str,
    id: &ArtifactId,
) -> Result<Artifact, Refusal> {
    let found = row(connection, &caller.organization, id).await?.ok_or_else(Refusal::artifact_not_found)?;
    if caller.may_in(permission, found.folder.as_ref()) {
        Ok(found)
    } else {
        Err(caller.refusal(permission, found.folder.as_ref(), Refusal::artifact_not_found))
    }
}

/// The artifact, wherever it lies in the organization.
pub(super) async fn row(
    connection: &mut SqliteConnection,
    organization: &str,
    id: &ArtifactId,
) -> Result<Option<Artifact>, sqlx::Error> {
    sqlx::query(concat!(
        "select ",
        artifact_columns!(),
        " from artifacts where organization = $1 and artifact_id = $2",
    ))
    .bind(organization)
    .bind(id.as_str())
    .fetch_optional(connection)
    .await?
    .as_ref()
    .map(artifact)
    .transpose()
}
