//! A mail server (RFC 5321) on loopback that keeps what it is sent, and refuses what a test wants refused.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};

mod talk;

use self::talk::Talk;
use crate::authority::Authority;
use crate::house::Plan;
use crate::ports::Port;

/// How long a mail may take to arrive.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a mail server asks of whoever connects.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// How it speaks TLS.
    pub tls: Speech,
    /// Who has to sign in: name and password.
    pub login: Option<(String, String)>,
}

/// How a mail server speaks TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Speech {
    /// Not at all.
    #[default]
    Clear,
    /// When it is asked to.
    StartTls,
    /// From the first byte.
    Implicit,
}

/// One mail as it arrived.
#[derive(Clone, Debug)]
pub struct Mail {
    /// From whom, by the envelope.
    pub from: String,
    /// To whom, by the envelope.
    pub to: Vec<String>,
    /// Head and body, as they were sent.
    pub raw: String,
    /// Whether it came encrypted.
    pub encrypted: bool,
    /// What its sender called itself.
    pub hello: String,
}

/// The mail server. It is gone when this is dropped.
#[derive(Debug)]
pub struct Postbox {
    port: Port,
    shared: Arc<Shared>,
    /// One of its own, so that it answers while a test waits for a command.
    runtime: Option<Runtime>,
}

struct Shared {
    manners: Manners,
    tls: Option<TlsAcceptor>,
    state: Mutex<State>,
    arrived: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

#[derive(Default)]
struct State {
    mails: VecDeque<Mail>,
    refusals: VecDeque<String>,
    tries: usize,
    mute: bool,
}

impl Postbox {
    /// A server in the clear that asks nobody who they are.
    pub fn open() -> Self {
        Self::with(Manners::default(), None)
    }

    /// A server with these manners, and a certificate of this authority.
    pub fn with(manners: Manners, authority: Option<&Authority>) -> Self {
        let port = Port::reserve();
        let listener = std::net::TcpListener::bind(("127.0.0.1", port.number())).expect("the port is ours");
        listener.set_nonblocking(true).expect("it need not block");
        let tls = authority.map(acceptor);
        let (state, arrived) = (Mutex::default(), Notify::new());
        let shared = Arc::new(Shared { manners, tls, state, arrived });
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = threads.expect("a runtime can be made");
        runtime.spawn(accept(listener, Arc::clone(&shared)));
        Self { port, shared, runtime: Some(runtime) }
    }

    /// The plan of a house that sends its mail here, in the clear.
    pub fn for_mail_of(&self, plan: Plan) -> Plan {
        plan.with("MAIL__HOST", "127.0.0.1")
            .with("MAIL__TLS", "none")
            .with("MAIL__PORT", &self.port().to_string())
            .with("MAIL__FROM", "Front Door <door@example.test>")
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Answers the next recipient with this instead of taking the mail: `451 4.3.0 later`.
    pub fn refuse_next(&self, answer: &str) {
        self.state().refusals.push_back(answer.to_owned());
    }

    /// Says nothing any more to whoever connects.
    pub fn fall_silent(&self, mute: bool) {
        self.state().mute = mute;
    }

    /// How many times somebody named a recipient.
    pub fn tries(&self) -> usize {
        self.state().tries
    }

    /// The next mail that nobody has taken out yet, when it is there.
    pub async fn next(&self) -> Mail {
        let taking = async {
            loop {
                let arrived = self.shared.arrived.notified();
                if let Some(mail) = self.state().mails.pop_front() {
                    return mail;
                }
                arrived.await;
            }
        };
        tokio::time::timeout(PATIENCE, taking).await.unwrap_or_else(|_| panic!("no mail within {PATIENCE:?}"))
    }

    /// The next mails, by their subjects.
    pub async fn next_with(&self, subject: &str) -> Mail {
        let mail = self.next().await;
        assert!(mail.header("Subject").contains(subject), "{mail:#?}");
        mail
    }

    /// Fails if a mail is here that nobody has taken out, or comes within a moment.
    pub async fn expect_none(&self) {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let left: Vec<_> = self.state().mails.iter().cloned().collect();
        assert!(left.is_empty(), "{left:#?}");
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.shared.state.lock().expect("nobody panicked with it")
    }
}

impl Drop for Postbox {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Mail {
    /// The value of a header that must be there exactly once, unfolded.
    pub fn header(&self, name: &str) -> String {
        let (head, _) = self.raw.split_once("\r\n\r\n").expect("a head and a body");
        let head = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let found: Vec<_> = head
            .split("\r\n")
            .filter_map(|line| line.split_once(':'))
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .collect();
        assert_eq!(found.len(), 1, "`{name}` in {self:#?}");
        found[0].clone()
    }

    /// The names of all headers, in lower case and in order.
    pub fn header_names(&self) -> Vec<String> {
        let (head, _) = self.raw.split_once("\r\n\r\n").expect("a head and a body");
        let lines = head.split("\r\n").filter(|line| !line.starts_with([' ', '\t']));
        let mut names: Vec<_> =
            lines.map(|line| line.split_once(':').expect("a header").0.to_lowercase()).collect();
        names.sort();
        names
    }

    /// What it says.
    pub fn text(&self) -> String {
        let (_, body) = self.raw.split_once("\r\n\r\n").expect("a head and a body");
        match self.header("Content-Transfer-Encoding").as_str() {
            "7bit" => body.to_owned(),
            "quoted-printable" => unquoted(body),
            other => panic!("{other}: {self:#?}"),
        }
        .replace("\r\n", "\n")
    }

    /// The address of the one-time link in it.
    pub fn link(&self) -> String {
        let text = self.text();
        let links: Vec<_> = text.lines().filter(|line| line.contains("/link/")).collect();
        assert_eq!(links.len(), 1, "{text}");
        links[0].to_owned()
    }
}

/// RFC 2045 §6.7.
fn unquoted(text: &str) -> String {
    let text = text.replace("=\r\n", "");
    let mut parts = text.split('=');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(code, 16).expect("two hexadecimal digits"));
        bytes.extend(rest.as_bytes());
    }
    String::from_utf8(bytes).expect("a text")
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let chain = CertificateDer::pem_file_iter(authority.path("cert.pem")).expect("certificates");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(authority.path("key.pem")).expect("a key");
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.expect("a certificate and its key")))
}

async fn accept(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("a runtime is here");
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // Whoever goes away in the middle has seen it already.
            let _ = converse(client, &shared).await;
        });
    }
}

async fn converse(client: TcpStream, shared: &Shared) -> io::Result<()> {
    let mute = shared.state.lock().expect("nobody panicked with it").mute;
    if mute {
        std::future::pending::<()>().await;
    }
    let tls = shared.tls.as_ref();
    match (shared.manners.tls, tls) {
        (Speech::Implicit, Some(tls)) => {
            let mut talk = Talk::new(tls.accept(client).await?, shared, true);
            talk.say("220 postbox.test").await?;
            talk.listen().await.map(|_| ())
        }
        (Speech::StartTls, Some(tls)) => {
            let mut talk = Talk::new(client, shared, false);
            talk.say("220 postbox.test").await?;
            if !talk.listen().await? {
                return Ok(());
            }
            // Whatever was sent before the handshake is forgotten (RFC 3207 §4.2).
            let client = talk.stream.into_inner();
            Talk::new(tls.accept(client).await?, shared, true).listen().await.map(|_| ())
        }
        _ => {
            let mut talk = Talk::new(client, shared, false);
            talk.say("220 postbox.test").await?;
            talk.listen().await.map(|_| ())
        }
    }
}
