//! The program: everything is built once, started, and stopped in order.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get, put},
};
use doorward_resource_server::{Access, ResourceServer, Settings, tower::ProtectLayer};
use doorward_shared::{
    secret::{Entropy, SystemEntropy},
    time::{Clock, Seconds, SystemClock},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use crate::{
    caller::Caller,
    config::Config,
    context::Context,
    credentials::{self, CredentialsError},
    downloads,
    errors::Refusal,
    moves,
    serve::{Door, serve},
    standing::{Endings, Standing},
    store::{OpenError, Store},
    telemetry::{self, Event},
    transport, uploads,
};

/// How often what is over is ended.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How often files without a row are looked for.
const ORPHANS_EVERY: Duration = Duration::from_hours(6);
/// A younger file may belong to a row that is being written.
const ORPHAN_AGE: Seconds = Seconds::hours(1);
/// How long requests under way may take after the signal to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(10);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The credentials file.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The kit.
    #[error(transparent)]
    Kit(#[from] doorward_resource_server::StartError),
    /// An address.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        cause: io::Error,
    },
}

/// The server, listening but not yet serving.
pub struct App {
    listeners: Vec<TcpListener>,
    router: Router,
    context: Arc<Context>,
}

impl App {
    /// Builds everything and takes the addresses.
    pub async fn build(config: &Config) -> Result<Self, StartError> {
        let credentials = credentials::read(&config.credentials_file, &config.resource)?;
        let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
            (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let store = Store::open(&config.data_dir, entropy.clone()).await?;
        let context = Context::new(store, config.plans.clone(), config.resource.clone(), clock, entropy);
        let context = Arc::new(context);
        let found = credentials.is_some();
        let kit = ResourceServer::start(Settings {
            issuer_address: config.issuer_address.clone(),
            credentials,
            resource_name: Some("Doorward Artifacts".to_owned()),
            allowed_hosts: config.allowed_hosts.clone(),
            allowed_origins: config.allowed_origins.clone(),
            key_cache_file: Some(config.data_dir.join("issuer-keys.json")),
            revocations_file: Some(config.data_dir.join("revocations.json")),
            revocation_log: Some(Arc::new(Endings(context.clone()))),
            max_feed_lag: config.max_feed_lag,
            on_feed_lag: config.on_feed_lag,
            ..Settings::new(config.resource.as_str(), config.issuer.as_str())
        })
        .await?;
        let listeners = listen(&config.listen).await?;
        let router = protected(&context, &kit);
        tracing::info!(
            resource = config.resource.as_str(),
            issuer = config.issuer.as_str(),
            credentials = found,
            "started"
        );
        Ok(Self { listeners, router, context })
    }

    /// The addresses in use: with port 0 in the settings, the system chose.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(TcpListener::local_addr).collect()
    }

    /// Serves until `stop` is done, then finishes the requests under way.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(());
        let mut servers = JoinSet::new();
        let door = Door::default();
        for listener in self.listeners {
            let mut stopped = stopped.clone();
            let signal = async move {
                // The sender is dropped to say it.
                while stopped.changed().await.is_ok() {}
            };
            servers.spawn(serve(listener, self.router.clone(), door.clone(), signal));
        }
        let housekeeping = tokio::spawn(keep_house(self.context.clone()));
        tokio::select! {
            () = stop => tracing::info!("stopping"),
            Some(ended) = servers.join_next() => tracing::error!(?ended, "an address stopped being served"),
        }
        drop(stopping);
        if tokio::time::timeout(LAST_REQUESTS, async { while servers.join_next().await.is_some() {} })
            .await
            .is_err()
        {
            tracing::warn!("requests were still under way and were cut off");
        }
        housekeeping.abort();
        self.context.store.close().await;
        tracing::info!("stopped");
    }
}

/// The routes behind the kit: it answers metadata and challenges, and tells who calls.
fn protected(context: &Arc<Context>, kit: &Arc<ResourceServer>) -> Router {
    routes(context, Standing::at(kit.clone()))
        .layer(middleware::from_fn(identify))
        .layer(ProtectLayer::new(kit.clone()))
        .layer(middleware::from_fn_with_state(context.entropy.clone(), telemetry::record))
}

/// The routes. They need an [`Event`] with every request, and the MCP endpoint a [`Caller`].
pub fn routes(context: &Arc<Context>, standing: Standing) -> Router {
    let endpoint = transport::endpoint(context.clone());
    let ready = {
        let (context, standing) = (context.clone(), standing.clone());
        move || ready(context.clone(), standing.is_ready())
    };
    Router::new()
        .route(context.resource.path(), any(transport::serve).with_state(endpoint))
        .route(&format!("{}/artifacts/{{artifact_id}}", context.resource.path()), moves::route())
        .route("/uploads/{address}", put(uploads::put))
        .route("/downloads/{address}", get(downloads::download))
        .route("/links/{link}", get(downloads::link))
        .route("/healthz", get(async || answer(StatusCode::OK, &json!({ "status": "ok" }))))
        .route("/readyz", get(ready))
        .fallback(nothing)
        .layer(Extension(standing))
        .with_state(context.clone())
}

/// Turns what the kit has verified into the words of this server.
async fn identify(mut request: Request, next: Next) -> Response {
    if let Some(access) = request.extensions().get::<Access>() {
        let caller = Caller::from(access);
        request.extensions_mut().insert(caller);
    }
    next.run(request).await
}

async fn ready(context: Arc<Context>, keys: bool) -> Response {
    let store = context.store.answers().await;
    let (status, word) =
        if store && keys { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "not_ready") };
    answer(status, &json!({ "status": word, "store": store, "keys": keys }))
}

async fn nothing(Extension(event): Extension<Event>) -> Response {
    Refusal::invalid("There is nothing at this address.")
        .with_status(StatusCode::NOT_FOUND)
        .into_http(event.request_id())
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (status, headers, Body::from(body.to_string())).into_response()
}

async fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            // A machine without IPv6 still has a localhost.
            Err(cause) if without_ipv6(address, &cause) && addresses.len() > 1 => {
                tracing::warn!(%address, %cause, "this address does not exist here and is left out");
            }
            Err(cause) => return Err(StartError::Listen { address, cause }),
        }
    }
    Ok(listeners)
}

/// True when the address failed because it is not there, not because somebody else has it.
fn without_ipv6(address: SocketAddr, cause: &io::Error) -> bool {
    let taken = matches!(cause.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied);
    address.is_ipv6() && address.ip().is_loopback() && !taken
}

/// Ends what is over, again and again.
async fn keep_house(context: Arc<Context>) {
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    let mut orphans = tokio::time::interval(ORPHANS_EVERY);
    // The first tick comes at once, and the store has looked for orphans when it was opened.
    orphans.tick().await;
    loop {
        tokio::select! {
            _ = sweep.tick() => loop {
                match context.store.sweep(context.clock.now()).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(refusal) => {
                        tracing::error!(cause = refusal.cause(), "what is over could not be ended; it will be tried again");
                        break;
                    }
                }
            },
            _ = orphans.tick() => {
                let limit = context.clock.now().minus(ORPHAN_AGE);
                match context.store.remove_orphans(Some(limit)).await {
                    Ok(0) => {}
                    Ok(removed) => tracing::info!(removed, "files without a row were removed"),
                    Err(error) => tracing::error!(%error, "files without a row could not be looked for"),
                }
            }
        }
    }
}
