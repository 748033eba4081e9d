//! What the scripted authorization server says to resource servers that sign in: the revocation feed and introspection.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use doorward_resource_server::Credentials;
use doorward_shared::{
    form::Form,
    issuer::Issuer,
    revocation::{self, Claim, Entry, Page},
    time::{Clock, Seconds, SystemClock, Timestamp},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::Notify,
};

use crate::tokens::{FIRST, Pair};

/// The credentials that are accepted. What needs encoding in a header is encoded.
pub(crate) fn credentials() -> Credentials {
    Credentials::new("rs:1", "s+cret%")
}

const BASIC: &str = "rs%3A1:s%2Bcret%25";

/// One request.
pub(crate) struct Asked {
    pub(crate) path: String,
    head: String,
    body: String,
}

/// One answer: the status line, headers with their line ends, and the body.
pub(crate) struct Said {
    pub(crate) status: String,
    pub(crate) headers: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Option<Self>> {
        let mut bytes = Vec::new();
        loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                let length = header(&head, "content-length").map_or(0, |value| value.parse().unwrap());
                if bytes.len() >= end + 4 + length {
                    let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
                    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                    return Ok(Some(Self { path, head, body }));
                }
            }
            let mut some = [0; 1024];
            match stream.read(&mut some).await? {
                0 => return Ok(None),
                n => bytes.extend_from_slice(&some[..n]),
            }
        }
    }

    fn signed_in(&self) -> bool {
        header(&self.head, "authorization") == Some(format!("Basic {}", STANDARD.encode(BASIC)).as_str())
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

impl Said {
    fn new(status: &str, content_type: &str, body: String) -> Self {
        Self { status: status.to_owned(), headers: format!("content-type: {content_type}\r\n"), body }
    }

    fn unauthorized() -> Self {
        Self::new("401 Unauthorized", "application/json", json!({"error": "invalid_client"}).to_string())
    }
}

/// The revocation feed.
pub(crate) struct Feed {
    log: Mutex<Log>,
    clock: Mutex<Arc<dyn Clock>>,
    changed: Notify,
    /// What was asked: `after` and `wait`.
    asked: Mutex<Vec<(i64, u64)>>,
}

/// What the feed says, and how.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) issuer: String,
    pub(crate) epoch: String,
    pub(crate) sequence: i64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) signer: &'static Pair,
    pub(crate) typ: &'static str,
    pub(crate) content_type: &'static str,
    /// Added to the time of a page.
    pub(crate) shift: i64,
    /// Instead of anything else.
    pub(crate) instead: Option<(&'static str, &'static str, String)>,
    /// Before anything else.
    pub(crate) late: Duration,
    pub(crate) page_size: usize,
}

impl Feed {
    pub(crate) fn new(issuer: String) -> Self {
        let log = Log {
            issuer,
            epoch: "epoch-1".to_owned(),
            sequence: 0,
            entries: Vec::new(),
            signer: &FIRST,
            typ: revocation::TYPE,
            content_type: revocation::MEDIA_TYPE,
            shift: 0,
            instead: None,
            late: Duration::ZERO,
            page_size: revocation::MAX_ENTRIES,
        };
        Self {
            log: Mutex::new(log),
            clock: Mutex::new(Arc::new(SystemClock)),
            changed: Notify::new(),
            asked: Mutex::default(),
        }
    }

    pub(crate) fn set_clock(&self, clock: Arc<dyn Clock>) {
        *self.clock.lock().unwrap() = clock;
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.lock().unwrap().now()
    }

