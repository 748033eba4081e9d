//! The preview of effective access: what would this person get at this resource server through this client, and why not more.

use doorward_shared::{
    client_id::{ClientId, ClientIdSyntax},
    resource::{ResourceSyntax, ResourceUri},
};

use super::{
    Desk,
    places::{self, PlaceError},
    users::{self, UserError},
};
use crate::{
    domain::{
        entitlement::Seat,
        ids::OrganizationId,
        organization::Realm,
        preview::{PlaceReport, explain},
    },
    flows::reach,
    store::StoreError,
};

/// What is asked, in the words of the command line and the API.
#[derive(Clone, Debug)]
pub struct Question {
    /// The e-mail address of a person, or the identifier of the account.
    pub user: String,
    /// The identifier of a client; without one it is what the person may do at all.
    pub client: Option<String>,
    /// The address of a resource server.
    pub resource: String,
    /// The identifier or the name of an organization, or `own`; without one, each in which the person may do anything, and
    /// their own.
    pub organization: Option<String>,
}

/// One organization.
#[derive(Clone, Debug)]
pub struct OrganizationReport {
    /// Which.
    pub organization: OrganizationId,
    /// What it is called; `None`: the person's own.
    pub name: Option<String>,
    /// What is possible where.
    pub places: Vec<PlaceReport>,
}

/// Why there is no answer. Every message says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The person.
    #[error(transparent)]
    User(#[from] UserError),
    /// The identifier of the client.
    #[error("{0}")]
    Client(#[from] ClientIdSyntax),
    /// There is no such client.
    #[error("there is no client {0}; `client list` shows all")]
    UnknownClient(ClientId),
    /// The address of the resource server.
    #[error("{0}")]
    Resource(#[from] ResourceSyntax),
    /// There is no such resource server.
    #[error("there is no resource {0}; `resource list` shows all")]
    UnknownResource(ResourceUri),
    /// The organization.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Answers.
pub async fn preview(desk: Desk<'_>, asked: &Question) -> Result<Vec<OrganizationReport>, AccessError> {
    let user = users::show(desk, &asked.user).await?;
    let client = match asked.client.as_deref().map(ClientId::parse).transpose()? {
        None => None,
        Some(id) => Some(desk.store.client(&id).await?.ok_or(AccessError::UnknownClient(id))?),
    };
    let uri = ResourceUri::parse(&asked.resource)?;
    let resource = desk.store.resource(&uri).await?.ok_or(AccessError::UnknownResource(uri))?;
    let mut reach = reach::load(desk.store, &user, &resource).await?;
    let own = match asked.organization.as_deref() {
        None => true,
        Some(Realm::OWN) => {
            reach.shared.clear();
            true
        }
        Some(other) => {
            let organization = places::organization(desk, other).await?;
            let nodes = desk.store.nodes(&organization.id).await?;
            reach.shared = vec![(organization, nodes)];
            false
        }
    };
    let report = |organization: &OrganizationId, nodes: &[_]| {
        let seat = Seat { user: &user, resource: &resource, organization, rules: &reach.rules };
        explain(client.as_ref().map(|client| client.under(&desk.policy.registration)), seat, nodes)
    };
    let mut reports = Vec::new();
    for (organization, nodes) in &reach.shared {
        let paths: Vec<_> = nodes.iter().map(|node| node.path.clone()).collect();
        reports.push(OrganizationReport {
            organization: organization.id.clone(),
            name: Some(organization.name.clone()),
            places: report(&organization.id, &paths),
        });
    }
    if own {
        let (organization, places) = (user.organization.clone(), report(&user.organization, &[]));
        reports.push(OrganizationReport { organization, name: None, places });
    }
    Ok(reports)
}
