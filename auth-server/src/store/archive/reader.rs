//! Reads a backup, line by line, and takes it only when it is whole.

use std::{collections::BTreeSet, io::BufRead};

use serde::{Deserialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::{
    ArchiveError, Cell, Counts, FORMAT, Header, Result, Row, Trailer, hex,
    lines::{Lines, Next},
};

/// A backup that is being read.
pub struct Reader<'a> {
    lines: Lines<'a>,
    header: Header,
    hash: Sha256,
    rows: Counts,
    /// The last table that a row was of: tables come in the order of the header.
    table: usize,
    whole: bool,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Reader(line {})", self.lines.number)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowLine {
    t: String,
    r: Vec<Cell>,
}

/// What every first line has, whatever else another Doorward writes.
#[derive(Deserialize)]
struct Origin {
    format: u32,
    version: String,
    schema: i64,
}

impl<'a> Reader<'a> {
    /// Reads the first line. `schema` is the newest version that is known here.
    pub fn open(input: &'a mut (dyn BufRead + Send), schema: i64) -> Result<Self> {
        let mut lines = Lines::of(input);
        match lines.read()? {
            Next::Line => {}
            Next::End => return Err(damaged(&lines, "there is nothing in it")),
            Next::Cut | Next::TooLong => return Err(damaged(&lines, NO_BACKUP)),
        }
        let origin: Origin = parse(&lines, NO_BACKUP)?;
        if origin.format != FORMAT || origin.schema > schema {
            let Origin { format, version, schema } = origin;
            return Err(ArchiveError::Newer { version, format, schema });
        }
        let header: Header = parse(&lines, "it is not the first line of a backup")?;
        let tables = header.tables.iter().map(|table| &table.name);
        if !each_once(tables) || !header.tables.iter().all(|table| each_once(&table.columns)) {
            return Err(damaged(&lines, "a table or a column is named twice"));
        }
        let rows = header.tables.iter().map(|table| (table.name.clone(), 0)).collect();
        let hash = Sha256::new().chain_update(&lines.line);
        Ok(Self { lines, header, hash, rows, table: 0, whole: false })
    }

    /// The first line.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// How many rows were read of each table so far.
    pub const fn counts(&self) -> &Counts {
        &self.rows
    }

    /// The next row; `None` after the last one, once the backup has proved to be whole.
    pub fn next_row(&mut self) -> Result<Option<Row>> {
        if self.whole {
            return Ok(None);
        }
        match self.lines.read()? {
            Next::Line => {}
            Next::End | Next::Cut => return Err(damaged(&self.lines, "the end is missing")),
            Next::TooLong => return Err(damaged(&self.lines, "it is too long for a row")),
        }
        if !self.lines.line.starts_with(b"{\"t\":") {
            self.end()?;
            return Ok(None);
        }
        let RowLine { t, r: cells } = parse(&self.lines, "it is no row")?;
        self.hash.update(&self.lines.line);
        let later = self.header.tables.iter().skip(self.table).position(|table| table.name == t);
        let Some(table) = later.map(|later| self.table + later) else {
            return Err(damaged(&self.lines, "its table is not one that may come here"));
        };
        if self.header.tables[table].columns.len() != cells.len() {
            return Err(damaged(&self.lines, "it has not as many values as its table has columns"));
        }
        self.table = table;
        *self.rows.entry(t).or_default() += 1;
        Ok(Some(Row { table, cells }))
    }

    fn end(&mut self) -> Result<()> {
        let trailer: Trailer = parse(&self.lines, "it is neither a row nor the last line")?;
        if trailer.sha256 != hex(self.hash.clone().finalize()) {
            return Err(damaged(&self.lines, "the lines before are not those that were written"));
        }
        if trailer.rows != self.rows {
            return Err(damaged(&self.lines, "rows are missing, or there are too many"));
        }
        if self.lines.read()? != Next::End {
            return Err(damaged(&self.lines, "there is something after the last line"));
        }
        self.whole = true;
        Ok(())
    }
}

const NO_BACKUP: &str = "it is no backup of Doorward";

fn parse<T: DeserializeOwned>(lines: &Lines<'_>, what: &'static str) -> Result<T> {
    serde_json::from_slice(&lines.line).map_err(|_| damaged(lines, what))
}

const fn damaged(lines: &Lines<'_>, what: &'static str) -> ArchiveError {
    ArchiveError::Damaged { line: lines.number, what }
}

fn each_once<'n>(names: impl IntoIterator<Item = &'n String>) -> bool {
    let mut seen = BTreeSet::new();
    names.into_iter().all(|name| seen.insert(name))
}
