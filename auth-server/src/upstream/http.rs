//! The guarded way outside, to providers and to clients: no redirects, little time, few bytes, https unless it is on this machine.

use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt as _};
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use reqwest::{Client, StatusCode, header::CONTENT_TYPE, redirect::Policy};
use url::Url;

use super::UpstreamError;

/// Longest answer that is read, in bytes: Microsoft Graph's longest list of groups fits.
const MAX_ANSWER: usize = 1024 * 1024;
/// Longest time for one answer.
const TIMEOUT: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// An HTTP client for one provider, or for clients. `near`: for what is on this machine.
pub(super) struct Http {
    client: Client,
    near: bool,
}

/// What went wrong, in words that hold nothing of the request or the answer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct HttpError(String);

impl Http {
    pub(super) fn new(near: bool) -> Result<Self, UpstreamError> {
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("doorward/", env!("CARGO_PKG_VERSION")));
        if near {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| UpstreamError::Away(error.to_string()))?;
        Ok(Self { client, near })
    }

    /// True when a request may go there: https, or this machine when the provider itself is on it.
    pub(super) fn may_reach(&self, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        let loopback = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        url.scheme() == "https" || (self.near && url.scheme() == "http" && loopback)
    }

    /// Sends a form with one field, and answers the status. What else is answered is not read.
    pub(super) async fn post(&self, url: &str, name: &str, value: &str) -> Result<StatusCode, HttpError> {
        if !self.may_reach(url) {
            return Err(HttpError("the address is not https".to_owned()));
        }
        let body = url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        let form = self.client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
        let answer = form.send().await.map_err(|error| HttpError(describe(&error.without_url())))?;
        Ok(answer.status())
    }

    /// Sends a request of the protocol library.
    pub(super) async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let url = request.uri().to_string();
        if !self.may_reach(&url) {
            return Err(HttpError("an address of the provider is not https".to_owned()));
        }
        let (parts, body) = request.into_parts();
        let sent = self.client.request(parts.method, url).headers(parts.headers).body(body).send();
        // Without the URL: its query may hold a code.
        let fault = |error: reqwest::Error| HttpError(describe(&error.without_url()));
        let mut response = sent.await.map_err(fault)?;
        let mut answer = HttpResponse::new(Vec::new());
        *answer.status_mut() = response.status();
        *answer.headers_mut() = response.headers().clone();
        while let Some(chunk) = response.chunk().await.map_err(fault)? {
            if answer.body().len() + chunk.len() > MAX_ANSWER {
                return Err(HttpError(format!("the answer is longer than {MAX_ANSWER} bytes")));
            }
            answer.body_mut().extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

/// Named rather than a closure, so that what waits for it can be a task of its own.
impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = BoxFuture<'c, Result<HttpResponse, HttpError>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        self.send(request).boxed()
    }
}

fn describe(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "no answer in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "no whole answer"
    };
    let cause = std::iter::successors(std::error::Error::source(error), |error| error.source()).last();
    cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"))
}
