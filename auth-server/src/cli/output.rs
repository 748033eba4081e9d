//! What a command prints, and with which code it ends. Everything that goes to standard output goes through here.

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use serde::Serialize;

/// For whom to print.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A person.
    Text,
    /// A program.
    Json,
}

/// What a command has to say, in both forms. It may hold a secret that is shown this once.
pub(super) struct Answer {
    text: String,
    json: String,
}

impl Answer {
    /// An answer for people and for programs.
    pub(super) fn new(text: impl Into<String>, json: &impl Serialize) -> Result<Self, Failure> {
        Ok(Self { text: text.into(), json: serde_json::to_string(json)? })
    }

    /// Nothing to say.
    pub(super) const fn nothing() -> Self {
        Self { text: String::new(), json: String::new() }
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// Why a command was not carried out, in words that say what to do.
#[derive(Debug)]
pub(super) struct Failure(String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl Failure {
    /// A failure with this reason.
    pub(super) fn because(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

/// An answer of many lines, each printed as soon as it is known.
pub(super) struct Lines(io::BufWriter<io::Stdout>);

impl Lines {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self(io::BufWriter::new(io::stdout()))
    }

    /// Prints one.
    pub(super) fn print(&mut self, line: &str) -> Result<(), Failure> {
        writeln!(self.0, "{line}")
            .map_err(|error| Failure::because(format_args!("the answer could not be written: {error}")))
    }

    /// Makes sure that all are out.
    pub(super) fn finish(mut self) -> Result<Answer, Failure> {
        let out = self.0.flush();
        out.map_err(|error| Failure::because(format_args!("the answer could not be written: {error}")))?;
        Ok(Answer::nothing())
    }
}

/// Prints an answer. One that could not be printed was not given: a secret in it is lost, and the caller has to know.
pub(super) fn answer(answer: &Answer, form: Form) -> ExitCode {
    let text = match form {
        Form::Text => answer.text.trim_end(),
        Form::Json => &answer.json,
    };
    if text.is_empty() {
        return ExitCode::SUCCESS;
    }
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever stopped reading has read enough, as `head` does.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&format_args!("it was done, but the answer could not be written: {error}")),
    }
}

/// Says on standard error why nothing was done, a line for each reason.
pub fn fail(reason: &impl fmt::Display) -> ExitCode {
    let mut err = io::stderr().lock();
    for line in reason.to_string().lines() {
        // Without a standard error there is nobody to tell; the exit code still does.
        let _ = writeln!(err, "doorward: {line}");
    }
    ExitCode::FAILURE
}

/// Rows as text, columns padded to the widest cell, a heading above; or a sentence when there are no rows.
pub(super) fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]], none: &str) -> String {
    if rows.is_empty() {
        return none.to_owned();
    }
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heading[column].chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..N).map(width).collect();
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{:width$}", visible(cell)));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(heading)];
    lines.extend(rows.iter().map(|row| line(row.each_ref().map(String::as_str))));
    lines.join("\n")
}

/// Names come from strangers: what could steer a terminal is shown, not obeyed.
fn visible(cell: &str) -> String {
    cell.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["a@b.test".to_owned(), "admin".to_owned()], ["é".to_owned(), String::new()]];
        assert_eq!(table(["EMAIL", "ROLE"], &rows, "-"), "EMAIL     ROLE\na@b.test  admin\né");
        assert_eq!(table::<1>(["EMAIL"], &[], "nobody"), "nobody");
    }

    #[test]
    fn a_name_cannot_steer_the_terminal() {
        assert!(!table(["NAME"], &[["\u{1b}[2J".to_owned()]], "").contains('\u{1b}'));
    }
}
