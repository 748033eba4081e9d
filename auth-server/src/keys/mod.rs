//! Keys: the key-encryption key in its file, the data key that it seals, and the ring that signs tokens and publishes JWKS.
//!
//! The key-encryption key opens one thing, the data key in the database; the data key seals private keys, and keys for single
//! purposes are derived from it. So the key-encryption key can be replaced while servers run.

mod answer;
mod data_key;
mod kek;
mod ring;

use std::{io, path::PathBuf};

use doorward_shared::jose::jws::SigningError;

pub use self::{
    answer::{open_answer, seal_answer},
    data_key::{DataKey, Tags},
    kek::{KeyEncryptionKey, Missing},
    ring::{KeyRing, Ring, SignError, Signer, seal_signing_key},
};

/// Why keys cannot be used. Every message says what the operator does next.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error(
        "the key-encryption key {path}: {source}; set DOORWARD__KEYS__KEK_FILE to a file that this process may read"
    )]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others can read or replace the file.
    #[error(
        "the key-encryption key {path} is open to other users of this machine (mode {mode:04o}); run: chmod 600 {path}. \
         Only on a read-only mount, as container platforms make them for secrets, it is taken as it is"
    )]
    Exposed {
        /// Which file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no key.
    #[error("{0} holds no key: expected 32 bytes as base64url text (43 characters)")]
    Malformed(PathBuf),
    /// The data key was sealed with another key-encryption key.
    #[error(
        "the database was sealed with another key-encryption key; give this process the key file that the database was \
         first started with, or that `keys rekey` named last (DOORWARD__KEYS__KEK_FILE)"
    )]
    Sealed,
    /// A private key in the database does not open with the database's own data key.
    #[error(
        "the signing key {0} in the database was changed or damaged and does not open; revoke it (`keys revoke {0}`)"
    )]
    Damaged(String),
    /// Nothing was encrypted.
    #[error("the cryptographic library could not encrypt")]
    Encrypt,
    /// There is no key that signs.
    #[error("the database has no active signing key")]
    NoActive,
    /// A key could not be made or used.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

/// Keeps what is in memory in memory: no core dumps, and no other process of this user may look inside.
pub fn guard_memory() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    }
    Ok(())
}
