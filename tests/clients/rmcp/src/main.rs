//! The Rust SDK: crate `rmcp`. Same story and same report as the TypeScript drivers (`driver.mjs`).

mod store;
mod user;

use std::error::Error;
use std::process::ExitCode;

use base64::Engine as _;
use rmcp::ServiceExt as _;
use rmcp::model::CallToolRequestParams;
use rmcp::service::{ClientInitializeError, RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::auth::{AuthClient, AuthorizationManager, AuthorizationRequest, OAuthState};
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use serde_json::{Value, json};

use crate::store::FileStore;
use crate::user::{SignIn, User};

type Outcome<T> = Result<T, Box<dyn Error>>;
type Connection = RunningService<RoleClient, ()>;

/// One environment variable that the test sets for every driver.
#[expect(clippy::disallowed_methods, reason = "how a driver is told what to do")]
fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

/// Prints one step as a line of JSON.
#[expect(clippy::print_stdout, reason = "standard output is the report")]
fn report(step: &str, facts: &Value) {
    let mut line = json!({ "step": step });
    for (name, value) in facts.as_object().into_iter().flatten() {
        line[name] = value.clone();
    }
    println!("{line}");
}

#[tokio::main]
async fn main() -> ExitCode {
    match story().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report("failed", &json!({ "reason": format!("{error}: {error:?}") }));
            ExitCode::FAILURE
        }
    }
}

async fn story() -> Outcome<()> {
    let mcp_url = setting("MCP_URL");
    let store = FileStore::new(setting("CREDENTIALS"));
    let mut user = User::listen().await?;

    // From the MCP URL alone: 401, discovery, registration, browser, token.
    let challenge =
        connect(&mcp_url, &store).await.err().ok_or("the server let a client in without a token")?;
    let sign_in = authorize(&mcp_url, &store, &challenge, &mut user, None).await?;
    let client = connect(&mcp_url, &store).await?;
    let tokens = store.tokens()?;
    let client_id = store.client_id()?;
    report(
        "signed_in",
        &json!({
            "client_id": client_id,
            "redirect_uri": user.uri(),
            "authorize": sign_in.authorize(),
            "saw": sign_in.saw,
            "callback": sign_in.callback(),
            "token": {
                "scope": tokens["scope"], "token_type": tokens["token_type"], "expires_in": tokens["expires_in"],
            },
        }),
    );

    report("tools", &json!({ "names": tool_names(&client).await? }));
    report("whoami", &json!({ "result": call(&client, "whoami", json!({})).await? }));
    let content = base64::engine::general_purpose::STANDARD.encode("from the Rust SDK");
    let file = json!({ "filename": "note.txt", "content": content });
    report("stored", &json!({ "result": call(&client, "store_artifact", file).await? }));

    store.expire()?;
    let names = tool_names(&client).await?;
    let renewed = store.tokens()?;
    report(
        "refreshed",
        &json!({
            "names": names,
            "sign_ins": user.sign_ins(),
            "new_access_token": renewed["access_token"] != tokens["access_token"],
            "new_refresh_token": renewed["refresh_token"] != tokens["refresh_token"],
        }),
    );

    let spent = tokens["refresh_token"].as_str().ok_or("no refresh token")?;
    report("replayed", &replay(&mcp_url, &client_id, spent).await?);

    // The SDK knows nothing of that: it goes on with what it has, which is dead now.
    store.expire()?;
    if let Ok(names) = tool_names(&client).await {
        return Err(format!("dead credentials still list {names:?}").into());
    }
    let challenge = connect(&mcp_url, &store).await.err().ok_or("dead credentials still connect")?;
    let again = authorize(&mcp_url, &store, &challenge, &mut user, Some(client_id)).await?;
    let client = connect(&mcp_url, &store).await?;
    let names = tool_names(&client).await?;
    report("recovered", &json!({ "names": names, "sign_ins": user.sign_ins(), "saw": again.saw }));
    client.cancel().await?;
    Ok(())
}

/// Connects with what the credential file holds, if it holds anything.
async fn connect(mcp_url: &str, store: &FileStore) -> Result<Connection, ClientInitializeError> {
    let initialize = async {
        let mut manager = AuthorizationManager::new(mcp_url).await?;
        manager.set_credential_store(store.clone());
        manager.initialize_from_store().await?;
        Ok::<_, rmcp::transport::auth::AuthError>(manager)
    };
    let manager = initialize.await.expect("the manager can be made from the credential file");
    let http = AuthClient::new(reqwest::Client::default(), manager);
    let transport = StreamableHttpClientTransport::with_client(
        http,
        StreamableHttpClientTransportConfig::with_uri(mcp_url.to_owned()),
    );
    ().serve(transport).await
}

/// Answers a challenge: discovery, registration unless there is a client id already, browser, code, tokens.
async fn authorize(
    mcp_url: &str,
    store: &FileStore,
    refused: &ClientInitializeError,
    user: &mut User,
    client_id: Option<String>,
) -> Outcome<SignIn> {
    let challenge = refused.auth_challenge().ok_or_else(|| format!("no challenge in {refused:?}"))?;
    let mut manager = AuthorizationManager::new(mcp_url).await?;
    manager.set_credential_store(store.clone());
    let mut request = AuthorizationRequest::new(user.uri())
        .with_client_name("Rust SDK")
        .with_challenge(challenge.to_owned());
    if let Some(client_id) = client_id {
        request = request.with_preregistered_client(client_id);
    }
    let mut state = OAuthState::Unauthorized(manager);
    state.start_authorization(request).await?;
    let sign_in = user.sign_in(state.get_authorization_url().await?).await?;
    state.handle_callback_url(sign_in.callback.as_str()).await?;
    Ok(sign_in)
}

async fn tool_names(client: &Connection) -> Outcome<Vec<String>> {
    let mut names: Vec<_> =
        client.list_all_tools().await?.into_iter().map(|tool| tool.name.into_owned()).collect();
    names.sort_unstable();
    Ok(names)
}

async fn call(client: &Connection, tool: &'static str, arguments: Value) -> Outcome<Value> {
    let mut request = CallToolRequestParams::new(tool);
    request.arguments = arguments.as_object().cloned();
    Ok(serde_json::to_value(client.call_tool(request).await?)?)
}

/// Presents a spent refresh token once, as a second process with an old copy of the credential file would.
async fn replay(mcp_url: &str, client_id: &str, refresh_token: &str) -> Outcome<Value> {
    let http = reqwest::Client::default();
    let mut metadata = url::Url::parse(mcp_url)?;
    metadata.set_path(&format!("/.well-known/oauth-protected-resource{}", metadata.path()));
    let resource: Value = http.get(metadata).send().await?.json().await?;
    let issuer = resource["authorization_servers"][0].as_str().ok_or("no authorization server")?;
    let server = http.get(format!("{issuer}/.well-known/oauth-authorization-server"));
    let server: Value = server.send().await?.json().await?;
    let endpoint = server["token_endpoint"].as_str().ok_or("no token endpoint")?;
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token), ("client_id", client_id)];
    let response = http.post(endpoint).form(&form).send().await?;
    let status = response.status().as_u16();
    Ok(json!({ "status": status, "body": response.json::<Value>().await? }))
}
