//! A protected MCP server in one file, with rmcp and axum: two tools, one of which needs a permission.
//!
//! ```sh
//! cargo run -p doorward-resource-server --features tower --example mcp
//! claude mcp add --transport http example http://localhost:9100/mcp
//! ```

use std::{error::Error, sync::Arc};

use axum::{Router, routing::get};
use doorward_resource_server::{Access, ResourceServer, Settings, tower::ProtectLayer};
use http::{StatusCode, request::Parts};
use rmcp::{
    ErrorData, ServerHandler,
    handler::server::common::Extension,
    model::{CallToolResult, ContentBlock},
    tool, tool_handler, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::local::LocalSessionManager,
    },
};

/// The MCP server.
#[derive(Clone)]
struct Example;

#[tool_router]
impl Example {
    /// Who you are.
    #[tool(description = "Tells who you are")]
    async fn whoami(&self, Extension(parts): Extension<Parts>) -> Result<CallToolResult, ErrorData> {
        let access = access(&parts)?;
        Ok(CallToolResult::success(vec![ContentBlock::text(access.subject.clone())]))
    }

    /// Something that needs a permission.
    #[tool(description = "Empties the bin")]
    async fn empty_bin(&self, Extension(parts): Extension<Parts>) -> Result<CallToolResult, ErrorData> {
        if !access(&parts)?.allows("artifacts:delete") {
            let text =
                "artifacts:delete was not granted. Connect again and tick Destroy on the consent page.";
            return Ok(CallToolResult::error(vec![ContentBlock::text(text)]));
        }
        Ok(CallToolResult::success(vec![ContentBlock::text("The bin is empty.")]))
    }
}

#[tool_handler]
impl ServerHandler for Example {}

/// The access of the HTTP request that carried this call: of this one, not of the one that opened the session.
fn access(parts: &Parts) -> Result<&Access, ErrorData> {
    parts.extensions.get().ok_or_else(|| ErrorData::internal_error("the route is not protected", None))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server =
        ResourceServer::start(Settings::new("http://localhost:9100/mcp", "http://localhost:9000")).await?;
    // The kit checks Host and Origin before rmcp sees a request, and knows the configured name.
    let config = StreamableHttpServerConfig::default().disable_allowed_hosts();
    let mcp: StreamableHttpService<Example, LocalSessionManager> =
        StreamableHttpService::new(|| Ok(Example), Arc::default(), config);
    let ready = Arc::clone(&server);
    let app = Router::new()
        .nest_service("/mcp", mcp)
        .route(
            "/readyz",
            get(
                async move || if ready.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE },
            ),
        )
        .layer(ProtectLayer::new(server));
    axum::serve(tokio::net::TcpListener::bind("localhost:9100").await?, app).await?;
    Ok(())
}