    /// Changes what it says, and tells everybody who waits.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Log) -> T) -> T {
        let done = change(&mut self.log.lock().unwrap());
        self.changed.notify_waiters();
        done
    }

    /// Revokes everything whose claim has this value; only what was made until a moment, if there is one.
    pub(crate) fn revoke(&self, claim: Claim, value: &str, issued_until: Option<Timestamp>) {
        let exp = self.now().plus(Seconds::hours(1));
        self.change(|log| {
            log.sequence += 1;
            let (sequence, value) = (log.sequence, value.to_owned());
            log.entries.push(Entry { sequence, claim, value, issued_until, exp });
        });
    }

    pub(crate) fn asked(&self) -> Vec<(i64, u64)> {
        self.asked.lock().unwrap().clone()
    }

    /// The signed page with what comes after a place.
    pub(crate) fn page(&self, after: i64) -> String {
        let log = self.log.lock().unwrap();
        let mut entries: Vec<_> =
            log.entries.iter().filter(|entry| entry.sequence > after).cloned().collect();
        let more = entries.len() > log.page_size;
        entries.truncate(log.page_size);
        let sequence = if more { entries.last().unwrap().sequence } else { log.sequence };
        let page = Page {
            iss: Issuer::parse(&log.issuer).unwrap(),
            iat: self.now().plus(Seconds::new(log.shift)),
            epoch: log.epoch.clone(),
            after,
            sequence,
            more,
            entries,
        };
        log.signer.key.sign(log.typ, &page).unwrap()
    }

    pub(crate) async fn answer(&self, asked: &Asked) -> Said {
        let query = asked.path.split_once('?').map_or("", |(_, query)| query);
        let form = Form::parse(query).unwrap();
        let number = |name| form.one(name).unwrap().map(|text| text.parse::<i64>().unwrap());
        let after = number("after").unwrap_or(0);
        let wait = u64::try_from(number("wait").unwrap_or(25)).unwrap();
        self.asked.lock().unwrap().push((after, wait));
        let late = self.log.lock().unwrap().late;
        tokio::time::sleep(late).await;
        if !asked.signed_in() {
            return Said::unauthorized();
        }
        let deadline = tokio::time::Instant::now() + Duration::from_secs(wait);
        loop {
            let changed = self.changed.notified();
            {
                let log = self.log.lock().unwrap();
                if let Some((status, headers, body)) = &log.instead {
                    return Said {
                        status: (*status).to_owned(),
                        headers: (*headers).to_owned(),
                        body: body.clone(),
                    };
                }
                if log.sequence != after {
                    break;
                }
            }
            if tokio::time::timeout_at(deadline, changed).await.is_err() {
                break;
            }
        }
        let content_type = self.log.lock().unwrap().content_type;
        Said::new("200 OK", content_type, self.page(after))
    }
}

/// Introspection.
#[derive(Default)]
pub(crate) struct Opaque {
    answers: Mutex<HashMap<String, Value>>,
    late: Mutex<Duration>,
    pub(crate) broken: AtomicBool,
    asked: Mutex<Vec<String>>,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Opaque {
    /// What is said about a token from now on; without that, it is not active.
    pub(crate) fn say(&self, token: &str, answer: Value) {
        self.answers.lock().unwrap().insert(token.to_owned(), answer);
    }

    /// How long an answer takes from now on. What it says is decided before.
    pub(crate) fn take_time(&self, late: Duration) {
        *self.late.lock().unwrap() = late;
    }

    /// How often a token was asked about.
    pub(crate) fn asked(&self, token: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|one| *one == token).count()
    }

    /// How often any token was asked about.
    pub(crate) fn questions(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Most questions at one time.
    pub(crate) fn most(&self) -> usize {
        self.most.load(SeqCst)
    }

    pub(crate) async fn answer(&self, asked: &Asked) -> Said {
        if !asked.signed_in() {
            return Said::unauthorized();
        }
        assert!(asked.head.starts_with("POST "), "{}", asked.head);
        assert_eq!(header(&asked.head, "content-type"), Some("application/x-www-form-urlencoded"));
        let form = Form::parse(&asked.body).unwrap();
        let token = form.one("token").unwrap().unwrap();
        self.asked.lock().unwrap().push(token.to_owned());
        let at_once = self.now.fetch_add(1, SeqCst) + 1;
        self.most.fetch_max(at_once, SeqCst);
        let said = self.answers.lock().unwrap().get(token).cloned();
        let late = *self.late.lock().unwrap();
        tokio::time::sleep(late).await;
        self.now.fetch_sub(1, SeqCst);
        if self.broken.load(SeqCst) {
            return Said::new("503 Service Unavailable", "application/json", "{}".to_owned());
        }
        let said = said.unwrap_or_else(|| json!({"active": false}));
        Said::new("200 OK", "application/json", said.to_string())
    }
}
