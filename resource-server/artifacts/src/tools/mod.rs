//! The eleven tools: one table says what each needs and does, one gate stands before all of them.

use std::sync::Arc;

use doorward_resource_server::NodePath;
use doorward_shared::time::Timestamp;
use futures_util::future::BoxFuture;
use rmcp::{
    handler::server::tool::{schema_for_input, schema_for_output},
    model::{CallToolResult, ContentBlock, JsonObject, MetaObject, Tool, ToolAnnotations},
};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    caller::Caller,
    context::Context,
    dates,
    errors::{Code, Refusal, success_meta},
    ids::ArtifactId,
    permissions::{CREATE, DELETE, READ, SHARE},
    telemetry::Event,
};

mod arguments;
mod destroy;
mod read;
mod records;
mod values;
mod write;

pub(crate) use read::whoami;
pub(crate) use records::{ArtifactRecord, cursor, open_cursor};

/// One row of the table.
pub struct Row {
    /// The tool's name.
    pub name: &'static str,
    /// The permission it needs.
    pub permission: &'static str,
    /// What it does to the data.
    pub effect: Effect,
    title: &'static str,
    description: &'static str,
    schemas: fn() -> Schemas,
    run: Run,
}

/// What a tool does to the data; the annotations follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Changes nothing.
    Reads,
    /// Adds something.
    Adds,
    /// Adds something once, however often it is repeated.
    AddsOnce,
    /// Cannot be undone, and does more each time.
    Destroys,
    /// Cannot be undone; repeating it changes nothing.
    DestroysOnce,
}

/// One call of one tool.
pub struct Call<'a> {
    /// The instruments.
    pub context: &'a Context,
    /// Who calls.
    pub caller: &'a Caller,
    /// With what.
    pub arguments: JsonObject,
    /// When.
    pub now: Timestamp,
}

type Answer = Result<Value, Refusal>;
type Run = for<'a> fn(Call<'a>) -> BoxFuture<'a, Answer>;

struct Schemas {
    input: Arc<JsonObject>,
    output: Arc<JsonObject>,
}

/// Makes a row. `$run` is an `async fn(Call<'_>, Input) -> Result<Output, Refusal>`.
macro_rules! row {
    ($name:literal, $permission:expr, $effect:ident, $title:literal, $input:ty => $output:ty, $run:path, $description:literal) => {
        Row {
            name: $name,
            permission: $permission,
            effect: Effect::$effect,
            title: $title,
            description: $description,
            schemas: schemas::<$input, $output>,
            run: |mut call| {
                Box::pin(async move {
                    let input: $input = parse(std::mem::take(&mut call.arguments))?;
                    let output: $output = $run(call, input).await?;
                    serde_json::to_value(output).map_err(Refusal::fault)
                })
            },
        }
    };
}

