//! A page as a browser without scripts understands it: its forms, and the marks that the page contract puts on it.

use std::collections::BTreeMap;

use scraper::{ElementRef, Html, Selector};
use url::Url;

use crate::answer::Answer;

/// An HTML page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Where it was found.
    pub url: Url,
    /// The answer it came in.
    pub answer: Answer,
    /// `data-page` of the body: `login`, `consent`, `error`, …
    pub kind: String,
    /// `data-error` of the body, on an error page.
    pub error: Option<String>,
    /// All text that a reader sees, with white space folded.
    pub text: String,
    /// Its forms, in order.
    pub forms: Vec<Form>,
    /// Where its links to upstream providers lead, by the provider: `a[data-provider]`.
    pub providers: BTreeMap<String, Url>,
}

/// One form.
#[derive(Clone, Debug)]
pub struct Form {
    /// Where it is sent, made absolute.
    pub action: Url,
    /// `data-*` attributes of the form itself, without the `data-`.
    pub data: BTreeMap<String, String>,
    /// Its fields, in order.
    pub fields: Vec<Field>,
}

/// One field of a form.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its value: what it holds, or what it is sent as when ticked or pressed.
    pub value: String,
    /// What it is.
    pub kind: FieldKind,
}

/// What a field is, as far as sending it is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Sent as it is: text, password, hidden.
    Plain,
    /// Sent if ticked; holds whether it comes ticked.
    Checkbox(bool),
    /// Sent with the chosen option; holds all of them.
    Select(Vec<String>),
    /// Sent if it is the one that is pressed.
    Button,
}

impl Page {
    /// Reads a page; fails if the answer is not HTML.
    pub fn read(url: Url, answer: Answer) -> Self {
        let content_type = answer.header("content-type");
        assert!(content_type.starts_with("text/html"), "{url} is `{content_type}`, not a page: {answer:#?}");
        let html = Html::parse_document(&answer.body);
        let body = html.select(&selector("body")).next().expect("a parsed document has a body");
        let kind =
            body.attr("data-page").unwrap_or_else(|| panic!("{url} has no data-page: {}", answer.body));
        let words: Vec<_> = body.text().flat_map(str::split_whitespace).collect();
        Self {
            kind: kind.to_owned(),
            error: body.attr("data-error").map(str::to_owned),
            text: words.join(" "),
            providers: html
                .select(&selector("a[data-provider]"))
                .filter_map(|link| provider(&url, link))
                .collect(),
            forms: html.select(&selector("form")).map(|form| Form::read(&url, form)).collect(),
            answer,
            url,
        }
    }

    /// The form that the page is about: the one with the button `name`.
    pub fn form(&self, button: &str) -> &Form {
        let found = self.forms.iter().find(|form| form.field(button).is_some());
        found.unwrap_or_else(|| panic!("no form with a button `{button}` on {self:#?}"))
    }

    /// Fails unless it is an error page with status `status` and code `code`, which leads nowhere else.
    pub fn expect_error(&self, status: u16, code: &str) {
        assert_eq!(self.kind, "error", "{self:#?}");
        assert_eq!(self.answer.status, status, "{self:#?}");
        assert_eq!(self.error.as_deref(), Some(code), "{self:#?}");
        assert!(!self.answer.headers.contains_key("location"), "{self:#?}");
    }
}

impl Form {
    fn read(page: &Url, form: ElementRef<'_>) -> Self {
        assert_eq!(form.attr("method").map(str::to_lowercase).as_deref(), Some("post"), "{}", form.html());
        let action = form.attr("action").unwrap_or_default();
        let data = form.value().attrs().filter_map(|(name, value)| {
            name.strip_prefix("data-").map(|name| (name.to_owned(), value.to_owned()))
        });
        Self {
            action: page.join(action).expect("the action of a form is a URL"),
            data: data.collect(),
            fields: form
                .select(&selector("input, select, textarea, button"))
                .filter_map(Field::read)
                .collect(),
        }
    }

