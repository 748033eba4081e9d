//! `backup`, `restore` and `move` as an operator and their scripts see them.

mod bench;

use std::{os::unix::fs::PermissionsExt as _, process::Command};

use doorward::store::{
    Location,
    hold::{Held, Role, hold},
};
use serde_json::{Value, json};

use self::bench::{Bench, Ended};

impl Bench {
    /// Runs a command on the database of this name.
    fn on(&self, database: &str, arguments: &[&str]) -> Ended {
        self.run(database, arguments, "", &[])
    }

    fn run(&self, database: &str, arguments: &[&str], stdin: &str, variables: &[(&str, &str)]) -> Ended {
        let url = format!("sqlite:{database}");
        self.run_with(stdin, arguments, &[&[("DOORWARD__STORE__URL", url.as_str())], variables].concat())
    }

    fn json(&self, database: &str, arguments: &[&str]) -> Value {
        self.on(database, &[arguments, &["--json"]].concat()).printed()
    }

    fn refused(&self, database: &str, arguments: &[&str]) -> String {
        self.on(database, arguments).refusal()
    }

    /// A database with an administrator, somebody else, two clients and a resource server.
    fn filled(&self, database: &str) {
        for (email, more) in [("root@example.test", ["--admin"].as_slice()), ("bob@example.test", &[])] {
            let create = ["user", "create", "--email", email, "--password-stdin"];
            let made = self.run(database, &[&create, more].concat(), "correct horse battery", &[]);
            assert_eq!(made.code, 0, "{}", made.stderr);
        }
        for id in ["one", "two"] {
            let create =
                ["client", "create", "--name", "N", "--redirect-uri", "https://a.test/cb", "--public"];
            self.json(database, &[create.as_slice(), &["--client-id", id]].concat());
        }
        self.json(database, &["resource", "add", "--url", "https://mcp.test/a", "--name", "A"]);
    }

    fn lists(&self, database: &str) -> [Value; 3] {
        ["user", "client", "resource"].map(|noun| self.json(database, &[noun, "list"]))
    }

    /// As if a server ran on it.
    fn served(&self, database: &str) -> Held {
        let runtime = tokio::runtime::Runtime::new().expect("threads");
        let location = Location::Sqlite(self.0.join(database));
        runtime.block_on(hold(&location, Role::Server)).expect("nobody else serves it")
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("the folder");
        let mut names: Vec<_> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .collect();
        names.sort();
        names
    }
}

#[test]
fn a_backup_is_one_file_that_only_its_owner_reads() {
    let bench = Bench::new("file");
    bench.filled("a.db");
    let made = bench.json("a.db", &["backup", "--to", "a.backup"]);
    assert_eq!((&made["file"], &made["stopped"]), (&json!("a.backup"), &json!(true)));
    assert_eq!((&made["rows"]["users"], &made["rows"]["clients"]), (&json!(2), &json!(2)));
    let path = bench.0.join("a.backup");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("correct horse"), "a password is kept as its hash");
    assert!(bench.names().iter().all(|name| !name.starts_with('.')), "{:?}", bench.names());

    // Another one takes its place as a whole; a pipe gets the same lines and nothing else.
    bench.json("a.db", &["backup", "--to", "a.backup"]);
    let piped = bench.on("a.db", &["backup", "--to", "-", "--json"]);
    assert_eq!(piped.code, 0, "{}", piped.stderr);
    assert!(piped.stdout.starts_with("{\"format\":1,") && piped.stdout.lines().count() > 10);
    assert!(piped.stdout.trim_end().lines().last().unwrap().starts_with("{\"rows\":"));
    std::fs::write(bench.0.join("piped.backup"), piped.stdout).unwrap();
    bench.json("b.db", &["restore", "--from", "piped.backup", "--nothing-lost"]);

    let events = std::fs::read_to_string(path).unwrap();
    assert!(events.contains("backed_up"), "the first one is in the trail of the second");
}

#[test]
fn a_backup_that_cannot_be_made_leaves_nothing_behind() {
    let bench = Bench::new("refused");
    assert!(bench.refused("none.db", &["backup", "--to", "x"]).contains("there is no database at none.db"));
    assert_eq!(bench.names(), Vec::<String>::new(), "not even a database");
    bench.filled("a.db");
    let before = bench.names();
    assert!(bench.refused("a.db", &["backup", "--to", "no/such/folder/x"]).contains("name another place"));
    let full = Command::new(env!("CARGO_BIN_EXE_doorward"))
        .args(["backup", "--to", "-"])
        .current_dir(&bench.0)
        .env("DOORWARD__STORE__URL", "sqlite:a.db")
        .stdout(std::fs::File::options().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_eq!(full.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&full.stderr).contains("make room"), "{full:?}");
    let mut after = bench.names();
    after.retain(|name| name != "a.db.lock");
    assert_eq!(after, before);
}

