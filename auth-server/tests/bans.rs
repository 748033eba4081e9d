//! What may not be linked: read from `Cargo.lock` and from the manifest of the shared crate.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use toml::{Table, Value};

/// Crates that are not linked at any price, and why.
const BANNED: &[(&str, &str)] = &[
    ("openssl", "TLS is rustls"),
    ("openssl-sys", "TLS is rustls"),
    ("openssl-src", "TLS is rustls"),
    ("native-tls", "TLS is rustls"),
    ("tokio-native-tls", "TLS is rustls"),
    ("hyper-tls", "TLS is rustls"),
];

/// Crates that only this one may bring along, words that our sources must not use then, and why that is enough.
const CONFINED: &[(&str, &str, &[&str], &str)] = &[(
    "rsa",
    "openidconnect",
    &[
        "CoreJsonWebKey",
        "CoreRsaPrivateSigningKey",
        "CoreIdTokenVerifier",
        "CoreProviderMetadata",
        "CoreClient",
    ],
    "its private-key operations leak time (RUSTSEC-2023-0071). openidconnect names it and cannot do without; the types through \
     which it would be called are not used: our own key type verifies by aws-lc-rs (docs/decisions/0009-upstream.md)",
)];

/// A crate whose name only sounds like OpenSSL.
const NOT_OPENSSL: &str = "openssl-probe"; // looks for the certificate folders of the system, links nothing

/// Crates that are there in two incompatible versions, and who is behind. One that is there once is taken off the list.
const TWICE: &[(&str, &str)] = &[
    ("base64", "reqwest, hyper-util and rmcp are on 0.23; jsonwebtoken and sqlx still on 0.22"),
    ("block-buffer", "comes with digest"),
    ("const-oid", "comes with der"),
    ("cookie", "actix-web is on 0.16, reqwest on 0.18, for the tests only"),
    ("cpufeatures", "comes with sha2"),
    ("crypto-common", "comes with digest"),
    ("der", "rsa, which openidconnect brings along, is on 0.7, its p256 on 0.8"),
    ("digest", "comes with sha2"),
    ("getrandom", "jsonwebtoken, ring and oauth2 are on 0.2"),
    ("hashbrown", "sqlx is on 0.16, indexmap on 0.17"),
    ("hmac", "openidconnect is on 0.12, sqlx on 0.13"),
    ("http", "actix-web is on 0.2, everything else on 1"),
    ("indexmap", "a feature of serde_with, which nobody switches on, would bring 1"),
    ("pem-rfc7468", "comes with der"),
    ("pkcs8", "comes with der"),
    ("rand", "oauth2, a dependency of rmcp's client in the tests, is on 0.8"),
    ("rand_core", "signature and rand 0.8 are on 0.6"),
    ("schemars", "a feature of serde_with, which nobody switches on, would bring 0.9"),
    ("sha2", "sqlx and oauth2 are on 0.10"),
    ("signature", "comes with der: rsa is on 2, p256 on 3"),
    ("spki", "comes with der"),
    ("syn", "macro crates move from 2 to 3 one by one; nothing of it is in a program"),
    ("thiserror", "oauth2 is on 1"),
    ("thiserror-impl", "comes with thiserror"),
    ("untrusted", "aws-lc-rs is on 0.7, rustls-webpki on 0.9"),
    ("windows-sys", "ring is on 0.52; nothing of it is in a program for Linux"),
];

/// Crates that do I/O: the wire vocabulary stays free of them.
const IO: &[&str] = &["actix", "axum", "hyper", "redis", "reqwest", "rmcp", "sqlx", "tokio"];

fn table(path: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(path).expect("the file is there").parse().expect("it is TOML")
}

/// The part of a version that must be equal for two to be one: `1`, or `0.10`.
fn line_of(version: &str) -> String {
    let parts: Vec<_> = version.split('.').collect();
    if parts[0] == "0" { parts[..2].join(".") } else { parts[0].to_owned() }
}

