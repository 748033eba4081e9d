//! Somebody at the pages of their own account.

use e2e::house::{House, Person};
use e2e::page::Page;
use e2e::visitor::Visitor;

/// A browser in which somebody is signed in, and the pages of the account.
#[derive(Debug)]
pub(crate) struct AtHome {
    pub(crate) visitor: Visitor,
    issuer: String,
}

impl AtHome {
    /// Signs in with a fresh browser.
    pub(crate) async fn sign_in(house: &House, person: &Person) -> Self {
        let home = Self::stranger(house);
        let login = home.page("/login").await;
        let page = home.visitor.sign_in(&login, person).await.page();
        assert_eq!(page.kind, "home", "{page:#?}");
        home
    }

    /// A fresh browser in which nobody is signed in.
    pub(crate) fn stranger(house: &House) -> Self {
        Self { visitor: Visitor::new(), issuer: house.issuer().to_owned() }
    }

    /// Opens a page.
    pub(crate) async fn page(&self, path: &str) -> Page {
        self.visitor.open(&format!("{}{path}", self.issuer)).await.page()
    }

    /// Sends these fields with the token of a page's form, whatever the page offers.
    pub(crate) async fn send(&self, page: &Page, fields: &[(&str, &str)]) -> Page {
        let has = |form: &&e2e::page::Form| form.fields.iter().any(|field| field.name == "csrf");
        let forms = page.forms.iter().filter(has);
        let form = forms.min_by_key(|form| form.action.path().ends_with("/logout")).expect("a form");
        let tag = form.fields.iter().find(|field| field.name == "csrf").expect("a token");
        let mut all = vec![("csrf".to_owned(), tag.value.clone())];
        all.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.visitor.post(&form.action, &all).await.page()
    }

    /// Presses a button of a page after typing and ticking.
    pub(crate) async fn press(&self, page: &Page, typed: &[(&str, &str)], button: (&str, &str)) -> Page {
        let has = |form: &&e2e::page::Form| {
            form.fields.iter().any(|field| field.name == button.0 && field.value == button.1)
        };
        let form = page.forms.iter().find(has).unwrap_or_else(|| panic!("no button {button:?} on {page:#?}"));
        self.visitor.post(&form.action, &form.filled(typed, &[], button)).await.page()
    }
}

/// The person with another password.
pub(crate) fn with_password(person: &Person, password: &str) -> Person {
    Person { email: person.email.clone(), password: password.to_owned() }
}

/// Moves all sign-ins back by some minutes, so that none is fresh.
pub(crate) fn let_minutes_pass(house: &House, minutes: i64) {
    let seconds = minutes * 60;
    house.alter(&format!(
        "update sessions set auth_time = auth_time - {seconds}, proved_at = proved_at - {seconds}"
    ));
}
