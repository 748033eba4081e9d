//! What is written down about the running server: log lines, and one wide event for each request.
//!
//! No secret can enter: query strings and bodies are never handed to this module, and secrets have no `Display`.

use std::{fmt::Display, io::IsTerminal, time::Instant};

use tracing_subscriber::{EnvFilter, util::SubscriberInitExt};

use crate::config::{LogFormat, LogSettings};

/// The target of request events, for those who filter.
const REQUESTS: &str = "doorward::request";

/// Starts writing to standard error. A second call in one process changes nothing.
pub fn init(settings: LogSettings) {
    // Libraries speak up from `warn` on: what they say below that is about themselves.
    let filter = EnvFilter::new(format!("warn,doorward={}", settings.level.as_str().to_lowercase()));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match settings.format {
        LogFormat::Pretty => lines.with_ansi(std::io::stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).finish().try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}

/// A method is whatever a stranger writes, at any length; the log names those that exist.
fn known(method: &str) -> &'static str {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"];
    METHODS.into_iter().find(|known| *known == method).unwrap_or("other")
}

/// Everything that the operator may know about one request, written as one event when it is answered.
#[derive(Debug)]
pub struct RequestEvent {
    started: Instant,
    method: &'static str,
    route: Option<String>,
    client_id: Option<String>,
    grant_type: Option<String>,
    error: Option<String>,
    reason: Option<String>,
    network: Option<String>,
}

impl RequestEvent {
    /// A request came in.
    pub fn start(method: &str) -> Self {
        #[expect(clippy::disallowed_methods, reason = "the one place that measures durations")]
        let started = Instant::now();
        Self {
            started,
            method: known(method),
            route: None,
            client_id: None,
            grant_type: None,
            error: None,
            reason: None,
            network: None,
        }
    }

    /// The name of the endpoint; never the path, which could hold a secret.
    pub fn route(&mut self, name: &str) {
        self.route = Some(name.to_owned());
    }

    /// The client, as far as it is known.
    pub fn client_id(&mut self, id: Option<&str>) {
        self.client_id = id.map(shortened);
    }

    /// The grant type that was asked for.
    pub fn grant_type(&mut self, grant_type: Option<&str>) {
        self.grant_type = grant_type.map(shortened);
    }

    /// The error code that the caller sees, and the reason that only the operator does.
    pub fn error(&mut self, code: impl Display, reason: impl Display) {
        self.error = Some(code.to_string());
        self.reason = Some(reason.to_string()).filter(|reason| !reason.is_empty());
    }

    /// The network that the request came from, cut to the prefix that limits count by.
    pub fn network(&mut self, network: &str) {
        self.network = Some(network.to_owned());
    }

    /// The request is answered: writes the event, as a warning when it was the server's fault.
    pub fn finish(self, status: u16) {
        let milliseconds = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        #[expect(
            clippy::cast_precision_loss,
            reason = "no request lasts the 285 years at which a microsecond is lost"
        )]
        let milliseconds = milliseconds as f64 / 1000.0;
        macro_rules! write_event {
            ($level:ident) => {
                tracing::$level!(
                    target: REQUESTS,
                    route = self.route.as_deref(),
                    method = self.method,
                    status,
                    milliseconds,
                    client_id = self.client_id.as_deref(),
                    grant_type = self.grant_type.as_deref(),
                    error = self.error.as_deref(),
                    reason = self.reason.as_deref(),
                    network = self.network.as_deref(),
                )
            };
        }
        // Whoever watches over the server asks every few seconds; that all is well is no news.
        let routine = status == 200 && matches!(self.route.as_deref(), Some("Healthz" | "Readyz"));
        match status {
            500.. => write_event!(warn),
            _ if routine => write_event!(debug),
            _ => write_event!(info),
        }
    }
}

/// What strangers send is cut before it is written: the log is no place to fill a disk with.
fn shortened(text: &str) -> String {
    text.chars().take(255).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Write},
        sync::{Arc, Mutex},
    };

    use serde_json::Value;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    fn written(status: u16, describe: impl FnOnce(&mut RequestEvent)) -> Value {
        let lines = Lines::default();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_max_level(tracing::Level::DEBUG);
        let subscriber = subscriber.with_writer(lines.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let mut event = RequestEvent::start("POST");
            describe(&mut event);
            event.finish(status);
        });
        let bytes = lines.0.lock().unwrap().clone();
        serde_json::from_slice(&bytes).expect("exactly one event")
    }

    #[test]
    fn one_request_is_one_event_with_everything_known_about_it() {
        let event = written(400, |event| {
            event.route("Token");
            event.client_id(Some("client\n2026 ERROR forged"));
            event.grant_type(Some("refresh_token"));
            event.error("invalid_grant", "the token was replayed");
            event.network("192.0.2.0/24");
        });
        assert_eq!(event["level"], "INFO");
        assert_eq!(event["target"], REQUESTS);
        assert_eq!(event["status"], 400);
        assert_eq!(event["route"], "Token");
        assert_eq!(event["client_id"], "client\n2026 ERROR forged");
        assert_eq!(event["error"], "invalid_grant");
        assert_eq!(event["reason"], "the token was replayed");
        assert!(event["milliseconds"].as_f64().unwrap() >= 0.0);
    }

    #[test]
    fn what_is_not_known_is_left_out_and_our_own_faults_are_warnings() {
        let event = written(503, |_| {});
        assert_eq!(event["level"], "WARN");
        assert!(event.get("client_id").is_none());
        assert!(event.get("reason").is_none());
    }

    #[test]
    fn that_all_is_well_is_no_news_and_that_it_is_not_is_a_warning() {
        for (status, level) in [(200, "DEBUG"), (503, "WARN")] {
            assert_eq!(written(status, |event| event.route("Readyz"))["level"], level);
        }
    }

    #[test]
    fn a_stranger_cannot_fill_the_log() {
        let event = written(200, |event| event.client_id(Some(&"x".repeat(100_000))));
        assert_eq!(event["client_id"].as_str().unwrap().len(), 255);
    }
}
