//! The walls of the house (ARCHITECTURE.md): which room may name which, read from every `crate::…` path in the sources.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// From the roof down. A room may name the rooms listed with it, and itself; no arrow points up.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["app", "config", "domain", "flows", "keys", "mail", "password", "store", "telemetry"]),
    (
        "app",
        &[
            "config",
            "domain",
            "ephemeral",
            "flows",
            "http",
            "keys",
            "mail",
            "outbound",
            "password",
            "store",
            "telemetry",
            "upstream",
        ],
    ),
    ("http", &["domain", "ephemeral", "flows", "keys", "password", "store", "telemetry", "upstream"]),
    ("flows", &["domain", "ephemeral", "keys", "mail", "outbound", "password", "store", "upstream"]),
    ("telemetry", &["config"]),
    ("config", &["domain", "ephemeral", "mail", "store", "upstream"]),
    ("upstream", &["domain"]),
    ("keys", &["domain"]),
    ("ephemeral", &["domain"]),
    ("mail", &["domain"]),
    ("outbound", &["domain"]),
    ("password", &["domain"]),
    ("store", &["domain"]),
    ("domain", &[]),
];

/// Words that only these rooms may use, and why.
const WORDS: &[(&str, &[&str], &str)] = &[
    ("actix_web", &["http", "app"], "only http knows HTTP, and app starts it"),
    ("sqlx", &["store"], "only the store speaks SQL"),
    ("lettre", &["mail"], "only mail speaks SMTP"),
    ("deadpool_redis", &["ephemeral"], "only ephemeral speaks to Redis"),
    ("openidconnect", &["upstream"], "only upstream speaks to other providers"),
    (
        "reqwest",
        &["upstream", "outbound"],
        "only these ask anybody outside: who the operator names, and who a stranger names",
    ),
    ("env", &["config"], "only config reads the environment"),
];

/// Words that no decision may depend on.
const IMPURE: &[&str] = &["async", "await", "SystemTime", "Instant", "rand", "tokio", "File"];

/// One thing that is wrong: where, and what.
fn problems(file: &str, source: &str) -> Vec<String> {
    let module: Vec<&str> = file
        .trim_end_matches(".rs")
        .trim_end_matches("/mod")
        .split('/')
        .filter(|part| *part != "lib")
        .collect();
    let Some(room) = module.first().copied() else { return Vec::new() };
    let Some((_, may)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return vec![format!("{file}: the room {room} is not in the table of tests/layering.rs")];
    };
    let code = code_of(source);
    let mut found = Vec::new();
    for named in rooms_named(&code, module.len()) {
        if named != room && !may.contains(&named.as_str()) && ROOMS.iter().any(|(name, _)| *name == named) {
            found.push(format!("{file}: {room} must not name {named}"));
        }
    }
    for (at, word) in words(&code) {
        let macro_call = code[at + word.len()..].starts_with('!');
        if let Some((_, _, why)) =
            WORDS.iter().find(|(w, rooms, _)| *w == word && !rooms.contains(&room) && !macro_call)
        {
            found.push(format!("{file}: {word}: {why}"));
        }
        if room == "domain" && IMPURE.contains(&word) {
            found.push(format!("{file}: {word}: a decision is a pure function"));
        }
    }
    found
}

/// The rooms that paths from the crate's root name: `crate::store`, `crate::{store, domain::ids}`, `super::super::store`
/// from a module two deep, and `doorward::cli` from the program.
fn rooms_named(code: &str, depth: usize) -> Vec<String> {
    let up = "super::".repeat(depth);
    let mut named = Vec::new();
    for root in ["crate::", "doorward::", up.as_str()] {
        for (at, _) in code.match_indices(root) {
            let whole = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            let rest = &code[at + root.len()..];
            match rest.strip_prefix('{') {
                _ if !whole => {}
                Some(group) => named.extend(heads(group)),
                None => named.extend(words(rest).first().map(|(_, word)| (*word).to_owned())),
            }
        }
    }
    named
}

/// The first word of each item of a `{…}` group, nested groups skipped.
fn heads(group: &str) -> Vec<String> {
    let (mut depth, mut item, mut items) = (0_u32, String::new(), Vec::new());
    for c in group.chars() {
        match c {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(std::mem::take(&mut item)),
            _ if depth == 0 => item.push(c),
            _ => {}
        }
    }
    items.push(item);
    items.iter().filter_map(|item| words(item).first().map(|(_, word)| (*word).to_owned())).collect()
}

fn words(code: &str) -> Vec<(usize, &str)> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let starts = code.char_indices().filter(|(at, c)| is_word(*c) && !code[..*at].ends_with(is_word));
    starts.map(|(at, _)| (at, code[at..].split(|c| !is_word(c)).next().unwrap_or_default())).collect()
}

