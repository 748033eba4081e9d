//! `docs/attacks.md` and `docs/promises.md` against the sources: no case is forgotten, no test is named that does not exist, and no test covers a
//! case that the list does not say it covers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The groups of the list, and how many cases each has.
const GROUPS: [(&str, usize); 23] = [
    ("AZ", 25),
    ("RU", 35),
    ("CD", 21),
    ("IM", 12),
    ("OR", 10),
    ("CS", 20),
    ("CN", 20),
    ("RT", 29),
    ("RV", 14),
    ("JT", 38),
    ("JK", 12),
    ("RI", 16),
    ("DR", 22),
    ("CM", 33),
    ("LG", 16),
    ("UP", 16),
    ("AK", 13),
    ("CA", 14),
    ("HT", 28),
    ("IN", 15),
    ("AD", 10),
    ("FT", 24),
    ("KM", 10),
];

/// What a test's name begins with, and the folder in which the rest of its name is a path.
const PLACES: [(&str, &str); 10] = [
    ("e2e::attacks", "tests/tests/attacks"),
    ("e2e::faults", "tests/tests/faults"),
    ("e2e::golden_path", "tests/tests/golden_path"),
    ("e2e", "tests/tests"),
    ("doorward_shared", "shared/src"),
    ("doorward_auth_server::ephemeral", "auth-server/tests/ephemeral"),
    ("doorward_auth_server::store", "auth-server/tests/store"),
    ("doorward_auth_server", "auth-server/tests"),
    ("doorward_resource_server::kit", "resource-server/kit/tests/kit"),
    ("doorward", "auth-server/src"),
];

/// Where tests say in a comment which cases they cover.
const COMMENTED: [&str; 4] =
    ["e2e::attacks", "e2e::faults", "doorward_resource_server::kit", "doorward_shared"];

/// One row of the list.
#[derive(Debug)]
struct Row {
    id: String,
    tests: Vec<String>,
    construction: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above").to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn rows() -> Vec<Row> {
    let text = read(&root().join("docs/attacks.md"));
    let rows = text.lines().filter_map(|line| {
        let cells: Vec<_> = line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect();
        let id = cells[0].to_owned();
        if ids_in(&id).len() != 1 {
            return None;
        }
        let [_, what, tests, construction] = cells[..] else { panic!("four cells: {line}") };
        assert!(!what.trim().is_empty(), "{line}");
        let tests = tests.split(", ").filter_map(|test| test.strip_prefix('`')?.strip_suffix('`'));
        Some(Row { id, tests: tests.map(str::to_owned).collect(), construction: construction.to_owned() })
    });
    rows.collect()
}

/// All ids of our groups in a text.
fn ids_in(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    let known = |word: &&str| {
        word.split_once('-').is_some_and(|(group, number)| {
            number.len() == 2
                && number.bytes().all(|b| b.is_ascii_digit())
                && GROUPS.iter().any(|(known, _)| *known == group)
        })
    };
    words.filter(known).map(str::to_owned).collect()
}

/// The folder in which a test is, and the rest of its name.
fn place(test: &str) -> (PathBuf, Vec<&str>) {
    let inside = |(prefix, folder): &(&str, &str)| {
        let rest = test.strip_prefix(prefix)?.strip_prefix("::")?;
        Some((root().join(folder), rest.split("::").collect()))
    };
    PLACES.iter().find_map(inside).unwrap_or_else(|| panic!("`{test}`: no folder is known for this name"))
}

/// The file of a module, in either of its two places.
fn file(folder: &Path, modules: &[&str]) -> PathBuf {
    let path = modules.iter().fold(folder.to_owned(), |path, module| path.join(module));
    let flat = path.with_extension("rs");
    if flat.exists() { flat } else { path.join("mod.rs") }
}

