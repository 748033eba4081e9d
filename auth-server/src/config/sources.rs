//! Where values come from: one TOML file, overlaid by the environment. Everything is held against the table of settings;
//! a name that is not in it stops the start.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use toml::de::{DeTable, DeValue};

use super::{
    settings::{
        self, CALLBACK_PORT_ALIAS, CLIENT_ID_ALIAS, Form, MAX_TIER_ALIAS, PREFIX, SETTINGS, Setting,
        UPSTREAM_SECTION,
    },
    upstream::Providers,
};

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Source {
    /// Nobody wrote it.
    Default,
    /// A file.
    File {
        /// Which one.
        path: PathBuf,
        /// The line, where there is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        line: Option<usize>,
    },
    /// An environment variable.
    Variable {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: Some(line) } => write!(f, "{} line {line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Variable { name } => write!(f, "variable {name}"),
        }
    }
}

/// A value as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Written {
    /// Text, choices and durations.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A list.
    List(Vec<String>),
}

/// A value and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) written: Written,
    pub(super) source: Source,
}

/// What was written, by key; and what is wrong with it.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) given: BTreeMap<&'static str, Given>,
    pub(super) providers: Providers,
    pub(super) problems: Vec<String>,
}

impl Sources {
    /// Reads the text of a TOML file.
    pub(super) fn read_file(&mut self, path: &Path, text: &str) {
        let at = |offset: usize| Source::File {
            path: path.to_owned(),
            line: Some(text.bytes().take(offset).filter(|b| *b == b'\n').count() + 1),
        };
        let document = match DeTable::parse(text) {
            Ok(document) => document,
            Err(error) => {
                let place = at(error.span().map_or(0, |span| span.start));
                // Only the message: the parser's own picture of the place would print the line, with what is secret in it.
                let message = error.message().lines().collect::<Vec<_>>().join(" ");
                self.problems.push(format!("{place}: {message}; correct the TOML there"));
                return;
            }
        };
        for (section, value) in document.get_ref() {
            let name: &str = section.get_ref();
            let place = at(section.span().start);
            if name == UPSTREAM_SECTION {
                self.providers.read_file(value.get_ref(), &place, at, &mut self.problems);
                continue;
            }
            if !settings::sections().contains(&name) {
                let known = settings::sections().into_iter().chain([UPSTREAM_SECTION]).map(str::to_owned);
                let hint = hint(settings::nearest(name, known));
                self.problems.push(format!("{place}: unknown section {name:?}; {hint}"));
                continue;
            }
            let DeValue::Table(table) = value.get_ref() else {
                self.problems
                    .push(format!("{place}: {name:?} is a section; write [{name}] on a line of its own"));
                continue;
            };
            for (key, value) in table {
                self.read_entry(&format!("{name}.{}", key.get_ref()), value.get_ref(), at(key.span().start));
            }
        }
    }

    fn read_entry(&mut self, key: &str, value: &DeValue<'_>, source: Source) {
        let Some(setting) = settings::find(key) else {
            let hint = hint(settings::nearest(key, SETTINGS.iter().map(|setting| setting.key.to_owned())));
            self.problems.push(format!("{source}: unknown key {key:?}; {hint}"));
            return;
        };
        match from_toml(setting.form, value) {
            Some(written) => {
                self.given.insert(setting.key, Given { written, source });
            }
            None => self.problems.push(format!("{key} ({source}): write {}", setting.form.words())),
        }
    }

    /// Lays the environment over what the file said.
    pub(super) fn read_environment(&mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) {
        let mut known: BTreeMap<String, &'static Setting> =
            SETTINGS.iter().map(|setting| (setting.variable(), setting)).collect();
        for (name, value) in variables {
            let Some(name) = name.to_str().map(str::to_owned) else { continue };
            let aliases = [CLIENT_ID_ALIAS, CALLBACK_PORT_ALIAS, MAX_TIER_ALIAS];
            let ours = name.starts_with(PREFIX) || aliases.iter().any(|(alias, _)| name == *alias);
            if !ours {
                continue;
            }
            let Ok(value) = value.into_string() else {
                self.problems.push(format!("variable {name}: the value is not UTF-8 text; write it anew"));
                continue;
            };
            if !name.starts_with(PREFIX) {
                self.read_alias(&name, value);
            } else if let Some(setting) = known.remove(&name) {
                self.read_variable(setting, name, &value);
            } else if !self.providers.read_variable(&name, &value, &mut self.problems) {
                let hint = hint(settings::nearest(&name, SETTINGS.iter().map(Setting::variable)));
                self.problems.push(format!("unknown variable {name}; {hint}"));
            }
        }
    }