#[test]
fn what_could_have_been_revoked_since_is_disabled_and_named() {
    let bench = Bench::new("unknown");
    bench.filled("a.db");
    bench.json("a.db", &["backup", "--to", "a.backup"]);
    let done = bench.json("b.db", &["restore", "--from", "a.backup"]);
    assert_eq!(done["mode"], "unknown");
    let disabled = json!({
        "users": ["root@example.test", "bob@example.test"], "clients": ["one", "two"], "dynamic_clients": [],
        "resources": ["https://mcp.test/a"], "rules": [],
    });
    assert_eq!(done["disabled"], disabled);
    assert!(done["next_steps"].to_string().contains("doorward user enable EMAIL"));
    let users = bench.json("b.db", &["user", "list"]);
    assert!(users.as_array().unwrap().iter().all(|user| user["disabled"] == true), "{users}");
    bench.json("b.db", &["user", "enable", "bob@example.test"]);

    let text = bench.on("c.db", &["restore", "--from", "a.backup"]).stdout;
    assert!(text.contains("seconds old") && text.contains("2 accounts"), "{text}");
}

#[test]
fn when_nothing_was_lost_everything_is_as_it_was() {
    let bench = Bench::new("nothing");
    bench.filled("a.db");
    bench.json("a.db", &["backup", "--to", "stopped.backup"]);
    let served = bench.served("a.db");
    let made = bench.on("a.db", &["backup", "--to", "running.backup"]);
    assert!(made.stdout.contains("a server was running"), "{}", made.stdout);
    drop(served);
    let done = bench.json("b.db", &["restore", "--from", "stopped.backup", "--nothing-lost"]);
    assert_eq!(done["mode"], "nothing_lost");
    assert_eq!(bench.lists("b.db"), bench.lists("a.db"));
    let refused = bench.refused("c.db", &["restore", "--from", "running.backup", "--nothing-lost"]);
    assert!(refused.contains("while a server ran") && refused.contains("--audit FILE"), "{refused}");
    assert_eq!(bench.json("c.db", &["user", "list"]), json!([]));
}

#[test]
fn a_restore_that_is_refused_changes_nothing_and_says_what_to_do() {
    let bench = Bench::new("restore");
    bench.filled("a.db");
    bench.json("a.db", &["backup", "--to", "a.backup"]);
    let whole = std::fs::read(bench.0.join("a.backup")).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(bench.0.join(name), bytes).unwrap();
    write("cut", &whole[..whole.len() / 2]);
    write("empty", b"");
    write("photo", b"\x89PNG\r\n\x1a\n and so on");
    write("edited", &String::from_utf8(whole).unwrap().replace("bob@", "eve@").into_bytes());
    write("trail", b"{}\n");
    for (arguments, reason) in [
        (["--from", "cut"].as_slice(), "another copy"),
        (&["--from", "empty"], "nothing in it"),
        (&["--from", "photo"], "no backup"),
        (&["--from", "edited"], "damaged"),
        (&["--from", "missing"], "can be read"),
        (&["--from", "a.backup", "--audit", "trail"], "audit trail: line 1"),
        (&["--from", "a.backup", "--audit", "empty"], "export the trail to its end"),
    ] {
        let refused = bench.refused("b.db", &[&["restore"], arguments].concat());
        assert!(refused.contains(reason), "{arguments:?}: {refused}");
        assert_eq!(bench.lists("b.db"), [json!([]), json!([]), json!([])]);
    }
    let other = [("DOORWARD__SERVER__ISSUER", "https://other.test")];
    let refused = bench.run("b.db", &["restore", "--from", "a.backup"], "", &other);
    assert!(refused.code == 1 && refused.stderr.contains("http://localhost:9000"), "{}", refused.stderr);
    let refused = bench.refused("a.db", &["restore", "--from", "a.backup"]);
    assert!(refused.contains("not empty") && refused.contains("name a new one"), "{refused}");
    let served = bench.served("b.db");
    assert!(bench.refused("b.db", &["restore", "--from", "a.backup"]).contains("stop it first"));
    drop(served);
    bench.json("b.db", &["restore", "--from", "a.backup"]);
}

#[test]
fn a_database_moves_into_an_empty_one_that_nobody_serves() {
    let bench = Bench::new("move");
    bench.filled("a.db");
    let moved = bench.json("a.db", &["move", "--to", "sqlite:b.db"]);
    assert_eq!((&moved["moved"], &moved["rows"]["users"]), (&json!(true), &json!(2)));
    assert_eq!(bench.lists("b.db"), bench.lists("a.db"));
    assert!(bench.refused("a.db", &["move", "--to", "sqlite:b.db"]).contains("not empty"));
    assert!(bench.refused("a.db", &["move", "--to", "sqlite:a.db"]).contains("name another one"));
    assert!(bench.refused("none.db", &["move", "--to", "sqlite:c.db"]).contains("there is no database"));
    assert!(bench.refused("a.db", &["move", "--to", "mysql://x"]).contains("sqlite:PATH"));
    let secret = ["move", "--to", "postgres://doorward:hunter22@localhost/doorward"];
    let refused = bench.refused("a.db", &secret);
    assert!(refused.contains("--to-file FILE") && !refused.contains("hunter22"), "{refused}");
    for database in ["a.db", "c.db"] {
        let served = bench.served(database);
        assert!(bench.refused("a.db", &["move", "--to", "sqlite:c.db"]).contains("stop it first"));
        drop(served);
    }
    std::fs::write(bench.0.join("url"), "sqlite:c.db\n").unwrap();
    bench.json("a.db", &["move", "--to-file", "url"]);
    assert_eq!(bench.lists("c.db"), bench.lists("a.db"));
}
