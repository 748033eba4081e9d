//! Single cells: how texts, lists and times are written and read back.

use doorward_shared::{
    allowance::Allowance,
    client_metadata::About,
    scope::{Scope, ScopeToken},
    time::Timestamp,
};
use sqlx::Row as _;

use super::{super::Db, Row};
use crate::{
    domain::{backchannel_logout::BackchannelLogout, refresh::retry::KeptAnswer},
    store::{Result, StoreError},
};

/// The form in which a set is stored: a JSON array of texts.
pub(in super::super) fn json_list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    items.collect::<serde_json::Value>().to_string()
}

/// The form in which a client's words about itself are stored.
pub(in super::super) fn json_about(about: &About) -> String {
    // Texts always serialise.
    serde_json::to_string(about).unwrap_or_else(|_| "{}".to_owned())
}

/// The form in which it is stored where a client is told that a session ended.
pub(in super::super) fn json_backchannel_logout(logout: &BackchannelLogout) -> String {
    // A text and a word always serialise.
    serde_json::to_string(logout).unwrap_or_default()
}

/// The form in which an answer is kept for a retry.
pub(in super::super) fn json_answer(answer: &KeptAnswer) -> String {
    // Texts always serialise.
    serde_json::to_string(answer).unwrap_or_default()
}

/// The form in which an allowance is stored: the same one for all that allow the same.
pub(in super::super) fn json_allowance(allowance: &Allowance) -> String {
    // Texts always serialise; what could not would allow nothing.
    serde_json::to_string(allowance).unwrap_or_else(|_| r#"{"everywhere":""}"#.to_owned())
}

/// The form in which a scope is stored.
pub(in super::super) fn json_scope(scope: &Scope) -> String {
    json_list(scope.iter().map(ScopeToken::as_str))
}

pub(in super::super) fn cell<'r, T>(row: &'r Row, name: &'static str) -> Result<T>
where
    T: sqlx::Decode<'r, Db> + sqlx::Type<Db>,
{
    row.try_get(name).map_err(|_| senseless(name))
}

pub(in super::super) fn read<T>(
    row: &Row,
    name: &'static str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T> {
    parse(cell(row, name)?).ok_or_else(|| senseless(name))
}

pub(in super::super) fn list<T>(
    row: &Row,
    name: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>> {
    let parse_all = |text: &str| {
        let texts: Vec<String> = serde_json::from_str(text).ok()?;
        texts.iter().map(|text| parse(text)).collect()
    };
    read(row, name, parse_all)
}

pub(super) fn scope(row: &Row, name: &'static str) -> Result<Scope> {
    Ok(list(row, name, |text| ScopeToken::parse(text).ok())?.into_iter().collect())
}

pub(in super::super) fn time(row: &Row, name: &'static str) -> Result<Timestamp> {
    Ok(Timestamp::from_seconds(cell(row, name)?))
}

pub(in super::super) fn maybe_time(row: &Row, name: &'static str) -> Result<Option<Timestamp>> {
    Ok(cell::<Option<i64>>(row, name)?.map(Timestamp::from_seconds))
}

pub(in super::super) fn senseless(name: &'static str) -> StoreError {
    let (table, column) = name.split_once('.').unwrap_or((name, name));
    StoreError::Row { table, column }
}
