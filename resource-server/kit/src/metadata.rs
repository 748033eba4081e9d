//! The documents that this server publishes: its own (RFC 9728), and a copy of its issuer's (RFC 8414) for clients that look
//! for it here.

use doorward_shared::metadata::protected_resource::ProtectedResourceMetadata;

use crate::{
    answer::Answer,
    settings::{Checked, Settings},
};

/// The scopes that a client may ask for. Permissions are ticked on the consent page, and `offline_access` is between client
/// and authorization server.
const SCOPES: [&str; 1] = ["openid"];

/// What is published, and where.
pub(crate) struct Documents {
    /// What people call this resource.
    pub(crate) name: String,
    /// The address that a challenge names: the form with the path inserted.
    pub(crate) challenge_url: String,
    protected_resource: String,
    protected_resource_paths: Vec<String>,
    authorization_server_paths: Vec<String>,
}

/// One of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Document {
    ProtectedResource,
    AuthorizationServer,
}

impl Documents {
    pub(crate) fn new(settings: &Settings, checked: &Checked) -> Self {
        let mut document =
            ProtectedResourceMetadata::new(checked.resource.clone(), checked.reach.issuer().clone(), &SCOPES);
        document.resource_name.clone_from(&settings.resource_name);
        document.resource_documentation.clone_from(&settings.resource_documentation);
        let path = checked.resource.path();
        let [challenge_url, _] = checked.resource.metadata_urls();
        let address = checked.resource.as_str();
        let name = settings.resource_name.as_ref();
        Self {
            name: name.map_or_else(|| address.to_owned(), |name| format!("{name} ({address})")),
            challenge_url,
            protected_resource: serde_json::to_string(&document).unwrap_or_default(),
            protected_resource_paths: forms("/.well-known/oauth-protected-resource", path),
            authorization_server_paths: forms("/.well-known/oauth-authorization-server", path),
        }
    }

    /// The document at this path.
    pub(crate) fn at(&self, path: &str) -> Option<Document> {
        if self.protected_resource_paths.iter().any(|one| one == path) {
            Some(Document::ProtectedResource)
        } else if self.authorization_server_paths.iter().any(|one| one == path) {
            Some(Document::AuthorizationServer)
        } else {
            None
        }
    }

    /// The answer with `document`. `issuer_metadata` is the last good copy of the issuer's own; without one the answer is
    /// 404, which clients take as "look elsewhere", while a 5xx makes them stop.
    pub(crate) fn answer(&self, document: Document, issuer_metadata: Option<&str>) -> Answer {
        let body = match document {
            Document::ProtectedResource => self.protected_resource.as_str(),
            Document::AuthorizationServer => match issuer_metadata {
                Some(text) => text,
                None => return not_found(),
            },
        };
        Answer {
            status: 200,
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("cache-control", "public, max-age=300".to_owned()),
                ("x-content-type-options", "nosniff".to_owned()),
            ],
            body: body.to_owned(),
        }
    }
}

/// JSON, because a client that looks for a document must not find a page.
pub(crate) fn not_found() -> Answer {
    Answer::error(404, "not_found", "There is no document at this address.")
}

/// The places where clients look: with the path inserted, at the root, and appended to the path.
fn forms(well_known: &str, path: &str) -> Vec<String> {
    let mut forms = vec![format!("{well_known}{path}"), well_known.to_owned(), format!("{path}{well_known}")];
    forms.dedup();
    forms
}
