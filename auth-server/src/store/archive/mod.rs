//! A backup: what every table holds at one moment, as lines of JSON, the same whatever database it comes from or goes to.
//!
//! The first line is a [`Header`]. A line for each row follows, `{"t":TABLE,"r":[VALUE…]}`, the values in the order of the
//! header's columns. The last line counts the rows and holds the SHA-256 of all lines before it, which finds damage, not forgery:
//! whoever can write a backup can write this too.
//!
//! What is in it is what is in the database: hashes of secrets, and private keys that are sealed with the key-encryption key,
//! which is not in it.

mod file;
mod lines;
mod reader;
mod trail;
mod writer;

use std::{collections::BTreeMap, io};

use doorward_shared::time::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::{file::NewFile, reader::Reader, trail::Trail, writer::Writer};
use super::StoreError;
use crate::domain::audit::Link;

/// The form of the lines. Another number is another form.
pub const FORMAT: u32 = 1;

/// Longest line, in bytes: what is read is held in memory a line at a time.
pub const MAX_LINE: usize = 4 * 1024 * 1024;

/// The first line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// Which Doorward made it.
    pub version: String,
    /// Version of the schema.
    pub schema: i64,
    /// When.
    pub created_at: Timestamp,
    /// For which issuer the program that made it was configured.
    pub issuer: String,
    /// True when no server ran on the database at the moment that is kept here.
    pub stopped: bool,
    /// The name of the revocation feed's life.
    pub epoch: Option<String>,
    /// The counters.
    pub heads: BTreeMap<String, i64>,
    /// Every table with its columns, in an order in which no row refers to a later one.
    pub tables: Vec<Table>,
}

/// A table of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
}

impl Table {
    /// The value of a column, in a row of this table.
    pub fn cell<'r>(&self, row: &'r Row, column: &str) -> Option<&'r Cell> {
        let place = self.columns.iter().position(|name| name == column)?;
        row.cells.get(place)
    }
}

/// A value of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// None.
    Null,
    /// A number.
    Integer(i64),
    /// A text.
    Text(String),
}

impl Cell {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null | Self::Integer(_) => None,
        }
    }

    /// The number, if it is one.
    pub const fn integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            Self::Null | Self::Text(_) => None,
        }
    }
}

/// A row, and the place of its table in the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which of [`Header::tables`].
    pub table: usize,
    /// Its values, in the order of the table's columns.
    pub cells: Vec<Cell>,
}

/// Who makes a backup, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The version of this program.
    pub version: &'static str,
    /// For which issuer it is configured.
    pub issuer: String,
    /// When.
    pub at: Timestamp,
}

/// An audit trail that goes on where a backup's trail ends.
#[derive(Debug)]
pub struct Continuation<'a> {
    /// The trail.
    pub trail: Trail<'a>,
    /// Where it ended when it was read before.
    pub end: Link,
}

/// How many rows a backup holds of each table.
pub type Counts = BTreeMap<String, u64>;

/// The last line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    rows: Counts,
    sha256: String,
}

/// Why a backup was not made or not taken. Every message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is not whole, or was changed.
    #[error("the backup is damaged: line {line}: {what}; nothing was changed; take another copy of it")]
    Damaged {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The audit trail does not continue the backup's, or was changed.
    #[error("the audit trail: line {line}: {what}; nothing was changed")]
    Trail {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A file was written while it was read.
    #[error("the audit trail changed while it was read; nothing was changed; take a copy of it first")]
    Moved,
    /// Another program wrote it.
    #[error(
        "the backup is of Doorward {version} (format {format}, schema {schema}), which this program does not know; use \
         that Doorward or a later one"
    )]
    Newer {
        /// Which Doorward wrote it.
        version: String,
        /// The form of its lines.
        format: u32,
        /// Its schema.
        schema: i64,
    },
    /// The database has another schema than this program.
    #[error(
        "the database has schema version {found}, and this program knows {known}; use the Doorward that serves it, or \
         bring the database up to date with `doorward migrate`"
    )]
    Schema {
        /// The database's.
        found: i64,
        /// This program's.
        known: i64,
    },
    /// The backup speaks of a table or a column that there is none of.
    #[error(
        "the backup has {0}, which the database has not; nothing was changed; use the Doorward that made it"
    )]
    Unknown(String),
    /// There is something in the database already.
    #[error(
        "the database is not empty: there is something in the table {0}; a backup goes into an empty database only: name \
         a new one"
    )]
    NotEmpty(&'static str),
    /// A value is of no kind that there is in a backup, or of another kind than its column.
    #[error("table {table}, column {column}: the value is not one that a backup can hold there")]
    Odd {
        /// The table.
        table: String,
        /// The column.
        column: String,
    },
    /// A row does not fit.
    #[error("a row of the table {table} does not fit into the database: {source}; nothing was changed")]
    Misfit {
        /// The table.
        table: String,
        /// Why.
        source: sqlx::Error,
    },
    /// A row is too long.
    #[error("a row of the table {0} is longer than a backup can hold")]
    TooLong(&'static str),
    /// What came out is not what went in.
    #[error("the table {table} got {found} rows, and the backup has {expected}; nothing was changed")]
    Count {
        /// The table.
        table: String,
        /// What is there.
        found: u64,
        /// What should be there.
        expected: u64,
    },
}

/// The result of every verb about backups.
pub type Result<T> = std::result::Result<T, ArchiveError>;

fn hex(digest: impl AsRef<[u8]>) -> String {
    digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests;
