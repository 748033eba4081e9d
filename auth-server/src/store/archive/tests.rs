use std::io::{BufReader, Write as _};

use doorward_shared::secret::{Secret, SetupLink, SystemEntropy};
use proptest::prelude::*;

use super::*;

const TABLES: [(&str, usize); 2] = [("users", 2), ("grants", 3)];

fn header() -> Header {
    let table = |(name, columns): (&str, usize)| Table {
        name: name.to_owned(),
        columns: (0..columns).map(|i| format!("c{i}")).collect(),
    };
    Header {
        format: FORMAT,
        version: "0.1.0".to_owned(),
        schema: 1,
        created_at: Timestamp::from_seconds(1_800_000_000),
        issuer: "https://as.test".to_owned(),
        stopped: true,
        epoch: Some("e".to_owned()),
        heads: BTreeMap::from([("revocations".to_owned(), 7)]),
        tables: TABLES.map(table).to_vec(),
    }
}

fn written(header: &Header, rows: &[Row]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer.begin(header).unwrap();
    for row in rows {
        writer.row(TABLES[row.table].0, &row.cells).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

fn read(mut bytes: &[u8]) -> Result<(Header, Vec<Row>)> {
    let mut reader = Reader::open(&mut bytes, 1)?;
    let mut rows = Vec::new();
    while let Some(row) = reader.next_row()? {
        rows.push(row);
    }
    Ok((reader.header().clone(), rows))
}

fn row(table: usize, cells: &[Cell]) -> Row {
    Row { table, cells: cells.to_vec() }
}

fn example() -> Vec<u8> {
    let text = |text: &str| Cell::Text(text.to_owned());
    let rows = [
        row(0, &[text("Zoë \"quoted\"\n🦊"), Cell::Null]),
        row(0, &[text(""), Cell::Integer(i64::MIN)]),
        row(1, &[text("{\"t\":\"users\"}"), Cell::Integer(0), Cell::Null]),
    ];
    let bytes = written(&header(), &rows);
    assert_eq!(read(&bytes).unwrap(), (header(), rows.to_vec()));
    bytes
}

#[test]
fn a_backup_is_a_line_for_each_row_between_a_first_and_a_last_one() {
    let text = String::from_utf8(example()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 5);
    assert!(lines[0].starts_with(r#"{"format":1,"version":"0.1.0","schema":1,"#), "{}", lines[0]);
    assert_eq!(lines[2], r#"{"t":"users","r":["",-9223372036854775808]}"#);
    assert!(lines[4].starts_with(r#"{"rows":{"grants":1,"users":2},"sha256":""#), "{}", lines[4]);
}

#[test]
fn a_backup_that_was_cut_anywhere_is_refused() {
    let bytes = example();
    for length in 0..bytes.len() {
        let refused = read(&bytes[..length]).unwrap_err();
        assert!(matches!(refused, ArchiveError::Damaged { .. }), "{length}: {refused}");
    }
}

#[test]
fn a_line_that_was_taken_out_put_in_or_moved_is_found() {
    let text = String::from_utf8(example()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let join = |lines: &[&str]| lines.join("\n") + "\n";
    for at in 0..lines.len() {
        let without = [&lines[..at], &lines[at + 1..]].concat();
        assert!(read(join(&without).as_bytes()).is_err(), "without {at}");
        let twice = [&lines[..=at], &lines[at..]].concat();
        assert!(read(join(&twice).as_bytes()).is_err(), "{at} twice");
        for other in at + 1..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(at, other);
            assert!(read(join(&swapped).as_bytes()).is_err(), "{at} and {other}");
        }
    }
}

#[test]
fn each_kind_of_damage_is_named_with_its_line() {
    let text = String::from_utf8(example()).unwrap();
    for (from, to, line, what) in [
        ("{\"format\"", "{\"fromat\"", 1, "no backup"),
        ("\"schema\":1,", "\"schema\":1,\"x\":2,", 1, "first line"),
        ("\"name\":\"grants\"", "\"name\":\"users\"", 1, "twice"),
        ("[\"c0\",\"c1\"]", "[\"c0\",\"c0\"]", 1, "twice"),
        ("{\"t\":\"users\",\"r\":[\"\"", "{\"t\":\"people\",\"r\":[\"\"", 3, "table"),
        ("{\"t\":\"users\",\"r\":[\"\"", "{\"t\":\"grants\",\"r\":[\"\"", 3, "as many values"),
        ("[\"\",-9", "[1.5,-9", 3, "no row"),
        ("{\"rows\"", "{\"row\"", 5, "last line"),
        ("\"grants\":1", "\"grants\":2", 5, "missing"),
        ("-9223372036854775808", "-9223372036854775807", 5, "not those"),
    ] {
        assert_eq!(text.matches(from).count(), 1, "{from}");
        let refused = read(text.replace(from, to).as_bytes()).unwrap_err();
        let ArchiveError::Damaged { line: found, what: why } = &refused else { panic!("{refused}") };
        assert!(*found == line && why.contains(what), "{from}: {refused}");
    }
    let refused = read((text + "\n").as_bytes()).unwrap_err().to_string();
    assert!(refused.contains("line 6") && refused.contains("another copy"), "{refused}");
}

#[test]
fn what_another_doorward_wrote_is_refused_by_its_name() {
    let newer = Header { schema: 2, version: "9.1.0".to_owned(), ..header() };
    let refused = read(&written(&newer, &[])).unwrap_err().to_string();
    assert!(refused.contains("Doorward 9.1.0") && refused.contains("schema 2"), "{refused}");
    let line = b"{\"format\":2,\"version\":\"9.2.0\",\"schema\":1,\"compressed\":true}\n";
    assert!(matches!(read(line).unwrap_err(), ArchiveError::Newer { format: 2, .. }));
}

#[test]
fn a_line_without_end_is_never_read_into_memory_whole() {
    let mut endless = BufReader::new(io::repeat(b'x'));
    let refused = Reader::open(&mut endless, 1).unwrap_err().to_string();
    assert!(refused.contains("no backup"), "{refused}");
    let mut endless =
        written(&header(), &[]).into_iter().take_while(|byte| *byte != b'\n').collect::<Vec<_>>();
    endless.push(b'\n');
    let mut endless = BufReader::new(io::Read::chain(io::Cursor::new(endless), io::repeat(b'x')));
    let refused = Reader::open(&mut endless, 1).unwrap().next_row().unwrap_err().to_string();
    assert!(refused.contains("too long"), "{refused}");
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    writer.begin(&header()).unwrap();
    let long = writer.row("users", &[Cell::Text("x".repeat(MAX_LINE)), Cell::Null]);
    assert!(matches!(long, Err(ArchiveError::TooLong("users"))));
}

#[test]
fn a_new_file_is_there_as_a_whole_or_not_at_all() {
    use std::os::unix::fs::PermissionsExt as _;
    let name = Secret::<SetupLink>::generate(&SystemEntropy);
    let folder = std::env::temp_dir().join(name.expose());
    std::fs::create_dir(&folder).unwrap();
    let place = folder.join("backup");
    let names = || std::fs::read_dir(&folder).unwrap().count();
    std::fs::write(&place, "before").unwrap();

    let mut given_up = NewFile::begin(&place, "one").unwrap();
    given_up.write_all(b"half").unwrap();
    assert_eq!(names(), 2);
    drop(given_up);
    assert_eq!((names(), std::fs::read_to_string(&place).unwrap().as_str()), (1, "before"));

    let mut done = NewFile::begin(&place, "two").unwrap();
    done.write_all(b"whole").unwrap();
    assert_eq!(std::fs::read_to_string(&place).unwrap(), "before");
    done.finish().unwrap();
    assert_eq!((names(), std::fs::read_to_string(&place).unwrap().as_str()), (1, "whole"));
    assert_eq!(place.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// An export of `count` events, as text lines.
fn exported(count: i64) -> Vec<String> {
    use crate::domain::audit::{Action, Actor, Event, FIRST_LINK};
    let mut before = FIRST_LINK.to_owned();
    let line = |sequence: i64| {
        let at = Timestamp::from_seconds(1_800_000_000 + sequence);
        let event = Event::new(Action::UserDisabled, Actor::Operator, at, &SystemEntropy)
            .on(format!("usr_{sequence}"))
            .with("n", sequence);
        let hash = event.link(sequence, &before);
        before.clone_from(&hash);
        serde_json::json!({
            "id": event.id.as_str(), "at": at, "actor_kind": "operator", "actor": null, "action": "user_disabled",
            "object": event.object, "address": null, "detail": event.detail, "sequence": sequence, "hash": hash,
        })
        .to_string()
    };
    (1..=count).map(line).collect()
}

/// The numbers of the events after the head at `head`, of an export of these lines.
fn followed(lines: &[String], head: (i64, &str)) -> Result<Vec<i64>> {
    let text = lines.iter().fold(String::new(), |text, line| text + line + "\n");
    let mut input = text.as_bytes();
    let mut trail = Trail::after(Link { sequence: head.0, hash: head.1.to_owned() }, &mut input);
    let mut numbers = Vec::new();
    while let Some(stored) = trail.next_event()? {
        numbers.push(stored.link.unwrap().sequence);
    }
    Ok(numbers)
}

fn hash_of(line: &str) -> String {
    serde_json::from_str::<serde_json::Value>(line).unwrap()["hash"].as_str().unwrap().to_owned()
}

#[test]
fn a_trail_is_followed_from_where_the_backup_ends() {
    let lines = exported(6);
    let head = hash_of(&lines[3]);
    assert_eq!(followed(&lines, (0, "")).unwrap(), [1, 2, 3, 4, 5, 6]);
    for from in 0..=4 {
        assert_eq!(followed(&lines[from..], (4, &head)).unwrap(), [5, 6], "{from}");
    }
    assert_eq!(followed(&lines[..4], (4, &head)).unwrap(), Vec::<i64>::new());
}

#[test]
fn a_trail_that_does_not_continue_the_backup_or_was_changed_is_refused() {
    let lines = exported(6);
    let head = hash_of(&lines[3]);
    let refused = |lines: &[String], head: (i64, &str)| match followed(lines, head).unwrap_err() {
        ArchiveError::Trail { line, what } => format!("{line} {what}"),
        other => panic!("{other}"),
    };
    assert!(refused(&lines[..3], (4, &head)).starts_with("4 it ends before"));
    assert!(refused(&[], (0, "")).starts_with("1 it ends before"));
    assert!(refused(&lines[5..], (4, &head)).contains("comes after"));
    assert!(refused(&exported(6), (4, &head)).starts_with("4 the backup has another event"));
    assert!(refused(&exported(6)[4..], (4, &head)).starts_with("1 it was changed"));
    let without = [&lines[..4], &lines[5..]].concat();
    assert!(refused(&without, (4, &head)).starts_with("5 events are missing"));
    for at in 0..6 {
        for (from, to) in [("\"n\":", "\"n\":9"), ("\"object\":\"usr_", "\"object\":\"usr_x")] {
            let mut changed = lines.clone();
            changed[at] = changed[at].replace(from, to);
            assert!(refused(&changed, (4, &head)).contains("changed"), "{at}");
        }
    }
    let mut unknown = lines;
    unknown[5] = unknown[5].replace("user_disabled", "user_praised");
    assert!(refused(&unknown, (4, &head)).starts_with("6 it is no event"));
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(rows in prop::collection::vec((0_usize..2, any::<[Option<(bool, i64, String)>; 3]>()), 0..20)) {
        let mut rows: Vec<Row> = rows.into_iter().map(|(table, cells)| {
            let cells = cells.into_iter().take(TABLES[table].1).map(|cell| match cell {
                None => Cell::Null,
                Some((true, number, _)) => Cell::Integer(number),
                Some((false, _, text)) => Cell::Text(text),
            });
            Row { table, cells: cells.collect() }
        }).collect();
        rows.sort_by_key(|row| row.table);
        let bytes = written(&header(), &rows);
        prop_assert_eq!(read(&bytes).unwrap().1, rows);
    }

    #[test]
    fn one_changed_byte_is_found(at in 0_usize..1000, with in any::<u8>()) {
        let mut bytes = example();
        let at = at % bytes.len();
        prop_assume!(bytes[at] != with);
        bytes[at] = with;
        prop_assert!(read(&bytes).is_err());
    }
}
