//! The description of the admin API: `OpenAPI` 3.1, made from the table of routes.

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{
    problem::{Body, Code},
    route::{Method, NoQuery, Route, Shown, SignIn},
    table,
};
use crate::http::{admin, endpoints};

/// What the API is, in a few sentences.
const ABOUT: &str = "What administrators do with grants, people, clients, resource servers, sessions, signing keys, the audit \
    trail and admin keys. Times are seconds since 1970-01-01T00:00:00Z. Errors are application/problem+json (RFC 9457). \
    Lists come in pages: send next_cursor of one page as cursor for the next. A key needs the permission that each operation \
    names as x-permission. An administrator's browser needs, for everything but GET, the content type application/json and \
    proof of its origin (Sec-Fetch-Site or Origin), and where x-fresh-sign-in is true a sign-in of the last five minutes.";

/// The answer to `GET /openapi.json`: any JSON object.
#[derive(serde::Serialize)]
#[serde(transparent)]
pub(super) struct Document(Value);

impl JsonSchema for Document {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OpenApi".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "object", "required": ["openapi", "info", "paths"]})
    }
}

/// The description itself.
pub(super) async fn get(
    call: admin::Call,
    _: NoQuery,
    _: admin::NoBody,
) -> Result<Shown<Document>, admin::Problem> {
    let base = endpoints::url(&call.context().policy, endpoints::Name::AdminApi);
    Ok(Shown(Document(document(&base))))
}

/// The description for an API that stands at this address.
fn document(base: &str) -> Value {
    let mut schemas = generator();
    let mut paths = Map::new();
    for route in table::routes() {
        let item = paths.entry(route.path).or_insert_with(|| json!({}));
        item[route.method.as_str().to_lowercase()] = operation(route, &mut schemas);
    }
    let _problem = schemas.subschema_for::<Body<'_>>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Doorward admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base}],
        "security": [{"admin_key": []}, {"session": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.take_definitions(true),
            "securitySchemes": {
                "admin_key": {"type": "http", "scheme": "bearer", "description": "A key of `doorward admin key create`: `dwa_…`."},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "__Host-doorward-session",
                    "description": "The session of an administrator at a browser; without the prefix where the issuer is plain http.",
                },
            },
        },
    })
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator()
}

fn operation(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let noun = route.path.split('/').nth(1).unwrap_or_default();
    let mut operation = json!({
        "operationId": route.name,
        "summary": route.summary,
        "tags": [noun],
        "responses": responses(route, schemas),
        "x-permission": route.need.map(|need| need.to_string()),
        "x-fresh-sign-in": route.sign_in == SignIn::Fresh,
    });
    let parameters = parameters(route, schemas);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = route.body {
        let schema = body(schemas);
        operation["requestBody"] =
            json!({"required": !route.bare, "content": {"application/json": {"schema": schema}}});
    }
    operation
}

fn parameters(route: &Route, schemas: &mut SchemaGenerator) -> Vec<Value> {
    let named = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path = named.map(|name| {
        let schema = json!({"type": "string", "minLength": 1});
        json!({"name": name, "in": "path", "required": true, "description": what(route.path), "schema": schema})
    });
    let mut all: Vec<_> = in_path.collect();
    let query = (route.query)(schemas).to_value();
    let required = query["required"].as_array().cloned().unwrap_or_default();
    for (name, schema) in query["properties"].as_object().into_iter().flatten() {
        let mut schema = schema.clone();
        let described = schema.as_object_mut().and_then(|members| members.remove("description"));
        let description = described.unwrap_or_default();
        let required = required.iter().any(|required| required == name);
        all.push(json!({
            "name": name, "in": "query", "required": required, "description": description, "schema": schema,
        }));
    }
    all
}

/// What `{id}` is.
fn what(path: &str) -> &'static str {
    match path.split('/').nth(1) {
        Some("users") => "The identifier (`usr_…`) or the e-mail address.",
        Some("resources") => "The identifier (`rs_…`), or the address with everything percent-encoded.",
        Some("keys") => "The `kid`.",
        _ => "The identifier.",
    }
}

fn responses(route: &Route, schemas: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    let good = match route.answer {
        Some(answer) => {
            let schema = answer(schemas);
            json!({"description": "Done.", "content": {"application/json": {"schema": schema}}})
        }
        None => json!({"description": "Done."}),
    };
    responses.insert(route.status.to_string(), good);
    let content = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    for code in Code::ALL.iter().filter(|code| can_fail(route, **code)) {
        let entry = responses.entry(code.status().to_string());
        let response = entry.or_insert_with(|| json!({"description": "", "content": content}));
        let words = response["description"].as_str().unwrap_or_default();
        let separator = if words.is_empty() { "" } else { " " };
        response["description"] = format!("{words}{separator}`{}`: {}.", code.as_str(), code.title()).into();
    }
    responses.into()
}

/// Whether a route can answer with this.
fn can_fail(route: &Route, code: Code) -> bool {
    let writes = route.method != Method::Get;
    match code {
        Code::InvalidRequest
        | Code::Unauthorized
        | Code::NotAnAdministrator
        | Code::CrossSite
        | Code::ServerError
        | Code::Unavailable => true,
        Code::InvalidCursor => route.answer.is_some() && !writes && !route.path.contains('{'),
        Code::PermissionMissing => route.need.is_some(),
        Code::FreshSignInRequired => route.sign_in == SignIn::Fresh,
        Code::NotFound => route.path.contains('{'),
        Code::MethodNotAllowed => false,
        Code::RequestTimeout | Code::TooLarge | Code::UnsupportedMediaType => writes,
        Code::Conflict => route.conflicts,
    }
}
