//! What a route of the admin API is: one value that mounts it, guards it and describes it. The types that its handler takes
//! and gives are the schemas of its description, so the two cannot differ.

use std::{collections::BTreeMap, fmt, future::Future};

use actix_web::{HttpResponse, http::StatusCode};
use futures_util::future::LocalBoxFuture;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    cursor,
    problem::{Code, Problem},
    query::Limit,
};
use crate::{
    domain::{
        admin_key::{AdminKey, Need},
        audit::Actor,
    },
    flows::{Context, admin::Desk},
    http::Data,
};

/// The methods of the admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Method {
    Get,
    Post,
    Patch,
    Delete,
}

impl Method {
    /// As it is sent.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// How recently an administrator at a browser must have signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignIn {
    /// Any live session will do.
    Any,
    /// Within the last five minutes.
    Fresh,
}

/// Makes a schema.
pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

type Run = Box<
    dyn Fn(Call, Map<String, Value>, Vec<u8>) -> LocalBoxFuture<'static, Result<HttpResponse, Problem>>
        + Send
        + Sync,
>;

/// One row of the table.
pub(super) struct Route {
    pub(super) method: Method,
    /// The path below the API, with its parameters in braces.
    pub(super) path: &'static str,
    /// `operationId`: the name of the handler.
    pub(super) name: &'static str,
    /// One sentence.
    pub(super) summary: &'static str,
    /// What a key has to be allowed; `None` for what every caller of the API may have.
    pub(super) need: Option<Need>,
    pub(super) sign_in: SignIn,
    /// Whether the state of the thing can forbid it.
    pub(super) conflicts: bool,
    pub(super) query: SchemaOf,
    pub(super) body: Option<SchemaOf>,
    /// Whether the body may be left out.
    pub(super) bare: bool,
    pub(super) status: u16,
    pub(super) answer: Option<SchemaOf>,
    pub(super) run: Run,
}

impl fmt::Debug for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method.as_str(), self.path)
    }
}

impl Route {
    /// A route and its handler.
    pub(super) fn new<Q, B, A, F, R>(
        (method, path): (Method, &'static str),
        name: &'static str,
        need: impl Into<Option<Need>>,
        summary: &'static str,
        handler: F,
    ) -> Self
    where
        Q: DeserializeOwned + JsonSchema,
        B: Body,
        A: Answer,
        F: Fn(Call, Q, B) -> R + Copy + Send + Sync + 'static,
        R: Future<Output = Result<A, Problem>> + 'static,
    {
        let run: Run = Box::new(move |call, query, body| {
            Box::pin(async move {
                let query = serde_json::from_value(Value::Object(query))
                    .map_err(|error| Problem::invalid(&format_args!("the query: {error}")))?;
                Ok(handler(call, query, B::read(&body)?).await?.render())
            })
        });
        Self {
            method,
            path,
            name,
            summary,
            need: need.into(),
            sign_in: SignIn::Any,
            conflicts: false,
            query: SchemaGenerator::subschema_for::<Q>,
            body: B::SCHEMA,
            bare: B::BARE,
            status: A::STATUS,
            answer: A::SCHEMA,
            run,
        }
    }

    /// Wants a recent sign-in of an administrator at a browser.
    pub(super) fn fresh(self) -> Self {
        Self { sign_in: SignIn::Fresh, ..self }
    }

    /// Says that the state of the thing can forbid it.
    pub(super) fn conflicts(self) -> Self {
        Self { conflicts: true, ..self }
    }
}

/// One call that was let in.
pub(super) struct Call {
    pub(super) site: Data,
    /// Who calls.
    pub(super) actor: Actor,
    /// The key they call with, if it is one.
    pub(super) key: Option<AdminKey>,
    /// The network address they call from.
    pub(super) address: Option<String>,
    /// The parameters of the path, decoded.
    pub(super) parameters: BTreeMap<String, String>,
    /// The name of the route, and the query without its page: what a cursor is good for.
    pub(super) list: &'static str,
    pub(super) filters: String,
}

impl Call {
    pub(super) fn context(&self) -> &Context {
        &self.site.context
    }

    /// What the administrators' flows work with.
    pub(super) fn desk(&self) -> Desk<'_> {
        self.context().desk(&self.actor, self.address.as_deref())
    }

    /// The parameter `{id}` of the path.
    pub(super) fn id(&self) -> &str {
        self.parameters.get("id").map_or("", String::as_str)
    }

