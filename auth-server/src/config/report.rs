//! The effective values and where each comes from, as `check-config` prints them.

use serde::Serialize;
use url::Url;

use super::{
    reader::Reader,
    settings::{SETTINGS, Setting, UPSTREAM},
    sources::{Source, Written},
};

/// One setting as it is in force.
#[derive(Clone, Debug, Serialize)]
pub struct Effective {
    /// Section and name.
    pub key: String,
    value: Option<Written>,
    /// Where the value comes from.
    pub source: Source,
}

impl Effective {
    /// The value as text, with the password of a URL masked; `None` when the setting is not set.
    pub fn value(&self) -> Option<String> {
        self.value.as_ref().map(|written| match written {
            Written::Text(text) => text.clone(),
            Written::Flag(flag) => flag.to_string(),
            Written::Number(number) => number.to_string(),
            Written::List(items) => items.join(","),
        })
    }
}

/// Every setting, section by section.
pub(super) fn effective(reader: &Reader) -> Vec<Effective> {
    SETTINGS.iter().map(|setting| one(reader, setting, setting.key.to_owned())).collect()
}

/// Every setting of one upstream provider.
pub(super) fn effective_at(reader: &Reader, provider: &str) -> Vec<Effective> {
    let named = |setting: &'static Setting| {
        let (section, name) = setting.key.split_once('.').unwrap_or_default();
        one(reader, setting, format!("{section}.{provider}.{name}"))
    };
    UPSTREAM.iter().map(named).collect()
}

fn one(reader: &Reader, setting: &'static Setting, key: String) -> Effective {
    let given = reader.effective(setting);
    let source = given.as_ref().map_or(Source::Default, |given| given.source.clone());
    let value = given.map(|given| match given.written {
        Written::Text(_) if ["mail.password", "upstream.client_secret"].contains(&setting.key) => {
            Written::Text("***".to_owned())
        }
        Written::Text(text) => Written::Text(masked(text)),
        other => other,
    });
    Effective { key, value, source }
}

/// Hides what could be a password: that of a URL, and its query, where drivers accept one too.
fn masked(text: String) -> String {
    let Ok(mut url) = Url::parse(&text) else { return text };
    if !text.contains("://") || (url.password().is_none() && url.query().is_none()) {
        return text;
    }
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "***".to_owned();
    }
    if url.query().is_some() {
        url.set_query(Some("***"));
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_a_url_is_never_shown() {
        for (url, shown) in [
            ("postgres://dw:hunter2@db/doorward", "postgres://dw:***@db/doorward"),
            ("postgres://db/doorward?user=dw&password=hunter2", "postgres://db/doorward?***"),
            ("postgres://dw@db/doorward", "postgres://dw@db/doorward"),
            ("sqlite:./data/doorward.db", "sqlite:./data/doorward.db"),
            ("http://localhost:9000", "http://localhost:9000"),
        ] {
            assert_eq!(masked(url.to_owned()), shown);
        }
    }
}
