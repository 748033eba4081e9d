//! Reading requests strictly: one content type, one size, no parameter twice, no header twice.

use std::time::Duration;

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::{
        StatusCode,
        header::{self, HeaderMap, HeaderName},
    },
    web::Bytes,
};
use doorward_shared::{
    error::{ErrorCode, OAuthError},
    form::Form,
    jose::strict_json,
    token::PresentedClient,
};
use futures_util::{StreamExt as _, future::LocalBoxFuture};
use serde_json::{Map, Value};

use super::{error::JsonError, headers::Facts};

/// Largest body that is read, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// How long a body may take to arrive. The server itself watches over heads only.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a body cannot be read.
#[derive(Debug)]
pub(super) struct BodyError {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl From<BodyError> for JsonError {
    fn from(error: BodyError) -> Self {
        Self::with_status(OAuthError::new(ErrorCode::InvalidRequest, error.text), error.status)
    }
}

/// A form body, for machines: errors are JSON.
#[derive(Debug)]
pub(super) struct StrictForm(pub(super) Form);

impl FromRequest for StrictForm {
    type Error = JsonError;
    type Future = LocalBoxFuture<'static, Result<Self, JsonError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request, payload, Some("application/x-www-form-urlencoded"));
        Box::pin(async move { Ok(Self(form(&body.await?)?)) })
    }
}

/// A form body from a page: the handler renders errors as a page.
#[derive(Debug)]
pub(super) struct PageForm(pub(super) Result<Form, BodyError>);

impl FromRequest for PageForm {
    type Error = std::convert::Infallible;
    type Future = LocalBoxFuture<'static, Result<Self, Self::Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request, payload, Some("application/x-www-form-urlencoded"));
        Box::pin(async move { Ok(Self(body.await.and_then(|bytes| form(&bytes)))) })
    }
}

/// A JSON object without repeated members.
#[derive(Debug)]
pub(super) struct StrictJson(pub(super) Map<String, Value>);

impl FromRequest for StrictJson {
    type Error = JsonError;
    type Future = LocalBoxFuture<'static, Result<Self, JsonError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = read(request, payload, Some("application/json"));
        Box::pin(async move {
            let object = strict_json::object(&body.await?).map_err(|_| {
                OAuthError::new(
                    ErrorCode::InvalidClientMetadata,
                    "the body must be one JSON object in which every member occurs once",
                )
            })?;
            Ok(Self(object))
        })
    }
}

fn form(bytes: &[u8]) -> Result<Form, BodyError> {
    let text = std::str::from_utf8(bytes).map_err(|_| BodyError::bad("the body is not valid UTF-8"))?;
    Form::parse(text).map_err(|e| BodyError::bad(e.to_string()))
}

impl BodyError {
    fn bad(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    fn too_large() -> Self {
        let text = format!("the body is larger than {MAX_BODY} bytes");
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, text }
    }
}

/// Reads a body of the wanted type, or of any.
pub(super) fn read(
    request: &HttpRequest,
    payload: &mut Payload,
    wanted: Option<&'static str>,
) -> impl Future<Output = Result<Bytes, BodyError>> + 'static {
    let refused = wanted.filter(|wanted| !accepts(request.headers(), wanted));
    let announced =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let mut payload = payload.take();
    async move {
        if let Some(wanted) = refused {
            let text = format!("send the body as {wanted} in UTF-8");
            return Err(BodyError { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, text });
        }
        if announced.is_some_and(|length: u64| length > MAX_BODY as u64) {
            return Err(BodyError::too_large());
        }
        let whole = tokio::time::timeout(BODY_TIMEOUT, collect(&mut payload)).await;
        whole.unwrap_or_else(|_| {
            let text = format!("the body did not arrive within {} seconds", BODY_TIMEOUT.as_secs());
            Err(BodyError { status: StatusCode::REQUEST_TIMEOUT, text })
        })
    }
}

async fn collect(payload: &mut Payload) -> Result<Bytes, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| BodyError::bad("the body could not be read to its end"))?;
        if body.len() + chunk.len() > MAX_BODY {
            return Err(BodyError::too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Bytes::from(body))
}

/// Exactly one `Content-Type` of the wanted type, with no other charset than UTF-8.
fn accepts(headers: &HeaderMap, wanted: &str) -> bool {
    let Ok(Some(value)) = one(headers, &header::CONTENT_TYPE) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    let utf8 = |parameter: &str| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    essence.eq_ignore_ascii_case(wanted) && parts.all(utf8)
}

/// A header that came twice, or is not readable text.
#[derive(Debug)]
pub(super) struct Unclear;

/// The value of a header that may come once.
pub(super) fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Unclear> {
    let mut values = headers.get_all(name);
    let first = values.next();
    if values.next().is_some() {
        return Err(Unclear);
    }
    first.map(|value| value.to_str().map_err(|_| Unclear)).transpose()
}

/// The credentials of a resource server, or of a client that asks like one: a caller with a secret. Without one it is told to
/// authenticate.
pub(super) fn resource_server(header: Option<&str>, form: &Form) -> Result<PresentedClient, JsonError> {
    if header.is_none() && !form.has("client_id") {
        let text = "authenticate with the credentials that this resource server or client got when it was registered";
        return Err(JsonError::from(OAuthError::new(ErrorCode::InvalidClient, text))
            .answering(true, Facts::default()));
    }
    PresentedClient::read(header, form)
        .map_err(|error| JsonError::from(error).answering(header.is_some(), Facts::default()))
}

/// The `Authorization` header of a machine.
pub(super) fn authorization(request: &HttpRequest) -> Result<Option<&str>, JsonError> {
    one(request.headers(), &header::AUTHORIZATION).map_err(|Unclear| {
        JsonError::from(OAuthError::new(ErrorCode::InvalidRequest, "send one readable Authorization header"))
    })
}