/// The source without comments, without what is in quotes, and without test modules.
fn code_of(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if c == '"' {
            quoted(rest)
        } else if rest.starts_with("r\"") || rest.starts_with("r#") {
            let hashes = rest[1..].bytes().take_while(|b| *b == b'#').count();
            let end = format!("\"{}", "#".repeat(hashes));
            rest[2 + hashes..].find(&end).map_or(rest.len(), |at| 2 + hashes + at + end.len())
        } else if c == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    without_tests(&code)
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character literal; 0 for a lifetime.
fn character(rest: &str) -> usize {
    let inside = &rest[1..];
    match inside.chars().next() {
        Some('\\') => inside[2..].find('\'').map_or(0, |at| at + 4),
        Some(c) if inside[c.len_utf8()..].starts_with('\'') => c.len_utf8() + 2,
        _ => 0,
    }
}

fn without_tests(code: &str) -> String {
    let Some(start) = code.find("#[cfg(test)]") else { return code.to_owned() };
    let after = &code[start..];
    let end = match (after.find('{'), after.find(';')) {
        (Some(brace), semicolon) if semicolon.is_none_or(|semicolon| brace < semicolon) => {
            let mut depth = 0_i32;
            let close = after.char_indices().skip(brace).find(|(_, c)| {
                depth += i32::from(*c == '{') - i32::from(*c == '}');
                depth == 0
            });
            close.map_or(after.len(), |(at, _)| at + 1)
        }
        (_, Some(semicolon)) => semicolon + 1,
        _ => after.len(),
    };
    format!("{}{}", &code[..start], without_tests(&after[end..]))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
    let files = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs")).collect()
}

#[test]
fn no_arrow_points_up_and_every_instrument_stays_in_its_room() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = sources(&root);
    assert!(files.len() > 30, "the sources were not found");
    let wrong: Vec<_> = files
        .iter()
        .filter(|path| !path.ends_with("lib.rs"))
        .flat_map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            problems(&name, &fs::read_to_string(path).unwrap())
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_itself_has_no_arrow_that_points_up() {
    for (height, (room, may)) in ROOMS.iter().enumerate() {
        for below in *may {
            let place = ROOMS.iter().position(|(name, _)| name == below);
            assert!(place.is_some_and(|place| place > height), "{room} does not stand above {below}");
        }
    }
}

#[test]
fn each_breach_is_seen() {
    for (file, source, expected) in [
        ("domain/x.rs", "use crate::store::Store;", "domain must not name store"),
        ("domain/x.rs", "use crate::{domain::ids, http};", "domain must not name http"),
        ("domain/x.rs", "use super::super::flows;", "domain must not name flows"),
        ("domain/x.rs", "fn f() -> crate::keys::KeyRing {}", "domain must not name keys"),
        ("domain/x.rs", "pub async fn f() {}", "async: a decision is a pure function"),
        ("domain/x.rs", "let t = std::time::SystemTime::now();", "SystemTime: a decision"),
        ("domain/x.rs", "let x = rand::random();", "rand: a decision"),
        ("store/sql/mod.rs", "use super::super::flows;", "store must not name flows"),
        ("flows/x.rs", "use actix_web::web;", "actix_web: only http knows HTTP"),
        ("flows/x.rs", "use crate::http::Site;", "flows must not name http"),
        ("flows/x.rs", "let q = sqlx::query(\"x\");", "sqlx: only the store speaks SQL"),
        ("app.rs", "use std::{env, io};", "env: only config reads the environment"),
        ("main.rs", "use doorward::store;", "main must not name store"),
        ("attic/x.rs", "", "the room attic is not in the table"),
    ] {
        let found = problems(file, source).join("\n");
        assert!(found.contains(expected), "{file}: {source}: {found:?}");
    }
    for (file, source) in [
        (
            "domain/x.rs",
            "// use crate::store;\n/* async */ const C: char = '\"'; const S: &str = \"rand \\\" tokio\";",
        ),
        (
            "domain/x.rs",
            "fn f<'a>(x: &'a str) -> char { '\\'' } #[cfg(test)]\nmod tests { use crate::store; }",
        ),
        (
            "domain/x.rs",
            "const S: &str = r#\"crate::store \"async\" \"#; use super::ids; use crate::domain::email;",
        ),
        (
            "flows/x.rs",
            "const X: &str = env!(\"X\"); use crate::{domain::{ids, code}, store::{Applied, Store}};",
        ),
        ("http/oauth/token.rs", "use super::super::extract; use actix_web::web;"),
    ] {
        assert_eq!(problems(file, source), Vec::<String>::new(), "{source}");
    }
}
