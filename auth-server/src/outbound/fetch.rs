//! One request and its answer.

use std::error::Error;

use doorward_shared::client_id::DocumentUrl;
use reqwest::{
    Client, Response, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName},
};

use super::{Failure, Fetched, lookup::NotPublic};

/// Asks for a document.
pub(super) async fn document(client: &Client, url: &DocumentUrl, longest: usize) -> Result<Fetched, Failure> {
    let request =
        client.get(url.as_str()).header(ACCEPT, "application/json").header(ACCEPT_ENCODING, "identity");
    let mut answer = request.send().await.map_err(failure)?;
    match answer.status() {
        StatusCode::OK => {}
        gone @ (StatusCode::NOT_FOUND | StatusCode::GONE) => return Err(Failure::Gone(gone.as_u16())),
        other => return Err(Failure::Status(other.as_u16())),
    }
    if !is_plain_json(&answer) {
        return Err(Failure::Type);
    }
    if answer.content_length().is_some_and(|length| length > longest as u64) {
        return Err(Failure::TooLong);
    }
    let (cache_control, age) = (header(&answer, &CACHE_CONTROL), header(&answer, &AGE));
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failure)? {
        if body.len() + chunk.len() > longest {
            return Err(Failure::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Fetched { body, cache_control, age })
}

/// `application/json` or any `application/…+json`, as it is: whoever compresses what nobody asked to be compressed has a bomb.
fn is_plain_json(answer: &Response) -> bool {
    let encoding = header(answer, &CONTENT_ENCODING);
    let content = header(answer, &CONTENT_TYPE).unwrap_or_default();
    let essence = content.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json =
        essence.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"));
    json && encoding.is_none_or(|encoding| encoding.eq_ignore_ascii_case("identity"))
}

/// The value of a header, its lines joined as one list (RFC 9110 §5.3).
fn header(answer: &Response, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> =
        answer.headers().get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

fn failure(error: reqwest::Error) -> Failure {
    // Without the URL, which the log names anyway.
    let error = error.without_url();
    let causes = || std::iter::successors(Error::source(&error), |cause| (*cause).source());
    if causes().any(<dyn Error>::is::<NotPublic>) {
        return Failure::NotPublic;
    }
    if error.is_timeout() {
        return Failure::TooSlow;
    }
    let what = if error.is_connect() { "no connection" } else { "no whole answer" };
    Failure::Broken(causes().last().map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}")))
}
