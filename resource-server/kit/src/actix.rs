//! The kit as an actix-web middleware, and [`Access`] as an extractor.
//!
//! ```
//! use std::sync::Arc;
//!
//! use actix_web::{App, HttpServer, web};
//! use doorward_resource_server::{Access, ResourceServer, Settings, actix::Protect};
//!
//! async fn whoami(access: Access) -> String {
//!     access.subject
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = ResourceServer::start(Settings::new("http://localhost:9100/mcp", "http://localhost:9000")).await?;
//! let app = HttpServer::new(move || {
//!     App::new().wrap(Protect::new(Arc::clone(&server))).route("/mcp", web::get().to(whoami))
//! });
//! # Ok(())
//! # }
//! ```
//!
//! Wrap the whole `App`, so that the middleware sees the whole path, and wrap it last.

use std::{future::Ready, pin::Pin, rc::Rc, sync::Arc};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, HttpResponse,
    body::{EitherBody, MessageBody},
    dev::{Payload, Service, ServiceRequest, ServiceResponse, Transform, forward_ready},
    error::ErrorInternalServerError,
    http::{
        StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, ORIGIN},
    },
};

use crate::{Access, Answer, ResourceServer, front};

/// Protects the services that it wraps.
#[derive(Clone)]
pub struct Protect {
    server: Arc<ResourceServer>,
}

impl Protect {
    /// A middleware for one resource.
    pub fn new(server: Arc<ResourceServer>) -> Self {
        Self { server }
    }
}

impl<S, B> Transform<S, ServiceRequest> for Protect
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Transform = Protected<S>;
    type InitError = ();
    type Future = Ready<Result<Protected<S>, ()>>;

    fn new_transform(&self, inner: S) -> Self::Future {
        std::future::ready(Ok(Protected { server: Arc::clone(&self.server), inner: Rc::new(inner) }))
    }
}

/// A protected service.
pub struct Protected<S> {
    server: Arc<ResourceServer>,
    inner: Rc<S>,
}

impl<S, B> Service<ServiceRequest> for Protected<S>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
    B: MessageBody + 'static,
{
    type Response = ServiceResponse<EitherBody<B>>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Error>>>>;

    forward_ready!(inner);

    fn call(&self, mut request: ServiceRequest) -> Self::Future {
        let server = Arc::clone(&self.server);
        let inner = Rc::clone(&self.inner);
        Box::pin(async move {
            match server.decide(&view(&request)).await {
                front::Decision::Pass => Ok(inner.call(request).await?.map_into_left_body()),
                front::Decision::Answer(answer) => {
                    Ok(request.into_response(HttpResponse::from(answer)).map_into_right_body())
                }
                front::Decision::Admit(access) => {
                    // What no handler has, no handler can pass on.
                    request.headers_mut().remove(AUTHORIZATION);
                    request.headers_mut().remove(front::API_KEY);
                    request.extensions_mut().insert(Arc::unwrap_or_clone(access));
                    let mut response = inner.call(request).await?.map_into_left_body();
                    for (name, value) in front::CORS {
                        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
                        response.headers_mut().insert(name, value);
                    }
                    Ok(response)
                }
            }
        })
    }
}

impl FromRequest for Access {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    /// Fails with 500 on a route that is not protected: a handler that wants an [`Access`] never runs without one.
    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let access = request.extensions().get::<Self>().cloned();
        std::future::ready(
            access.ok_or_else(|| ErrorInternalServerError("this route is not protected by the kit")),
        )
    }
}

fn view(request: &ServiceRequest) -> front::Request<'_> {
    let all = |name: &str| request.headers().get_all(name).map(HeaderValue::as_bytes).collect();
    front::Request {
        method: request.method().as_str(),
        path: request.uri().path(),
        authority: request.uri().authority().map(actix_web::http::uri::Authority::as_str),
        host: all(HOST.as_str()),
        origin: all(ORIGIN.as_str()),
        authorization: all(AUTHORIZATION.as_str()),
        api_key: all(front::API_KEY),
        content_type: request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes),
    }
}

impl From<Answer> for HttpResponse {
    fn from(answer: Answer) -> Self {
        let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = Self::build(status);
        for header in answer.headers {
            response.append_header(header);
        }
        if answer.body.is_empty() { response.finish() } else { response.body(answer.body) }
    }
}
