//! Organizations and places, in the words of the command line and the API.

use doorward_shared::node::{NodePath, NodeSyntax};

use super::Desk;
use crate::{
    domain::{
        ids::OrganizationId,
        organization::{Organization, Place, Realm},
    },
    store::StoreError,
};

/// Why a text names no place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// There is no such organization.
    #[error(
        "there is no organization {0:?}; `organization list` shows all, and \"own\" means each person's own"
    )]
    Unknown(String),
    /// The path.
    #[error(transparent)]
    Node(#[from] NodeSyntax),
    /// There is no such node.
    #[error("the organization {0:?} has no node {1}; make it first: doorward node add {0:?} {1}")]
    NoNode(String, NodePath),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A shared organization, by its identifier or its name.
pub async fn organization(desk: Desk<'_>, text: &str) -> Result<Organization, PlaceError> {
    let found = match OrganizationId::parse(text) {
        Some(id) => desk.store.organization(&id).await?,
        None => desk.store.organizations().await?.into_iter().find(|organization| organization.name == text),
    };
    found.ok_or_else(|| PlaceError::Unknown(text.to_owned()))
}

/// A place: `own`, or the identifier or the name of an organization, and a path after a colon.
pub async fn read(desk: Desk<'_>, text: &str) -> Result<Place, PlaceError> {
    match text.split_once(':') {
        Some((realm, node)) => at(desk, realm, Some(node)).await,
        None => at(desk, text, None).await,
    }
}

/// The same, in two parts. In a shared organization the node has to be there.
pub async fn at(desk: Desk<'_>, realm: &str, node: Option<&str>) -> Result<Place, PlaceError> {
    let node = node.map(NodePath::parse).transpose()?;
    if realm == Realm::OWN {
        return Ok(Place { realm: Realm::Own, node });
    }
    let Organization { id, name, .. } = organization(desk, realm).await?;
    if let Some(node) = &node {
        let nodes = desk.store.nodes(&id).await?;
        if !nodes.iter().any(|there| &there.path == node) {
            return Err(PlaceError::NoNode(name, node.clone()));
        }
    }
    Ok(Place { realm: Realm::Shared(id), node })
}