/// Every locked crate with its lines.
fn locked() -> BTreeMap<String, BTreeSet<String>> {
    let lock = table("Cargo.lock");
    let mut locked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in lock["package"].as_array().expect("a list") {
        let text = |key: &str| package[key].as_str().expect("a text").to_owned();
        locked.entry(text("name")).or_default().insert(line_of(&text("version")));
    }
    assert!(locked.len() > 100, "the lock file was not read");
    locked
}

#[test]
fn no_banned_crate_is_linked() {
    for name in locked().keys() {
        let banned = BANNED.iter().find(|(banned, _)| banned == name);
        assert!(banned.is_none(), "{name}: {}", banned.unwrap().1);
        assert!(!name.starts_with("openssl") || name == NOT_OPENSSL, "{name}: TLS is rustls");
    }
}

#[test]
fn a_confined_crate_comes_with_one_other_and_is_never_called() {
    let lock = table("Cargo.lock");
    let text = |package: &Value, key: &str| package[key].as_str().expect("a text").to_owned();
    for (confined, by, words, why) in CONFINED {
        let brings = |package: &&Value| {
            let named = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
            named.filter_map(Value::as_str).any(|name| name.split(' ').next() == Some(confined))
        };
        let packages = lock["package"].as_array().expect("a list");
        let parents: Vec<_> = packages.iter().filter(brings).map(|package| text(package, "name")).collect();
        assert_eq!(parents, [*by], "{confined}: {why}");
        let sources = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        assert!(sources.len() > 30, "the sources were not found");
        for source in sources {
            let code = fs::read_to_string(&source).expect("it can be read");
            let mut used = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            assert!(
                used.all(|word| !words.contains(&word) && word != *confined),
                "{}: {why}",
                source.display()
            );
        }
    }
}

fn sources(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries =
        fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn no_crate_is_there_twice_without_a_reason() {
    let twice: Vec<_> = locked().into_iter().filter(|(_, lines)| lines.len() > 1).collect();
    for (name, lines) in &twice {
        assert!(
            TWICE.iter().any(|(known, _)| known == name),
            "{name} is there as {lines:?}: unite them, or say why not"
        );
    }
    for (name, _) in TWICE {
        assert!(
            twice.iter().any(|(found, _)| found == name),
            "{name} is there once now: take it off the list"
        );
    }
}

#[test]
fn the_wire_vocabulary_links_nothing_that_does_io() {
    let manifest = table("shared/Cargo.toml");
    let names = |section: &str| manifest.get(section).and_then(Value::as_table).into_iter().flatten();
    let names = names("dependencies").chain(names("build-dependencies")).map(|(name, _)| name.as_str());
    for name in names {
        let io = IO.iter().any(|banned| name == *banned || name.starts_with(&format!("{banned}-")));
        assert!(!io, "shared/Cargo.toml lists {name}: nothing there may do I/O");
    }
    assert!(manifest.get("target").is_none(), "dependencies for one target only would not be seen here");
}

#[test]
fn every_dependency_has_its_line_in_the_document() {
    let document = include_str!("../../docs/decisions/dependencies.md");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeSet<_> = rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect();
    let workspace = table("Cargo.toml");
    let members = workspace["workspace"]["members"].as_array().expect("a list");
    let manifests =
        members.iter().map(|member| table(&format!("{}/Cargo.toml", member.as_str().expect("a path"))));
    let mut named = BTreeSet::new();
    for manifest in manifests {
        let sections = ["dependencies", "dev-dependencies"].map(|section| manifest.get(section).cloned());
        let tables = sections.into_iter().flatten().filter_map(|section| section.as_table().cloned());
        named.extend(tables.flatten().map(|(name, _)| name).filter(|name| !name.starts_with("doorward-")));
    }
    assert_eq!(documented, named);
}

#[test]
fn two_versions_are_one_when_a_caret_says_so() {
    for (version, line) in [("1.2.3", "1"), ("0.10.9", "0.10"), ("0.0.4", "0.0"), ("2.0.0-rc.2", "2")] {
        assert_eq!(line_of(version), line);
    }
}