/// The table. A unit test pins it: a tool that changes its permission changes what people have agreed to.
pub static TOOLS: [Row; 11] = [
    row!(
        "whoami", READ, Reads, "Who am I", arguments::Nothing => records::Identity, read::whoami_tool,
        "Tells who you are here, what you were granted, and what your organization has used of its plan."
    ),
    row!(
        "list_artifacts", READ, Reads, "List artifacts", arguments::ListArtifacts => records::ArtifactList,
        read::list_artifacts,
        "Lists the artifacts that you may read, newest first, in pages. Deleted and expired ones are left out. Narrow the \
         list by folder, session_id, agent_id, filename, content_type, metadata or time."
    ),
    row!(
        "get_artifact", READ, Reads, "Show an artifact", arguments::ArtifactRef => ArtifactRecord,
        read::get_artifact,
        "Shows what is known about one artifact: folder, name, type, size, SHA-256, status, session, metadata, who stored \
         it. Use get_artifact_download_url for its bytes."
    ),
    row!(
        "get_artifact_download_url", READ, Reads, "Get a download address", arguments::ArtifactRef => records::DownloadUrl,
        read::get_artifact_download_url,
        "Makes an address from which the bytes of an artifact can be fetched with a plain GET for one hour. For your \
         own use; to hand a file to somebody else use create_download_link."
    ),
    row!(
        "list_sessions", READ, Reads, "List sessions", arguments::ListSessions => records::SessionList,
        read::list_sessions,
        "Lists your sessions, newest first, in pages: how many artifacts each has and whether it is sealed. A session \
         begins with the first artifact stored in it."
    ),
    row!(
        "store_artifact", CREATE, AddsOnce, "Store an artifact", arguments::StoreArtifact => ArtifactRecord,
        write::store_artifact,
        "Stores a file of up to 10 MiB, sent as base64, in one call. With an idempotency_key the call can be repeated \
         for 24 hours and finds the same artifact. For larger files use request_upload_url."
    ),
    row!(
        "request_upload_url", CREATE, Adds, "Request an upload address", arguments::RequestUploadUrl => records::UploadUrl,
        write::request_upload_url,
        "Announces a file and answers an address to which its bytes can be PUT once, within one hour, without further \
         credentials. The artifact is pending until complete_upload."
    ),
    row!(
        "complete_upload", CREATE, AddsOnce, "Complete an upload", arguments::ArtifactRef => ArtifactRecord,
        write::complete_upload,
        "Verifies the bytes that were PUT to an upload address and makes the artifact active. Repeating it changes \
         nothing. An upload that is not completed within 24 hours is given up."
    ),
    row!(
        "create_download_link", SHARE, Destroys, "Create a public link", arguments::CreateDownloadLink => records::DownloadLink,
        destroy::create_download_link,
        "Makes a public link: everybody who has it can download the artifact without signing in, until it expires (7 \
         days unless you say otherwise, 90 at most), the artifact is deleted or moved, or the sign-in or API key that made \
         the link is revoked. What was downloaded cannot be called back."
    ),
    row!(
        "delete_artifact", DELETE, DestroysOnce, "Delete an artifact", arguments::ArtifactRef => records::Deletion,
        destroy::delete_artifact,
        "Deletes an artifact and its bytes, and ends every link to it. Cannot be undone. Repeating it changes nothing."
    ),
    row!(
        "seal_session", DELETE, DestroysOnce, "Seal a session", arguments::SealSession => records::SealedSession,
        destroy::seal_session,
        "Seals a session for good: it takes no further artifacts. You must be allowed to delete wherever its artifacts are. Cannot be undone. Repeating it changes nothing."
    ),
];

