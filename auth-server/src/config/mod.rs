//! Configuration: one TOML file, overlaid by environment variables `DOORWARD__SECTION__KEY`. Everything has a safe
//! default; a name or a value that is not understood stops the start and says what to write instead.
//!
//! This is the only module that reads the environment. What comes out is plain data: nothing downstream parses again.

mod duration;
mod mail;
mod places;
mod reader;
mod report;
mod sections;
mod settings;
mod sources;
#[cfg(test)]
mod tests;
mod upstream;

use std::{
    ffi::OsString,
    fmt,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use self::{reader::Reader, sources::Sources};
pub use self::{report::Effective, sources::Source};
use crate::{domain::policy::Policy, ephemeral, store};

/// The configuration in force.
#[derive(Clone, Debug)]
pub struct Config {
    /// The rules for every decision.
    pub policy: Policy,
    /// Where to listen.
    pub server: ServerSettings,
    /// Where to remember.
    pub store: store::Location,
    /// Where to keep what may be lost.
    pub ephemeral: ephemeral::Location,
    /// Where the key-encryption key is.
    pub keys: KeySettings,
    /// How to log.
    pub log: LogSettings,
    /// How upstream providers are talked to.
    pub upstream: Vec<crate::upstream::Settings>,
    /// How to send mail, where that is set up.
    pub mail: Option<crate::mail::Settings>,
    /// Every setting with its source.
    pub effective: Vec<Effective>,
    /// What is allowed and yet likely a mistake; each says what to do.
    pub warnings: Vec<String>,
}

/// Where to listen, and whom to believe about who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSettings {
    /// Addresses, at least one.
    pub listen: Vec<SocketAddr>,
    /// Networks of reverse proxies whose `X-Forwarded-For` is believed: address and prefix length.
    pub trusted_proxies: Vec<(IpAddr, u8)>,
}

/// Where the key-encryption key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// The file.
    pub kek_file: PathBuf,
    /// True when nobody named the file: then a missing one is made. A file that the operator named has to be there.
    pub make_if_missing: bool,
}

/// How to log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// For people or for programs.
    pub format: LogFormat,
    /// The least important level that is written.
    pub level: tracing::Level,
}

/// The shape of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people at a terminal.
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Why the configuration cannot be used: each line names a key, where it was written, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(Vec<String>);

impl ConfigError {
    /// Everything that is wrong, a line each.
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigError {}

/// Reads the URL of a database, as `store.url` has it. The error says what to write instead.
pub fn location(text: &str) -> Result<store::Location, &'static str> {
    places::location(text)
}

impl Config {
    /// Reads the file, if one is named, and the environment of this process.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let file = match file {
            None => None,
            Some(path) => match std::fs::read_to_string(path) {
                Ok(text) => Some((path, text)),
                Err(error) => {
                    let problem =
                        format!("{}: {error}; name a configuration file that can be read", path.display());
                    return Err(ConfigError(vec![problem]));
                }
            },
        };
        Self::read(file.as_ref().map(|(path, text)| (*path, text.as_str())), std::env::vars_os())
    }

    /// Reads the text of a file and an environment.
    pub fn read(
        file: Option<(&Path, &str)>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut sources = Sources::default();
        if let Some((path, text)) = file {
            sources.read_file(path, text);
        }
        sources.read_environment(environment);
        let mut reader = Reader::new(sources);
        let config = sections::read(&mut reader);
        let problems = reader.into_problems();
        match config {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(ConfigError(problems)),
        }
    }
}
