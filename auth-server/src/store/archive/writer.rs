//! Writes a backup, line by line.

use std::io::Write;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{ArchiveError, Cell, Counts, Header, MAX_LINE, Result, Trailer, hex};

/// A backup that is being written. Without [`finish`](Self::finish) it is not whole, and nobody takes it.
pub struct Writer<'a> {
    out: &'a mut (dyn Write + Send),
    hash: Sha256,
    rows: Counts,
    line: Vec<u8>,
}

impl std::fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Writer({:?})", self.rows)
    }
}

#[derive(Serialize)]
struct RowLine<'a> {
    t: &'a str,
    r: &'a [Cell],
}

impl<'a> Writer<'a> {
    /// Writes to `out`, which should have a buffer.
    pub fn new(out: &'a mut (dyn Write + Send)) -> Self {
        Self { out, hash: Sha256::new(), rows: Counts::new(), line: Vec::new() }
    }

    /// Writes the first line.
    pub fn begin(&mut self, header: &Header) -> Result<()> {
        self.rows = header.tables.iter().map(|table| (table.name.clone(), 0)).collect();
        self.write(header)
    }

    /// Writes a row.
    pub fn row(&mut self, table: &'static str, cells: &[Cell]) -> Result<()> {
        self.write(&RowLine { t: table, r: cells })?;
        if self.line.len() > MAX_LINE {
            return Err(ArchiveError::TooLong(table));
        }
        *self.rows.entry(table.to_owned()).or_default() += 1;
        Ok(())
    }

    /// Writes the last line. Answers how many rows there are.
    pub fn finish(mut self) -> Result<Counts> {
        let sha256 = hex(self.hash.clone().finalize());
        let trailer = Trailer { rows: std::mem::take(&mut self.rows), sha256 };
        self.write(&trailer)?;
        self.out.flush()?;
        Ok(trailer.rows)
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line).map_err(std::io::Error::from)?;
        self.line.push(b'\n');
        self.hash.update(&self.line);
        Ok(self.out.write_all(&self.line)?)
    }
}
