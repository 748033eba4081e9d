//! A directory for one test, removed when the test is over.

use std::{
    fs,
    path::{Path, PathBuf},
};

use doorward_shared::secret::{SystemEntropy, alphanumeric};

/// The directory.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        let name = format!("doorward-artifacts-{}", alphanumeric(&SystemEntropy, 16));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
