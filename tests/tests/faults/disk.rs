//! A disk that is full.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use e2e::client::{Client, Tokens};
use e2e::house::{House, Plan, Store};
use e2e::scene::Scene;
use e2e::visitor::Visitor;
use tempfile::TempDir;

use crate::{WITHOUT_DATABASE, assert_away, get, ready, register};

/// A disk of its own, so small that it is soon full. It is gone when this is dropped.
#[derive(Debug)]
struct Disk(TempDir);

impl Disk {
    fn mount() -> Self {
        let disk = Self(tempfile::Builder::new().prefix("doorward-disk.").tempdir().expect("a folder"));
        let done = as_root("mount")
            .args(["-t", "tmpfs", "-o", "size=8m,mode=0777", "none"])
            .arg(disk.path())
            .output();
        let done = done.expect("mount runs");
        assert!(done.status.success(), "needs root, or sudo without a password: {done:?}");
        disk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves no room for a single page.
    fn fill(&self) {
        let mut size = 1 << 22;
        let mut file = std::fs::File::create(self.path().join("filler")).expect("there is room for a name");
        while size > 0 {
            if std::io::Write::write(&mut file, &vec![b'x'; size]).unwrap_or_default() == 0 {
                size /= 2;
            }
        }
    }

    fn empty(&self) {
        std::fs::remove_file(self.path().join("filler")).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Somebody may still have a file open there: then it goes when they are gone.
        let _ = as_root("umount").arg("--lazy").arg(self.path()).status();
    }
}

fn as_root(program: &str) -> Command {
    use std::os::unix::fs::MetadataExt as _;
    if std::fs::metadata("/proc/self").expect("Linux").uid() == 0 {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.args(["-n", program]);
    command
}

fn ask(file: &Path, statement: &str) -> String {
    let script = "import sqlite3, sys; print(sqlite3.connect(sys.argv[1], timeout=10).execute(sys.argv[2]).fetchone()[0])";
    let done =
        Command::new("python3").args(["-c", script]).arg(file).arg(statement).output().expect("python3 runs");
    assert!(done.status.success(), "{done:?}");
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// Writes until nothing can be written any more; gives how many clients were registered by it.
async fn write_until_it_is_refused(house: &House) -> usize {
    for registered in 0..2000 {
        let answer = register(house).await;
        if answer.status != 201 {
            assert_away(&answer);
            return registered;
        }
    }
    panic!("the disk is never full");
}

async fn refused(house: &House, client: &Client, tokens: &Tokens) {
    for _ in 0..3 {
        assert_away(&register(house).await);
        assert_away(&client.refresh(&tokens.refresh).await);
        assert_away(&client.revoke(&tokens.refresh).await);
    }
    for path in WITHOUT_DATABASE {
        assert_eq!(get(house, path).await.status, 200, "{path}");
    }
}

// FT-10
#[tokio::test]
async fn on_a_full_disk_nothing_is_promised_and_nothing_is_torn() {
    let disk = Disk::mount();
    let file = disk.path().join("doorward.db");
    let plan =
        Plan::on(Store::Sqlite).without_artifacts().with("STORE__URL", &format!("sqlite:{}", file.display()));
    let plan = plan.with("REGISTRATION__PER_ADDRESS", "1000000").with("REGISTRATION__OVERALL", "1000000");
    let mut house = House::build(plan).await;
    let (scene, visitor) = (Scene::at(&house).await, Visitor::new());
    let client = scene.client().await;
    let tokens = scene.tokens(&client, &visitor).await;
    let revoked = scene.tokens(&client, &visitor).await;
    let code = scene.code(&client, &visitor).await;
    assert_eq!(client.revoke(&revoked.refresh).await.status, 200);
    let count = "select count(*) from clients";
    let before: usize = ask(&file, count).parse().expect("a count");

    disk.fill();
    let registered = write_until_it_is_refused(&house).await;
    refused(&house, &client, &tokens).await;
    assert_away(&code.redeem().await);

    disk.empty();
    ready(&house, Duration::from_secs(10)).await;
    Tokens::read(&code.redeem().await);
    let tokens = Tokens::read(&client.refresh(&tokens.refresh).await);
    client.refresh(&revoked.refresh).await.expect_error(400, "invalid_grant");
    assert_eq!(register(&house).await.status, 201);
    assert_eq!(
        ask(&file, count).parse(),
        Ok(before + registered + 1),
        "what was promised is there, and nothing else"
    );
    assert_eq!(ask(&file, "pragma integrity_check"), "ok");

    // Killed on a full disk, it finds everything as it was.
    disk.fill();
    let more = write_until_it_is_refused(&house).await;
    house.kill9();
    disk.empty();
    house.restart_auth_server().await;
    assert_eq!(ask(&file, count).parse(), Ok(before + registered + 1 + more));
    assert_eq!(ask(&file, "pragma integrity_check"), "ok");
    Tokens::read(&client.refresh(&tokens.refresh).await);
}
