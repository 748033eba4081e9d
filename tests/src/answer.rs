//! An HTTP answer, kept whole, with what tests ask of it.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// Status, headers and body of one HTTP answer; redirects are answers like any other.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status code.
    pub status: u16,
    /// All headers, repeated ones included.
    pub headers: HeaderMap,
    /// The body as text; empty if there was none.
    pub body: String,
}

impl Answer {
    /// Sends a request and reads its answer to the end.
    pub async fn to(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("the server answers");
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = response.text().await.expect("the body can be read as text");
        Self { status, headers, body }
    }

    /// The value of a header that must be there exactly once.
    pub fn header(&self, name: &str) -> &str {
        let values: Vec<_> = self.headers.get_all(name).iter().collect();
        assert!(values.len() == 1, "header `{name}` comes {} times, not once, in {self:#?}", values.len());
        values[0].to_str().expect("the header is text")
    }

    /// The body as JSON; fails if it is not sent as JSON.
    pub fn json(&self) -> Value {
        let content_type = self.header("content-type");
        assert!(content_type.starts_with("application/json"), "`{content_type}` is not JSON: {self:#?}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// The body as JSON of an answer that must have status `status`.
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:#?}");
        self.json()
    }

    /// Fails unless this is the OAuth error `code` with status `status`; gives its description.
    pub fn expect_error(&self, status: u16, code: &str) -> String {
        let body = self.expect(status);
        assert_eq!(body["error"], code, "{self:#?}");
        body["error_description"].as_str().unwrap_or_default().to_owned()
    }
}
