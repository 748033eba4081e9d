//! Single settings: where they were found, and how their values are read.

use std::{
    fmt, fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use toml::Value;

/// What every variable of this program begins with. Two underscores follow, and between sections and keys.
const PREFIX: &str = "DOORWARD_ARTIFACTS_";

/// All keys; `*` stands for a name that the operator chooses.
const KEYS: [&str; 21] = [
    "listen",
    "resource",
    "issuer",
    "issuer_address",
    "data_dir",
    "credentials_file",
    "max_feed_lag",
    "on_feed_lag",
    "allowed_hosts",
    "allowed_origins",
    "log.format",
    "log.filter",
    "default_plan",
    "organizations",
    "organizations.*",
    "plans.*.storage_bytes",
    "plans.*.requests_per_month",
    "plans.*.upload_bytes",
    "plans.*.links",
    "plans.*.link_days",
    "plans.*.retention_days",
];

/// Why the settings cannot be used. The text says where the setting came from.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub(super) String);

/// One setting as it was found.
pub(super) struct Entry {
    pub(super) path: Vec<String>,
    value: Value,
    source: Source,
}

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Environment(String),
}

/// Reads all settings, the ones of the environment last: they have the last word.
pub(super) fn collect(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Vec<Entry>, ConfigError> {
    let mut entries = Vec::new();
    if let Some(path) = file {
        let unreadable = |why: String| ConfigError(format!("{}: {why}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
        let table: toml::Table =
            text.parse().map_err(|error: toml::de::Error| unreadable(error.to_string()))?;
        flatten(&mut Vec::new(), Value::Table(table), &Source::File(path.to_owned()), &mut entries);
    }
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        // With one underscore it is a slip, and no setting: the path keeps it, and so is not found.
        let path = rest.strip_prefix('_').map_or_else(|| name.to_ascii_lowercase(), str::to_ascii_lowercase);
        let path = path.split("__").map(str::to_owned).collect();
        entries.push(Entry { path, value: Value::String(value), source: Source::Environment(name) });
    }
    Ok(entries)
}

impl Entry {
    pub(super) fn text(&self) -> Result<String, ConfigError> {
        match &self.value {
            Value::String(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            Value::String(_) => Err(self.wrong("is empty")),
            _ => Err(self.wrong("must be text")),
        }
    }

    pub(super) fn parsed<T, E: fmt::Display>(
        &self,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        let text = self.text()?;
        parse(&text).map_err(|error| self.wrong(&format!("{text:?} cannot be used: {error}")))
    }

    pub(super) fn number(&self, least: i64, most: i64) -> Result<i64, ConfigError> {
        let number = match &self.value {
            Value::Integer(number) => Some(*number),
            Value::String(text) => text.trim().replace('_', "").parse().ok(),
            _ => None,
        };
        let wrong = || match most {
            i64::MAX => self.wrong(&format!("must be a whole number, {least} or more")),
            _ => self.wrong(&format!("must be a whole number from {least} to {most}")),
        };
        number.filter(|number| (least..=most).contains(number)).ok_or_else(wrong)
    }

    /// One text or several, as a list or with commas between them.
    pub(super) fn list(&self) -> Result<Vec<String>, ConfigError> {
        match &self.value {
            Value::Array(list) => list
                .iter()
                .map(|item| {
                    item.as_str().map(str::to_owned).ok_or_else(|| self.wrong("must be a list of texts"))
                })
                .collect(),
            _ => Ok(self.text()?.split(',').map(|item| item.trim().to_owned()).collect()),
        }
    }

    /// One address or several. `localhost` is both loopback addresses.
    pub(super) fn addresses(&self) -> Result<Vec<SocketAddr>, ConfigError> {
        let mut addresses = Vec::new();
        for text in self.list()? {
            let local = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok());
            match (local, text.parse::<SocketAddr>()) {
                (Some(port), _) => {
                    addresses.push((Ipv4Addr::LOCALHOST, port).into());
                    addresses.push((Ipv6Addr::LOCALHOST, port).into());
                }
                (None, Ok(address)) => addresses.push(address),
                (None, Err(_)) => {
                    return Err(
                        self.wrong(&format!("{text:?} is no address with a port, such as 127.0.0.1:9100"))
                    );
                }
            }
        }
        if addresses.is_empty() { Err(self.wrong("names no address")) } else { Ok(addresses) }
    }

    fn wrong(&self, why: &str) -> ConfigError {
        ConfigError(format!("{}: {why}", self.name()))
    }

    pub(super) fn unknown(&self) -> ConfigError {
        let given = self.path.join(".");
        let given = given.strip_prefix(&PREFIX.to_ascii_lowercase()).unwrap_or(&given);
        let near = KEYS.iter().min_by_key(|key| strsim::levenshtein(given, key)).unwrap_or(&KEYS[0]);
        let near = match &self.source {
            Source::File(_) => (*near).to_owned(),
            Source::Environment(_) => format!("{PREFIX}_{}", near.to_ascii_uppercase().replace('.', "__")),
        };
        ConfigError(format!("{} is not a setting; did you mean {near}?", self.name()))
    }

    fn name(&self) -> String {
        match &self.source {
            Source::File(path) => format!("{} in {}", self.path.join("."), path.display()),
            Source::Environment(name) => format!("{name} in the environment"),
        }
    }
}

/// Turns nested tables into paths. The names that an operator chooses are kept whole.
fn flatten(path: &mut Vec<String>, value: Value, source: &Source, entries: &mut Vec<Entry>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                path.push(key);
                flatten(path, value, source, entries);
                path.pop();
            }
        }
        value => entries.push(Entry { path: path.clone(), value, source: source.clone() }),
    }
}
