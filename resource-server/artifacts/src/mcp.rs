//! The MCP side: what a client asks, handed to the tools and the resources.

use std::sync::Arc;

use http::request::Parts;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, ErrorCode, Implementation, ListResourceTemplatesResult,
        ListResourcesResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams,
        ReadResourceResponse, ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
};

use crate::{
    caller::Caller,
    context::Context,
    errors::{Code, Refusal},
    resources,
    telemetry::Event,
    tools,
};

/// One MCP server per request: it keeps nothing between two of them.
#[derive(Clone)]
pub struct Server {
    context: Arc<Context>,
}

impl Server {
    /// A server over `context`.
    pub const fn new(context: Arc<Context>) -> Self {
        Self { context }
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().enable_resources().build())
            .with_server_info(
                Implementation::new("doorward-artifacts", env!("CARGO_PKG_VERSION")).with_title("Doorward Artifacts"),
            )
            .with_instructions(
                "Stores files for you and your agents. What you can do here is what you ticked on the consent page at \
                 sign-in; call whoami to see it. Tools that were not granted are not listed. Files lie in folders such as \
                 alpha/site; whoami says which are open to you when not all are.",
            )
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        request: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let (caller, event) = who(&request)?;
        event.method("tools/list");
        Ok(ListToolsResult::with_all_items(tools::visible(&caller)))
    }

    async fn call_tool(
        &self,
        params: CallToolRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let (caller, event) = who(&request)?;
        event.method("tools/call");
        let arguments = params.arguments.unwrap_or_default();
        Ok(tools::call(&self.context, &caller, &event, &params.name, arguments).await.into())
    }

    async fn list_resources(
        &self,
        params: Option<PaginatedRequestParams>,
        request: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let (caller, event) = who(&request)?;
        event.method("resources/list");
        let cursor = params.and_then(|params| params.cursor);
        resources::list(&self.context, &caller, cursor.as_deref())
            .await
            .map_err(|refusal| error(&refusal, &event))
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        request: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let (caller, event) = who(&request)?;
        event.method("resources/templates/list");
        Ok(resources::templates(&caller))
    }

    async fn read_resource(
        &self,
        params: ReadResourceRequestParams,
        request: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let (caller, event) = who(&request)?;
        event.method("resources/read");
        let now = self.context.clock.now();
        let read = resources::read(&self.context, &caller, &params.uri, now).await;
        read.map(Into::into).map_err(|refusal| error(&refusal, &event))
    }
}

/// Who asks. Without a verified caller nothing is answered, whatever way the request came.
fn who(request: &RequestContext<RoleServer>) -> Result<(Caller, Event), ErrorData> {
    let extensions = request.extensions.get::<Parts>().map(|parts| &parts.extensions);
    let found = extensions.and_then(|all| Some((all.get::<Caller>()?.clone(), all.get::<Event>()?.clone())));
    found.ok_or_else(|| ErrorData::internal_error("the request has no verified caller", None))
}

/// A refusal where MCP has no tool result.
fn error(refusal: &Refusal, event: &Event) -> ErrorData {
    event.refusal(refusal);
    let code = match refusal.code() {
        Code::ArtifactNotFound => ErrorCode::RESOURCE_NOT_FOUND,
        Code::InvalidRequest => ErrorCode::INVALID_PARAMS,
        Code::ServerError => ErrorCode::INTERNAL_ERROR,
        _ => ErrorCode::INVALID_REQUEST,
    };
    ErrorData::new(code, refusal.message().to_owned(), Some(refusal.meta(event.request_id())))
}