/// Every test with a comment that names cases: `prefix::module::function`, and the cases.
fn commented(prefix: &str, folder: &Path, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_str().expect("text").to_owned();
        let module = format!("{prefix}::{name}");
        if path.is_dir() {
            commented(&module, &path, found);
            continue;
        }
        let mut ids = Vec::new();
        for line in read(&path).lines().map(str::trim_start) {
            if let Some(comment) = line.strip_prefix("// ") {
                let here = ids_in(comment);
                if comment.split([',', ':', ' ']).next().is_some_and(|word| !ids_in(word).is_empty()) {
                    ids = here;
                }
            } else if let Some((_, rest)) = line.split_once("fn ")
                && let Some((function, _)) = rest.split_once(['(', '<'])
                && !ids.is_empty()
            {
                found.entry(format!("{module}::{function}")).or_default().extend(ids.drain(..));
            }
        }
    }
}

/// True when `function` is marked as a test, or handed by name to a macro that makes tests of it.
fn is_test(source: &str, function: &str) -> bool {
    let lines: Vec<_> = source.lines().map(str::trim_start).collect();
    let definitions = [format!("fn {function}("), format!("fn {function}<")];
    let Some(at) = lines.iter().position(|line| definitions.iter().any(|text| line.contains(text))) else {
        return false;
    };
    let mark = |line: &&str| line.starts_with("#[test]") || line.starts_with("#[tokio::test");
    let names =
        |line: &&str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == function);
    let handed = lines.iter().enumerate().any(|(i, line)| i != at && !line.starts_with("//") && names(line));
    handed || lines[at.saturating_sub(4)..at].iter().any(mark)
}

#[test]
fn every_case_of_these_groups_has_one_row_in_order() {
    let expected: Vec<_> = GROUPS
        .iter()
        .flat_map(|(group, count)| (1..=*count).map(move |n| format!("{group}-{n:02}")))
        .collect();
    let listed: Vec<_> = rows().into_iter().map(|row| row.id).collect();
    assert_eq!(listed, expected);
}

#[test]
fn every_row_names_a_test_or_says_what_it_waits_for() {
    for row in rows() {
        let waits = row.construction.strip_prefix("not yet: ");
        assert!(!row.tests.is_empty() || waits.is_some(), "{row:?}");
        assert!(!row.construction.trim().is_empty() && waits.is_none_or(|what| !what.is_empty()), "{row:?}");
    }
}

fn assert_exists(id: &str, test: &str) {
    let (folder, names) = place(test);
    let (function, modules) = names.split_last().expect("a name has parts");
    let path = file(&folder, modules);
    assert!(path.exists(), "{id}: `{test}`: there is no {}", path.display());
    assert!(is_test(&read(&path), function), "{id}: `{test}` is not in {}", path.display());
}

#[test]
fn every_named_test_exists() {
    for row in rows() {
        row.tests.iter().for_each(|test| assert_exists(&row.id, test));
    }
}

#[test]
fn every_promise_has_a_row_with_tests_that_exist_or_the_reason_why_there_is_none() {
    let text = read(&root().join("docs/promises.md"));
    let mut listed = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("| PR-")) {
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        let [id, promise, tests, how] = cells[..] else { panic!("four cells: {line}") };
        assert!(!promise.is_empty() && !how.is_empty(), "{line}");
        for test in tests.split(", ").filter(|tests| *tests != "–") {
            let name = test.strip_prefix('`').and_then(|test| test.strip_suffix('`'));
            assert_exists(id, name.unwrap_or_else(|| panic!("{id}: {test} is no test")));
        }
        listed.push(id.to_owned());
    }
    assert_eq!(listed, (1..=20).map(|n| format!("PR-{n:02}")).collect::<Vec<_>>());
}

#[test]
fn every_test_that_names_a_case_is_named_by_its_row() {
    let rows: BTreeMap<_, _> = rows().into_iter().map(|row| (row.id, row.tests)).collect();
    let mut found = BTreeMap::new();
    for (prefix, folder) in PLACES.iter().filter(|(prefix, _)| COMMENTED.contains(prefix)) {
        commented(prefix, &root().join(folder), &mut found);
    }
    assert!(found.len() > 100, "{} tests name cases", found.len());
    for (test, ids) in found {
        for id in ids {
            let row = rows.get(&id).unwrap_or_else(|| panic!("`{test}` covers {id}, which has no row"));
            assert!(row.contains(&test), "the row of {id} does not name `{test}`");
        }
    }
}
