//! What a look into the memory of a running server finds. Linux only: it is read through `/proc`.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::{
    fs::File,
    io::{BufRead as _, ErrorKind},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use doorward::{
    domain::signing_key::State,
    keys::{DataKey, KeyEncryptionKey, Missing},
    store::{Location, open},
};
use doorward_shared::secret::SystemEntropy;

/// A running server with its folder.
struct Server {
    child: Child,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn doorward(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    command
        .current_dir(folder)
        .env_clear()
        .env("DOORWARD__TOKEN__SIGNING_ALGORITHM", "EdDSA")
        // The system chooses the port: nobody calls this server.
        .env("DOORWARD__SERVER__LISTEN", "127.0.0.1:0");
    command
}

impl Server {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("memory-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let log = File::create(folder.join("log")).unwrap();
        let child = doorward(&folder).arg("serve").stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { child, folder }
    }

    fn command(&self, arguments: &[&str]) {
        let done = doorward(&self.folder).args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    async fn says(&self, words: &str) {
        for _ in 0..300 {
            if std::fs::read_to_string(self.folder.join("log")).unwrap().contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("it never said {words:?}: {}", std::fs::read_to_string(self.folder.join("log")).unwrap());
    }

    /// The secret half of the active key: the seed of Ed25519 (RFC 8410 §7: an octet string in an octet string).
    async fn seed(&self) -> Vec<u8> {
        let store = open(&Location::Sqlite(self.folder.join("data/doorward.db"))).await.unwrap();
        let set = store.signing_keys().await.unwrap();
        let key = set.keys.iter().find(|key| key.state == State::Active).unwrap();
        let kek = self.folder.join("data/doorward.kek");
        let kek = KeyEncryptionKey::load(&kek, Missing::Refuse, &SystemEntropy).unwrap();
        let data_key = DataKey::open_with(&kek, &store.data_key().await.unwrap().unwrap()).unwrap();
        let sealed = key.sealed.as_ref().unwrap();
        let der = data_key.open(&format!("signing_keys/{}/private", key.kid), sealed).unwrap();
        store.close().await;
        let at = der.windows(2).position(|pair| pair == [0x04, 0x20]).unwrap() + 2;
        der[at..at + 32].to_vec()
    }

    /// How often these bytes are in the memory of the server. `None`: the system lets nobody look.
    fn holds(&self, bytes: &[u8]) -> Option<usize> {
        let id = self.child.id();
        let maps = std::fs::read_to_string(format!("/proc/{id}/maps"));
        let memory = File::open(format!("/proc/{id}/mem"));
        let (maps, memory) = match (maps, memory) {
            (Ok(maps), Ok(memory)) => (maps, memory),
            (Err(error), _) | (_, Err(error)) => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
                return None;
            }
        };
        let mut found = 0;
        for line in
            maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw")))
        {
            let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let number = |text| u64::from_str_radix(text, 16).unwrap();
            let (start, end) = (number(start), number(end));
            // Piece by piece: a mapping may be large, and parts of it may not be there.
            for at in (start..end).step_by(1 << 20) {
                let mut piece = vec![0; usize::try_from((end - at).min((1 << 20) + 31)).unwrap()];
                if memory.read_exact_at(&mut piece, at).is_ok() {
                    found += times(bytes, &piece);
                }
            }
        }
        Some(found)
    }
}

/// How often `bytes` are in `piece`; by `read_until`, which is quick in a test as well.
fn times(bytes: &[u8], piece: &[u8]) -> usize {
    let (mut rest, mut read, mut found) = (piece, Vec::with_capacity(piece.len()), 0);
    let last = bytes[bytes.len() - 1];
    while rest.read_until(last, &mut read).unwrap() > 0 {
        found += usize::from(read.ends_with(bytes));
    }
    found
}

// KM-10
#[tokio::test]
async fn a_key_that_signs_no_more_is_gone_from_memory_and_memory_is_never_dumped() {
    let server = Server::start();
    server.says("serving").await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.child.id())).unwrap();
    let core: Vec<_> = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(core[4..6], ["0", "0"], "{limits}");

    let seed = server.seed().await;
    let before = server.holds(&seed);
    assert!(before.is_none_or(|found| found >= 1), "the search finds a key that signs");
    server.command(&["keys", "rotate"]);
    server.says("signing with another key").await;
    // The old ring goes when the last request that signs with it is done.
    for _ in 0..50 {
        if server.holds(&seed).is_none_or(|found| found == 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the key is still in memory: {:?} times, {before:?} before", server.holds(&seed));
}