    fn read_variable(&mut self, setting: &'static Setting, name: String, value: &str) {
        let source = Source::Variable { name };
        if self.alias_spoke_first(setting.key, &source) {
            return;
        }
        match from_text(setting.form, value) {
            Some(written) => {
                self.given.insert(setting.key, Given { written, source });
            }
            None if value.is_empty() => {
                self.problems.push(format!("{source} is empty; write {} or unset it", setting.form.words()));
            }
            None => self.problems.push(format!("{} ({source}): write {}", setting.key, setting.form.words())),
        }
    }

    fn read_alias(&mut self, name: &str, value: String) {
        let source = Source::Variable { name: name.to_owned() };
        // Empty, and 0 for the port, mean "not set" where these names come from.
        if value.is_empty() || value == "0" {
            return;
        }
        let (key, written) = if name == CLIENT_ID_ALIAS.0 {
            (CLIENT_ID_ALIAS.1, Written::Text(value))
        } else if name == MAX_TIER_ALIAS.0 {
            (MAX_TIER_ALIAS.1, Written::Text(value))
        } else if value.parse::<u16>().is_ok() {
            (CALLBACK_PORT_ALIAS.1, Written::List(vec![format!("http://localhost:{value}/callback")]))
        } else {
            self.problems.push(format!("{source}: write a port number from 1 to 65535, or unset it"));
            return;
        };
        if !self.alias_spoke_first(key, &source) {
            self.given.insert(key, Given { written, source });
        }
    }

    /// Two variables for one setting: whichever won would surprise somebody, so neither does.
    fn alias_spoke_first(&mut self, key: &str, source: &Source) -> bool {
        let Some(Given { source: first @ Source::Variable { .. }, .. }) = self.given.get(key) else {
            return false;
        };
        self.problems.push(format!("{source} and {first} both set {key}; keep one of them"));
        true
    }
}

/// The default of a setting, in its form.
pub(super) fn default_of(setting: &Setting) -> Option<Given> {
    let written = from_text(setting.form, setting.default?)?;
    Some(Given { written, source: Source::Default })
}

pub(super) fn hint(nearest: Option<String>) -> String {
    nearest.map_or_else(
        || "remove it, or look the name up in docs/configuration.md".to_owned(),
        |name| format!("did you mean {name}?"),
    )
}

pub(super) fn from_text(form: Form, text: &str) -> Option<Written> {
    match form {
        Form::List => Some(Written::List(split(text))),
        _ if text.is_empty() => None,
        Form::Text | Form::Choice(_) | Form::Duration => Some(Written::Text(text.to_owned())),
        Form::Flag => text.parse().ok().map(Written::Flag),
        Form::Count => text.parse().ok().map(Written::Number),
    }
}

pub(super) fn from_toml(form: Form, value: &DeValue<'_>) -> Option<Written> {
    match (form, value) {
        (Form::Text | Form::Choice(_) | Form::Duration, DeValue::String(text)) if !text.is_empty() => {
            Some(Written::Text(text.clone().into_owned()))
        }
        (Form::Flag, DeValue::Boolean(flag)) => Some(Written::Flag(*flag)),
        (Form::Count, DeValue::Integer(number)) => {
            i64::from_str_radix(number.as_str(), number.radix()).ok().map(Written::Number)
        }
        (Form::List, DeValue::String(text)) => Some(Written::List(split(text))),
        (Form::List, DeValue::Array(items)) => {
            let texts = items.iter().map(|item| item.get_ref().as_str().map(str::to_owned));
            texts.collect::<Option<_>>().map(Written::List)
        }
        _ => None,
    }
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}
