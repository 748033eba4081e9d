//! The line to Redis: a pool of connections, little patience, and a switch that is thrown when Redis does not answer. From
//! then on nobody asks it but one task, which throws the switch back when Redis can do its work again.

use std::{
    fmt,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use deadpool_redis::{
    Manager, Pool, PoolError, Runtime,
    redis::{AsyncConnectionConfig, Cmd, IntoConnectionInfo, RedisError, Value, cmd},
};
use tokio::{runtime::Handle, time};

/// How long a connection, and then an answer, is waited for.
const PATIENCE: Duration = Duration::from_millis(250);
/// How many connections one server holds at most.
const CONNECTIONS: usize = 16;
/// When Redis is first asked again. Doubles with each loss that follows soon after the one before, so that one that comes
/// and goes does not fill the log.
const FIRST_LOOK: Duration = Duration::from_millis(100);
/// How often it doubles at most.
const DOUBLINGS: u32 = 7;
/// How often Redis is asked after that.
const LOOK: Duration = Duration::from_millis(500);
/// After this long without a loss the next one is a first one again.
const SETTLED: Duration = Duration::from_mins(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Lost {
    #[error("no connection within {} ms", PATIENCE.as_millis())]
    NoConnection,
    #[error("no answer within {} ms", PATIENCE.as_millis())]
    NoAnswer,
    #[error("{0}")]
    Connection(#[from] PoolError),
    #[error("{0}")]
    Refused(#[from] RedisError),
    #[error("the URL cannot be read")]
    Url,
    #[error("it answers something else than was asked")]
    Nonsense,
}

/// The line; clones are the same line.
#[derive(Clone)]
pub(super) struct Line(Arc<Inner>);

struct Inner {
    pool: Option<Pool>,
    /// Connections live on the runtime that opened them, so all are opened on this one: the worker threads of the HTTP
    /// server have runtimes of their own, which end one by one when it stops.
    runtime: Handle,
    probe: String,
    away: AtomicBool,
    losses: AtomicU32,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Line")
    }
}

impl Line {
    /// True when a line can be made of this URL.
    pub(super) fn can_read(url: &str) -> bool {
        url.into_connection_info().is_ok()
    }

    /// The line to the Redis behind `url`. `probe` is a key that it may use to see whether Redis works.
    pub(super) fn new(url: &str, probe: String) -> Self {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let pool = Manager::new_with_config(url, config).ok().and_then(|manager| {
            Pool::builder(manager).max_size(CONNECTIONS).runtime(Runtime::Tokio1).build().ok()
        });
        let runtime = Handle::current();
        let inner = Inner { pool, runtime, probe, away: AtomicBool::new(false), losses: AtomicU32::new(0) };
        Self(Arc::new(inner))
    }

    /// Says in the log whether Redis works.
    pub(super) async fn greet(&self) {
        match self.on_runtime(|line| async move { line.probe().await }).await {
            Ok(()) => tracing::info!("limits and requests that wait are kept in Redis"),
            Err(lost) => self.0.lose(&lost),
        }
    }

    /// What Redis answers. `None`: it is away, or was found to be just now, and the caller does without.
    pub(super) async fn ask(&self, command: Cmd) -> Option<Value> {
        if self.0.away.load(Ordering::Acquire) {
            return None;
        }
        match self.on_runtime(|line| async move { line.exchange(&command).await }).await {
            Ok(value) => Some(value),
            // The key holds a list, or whatever else nobody here writes. That is no value, and Redis is well.
            Err(Lost::Refused(error)) if error.code() == Some("WRONGTYPE") => Some(Value::Nil),
            Err(lost) => {
                self.0.lose(&lost);
                None
            }
        }
    }

    /// Redis answered what it cannot have answered: whatever it is, it is not what this needs.
    pub(super) fn distrust(&self) {
        self.0.lose(&Lost::Nonsense);
    }

    async fn on_runtime<T, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T, Lost>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Lost>> + Send + 'static,
    {
        // A task that panicked, or a runtime that ends, has no answer either.
        self.0.runtime.spawn(work(Arc::clone(&self.0))).await.unwrap_or(Err(Lost::NoAnswer))
    }
}

impl Inner {
    async fn exchange(&self, command: &Cmd) -> Result<Value, Lost> {
        let pool = self.pool.as_ref().ok_or(Lost::Url)?;
        let mut connection = time::timeout(PATIENCE, pool.get()).await.map_err(|_| Lost::NoConnection)??;
        let answer = command.query_async(&mut connection);
        Ok(time::timeout(PATIENCE, answer).await.map_err(|_| Lost::NoAnswer)??)
    }

    /// Does once what Redis is needed for: one that takes no writes, runs no scripts or does not know GETDEL is of no use.
    async fn probe(&self) -> Result<(), Lost> {
        let mut write = cmd("EVAL");
        write.arg("return redis.call('SET', KEYS[1], '1', 'PX', '1000')").arg(1).arg(&self.probe);
        self.exchange(&write).await?;
        let mut take = cmd("GETDEL");
        take.arg(&self.probe);
        self.exchange(&take).await.map(drop)
    }

    fn lose(self: &Arc<Self>, why: &Lost) {
        if self.away.swap(true, Ordering::AcqRel) {
            return;
        }
        tracing::warn!(
            error = %why,
            "Redis does not answer; until it is back, this process keeps limits and requests that wait for itself"
        );
        if let Some(pool) = &self.pool {
            // What comes back to the pool later is tried before it is used again.
            pool.retain(|_, _| false);
        }
        let losses = self.losses.fetch_add(1, Ordering::Relaxed).min(DOUBLINGS);
        self.runtime.spawn(look_out(Arc::downgrade(self), FIRST_LOOK * 2_u32.pow(losses)));
    }
}

/// Waits for Redis to be back. Ends with the line.
async fn look_out(line: Weak<Inner>, mut pause: Duration) {
    loop {
        time::sleep(pause).await;
        let Some(line) = line.upgrade() else { return };
        if line.probe().await.is_ok() {
            tracing::info!("Redis is back");
            line.away.store(false, Ordering::Release);
            break;
        }
        pause = LOOK;
    }
    time::sleep(SETTLED).await;
    if let Some(line) = line.upgrade()
        && !line.away.load(Ordering::Acquire)
    {
        line.losses.store(0, Ordering::Relaxed);
    }
}
