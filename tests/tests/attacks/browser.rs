//! A browser whose cookies and headers a test can bend one by one.

use std::collections::BTreeMap;

use e2e::answer::Answer;
use e2e::house::Person;
use e2e::page::{FieldKind, Form, Page};
use url::Url;

use crate::stage::http;

/// Cookies by name, and no memory beside them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Browser {
    /// Opens an address and follows redirects that stay on its server; a redirect that leaves is the answer.
    pub(crate) async fn open(&mut self, url: &str) -> (Url, Answer) {
        let url: Url = url.parse().expect("a URL");
        let answer = self.send(http().get(url.clone())).await;
        self.follow(url, answer).await
    }

    /// Opens an address that must lead to a page.
    pub(crate) async fn page(&mut self, url: &str) -> Page {
        let (url, answer) = self.open(url).await;
        Page::read(url, answer)
    }

    /// Posts a form with these headers, and follows nothing.
    pub(crate) async fn post(
        &mut self,
        action: &Url,
        fields: &[(String, String)],
        headers: &[(&str, &str)],
    ) -> Answer {
        let request = http().post(action.clone()).form(fields);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        self.send(request).await
    }

    /// Signs in on a login page and gives the answer to that.
    pub(crate) async fn sign_in(&mut self, page: &Page, person: &Person) -> Answer {
        let form = page.form("action");
        let typed = [("email", person.email.as_str()), ("password", person.password.as_str())];
        self.post(&form.action, &form.filled(&typed, &[], ("action", "sign_in")), &[]).await
    }

    /// Opens an authorization URL, signs in if asked to, and ends on the consent page.
    pub(crate) async fn reach_consent(&mut self, url: &str, person: &Person) -> Page {
        let mut page = self.page(url).await;
        if page.kind == "login" {
            let answer = self.sign_in(&page, person).await;
            let (url, answer) = self.follow(page.url, answer).await;
            page = Page::read(url, answer);
        }
        assert_eq!(page.kind, "consent", "{page:#?}");
        page
    }

    /// What pressing `authorize` on a consent page sends.
    pub(crate) fn yes(page: &Page) -> Vec<(String, String)> {
        page.form("decision").filled(&[], &[("tier", "read")], ("decision", "authorize"))
    }

    /// Sends a request with the cookies, and keeps what the answer sets.
    pub(crate) async fn send(&mut self, request: reqwest::RequestBuilder) -> Answer {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = if cookies.is_empty() { request } else { request.header("cookie", cookies.join("; ")) };
        let answer = Answer::to(request).await;
        for cookie in answer.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().expect("a cookie is text");
            let (name, rest) = cookie.split_once('=').expect("a cookie has a name");
            let value = rest.split(';').next().unwrap_or_default();
            if value.is_empty() || cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    async fn follow(&mut self, mut url: Url, mut answer: Answer) -> (Url, Answer) {
        for _ in 0..8 {
            if answer.status != 303 {
                return (url, answer);
            }
            let next = url.join(answer.header("location")).expect("a location is a URL");
            if next.origin() != url.origin() {
                return (url, answer);
            }
            answer = self.send(http().get(next.clone())).await;
            url = next;
        }
        panic!("too many redirects, the last to {url}");
    }
}

/// Fields with one of them replaced, or added.
pub(crate) fn with(mut fields: Vec<(String, String)>, name: &str, value: &str) -> Vec<(String, String)> {
    fields.retain(|(key, _)| key != name);
    fields.push((name.to_owned(), value.to_owned()));
    fields
}

/// Fields with one of them left out.
pub(crate) fn without(mut fields: Vec<(String, String)>, name: &str) -> Vec<(String, String)> {
    fields.retain(|(key, _)| key != name);
    fields
}

/// What a form sends when a button without a name is pressed.
pub(crate) fn plain(form: &Form) -> Vec<(String, String)> {
    let fields = form.fields.iter().filter(|field| field.kind == FieldKind::Plain);
    fields.map(|field| (field.name.clone(), field.value.clone())).collect()
}
