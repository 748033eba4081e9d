//! This server's own credentials at the authorization server, as `doorward resource add --json` prints them.

use std::{fs, io, path::Path};

use doorward_resource_server::Credentials;
use doorward_shared::resource::ResourceUri;
use serde::Deserialize;

/// What the file holds.
#[derive(Deserialize)]
struct Document {
    resource: ResourceUri,
    client_id: String,
    client_secret: String,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the credentials file {path} cannot be used: {why}")]
pub struct CredentialsError {
    path: String,
    why: String,
}

/// Reads the file, if there is one: it must be whole and meant for `resource`. A file for another resource would fail later,
/// and far from here.
pub fn read(path: &Path, resource: &ResourceUri) -> Result<Option<Credentials>, CredentialsError> {
    let refuse = |why: String| CredentialsError { path: path.display().to_string(), why };
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refuse(error.to_string())),
    };
    // The position is told, the text is not: it holds a secret.
    let document: Document = serde_json::from_str(&text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        refuse(format!("not what `doorward resource add --json` prints ({place})"))
    })?;
    if document.client_id.is_empty() || document.client_secret.is_empty() {
        return Err(refuse("client_id or client_secret is empty".to_owned()));
    }
    if !document.resource.same_as(resource) {
        return Err(refuse(format!(
            "it is for the resource {}, and this server is {resource}",
            document.resource
        )));
    }
    Ok(Some(Credentials::new(document.client_id, document.client_secret)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    /// What the file says, as the log would show it.
    fn checked(text: &str) -> Result<String, String> {
        let scratch = Scratch::new();
        let path = scratch.path().join("credentials");
        fs::write(&path, text).unwrap();
        let resource = ResourceUri::parse("http://localhost:9100/mcp").unwrap();
        match read(&path, &resource) {
            Ok(credentials) => Ok(format!("{:?}", credentials.unwrap())),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_server_without_credentials_starts() {
        let resource = ResourceUri::parse("http://localhost:9100/mcp").unwrap();
        assert!(read(&Scratch::new().path().join("none"), &resource).unwrap().is_none());
    }

    #[test]
    fn credentials_for_this_resource_are_taken() {
        let text =
            r#"{"resource":"http://localhost:9100/mcp/","client_id":"rs","client_secret":"s","more":1}"#;
        assert_eq!(checked(text).unwrap(), r#"Credentials { client_id: "rs", .. }"#);
    }

    #[test]
    fn credentials_for_another_resource_stop_the_start() {
        let text = r#"{"resource":"http://localhost:9200/mcp","client_id":"rs","client_secret":"s"}"#;
        assert!(checked(text).unwrap_err().contains("it is for the resource http://localhost:9200/mcp"));
    }

    #[test]
    fn a_broken_file_stops_the_start_without_telling_the_secret() {
        let error =
            checked(r#"{"resource":"http://localhost:9100/mcp","client_id":"rs","client_secret":"hush""#)
                .unwrap_err();
        assert!(error.contains("line 1") && !error.contains("hush"), "{error}");
        assert!(
            checked(r#"{"resource":"http://localhost:9100/mcp","client_id":"","client_secret":"s"}"#)
                .is_err()
        );
    }
}
