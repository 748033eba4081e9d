//! The person at the browser: no scripts, cookies as a browser keeps them, and an eye on where a redirect leads.

use url::Url;

use crate::answer::Answer;
use crate::house::Person;
use crate::page::Page;
use crate::process;

/// Redirects that may follow each other before the visitor gives up.
const PATIENCE: usize = 8;

/// A browser of one person, with its own cookies.
#[derive(Clone, Debug)]
pub struct Visitor {
    http: reqwest::Client,
}

/// Where a step in the browser ends.
#[derive(Clone, Debug)]
pub enum Landing {
    /// On a page of the same server.
    Page(Box<Page>),
    /// At a redirect to somewhere else, which the visitor did not follow.
    Away(Callback),
}

/// A redirect that leaves the server: back to the client, if all is well.
#[derive(Clone, Debug)]
pub struct Callback {
    /// The whole address.
    pub url: Url,
}

impl Callback {
    /// The value of one query parameter; fails if it comes more than once.
    pub fn get(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self.url.query_pairs().filter(|(key, _)| key == name).collect();
        assert!(values.len() < 2, "`{name}` comes more than once in {}", self.url);
        values.first().map(|(_, value)| value.clone().into_owned())
    }

    /// The authorization code, which must be there without an error beside it.
    pub fn code(&self) -> String {
        assert_eq!(self.get("error"), None, "{}", self.url);
        self.get("code").unwrap_or_else(|| panic!("no code in {}", self.url))
    }

    /// The address without its query.
    pub fn address(&self) -> String {
        let mut url = self.url.clone();
        url.set_query(None);
        url.into()
    }
}

impl Landing {
    /// The page, where one was expected.
    pub fn page(self) -> Page {
        match self {
            Self::Page(page) => *page,
            Self::Away(callback) => panic!("led away to {} instead of a page", callback.url),
        }
    }

    /// The redirect to the client, where one was expected.
    pub fn away(self) -> Callback {
        match self {
            Self::Away(callback) => callback,
            Self::Page(page) => panic!("ended on a page instead of the client's redirect URI: {page:#?}"),
        }
    }
}

impl Default for Visitor {
    fn default() -> Self {
        Self::new()
    }
}

impl Visitor {
    /// A browser without any cookie.
    pub fn new() -> Self {
        Self { http: process::builder().cookie_store(true).build().expect("an HTTP client can be made") }
    }

    /// Its HTTP client with all its cookies, for a request that no page sends.
    pub fn http(&self) -> &reqwest::Client {
        &self.http
    }

    /// Opens an address and follows redirects as long as they stay on its server.
    pub async fn open(&self, url: &str) -> Landing {
        self.go(self.http.get(url), url.parse().expect("a URL")).await
    }

    /// Sends exactly these fields to the action of a form, or to anywhere else.
    pub async fn post(&self, action: &Url, fields: &[(String, String)]) -> Landing {
        self.go(self.http.post(action.clone()).form(fields), action.clone()).await
    }

    async fn go(&self, first: reqwest::RequestBuilder, mut url: Url) -> Landing {
        let mut answer = Answer::to(first).await;
        for _ in 0..PATIENCE {
            if !(300..400).contains(&answer.status) {
                return Landing::Page(Box::new(Page::read(url, answer)));
            }
            // 303 alone turns every method into GET: a 307 would carry the password on to the client.
            assert_eq!(answer.status, 303, "{url}: {answer:#?}");
            let next = url.join(answer.header("location")).expect("the location is a URL");
            if next.origin() != url.origin() {
                return Landing::Away(Callback { url: next });
            }
            answer = Answer::to(self.http.get(next.clone())).await;
            url = next;
        }
        panic!("more than {PATIENCE} redirects, the last to {url}");
    }

    /// Signs in on a login page.
    pub async fn sign_in(&self, page: &Page, person: &Person) -> Landing {
        assert_eq!(page.kind, "login", "{page:#?}");
        let form = page.form("action");
        let typed = [("email", person.email.as_str()), ("password", person.password.as_str())];
        self.post(&form.action, &form.filled(&typed, &[], ("action", "sign_in"))).await
    }

    /// Ticks tiers on a consent page and presses `authorize` or `deny`.
    pub async fn decide(&self, page: &Page, tiers: &[&str], decision: &str) -> Landing {
        assert_eq!(page.kind, "consent", "{page:#?}");
        let form = page.form("decision");
        let ticked: Vec<_> = tiers.iter().map(|tier| ("tier", *tier)).collect();
        self.post(&form.action, &form.filled(&[], &ticked, ("decision", decision))).await
    }

    /// Opens an authorization URL and signs in if asked to; ends on the consent page.
    pub async fn reach_consent(&self, url: &str, person: &Person) -> Page {
        let page = self.open(url).await.page();
        if page.kind == "login" { self.sign_in(&page, person).await.page() } else { page }
    }

    /// The whole way: opens an authorization URL, signs in, ticks, authorizes; ends where the client is called back.
    pub async fn authorize(&self, url: &str, person: &Person, tiers: &[&str]) -> Callback {
        let consent = self.reach_consent(url, person).await;
        self.decide(&consent, tiers, "authorize").await.away()
    }
}
