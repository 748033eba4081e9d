//! The key-encryption key: 32 bytes in a file that only its owner may read.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use doorward_shared::secret::Entropy;
use rustix::fs::{StatVfsMountFlags, fstatvfs};
use zeroize::Zeroizing;

use super::KeyError;

/// The key that seals the data key. It is in no database.
pub struct KeyEncryptionKey(pub(super) Zeroizing<[u8; 32]>);

impl std::fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<key-encryption key>")
    }
}

/// Whether a missing key file is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The operator named the file: it has to be there.
    Refuse,
    /// Nobody named a file: make one.
    Make,
}

impl KeyEncryptionKey {
    /// Reads the key file, or makes one that only its owner can read.
    pub fn load(path: &Path, missing: Missing, entropy: &dyn Entropy) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        match File::open(path) {
            Ok(file) => Self::read(file, path),
            Err(e) if e.kind() == io::ErrorKind::NotFound && missing == Missing::Make => {
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent).map_err(failed)?;
                }
                let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
                match opened {
                    Ok(file) => {
                        let key = Self::write(file, entropy).map_err(failed)?;
                        tracing::warn!(path = %path.display(), "made a key-encryption key; keep a copy apart from the database");
                        Ok(key)
                    }
                    // Another process started at the same moment and was faster.
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                        Self::load(path, Missing::Refuse, entropy)
                    }
                    Err(e) => Err(failed(e)),
                }
            }
            Err(e) => Err(failed(e)),
        }
    }

    fn read(mut file: File, path: &Path) -> Result<Self, KeyError> {
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        let metadata = file.metadata().map_err(failed)?;
        let mode = metadata.permissions().mode() & 0o7777;
        if metadata.is_file() && is_exposed(mode, is_read_only(&file).map_err(failed)?) {
            return Err(KeyError::Exposed { path: path.to_owned(), mode });
        }
        // Room for the whole text, so that no half of it is left behind where the buffer grew.
        let mut text = Zeroizing::new(String::with_capacity(256));
        file.read_to_string(&mut text).map_err(failed)?;
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).ok().map(Zeroizing::new);
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok());
        bytes.map(|bytes| Self(Zeroizing::new(bytes))).ok_or_else(|| KeyError::Malformed(path.to_owned()))
    }

    fn write(mut file: File, entropy: &dyn Entropy) -> io::Result<Self> {
        let mut key = Zeroizing::new([0_u8; 32]);
        entropy.fill(key.as_mut_slice());
        let mut text = Zeroizing::new(URL_SAFE_NO_PAD.encode(*key));
        text.push('\n');
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        Ok(Self(key))
    }
}

/// True when the mode gives others something, unless the file lies on a read-only mount. There the mode was not the operator's
/// to choose: Docker, Kubernetes and systemd mount secrets so, often with mode 0444, where no other user can look.
const fn is_exposed(mode: u32, read_only: bool) -> bool {
    mode & 0o077 != 0 && !read_only
}

/// True where not even the owner could write.
fn is_read_only(file: &File) -> io::Result<bool> {
    Ok(fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use doorward_shared::secret::{Secret, SetupLink, SystemEntropy};

    use super::*;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    fn folder() -> Folder {
        let folder = std::env::temp_dir().join(Secret::<SetupLink>::generate(&SystemEntropy).expose());
        std::fs::create_dir(&folder).unwrap();
        Folder(folder)
    }

    fn load(path: &Path, missing: Missing) -> Result<KeyEncryptionKey, KeyError> {
        KeyEncryptionKey::load(path, missing, &SystemEntropy)
    }

    #[test]
    fn a_key_that_is_made_is_its_owners_alone_and_reads_back() {
        let folder = folder();
        let path = folder.0.join("deep/er/doorward.kek");
        assert!(matches!(load(&path, Missing::Refuse), Err(KeyError::File { .. })));
        let made = load(&path, Missing::Make).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(*load(&path, Missing::Refuse).unwrap().0, *made.0);
        assert_eq!(*load(&path, Missing::Make).unwrap().0, *made.0);
    }

    #[test]
    fn a_key_that_others_can_read_or_replace_is_refused_and_the_message_says_what_to_do() {
        let folder = folder();
        let path = folder.0.join("kek");
        std::fs::write(&path, URL_SAFE_NO_PAD.encode([7; 32])).unwrap();
        for (mode, good) in
            [(0o600, true), (0o400, true), (0o644, false), (0o640, false), (0o604, false), (0o620, false)]
        {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            match load(&path, Missing::Refuse) {
                Ok(_) => assert!(good, "{mode:o}"),
                Err(error) => {
                    assert!(!good && error.to_string().contains("chmod 600"), "{mode:o}: {error}");
                }
            }
        }
    }

    #[test]
    fn a_file_without_a_key_is_refused() {
        let folder = folder();
        let path = folder.0.join("kek");
        for text in ["", "secret", &URL_SAFE_NO_PAD.encode([7; 31]), &URL_SAFE_NO_PAD.encode([7; 33])] {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            assert!(matches!(load(&path, Missing::Refuse), Err(KeyError::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn on_a_read_only_mount_the_mode_is_not_the_operators_to_choose() {
        assert!(is_exposed(0o444, false) && is_exposed(0o440, false));
        assert!(!is_exposed(0o444, true) && !is_exposed(0o400, false));
        let folder = folder();
        std::fs::write(folder.0.join("kek"), "x").unwrap();
        assert!(!is_read_only(&File::open(folder.0.join("kek")).unwrap()).unwrap());
    }
}
