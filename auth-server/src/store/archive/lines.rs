//! Lines of JSON, one in memory at a time.

use std::io::{self, BufRead, Read as _};

use super::MAX_LINE;

pub(super) struct Lines<'a> {
    input: &'a mut (dyn BufRead + Send),
    pub(super) line: Vec<u8>,
    /// Which one was read last, from 1.
    pub(super) number: u64,
}

/// What came of reading on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A line.
    Line,
    /// There is nothing more.
    End,
    /// A line without its end.
    Cut,
    /// More than a line can hold.
    TooLong,
}

impl<'a> Lines<'a> {
    pub(super) fn of(input: &'a mut (dyn BufRead + Send)) -> Self {
        Self { input, line: Vec::new(), number: 0 }
    }

    pub(super) fn read(&mut self) -> io::Result<Next> {
        self.line.clear();
        self.number += 1;
        let limit = MAX_LINE as u64 + 1;
        (&mut *self.input).take(limit).read_until(b'\n', &mut self.line)?;
        Ok(match self.line.len() {
            0 => Next::End,
            length if length > MAX_LINE => Next::TooLong,
            _ if self.line.ends_with(b"\n") => Next::Line,
            _ => Next::Cut,
        })
    }
}
