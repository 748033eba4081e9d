//! The administrator at the admin API: a program with a key, or a person at a browser.

use reqwest::Method;
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::client::text;
use crate::house::{House, Person};
use crate::process;
use crate::visitor::Visitor;

/// Somebody who calls the admin API.
#[derive(Clone, Debug)]
pub struct Admin {
    http: reqwest::Client,
    base: String,
    headers: Vec<(String, String)>,
}

impl Admin {
    /// Nobody: neither a key nor a session.
    pub fn nobody(house: &House) -> Self {
        Self {
            http: process::client(),
            base: format!("{}/admin/api/v1", house.issuer()),
            headers: Vec::new(),
        }
    }

    /// A program with a new key.
    pub fn with(house: &House, permissions: &[&str]) -> Self {
        Self::with_key(house, &make_key(house, permissions).1)
    }

    /// A program with this key.
    pub fn with_key(house: &House, secret: &str) -> Self {
        Self::nobody(house).header("authorization", &format!("Bearer {secret}"))
    }

    /// A person who signs in with a fresh browser, and whose pages of this server ask.
    pub async fn at_browser(house: &House, person: &Person) -> Self {
        Self::stranger_at(house, &signed_in(house, person).await).header("sec-fetch-site", "same-origin")
    }

    /// Whoever can make this browser send requests: its cookies go with them.
    pub fn stranger_at(house: &House, browser: &Visitor) -> Self {
        Self { http: browser.http().clone(), ..Self::nobody(house) }
    }

    /// The same at the replica that answers here.
    #[must_use]
    pub fn at(mut self, origin: &str) -> Self {
        self.base = format!("{origin}/admin/api/v1");
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A request with everything but a body.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.http.request(method, format!("{}{path}", self.base));
        self.headers.iter().fold(request, |request, (name, value)| request.header(name, value))
    }

    /// Sends a request with a JSON body.
    pub async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        Answer::to(self.request(method, path).json(body)).await
    }

    /// Reads.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request("GET", path)).await
    }

    /// Does something that takes no parameters.
    pub async fn post(&self, path: &str) -> Answer {
        self.send("POST", path, &json!({})).await
    }

    /// Removes, ends or revokes something.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &json!({})).await
    }

    /// Every item of a list, page by page; fails if an item comes twice or a page is too long.
    pub async fn all(&self, path: &str, limit: usize) -> Vec<Value> {
        let mut items: Vec<Value> = Vec::new();
        let join = if path.contains('?') { '&' } else { '?' };
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("{path}{join}limit={limit}{cursor}")).await.expect(200);
            let new = page["items"].as_array().expect("a list");
            assert!(new.len() <= limit, "{page:#}");
            items.extend(new.iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else { return items };
            cursor = format!("&cursor={next}");
        }
    }
}

/// Makes a key by command; gives its identifier and its secret.
pub fn make_key(house: &House, permissions: &[&str]) -> (String, String) {
    let mut arguments = vec!["admin", "key", "create", "--name", "Test", "--expires", "7d", "--json"];
    arguments.extend(permissions.iter().flat_map(|permission| ["--permission", permission]));
    let made = house.cli(&arguments, "").json();
    (text(&made["id"]), text(&made["secret"]))
}

/// Makes an administrator by command.
pub fn make_administrator(house: &House, email: &str) -> Person {
    let person = Person { email: email.to_owned(), password: crate::fresh() };
    house.cli(&["user", "create", "--email", email, "--admin", "--password-stdin"], &person.password).ok();
    person
}

/// A browser in which somebody just signed in.
pub async fn signed_in(house: &House, person: &Person) -> Visitor {
    let browser = Visitor::new();
    let page = browser.open(&format!("{}/login", house.issuer())).await.page();
    let landed = browser.sign_in(&page, person).await.page();
    assert_eq!(landed.kind, "home", "{landed:#?}");
    browser
}

/// Fails unless this is the problem `code` with status `status`, as RFC 9457 writes it; gives its detail.
pub fn expect_problem(answer: &Answer, status: u16, code: &str) -> String {
    assert_eq!(answer.status, status, "{answer:#?}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{answer:#?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let body: Value = serde_json::from_str(&answer.body).expect("a problem is JSON");
    assert_eq!(body["code"], code, "{answer:#?}");
    assert_eq!(body["status"], status);
    assert_eq!(body["type"], format!("urn:doorward:problem:{code}"));
    assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{answer:#?}");
    text(&body["detail"])
}
