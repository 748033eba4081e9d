//! Where data and keys are kept: `store`, `ephemeral` and `keys`.

use std::path::{Path, PathBuf};

use url::Url;

use super::{KeySettings, reader::Reader, sources::Source};
use crate::{ephemeral, store::Location};

/// Puts what a file of its own holds in place of a URL, which may hold a password. `None`: it cannot be used.
fn url_from_file(reader: &mut Reader, url_key: &'static str, file_key: &str) -> Option<()> {
    let Some(path) = reader.optional(file_key) else { return Some(()) };
    if reader.is_given(url_key) {
        let url = reader.source(url_key);
        reader.refuse(file_key, format_args!("{url_key} is set too ({url}); keep one of them"));
        return None;
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let source = Source::File { path: path.into(), line: None };
            reader.replace(url_key, text.trim().to_owned(), source);
            Some(())
        }
        Err(error) => {
            reader.refuse(file_key, format_args!("{path}: {error}; name a file that holds the URL"));
            None
        }
    }
}

pub(super) fn store(reader: &mut Reader) -> Option<Location> {
    url_from_file(reader, "store.url", "store.url_file")?;
    // The value may hold a password, so no message repeats it.
    let text = reader.optional("store.url")?;
    match location(&text) {
        Ok(location) => Some(location),
        Err(problem) => {
            reader.refuse("store.url", problem);
            None
        }
    }
}

/// Reads the URL of a database. The error says what to write, and repeats nothing: there may be a password in it.
pub(super) fn location(text: &str) -> Result<Location, &'static str> {
    match text.split_once(':') {
        Some(("sqlite", path)) => sqlite(path),
        Some(("postgres" | "postgresql", _)) => match Url::parse(text) {
            Ok(url) if url.has_host() => Ok(Location::Postgres(text.to_owned())),
            _ => Err("the PostgreSQL URL cannot be read; write postgres://USER:PASSWORD@HOST/DATABASE"),
        },
        _ => Err("write sqlite:PATH or postgres://USER:PASSWORD@HOST/DATABASE"),
    }
}

fn sqlite(path: &str) -> Result<Location, &'static str> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.contains(":memory:") {
        Err("a database in memory would forget everything at a restart; write sqlite:PATH")
    } else if path.is_empty() || path.ends_with('/') || path.contains('?') {
        Err("write sqlite: and the path of a file, without options, such as sqlite:./data/doorward.db")
    } else {
        Ok(Location::Sqlite(path.into()))
    }
}

pub(super) fn ephemeral(reader: &mut Reader) -> Option<ephemeral::Location> {
    url_from_file(reader, "ephemeral.url", "ephemeral.url_file")?;
    match ephemeral::Location::parse(&reader.optional("ephemeral.url")?) {
        Ok(location) => Some(location),
        Err(problem) => {
            reader.refuse("ephemeral.url", problem);
            None
        }
    }
}

pub(super) fn keys(reader: &mut Reader, store: &Location) -> KeySettings {
    if let Some(path) = reader.optional("keys.kek_file") {
        return KeySettings { kek_file: path.into(), make_if_missing: false };
    }
    let kek_file = match store {
        Location::Sqlite(database) => beside(database),
        Location::Postgres(_) => PathBuf::from("./data/doorward.kek"),
    };
    reader.replace("keys.kek_file", kek_file.display().to_string(), Source::Default);
    KeySettings { kek_file, make_if_missing: true }
}

/// `doorward.kek` beside `doorward.db`. A database that is called so itself must not be taken for the key.
fn beside(database: &Path) -> PathBuf {
    let path = database.with_extension("kek");
    if path == database { database.with_extension("kek.kek") } else { path }
}