    /// A key that may only do some things must not make somebody who may do all.
    pub(super) fn may_make_administrators(&self) -> Result<(), Problem> {
        if self.key.as_ref().is_none_or(|key| key.permissions.are_everything()) {
            return Ok(());
        }
        let detail = "only a key with the permission * makes administrators; use one, or the command line";
        Err(Problem::new(Code::PermissionMissing, detail))
    }

    /// The position of a cursor of this list.
    pub(super) fn position(&self, cursor: Option<&str>) -> Result<Option<String>, Problem> {
        cursor.map(|cursor| cursor::open(&self.site.cursors, self.list, &self.filters, cursor)).transpose()
    }

    /// A page out of one row more than was asked for; the cursor stands after the last one that is shown.
    pub(super) fn page<T, V>(
        &self,
        mut rows: Vec<T>,
        limit: Limit,
        position: impl Fn(&T) -> String,
        view: impl Fn(&T) -> V,
    ) -> Shown<Page<V>> {
        let limit = limit.get() as usize;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().filter(|_| more);
        let next_cursor =
            last.map(|row| cursor::seal(&self.site.cursors, self.list, &self.filters, &position(row)));
        Shown(Page { items: rows.iter().map(view).collect(), next_cursor })
    }
}

/// One page of a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}List")]
pub(super) struct Page<T> {
    /// What is on it.
    items: Vec<T>,
    /// Send this as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
}

/// What a handler reads from the body.
pub(super) trait Body: Sized {
    /// Its schema, where there is a body.
    const SCHEMA: Option<SchemaOf>;
    /// Whether it may be left out.
    const BARE: bool = false;

    /// Reads it.
    fn read(bytes: &[u8]) -> Result<Self, Problem>;
}

/// There is no body, or an empty object.
pub(super) struct NoBody;

impl Body for NoBody {
    const SCHEMA: Option<SchemaOf> = None;
    const BARE: bool = true;

    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        match bytes.trim_ascii() {
            b"" | b"{}" => Ok(Self),
            _ => Err(Problem::invalid(&"this call takes no body; leave it out")),
        }
    }
}

impl<T: DeserializeOwned + JsonSchema> Body for T {
    const SCHEMA: Option<SchemaOf> = Some(SchemaGenerator::subschema_for::<T>);

    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        let object = doorward_shared::jose::strict_json::object(bytes).map_err(|_| {
            Problem::invalid(&"the body must be one JSON object in which every member occurs once")
        })?;
        serde_json::from_value(Value::Object(object))
            .map_err(|error| Problem::invalid(&format_args!("the body: {error}")))
    }
}

/// There may be a body; without one everything in it is as if it were not said.
pub(super) struct MaybeBody<T>(pub(super) T);

impl<T: Default + DeserializeOwned + JsonSchema> Body for MaybeBody<T> {
    const SCHEMA: Option<SchemaOf> = T::SCHEMA;
    const BARE: bool = true;

    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        if bytes.trim_ascii().is_empty() { Ok(Self(T::default())) } else { T::read(bytes).map(Self) }
    }
}

/// There are no parameters.
#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoQuery {}

/// What a handler answers with.
pub(super) trait Answer {
    /// The HTTP status.
    const STATUS: u16;
    /// Its schema, where there is a body.
    const SCHEMA: Option<SchemaOf>;

    /// Makes the answer.
    fn render(self) -> HttpResponse;
}

/// 200 with a body.
pub(super) struct Shown<T>(pub(super) T);

/// 201 with a body.
pub(super) struct Created<T>(pub(super) T);

/// 204.
pub(super) struct Gone;

impl<T: Serialize + JsonSchema> Answer for Shown<T> {
    const STATUS: u16 = 200;
    const SCHEMA: Option<SchemaOf> = Some(SchemaGenerator::subschema_for::<T>);

    fn render(self) -> HttpResponse {
        HttpResponse::Ok().json(self.0)
    }
}

impl<T: Serialize + JsonSchema> Answer for Created<T> {
    const STATUS: u16 = 201;
    const SCHEMA: Option<SchemaOf> = Some(SchemaGenerator::subschema_for::<T>);

    fn render(self) -> HttpResponse {
        HttpResponse::build(StatusCode::CREATED).json(self.0)
    }
}

impl Answer for Gone {
    const STATUS: u16 = 204;
    const SCHEMA: Option<SchemaOf> = None;

    fn render(self) -> HttpResponse {
        HttpResponse::NoContent().finish()
    }
}