    /// The first field with this name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// All values that the ticks named `name` offer, in order.
    pub fn ticks(&self, name: &str) -> Vec<&str> {
        let ticks = self.fields.iter().filter(|field| matches!(field.kind, FieldKind::Checkbox(_)));
        ticks.filter(|field| field.name == name).map(|field| field.value.as_str()).collect()
    }

    /// What a browser sends when somebody types `typed`, ticks `ticked` and presses `button`; what comes ticked stays.
    ///
    /// Everything that is typed, ticked or pressed must be on the page: nobody can tick what is not there.
    pub fn filled(
        &self,
        typed: &[(&str, &str)],
        ticked: &[(&str, &str)],
        button: (&str, &str),
    ) -> Vec<(String, String)> {
        let is = |field: &Field, (name, value): (&str, &str)| field.name == name && field.value == value;
        for &tick in ticked {
            let there = |field: &Field| matches!(field.kind, FieldKind::Checkbox(_)) && is(field, tick);
            assert!(self.fields.iter().any(there), "nothing to tick for {tick:?} in {self:#?}");
        }
        for (name, _) in typed {
            assert!(self.field(name).is_some(), "nowhere to enter `{name}` in {self:#?}");
        }
        let pressed = |field: &Field| field.kind == FieldKind::Button && is(field, button);
        assert!(self.fields.iter().any(pressed), "no button {button:?} in {self:#?}");

        let sent = self.fields.iter().filter(|field| match field.kind {
            FieldKind::Plain | FieldKind::Select(_) => true,
            FieldKind::Checkbox(comes_ticked) => comes_ticked || ticked.iter().any(|&tick| is(field, tick)),
            FieldKind::Button => pressed(field),
        });
        let value = |field: &Field| {
            let entered =
                typed.iter().find(|(name, _)| field.name == *name && field.kind != FieldKind::Button);
            entered.map_or_else(|| field.value.clone(), |(_, value)| (*value).to_owned())
        };
        sent.map(|field| (field.name.clone(), value(field))).collect()
    }
}

impl Field {
    fn read(element: ElementRef<'_>) -> Option<Self> {
        // As in a browser: what has no name or is disabled is never sent.
        let name = element.attr("name").filter(|name| !name.is_empty())?.to_owned();
        if element.attr("disabled").is_some() {
            return None;
        }
        let attribute = |name: &str| element.attr(name).unwrap_or_default().to_owned();
        let (kind, value) = match (element.value().name(), attribute("type").as_str()) {
            ("select", _) => {
                let options: Vec<_> = element.select(&selector("option")).collect();
                let chosen =
                    options.iter().find(|option| option.attr("selected").is_some()).or(options.first());
                let value = chosen.map(|option| option_value(*option)).unwrap_or_default();
                (FieldKind::Select(options.into_iter().map(option_value).collect()), value)
            }
            ("textarea", _) => (FieldKind::Plain, element.text().collect()),
            ("button", "button" | "reset") | ("input", "button" | "reset" | "image" | "file") => return None,
            ("button", _) | ("input", "submit") => (FieldKind::Button, attribute("value")),
            ("input", "checkbox" | "radio") => {
                let value = element.attr("value").unwrap_or("on").to_owned();
                (FieldKind::Checkbox(element.attr("checked").is_some()), value)
            }
            _ => (FieldKind::Plain, attribute("value")),
        };
        Some(Self { name, value, kind })
    }
}

fn provider(page: &Url, link: ElementRef<'_>) -> Option<(String, Url)> {
    let leads = page.join(link.attr("href")?).expect("a link is a URL");
    Some((link.attr("data-provider")?.to_owned(), leads))
}

fn option_value(option: ElementRef<'_>) -> String {
    option.attr("value").map_or_else(|| option.text().collect(), str::to_owned)
}

fn selector(text: &str) -> Selector {
    Selector::parse(text).expect("the selector is well-formed")
}
