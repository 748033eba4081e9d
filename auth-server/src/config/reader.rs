//! Reads typed values out of what was written. A value that makes no sense is put down as a problem and replaced by its
//! default, so that one start shows everything that is wrong; what was read is thrown away then.

use std::{fmt::Display, ops::RangeInclusive};

use doorward_shared::time::Seconds;

use super::{
    duration,
    settings::{self, Setting},
    sources::{Given, Source, Sources, Written, default_of},
    upstream::Providers,
};

/// Longest duration that is accepted anywhere: ten years.
const MAX_DURATION: Seconds = Seconds::days(3650);

/// Reads values and collects what is wrong with them.
#[derive(Debug)]
pub(super) struct Reader {
    sources: Sources,
}

impl Reader {
    pub(super) const fn new(sources: Sources) -> Self {
        Self { sources }
    }

    /// Everything that is wrong so far.
    pub(super) fn into_problems(self) -> Vec<String> {
        self.sources.problems
    }

    /// Takes the upstream providers out.
    pub(super) fn providers(&mut self) -> Providers {
        std::mem::take(&mut self.sources.providers)
    }

    /// Takes over what is wrong elsewhere.
    pub(super) fn put_down(&mut self, problems: Vec<String>) {
        self.sources.problems.extend(problems);
    }

    /// True when somebody wrote this setting.
    pub(super) fn is_given(&self, key: &str) -> bool {
        self.sources.given.contains_key(key)
    }

    /// What stands for this setting; `None` when nobody wrote it and it has no default.
    pub(super) fn effective(&self, setting: &'static Setting) -> Option<Given> {
        self.sources.given.get(setting.key).cloned().or_else(|| default_of(setting))
    }

    /// Where the value of this setting comes from.
    pub(super) fn source(&self, key: &str) -> Source {
        self.sources.given.get(key).map_or(Source::Default, |given| given.source.clone())
    }

    /// Puts a value in place of what was written.
    pub(super) fn replace(&mut self, key: &'static str, text: String, source: Source) {
        self.sources.given.insert(key, Given { written: Written::Text(text), source });
    }

    /// Puts a list in place of one that nobody wrote.
    pub(super) fn replace_list(&mut self, key: &'static str, items: Vec<String>) {
        let given = Given { written: Written::List(items), source: Source::Default };
        self.sources.given.insert(key, given);
    }

    /// Puts down that the value of this setting cannot be used, and what to write instead.
    pub(super) fn refuse(&mut self, key: &str, problem: impl Display) {
        let problem = format!("{key} ({}): {problem}", self.source(key));
        self.sources.problems.push(problem);
    }

    /// The text, if there is one.
    pub(super) fn optional(&self, key: &str) -> Option<String> {
        match self.written(key)? {
            Written::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        matches!(self.written(key), Some(Written::Flag(true)))
    }

    /// A number of at least one.
    pub(super) fn count(&mut self, key: &str) -> u32 {
        match self.written(key) {
            Some(Written::Number(number)) if number >= 1 && u32::try_from(number).is_ok() => {
                u32::try_from(number).unwrap_or(u32::MAX)
            }
            _ => {
                self.refuse(key, format_args!("write a whole number from 1 to {}", u32::MAX));
                1
            }
        }
    }

    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Seconds>) -> Seconds {
        let text = self.optional(key).unwrap_or_default();
        let Some(length) = duration::parse(&text) else {
            self.refuse(
                key,
                format_args!("{text:?} is no duration; write {}", settings::Form::Duration.words()),
            );
            return *range.start();
        };
        if !range.contains(&length) {
            let (least, most) = (duration::words(*range.start()), duration::words(*range.end()));
            self.refuse(key, format_args!("{text} is out of range; write a duration from {least} to {most}"));
        }
        length
    }

    /// A duration of at least a second.
    pub(super) fn some_time(&mut self, key: &str) -> Seconds {
        self.duration(key, Seconds::new(1)..=MAX_DURATION)
    }

    /// One of the words of a choice.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let text = self.optional(key).unwrap_or_default();
        let chosen = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
        if chosen.is_none() {
            let known = words.iter().map(|(word, _)| (*word).to_owned());
            let all = known.clone().collect::<Vec<_>>().join(", ");
            let near = settings::nearest(&text, known)
                .map(|word| format!("; did you mean {word}?"))
                .unwrap_or_default();
            self.refuse(key, format_args!("{text:?} is not known; write one of {all}{near}"));
        }
        chosen
    }

    pub(super) fn list(&self, key: &str) -> Vec<String> {
        match self.written(key) {
            Some(Written::List(items)) => items,
            _ => Vec::new(),
        }
    }

    /// A list whose every item `parse` can read.
    pub(super) fn items<T, E: Display>(&mut self, key: &str, parse: impl Fn(&str) -> Result<T, E>) -> Vec<T> {
        let mut read = Vec::new();
        for item in self.list(key) {
            match parse(&item) {
                Ok(value) => read.push(value),
                Err(problem) => self.refuse(key, format_args!("{item:?}: {problem}")),
            }
        }
        read
    }

    fn written(&self, key: &str) -> Option<Written> {
        self.effective(settings::any(key)?).map(|given| given.written)
    }
}
