//! Bytes in files. A file is written under a temporary name, synced, then renamed: what has its name is complete.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::UNIX_EPOCH,
};

use doorward_shared::{secret::Entropy, time::Timestamp};
use sha2::{Digest, Sha256};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncWriteExt},
};

use crate::ids::{BlobId, hex};

/// How much is hashed and handed to the disk at one time.
const PIECE: usize = 256 * 1024;

/// The directory of bytes. Names are made here from random bits; no name comes from a caller.
pub struct Blobs {
    root: PathBuf,
    temporary: PathBuf,
    entropy: Arc<dyn Entropy>,
}

/// A file that is being written. Dropped before it is finished, it leaves nothing behind.
pub struct Incoming {
    file: File,
    path: PathBuf,
    id: BlobId,
    hash: Sha256,
    size: i64,
    finished: bool,
}

/// A file that is complete and has its name, but that no row knows yet.
#[derive(Clone, Debug)]
pub struct Received {
    /// Its name.
    pub id: BlobId,
    /// Its length.
    pub size: i64,
    /// SHA-256 of its bytes, in hexadecimal.
    pub hash: String,
}

impl Blobs {
    /// Opens the directory and clears away the temporary files of a killed process.
    pub(super) fn open(directory: &Path, entropy: Arc<dyn Entropy>) -> io::Result<Self> {
        let (root, temporary) = (directory.join("blobs"), directory.join("incoming"));
        fs::create_dir_all(&root)?;
        match fs::remove_dir_all(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir(&temporary)?,
        }
        Ok(Self { root, temporary, entropy })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Begins a file.
    pub async fn begin(&self) -> io::Result<Incoming> {
        let id = BlobId::generate(&*self.entropy);
        let path = self.temporary.join(id.as_str());
        let file = File::create_new(&path).await?;
        Ok(Incoming { file, path, id, hash: Sha256::new(), size: 0, finished: false })
    }

    /// Writes a file whose bytes are all here.
    pub async fn put(&self, bytes: &[u8]) -> io::Result<Received> {
        let mut incoming = self.begin().await?;
        incoming.write(bytes).await?;
        self.finish(incoming).await
    }

    /// Gives a file its name, after its bytes are on the disk.
    pub async fn finish(&self, mut incoming: Incoming) -> io::Result<Received> {
        incoming.file.flush().await?;
        incoming.file.sync_all().await?;
        let path = self.path(&incoming.id);
        let folder = path.parent().unwrap_or(&self.root).to_owned();
        let (from, root) = (incoming.path.clone(), self.root.clone());
        // The name must survive a power cut as well as the bytes do, hence the syncs of the directories.
        let renamed = tokio::task::spawn_blocking(move || {
            fs::create_dir_all(&folder)?;
            fs::rename(from, path)?;
            sync_directory(&folder)?;
            sync_directory(&root)
        });
        renamed.await.map_err(io::Error::other)??;
        incoming.finished = true;
        let hash = hex(&std::mem::take(&mut incoming.hash).finalize());
        Ok(Received { id: incoming.id.clone(), size: incoming.size, hash })
    }

    /// Opens a file for reading.
    pub async fn read(&self, id: &BlobId) -> io::Result<File> {
        File::open(self.path(id)).await
    }

    /// Size and SHA-256 of what is on the disk now.
    pub async fn measure(&self, id: &BlobId) -> io::Result<(i64, String)> {
        let mut file = self.read(id).await?;
        let (mut hash, mut size, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
        loop {
            let read = file.read(&mut piece).await?;
            if read == 0 {
                return Ok((size, hex(&hash.finalize())));
            }
            hash.update(&piece[..read]);
            size += length(read);
        }
    }

    /// Removes a file. What cannot be removed now is an orphan, and goes with the next look for orphans.
    pub async fn remove(&self, id: &BlobId) {
        if let Err(error) = tokio::fs::remove_file(self.path(id)).await
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a file of deleted bytes could not be removed; it will be tried again");
        }
    }

    /// Every file, and when it was last changed.
    pub(super) fn all(&self) -> io::Result<Vec<(BlobId, Timestamp)>> {
        let mut found = Vec::new();
        for folder in fs::read_dir(&self.root)? {
            let folder = folder?.path();
            if !folder.is_dir() {
                continue;
            }
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let Some(id) = entry.file_name().to_str().and_then(BlobId::parse) else { continue };
                let changed = entry.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
                let seconds = i64::try_from(changed.as_secs()).unwrap_or(i64::MAX);
                found.push((id, Timestamp::from_seconds(seconds)));
            }
        }
        Ok(found)
    }

    fn path(&self, id: &BlobId) -> PathBuf {
        self.root.join(&id.as_str()[..2]).join(id.as_str())
    }
}

impl Incoming {
    /// Appends bytes.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(PIECE) {
            self.hash.update(piece);
            self.file.write_all(piece).await?;
            self.size += length(piece.len());
        }
        Ok(())
    }

    /// How much has been written.
    pub const fn size(&self) -> i64 {
        self.size
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.finished {
            // Whatever stays is cleared at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    // Windows cannot open a directory as a file and needs no such sync.
    if cfg!(unix) { fs::File::open(path)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use doorward_shared::secret::SystemEntropy;

    use super::*;
    use crate::scratch::Scratch;

    fn open(directory: &Path) -> Blobs {
        Blobs::open(directory, Arc::new(SystemEntropy)).unwrap()
    }

    #[tokio::test]
    async fn bytes_come_back_as_they_were_written() {
        let scratch = Scratch::new();
        let blobs = open(scratch.path());
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        let received = blobs.put(&bytes).await.unwrap();
        let mut back = Vec::new();
        blobs.read(&received.id).await.unwrap().read_to_end(&mut back).await.unwrap();
        assert_eq!(back, bytes);
        assert_eq!(blobs.measure(&received.id).await.unwrap(), (3_000_000, received.hash));
    }

    #[tokio::test]
    async fn a_file_that_is_given_up_leaves_nothing_behind() {
        let scratch = Scratch::new();
        let blobs = open(scratch.path());
        let mut incoming = blobs.begin().await.unwrap();
        incoming.write(b"half").await.unwrap();
        drop(incoming);
        assert_eq!(fs::read_dir(scratch.path().join("incoming")).unwrap().count(), 0);
        assert!(blobs.all().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_temporary_file_of_a_killed_process_is_cleared_at_the_next_start() {
        let scratch = Scratch::new();
        let blobs = open(scratch.path());
        let mut incoming = blobs.begin().await.unwrap();
        incoming.write(b"half").await.unwrap();
        std::mem::forget(incoming);
        assert_eq!(fs::read_dir(scratch.path().join("incoming")).unwrap().count(), 1);
        open(scratch.path());
        assert_eq!(fs::read_dir(scratch.path().join("incoming")).unwrap().count(), 0);
    }
}
