//! Builds everything once, and starts it.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use actix_web::{App, HttpServer, middleware::from_fn};
use doorward_shared::{
    secret::{Entropy, SystemEntropy},
    time::{Clock, SystemClock},
};

use tokio::signal::unix::{SignalKind, signal};

use crate::{
    config::Config,
    domain::{audit::Actor, policy::Policy},
    ephemeral::Ephemeral,
    flows::{
        Context,
        admin::Desk,
        backchannel_logout, clients, clock,
        feed::{self, Feed},
        housekeeping, setup,
        signing_keys::{self, SigningKeyError},
        trail::{self, AuditKey, NoAuditKey},
    },
    http::{
        Site, configure,
        endpoints::{self, table},
        headers::{Wardrobe, dress},
        network::TrustedProxies,
    },
    keys::{self, KeyEncryptionKey, KeyError, Missing, Tags},
    mail::{Mail, MailError},
    outbound::{NoWay, Outbound},
    password::Passwords,
    store::{
        self, StoreError,
        hold::{Role, hold},
    },
    upstream::{RelyingParties, Upstream, UpstreamError},
};

/// Why the server does not start, or stopped. Every message says what the operator does next.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key-encryption key.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// Signing keys.
    #[error(transparent)]
    SigningKeys(#[from] SigningKeyError),
    /// The key of the audit trail.
    #[error(transparent)]
    AuditKey(#[from] NoAuditKey),
    /// Mail cannot be sent at all with these settings.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; stop what listens there, or set DOORWARD__SERVER__LISTEN")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No way to other hosts.
    #[error(transparent)]
    Outbound(#[from] NoWay),
    /// An upstream provider.
    #[error("an upstream provider cannot be used: {0}")]
    Upstream(#[from] UpstreamError),
    /// The server broke down.
    #[error("the server stopped: {0}")]
    Io(#[from] io::Error),
}

/// How long a client may take to send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// How long requests may take to end after a stop was asked for.
const SHUTDOWN: u64 = 30;
/// How long mails that wait may take to be sent after that.
const LAST_MAILS: Duration = Duration::from_secs(8);

/// Reads the key-encryption key; makes one when nobody named a file.
pub fn key_encryption_key(config: &Config, entropy: &dyn Entropy) -> Result<KeyEncryptionKey, KeyError> {
    let missing = if config.keys.make_if_missing { Missing::Make } else { Missing::Refuse };
    KeyEncryptionKey::load(&config.keys.kek_file, missing, entropy)
}

/// Opens the store and brings its schema up to date, then builds what the flows need.
pub async fn context(config: &Config) -> Result<Context, StartError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let policy: Arc<Policy> = Arc::new(config.policy.clone());
    let store = store::open(&config.store).await?;
    store.migrate().await?;
    let kek = key_encryption_key(config, entropy.as_ref())?;
    let desk = Desk {
        store: store.as_ref(),
        clock: clock.as_ref(),
        entropy: entropy.as_ref(),
        policy: policy.as_ref(),
        mail: None,
        actor: &Actor::Server,
        address: None,
    };
    let data_key = signing_keys::data_key(desk, &kek).await?;
    let devices = Tags::new(&data_key, "device cookies");
    let (halves, challenges) = (Tags::new(&data_key, "half sign-ins"), Tags::new(&data_key, "challenges"));
    let sign_ins = Tags::new(&data_key, "upstream sign-ins");
    let upstream = Upstream::new(&config.upstream, |id| endpoints::upstream_callback(&policy, id))?;
    let audit_key = AuditKey::open(store.as_ref(), &data_key, entropy.as_ref()).await?;
    let keys = signing_keys::open(desk, data_key).await?;
    let new_mail = |settings| Mail::new(settings, &policy.issuer, Arc::clone(&entropy));
    let mail = config.mail.clone().map(new_mail).transpose()?;
    let feed = Feed::open(store.as_ref(), entropy.as_ref()).await?;
    let context = Context {
        audit_key,
        feed,
        ephemeral: Ephemeral::new(&config.ephemeral, Arc::clone(&policy)),
        documents: Ephemeral::in_memory(Arc::clone(&policy)),
        outbound: Outbound::new()?,
        devices,
        halves,
        challenges,
        sign_ins,
        upstream,
        mail,
        relying_parties: RelyingParties::new()?,
        passwords: Passwords::new(entropy.as_ref()),
        store,
        keys,
        clock,
        offset: clock::Offset::default(),
        entropy,
        policy,
    };
    clients::seed_fixed(&context).await?;
    let known: Vec<_> = context.policy.upstream.iter().map(|provider| provider.id.clone()).collect();
    context.store.keep_providers(&known, context.now()).await?;
    Ok(context)
}

/// Serves until the process is told to stop.
pub async fn serve(config: Config) -> Result<(), StartError> {
    if let Err(error) = keys::guard_memory() {
        tracing::warn!(%error, "core dumps could not be switched off; a dump would hold private keys");
    }
    // Before the schema is touched: a newer program must not change it under a server that runs. Until the end.
    let _held = hold(&config.store, Role::Server).await?;
    let context = context(&config).await?;
    context.ephemeral.greet().await;
    let store = Arc::clone(&context.store);
    let table = table(&context.policy);
    let proxies = TrustedProxies::new(&config.server.trusted_proxies);
    let wardrobe = Wardrobe::new(&table, &context.policy.issuer, proxies.clone());
    let data_key = context.keys.data_key();
    let (forms, cursors) = (Tags::new(data_key, "forms"), Tags::new(data_key, "cursors"));
    let site = Arc::new(Site::new(context, forms, cursors, proxies));

    store.listen().await?;
    clock::look(&site.context).await?;
    let background = [
        tokio::spawn(keep_tidy(Arc::clone(&site))),
        tokio::spawn(keep_keys(Arc::clone(&site))),
        tokio::spawn(follow(Arc::clone(&site))),
        tokio::spawn(keep_trail(Arc::clone(&site))),
        tokio::spawn(keep_telling(Arc::clone(&site))),
    ];
    let factory = {
        let site = Arc::clone(&site);
        move || {
            let wardrobe = wardrobe.clone();
            App::new()
                .wrap(from_fn(move |request, next| dress(wardrobe.clone(), request, next)))
                .configure(|services| configure(&site, services))
        }
    };
    let mut server = HttpServer::new(factory)
        .client_request_timeout(HEAD_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(SHUTDOWN)
        .shutdown_signal(asked_to_stop(Arc::clone(&site)));
    for listener in listen(&config.server.listen)? {
        server = server.listen(listener)?;
    }
    // After the ports are ours: a start that fails must not replace the link of the server that runs.
    if let Some(link) = setup::offer(&site.context).await? {
        announce(&format!("setup: {}", site.context.policy.issuer.url(&format!("/setup/{}", link.expose()))));
    }
    tracing::info!(issuer = %config.policy.issuer, listen = ?config.server.listen, "serving");
    let ended = server.run().await;
    background.iter().for_each(tokio::task::JoinHandle::abort);
    if let Some(mail) = &site.context.mail {
        mail.close(LAST_MAILS).await;
    }
    store.close().await;
    Ok(ended?)
}

fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::new();
    for &address in addresses {
        match TcpListener::bind(address) {
            Ok(listener) => listeners.push(listener),
            // A machine without IPv6 still has a localhost.
            Err(source) if addresses.len() > 1 && is_missing(address, &source) => {
                tracing::warn!(%address, %source, "this address does not exist here and is left out");
            }
            Err(source) => return Err(StartError::Listen { address, source }),
        }
    }
    Ok(listeners)
}

/// True when a loopback address of IPv6 failed because it is not there, not because somebody else has it.
fn is_missing(address: SocketAddr, error: &io::Error) -> bool {
    let taken = matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied);
    address.is_ipv6() && address.ip().is_loopback() && !taken
}

async fn follow(site: Arc<Site>) {
    tokio::join!(feed::follow(&site.context), clock::watch(&site.context));
}

async fn keep_trail(site: Arc<Site>) {
    let ctx = &site.context;
    let mut away = false;
    loop {
        tokio::time::sleep(trail::EVERY).await;
        match trail::tick(ctx.store.as_ref(), &ctx.audit_key, &ctx.policy.issuer, ctx.now()).await {
            Ok(()) => away = false,
            // Once per outage: what waits is chained when the database is back.
            Err(error) if !away => {
                tracing::warn!(%error, "the audit trail could not be chained; trying again");
                away = true;
            }
            Err(_) => {}
        }
    }
}

async fn keep_telling(site: Arc<Site>) {
    let ctx = &site.context;
    let (mut seen, mut next, mut away) = (ctx.feed.heads().borrow().logouts, Some(ctx.now()), false);
    loop {
        backchannel_logout::wait(ctx, seen, next).await;
        // Read first: what is written down during the look is looked at again.
        seen = ctx.feed.heads().borrow().logouts;
        next = match backchannel_logout::tick(ctx).await {
            Ok(next) => {
                away = false;
                next
            }
            Err(error) => {
                // Once per outage: what waits is sent when the database is back.
                if !away {
                    tracing::warn!(%error, "clients cannot be told of ended sessions; trying again");
                }
                away = true;
                Some(ctx.now())
            }
        };
    }
}

/// Returns when somebody asks the process to stop, and answers whoever waits for news: everybody else finishes what is under
/// way.
async fn asked_to_stop(site: Arc<Site>) {
    let asked = async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => {}
            answer = tokio::signal::ctrl_c() => answer?,
        }
        io::Result::Ok(())
    };
    if let Err(error) = asked.await {
        tracing::error!(%error, "the signals of the system cannot be listened to; stopping");
    }
    tracing::info!("stopping");
    site.context.feed.close();
    tokio::spawn(async {
        // Whoever asks twice does not want to wait.
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
}

async fn keep_tidy(site: Arc<Site>) {
    loop {
        if let Err(error) = housekeeping::tidy(&site.context).await {
            tracing::warn!(%error, "could not forget what is over; trying again later");
        }
        tokio::time::sleep(housekeeping::EVERY).await;
    }
}

async fn keep_keys(site: Arc<Site>) {
    let pace = signing_keys::pace(&site.context.policy.keys);
    loop {
        tokio::time::sleep(pace).await;
        if let Err(error) = signing_keys::tick(&site.context).await {
            tracing::warn!(%error, "could not look after the signing keys; trying again later");
        }
    }
}

/// One line for the operator's terminal. It holds a one-time secret, so it never goes through the log.
#[expect(clippy::print_stdout, reason = "the setup link is for the terminal, not for the log")]
fn announce(line: &str) {
    println!("{line}");
}