impl Row {
    /// What a call asks for, for the log: which arguments there are, and of those only ids and folders in full. Names that
    /// the tool does not know are the caller's own words and are left out.
    fn summary(&self, arguments: &JsonObject) -> String {
        let input = (self.schemas)().input;
        let known = input.get("properties").and_then(Value::as_object);
        let given = arguments.iter().filter(|(name, _)| known.is_some_and(|known| known.contains_key(*name)));
        let shown = given.map(|(name, value)| match (name.as_str(), value.as_str()) {
            ("artifact_id", Some(id)) if ArtifactId::parse(id).is_some() => format!("{name}={id}"),
            ("folder", Some(folder)) if NodePath::parse(folder).is_ok() => format!("{name}={folder}"),
            _ => name.clone(),
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    /// The tool as `tools/list` shows it.
    fn tool(&self) -> Tool {
        let schemas = (self.schemas)();
        Tool::new(self.name, self.description, schemas.input)
            .with_title(self.title)
            .with_raw_output_schema(schemas.output)
            .with_annotations(self.effect.annotations())
    }
}

impl Effect {
    fn annotations(self) -> ToolAnnotations {
        let (reads, destroys) = (self == Self::Reads, matches!(self, Self::Destroys | Self::DestroysOnce));
        let once = matches!(self, Self::Reads | Self::AddsOnce | Self::DestroysOnce);
        // Closed world: no tool reaches for anything outside this server.
        ToolAnnotations::new().read_only(reads).destructive(destroys).idempotent(once).open_world(false)
    }
}

/// The tools that `caller` may call somewhere, in the order of the table.
pub fn visible(caller: &Caller) -> Vec<Tool> {
    TOOLS.iter().filter(|row| caller.may(row.permission)).map(Row::tool).collect()
}

/// Calls a tool: gate, quota, tool, result. Every refusal is a result too, so that the model reads it.
pub async fn call(
    context: &Context,
    caller: &Caller,
    event: &Event,
    name: &str,
    arguments: JsonObject,
) -> CallToolResult {
    let answer = match permitted(caller, name) {
        Ok(row) => {
            event.tool(row.name, &row.summary(&arguments));
            run(context, caller, row, arguments).await
        }
        Err(refusal) => Err(refusal),
    };
    match answer {
        Ok(value) => {
            let mut result = CallToolResult::success(vec![ContentBlock::text(value.to_string())]);
            result.structured_content = Some(value);
            result.meta = meta(success_meta(event.request_id()));
            result
        }
        Err(refusal) => {
            event.refusal(&refusal);
            let mut result = CallToolResult::error(vec![ContentBlock::text(refusal.to_string())]);
            result.meta = meta(refusal.meta(event.request_id()));
            result
        }
    }
}

async fn run(context: &Context, caller: &Caller, row: &Row, arguments: JsonObject) -> Answer {
    let now = context.clock.now();
    // `whoami` tells what is used up, so it must answer when everything is; it is counted like the others.
    if !admitted(context, caller, now).await? && row.name != "whoami" {
        return Err(exhausted(context, caller));
    }
    (row.run)(Call { context, caller, arguments, now }).await
}

/// Counts a request against the plan. False when its requests are used up.
pub async fn admitted(context: &Context, caller: &Caller, now: Timestamp) -> Result<bool, Refusal> {
    let plan = context.plans.of(&caller.organization);
    context.store.admit(&caller.organization, &dates::month(now), plan).await
}

/// The refusal when the month's requests are used up.
pub fn exhausted(context: &Context, caller: &Caller) -> Refusal {
    let plan = context.plans.of(&caller.organization);
    Refusal::new(
        Code::QuotaExceeded,
        format!(
            "The plan {:?} allows {} requests a month and all are used; the count begins anew with the next month (UTC).",
            plan.name, plan.requests_per_month
        ),
    )
}

/// The gate. It names the missing permission of a tool that exists; of a name that is no tool it says nothing more.
fn permitted(caller: &Caller, name: &str) -> Result<&'static Row, Refusal> {
    let Some(row) = TOOLS.iter().find(|row| row.name == name) else {
        return Err(Refusal::new(Code::InsufficientScope, "You cannot call a tool of this name."));
    };
    if caller.may(row.permission) {
        return Ok(row);
    }
    Err(Refusal::new(
        Code::InsufficientScope,
        format!(
            "{} needs the permission {}, which was not granted. Permissions are ticked on the consent page at sign-in: \
             log out of this server in your MCP client, sign in again, and tick what you want to allow.",
            row.name, row.permission
        ),
    ))
}

fn parse<T: DeserializeOwned>(arguments: JsonObject) -> Result<T, Refusal> {
    serde_json::from_value(Value::Object(arguments)).map_err(|error| Refusal::invalid(error.to_string()))
}

fn schemas<I: JsonSchema + 'static, O: JsonSchema + Serialize + 'static>() -> Schemas {
    // Input types are structs, so their schema is an object; the test that lists every tool would notice another one.
    Schemas { input: schema_for_input::<I>().unwrap_or_default(), output: schema_for_output::<O>() }
}

fn meta(value: Value) -> Option<MetaObject> {
    match value {
        Value::Object(object) => Some(MetaObject(object)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
