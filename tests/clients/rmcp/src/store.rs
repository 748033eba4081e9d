//! A credential file, as a command-line client has one.

use std::path::PathBuf;

use rmcp::transport::auth::{AuthError, CredentialStore, StoredCredentials};
use serde_json::Value;

use crate::Outcome;

/// The file and what the SDK keeps in it.
#[derive(Clone, Debug)]
pub(crate) struct FileStore {
    file: PathBuf,
}

impl FileStore {
    pub(crate) fn new(file: String) -> Self {
        Self { file: file.into() }
    }

    fn read(&self) -> Outcome<Option<Value>> {
        if !self.file.exists() {
            return Ok(None);
        }
        Ok(Some(serde_json::from_slice(&std::fs::read(&self.file)?)?))
    }

    fn stored(&self) -> Outcome<Value> {
        self.read()?.ok_or_else(|| "the credential file is empty".into())
    }

    /// The token answer as it was stored.
    pub(crate) fn tokens(&self) -> Outcome<Value> {
        Ok(self.stored()?["token_response"].take())
    }

    pub(crate) fn client_id(&self) -> Outcome<String> {
        Ok(self.stored()?["client_id"].as_str().ok_or("no client id")?.to_owned())
    }

    /// The tokens become old ones: received when the epoch began.
    pub(crate) fn expire(&self) -> Outcome<()> {
        let mut stored = self.stored()?;
        stored["token_received_at"] = 0.into();
        Ok(std::fs::write(&self.file, stored.to_string())?)
    }
}

fn failed(error: &dyn std::fmt::Display) -> AuthError {
    AuthError::CredentialStoreError(error.to_string())
}

#[async_trait::async_trait]
impl CredentialStore for FileStore {
    async fn load(&self) -> Result<Option<StoredCredentials>, AuthError> {
        let stored = self.read().map_err(|error| failed(&error))?;
        stored.map(serde_json::from_value).transpose().map_err(|error| failed(&error))
    }

    async fn save(&self, credentials: StoredCredentials) -> Result<(), AuthError> {
        let text = serde_json::to_string(&credentials).map_err(|error| failed(&error))?;
        std::fs::write(&self.file, text).map_err(|error| failed(&error))
    }

    async fn clear(&self) -> Result<(), AuthError> {
        if self.file.exists() {
            std::fs::remove_file(&self.file).map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}
