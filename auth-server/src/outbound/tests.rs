use std::sync::atomic::{AtomicUsize, Ordering};

use doorward_shared::client_metadata::MAX_DOCUMENT;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

/// Where everybody asks from.
const HOME: &str = "192.0.2.0/24";

/// An origin on loopback that reads the head of each request and then does what it was told.
struct Origin {
    port: u16,
    requests: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    async fn start<F, W>(answer: F) -> Self
    where
        F: Fn(TcpStream) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Self {
            port: listener.local_addr().unwrap().port(),
            requests: Arc::default(),
            heads: Arc::default(),
        };
        let (requests, heads, answer) =
            (Arc::clone(&origin.requests), Arc::clone(&origin.heads), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (requests, heads, answer) =
                    (Arc::clone(&requests), Arc::clone(&heads), Arc::clone(&answer));
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    requests.fetch_add(1, Ordering::SeqCst);
                    heads.lock().unwrap().push(String::from_utf8_lossy(&head).into_owned());
                    answer(stream).await;
                });
            }
        });
        origin
    }

    async fn saying(answer: &'static str) -> Self {
        Self::start(move |mut stream| async move {
            let _ = stream.write_all(answer.as_bytes()).await;
        })
        .await
    }

    fn url(&self, path: &str) -> DocumentUrl {
        DocumentUrl::parse(&format!("http://127.0.0.1:{}{path}", self.port)).unwrap()
    }

    async fn fetch(&self) -> Result<Fetched, Failure> {
        Outbound::new().unwrap().fetch(Way::Near, &self.url("/c.json"), MAX_DOCUMENT, HOME).await
    }
}

fn ok(headers: &str, body: &str) -> &'static str {
    let head = "HTTP/1.1 200 OK\r\nconnection: close";
    Box::leak(format!("{head}\r\ncontent-length: {}\r\n{headers}\r\n\r\n{body}", body.len()).into_boxed_str())
}

#[tokio::test]
async fn a_document_comes_with_the_headers_that_say_how_long_it_is_good() {
    let origin =
        Origin::saying(ok("content-type: application/cimd+json; charset=utf-8\r\ncache-control: public\r\ncache-control: max-age=60\r\nage: 3", "{}"))
            .await;
    let fetched = origin.fetch().await.unwrap();
    assert_eq!(fetched.body, b"{}");
    assert_eq!(fetched.cache_control.as_deref(), Some("public, max-age=60"));
    assert_eq!(fetched.age.as_deref(), Some("3"));
}

// CM-29.
#[tokio::test]
async fn a_request_tells_nothing_of_who_asked() {
    let origin = Origin::saying(ok("content-type: application/json\r\nset-cookie: a=b", "{}")).await;
    let outbound = Outbound::new().unwrap();
    for _ in 0..2 {
        outbound.fetch(Way::Near, &origin.url("/c.json"), MAX_DOCUMENT, HOME).await.unwrap();
    }
    for head in origin.heads.lock().unwrap().iter() {
        let mut lines: Vec<_> = head.trim_end().split("\r\n").map(str::to_lowercase).collect();
        assert_eq!(lines.remove(0), "get /c.json http/1.1");
        lines.sort();
        let names: Vec<_> = lines.iter().filter_map(|line| line.split(':').next()).collect();
        assert_eq!(names, ["accept-encoding", "accept", "host", "user-agent"], "{head}");
        assert!(lines[0].contains("identity"));
    }
}

// CM-13, CM-14.
#[tokio::test]
async fn only_200_counts_and_no_redirect_is_followed() {
    let elsewhere = Origin::saying(ok("content-type: application/json", "{}")).await;
    for status in [201, 204, 206, 300, 301, 302, 303, 304, 307, 308, 403, 500, 503] {
        let to = elsewhere.url("/c.json");
        let answer = format!(
            "HTTP/1.1 {status} X\r\nlocation: {}\r\ncontent-type: application/json\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            to.as_str()
        );
        let origin = Origin::saying(Box::leak(answer.into_boxed_str())).await;
        assert_eq!(origin.fetch().await, Err(Failure::Status(status)));
    }
    for status in [404, 410] {
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        let origin = Origin::saying(Box::leak(answer.into_boxed_str())).await;
        assert_eq!(origin.fetch().await, Err(Failure::Gone(status)));
    }
    assert_eq!(elsewhere.requests.load(Ordering::SeqCst), 0);
}

// CM-15.
#[tokio::test]
async fn a_long_answer_is_cut_off_however_it_is_sent() {
    let long = "a".repeat(MAX_DOCUMENT + 1);
    let announced = Origin::saying(ok("content-type: application/json", &long)).await;
    assert_eq!(announced.fetch().await, Err(Failure::TooLong));
    let just = Origin::saying(ok("content-type: application/json", &long[1..])).await;
    assert_eq!(just.fetch().await.unwrap().body.len(), MAX_DOCUMENT);
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let endless = Origin::start(move |mut stream| {
        let count = Arc::clone(&count);
        async move {
            let head =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
            let _ = stream.write_all(head.as_bytes()).await;
            while stream.write_all(b"400\r\n").await.is_ok()
                && stream.write_all(&[b'a'; 1024]).await.is_ok()
                && stream.write_all(b"\r\n").await.is_ok()
            {
                count.fetch_add(1024, Ordering::SeqCst);
            }
        }
    })
    .await;
    assert_eq!(endless.fetch().await, Err(Failure::TooLong));
    // What the system buffers on the way, and no more.
    assert!(sent.load(Ordering::SeqCst) < 16 * 1024 * 1024);
    let bomb = Origin::saying(ok("content-type: application/json\r\ncontent-encoding: gzip", "x")).await;
    assert_eq!(bomb.fetch().await, Err(Failure::Type));
}

// CM-16.
#[tokio::test]
async fn a_slow_origin_has_five_seconds_in_all() {
    let silent = Origin::start(|stream| async move {
        tokio::time::sleep(Duration::from_mins(1)).await;
        drop(stream);
    })
    .await;
    let drop_by_drop = Origin::start(|mut stream| async move {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n";
        let _ = stream.write_all(head.as_bytes()).await;
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await;
    let endless_head = Origin::start(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"x-more: and more\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    // Its connections are taken by the system and nobody ever speaks TLS there.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let handshake = format!("https://127.0.0.1:{}/c.json", mute.local_addr().unwrap().port());
    let handshake = DocumentUrl::parse(&handshake).unwrap();
    let outbound = Outbound::new().unwrap();
    let (a, b, c, d) = tokio::join!(
        silent.fetch(),
        drop_by_drop.fetch(),
        endless_head.fetch(),
        outbound.fetch(Way::Near, &handshake, MAX_DOCUMENT, HOME)
    );
    assert_eq!([a, b, c, d], [const { Err(Failure::TooSlow) }; 4]);
}

// CM-17.
#[tokio::test]
async fn the_same_document_at_the_same_time_is_one_fetch() {
    let origin = Origin::start(|mut stream| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let _ = stream.write_all(ok("content-type: application/json", "{}").as_bytes()).await;
    })
    .await;
    let outbound = Outbound::new().unwrap();
    let url = origin.url("/c.json");
    let all = (0..500).map(|_| outbound.fetch(Way::Near, &url, MAX_DOCUMENT, HOME));
    let answers = futures_util::future::join_all(all).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 1);
    // An answer is not kept here: whoever asks afterwards asks the origin.
    outbound.fetch(Way::Near, &url, MAX_DOCUMENT, HOME).await.unwrap();
    assert_eq!(origin.requests.load(Ordering::SeqCst), 2);
    assert_eq!(
        outbound.flights.lock().unwrap().values().filter(|flight| flight.strong_count() > 0).count(),
        0
    );
}

#[tokio::test]
async fn one_who_gives_up_does_not_take_the_answer_from_the_others() {
    let origin = Origin::start(|mut stream| async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let _ = stream.write_all(ok("content-type: application/json", "{}").as_bytes()).await;
    })
    .await;
    let outbound = Outbound::new().unwrap();
    let url = origin.url("/c.json");
    let impatient =
        tokio::time::timeout(Duration::from_millis(50), outbound.fetch(Way::Near, &url, MAX_DOCUMENT, HOME));
    let (gave_up, answered) = tokio::join!(impatient, outbound.fetch(Way::Near, &url, MAX_DOCUMENT, HOME));
    assert!(gave_up.is_err());
    assert!(answered.is_ok());
}

// CM-17.
#[tokio::test]
async fn one_host_is_asked_for_two_documents_at_once() {
    let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&busy), Arc::clone(&most));
    let origin = Origin::start(move |mut stream| {
        let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
        async move {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(50)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            let _ = stream.write_all(ok("content-type: application/json", "{}").as_bytes()).await;
        }
    })
    .await;
    let outbound = Outbound::new().unwrap();
    let urls: Vec<_> = (0..500).map(|i| origin.url(&format!("/{i}.json"))).collect();
    let answers = futures_util::future::join_all(
        urls.iter().map(|url| outbound.fetch(Way::Near, url, MAX_DOCUMENT, HOME)),
    )
    .await;
    let fetched = answers.iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(most.load(Ordering::SeqCst), AT_ONCE_FROM_HOST);
    // The others waited for their turn for as long as a visitor would, and no longer.
    assert!(fetched >= AT_ONCE_FROM_HOST && answers.contains(&Err(Failure::TooSlow)));
}

#[tokio::test]
async fn what_is_no_json_is_not_read() {
    for kind in ["text/html", "text/plain", "application/jsonp", "text/json", "", "application/json+x"] {
        let header =
            if kind.is_empty() { "x-nothing: 1".to_owned() } else { format!("content-type: {kind}") };
        let origin = Origin::saying(ok(&header, "{}")).await;
        assert_eq!(origin.fetch().await, Err(Failure::Type), "{kind}");
    }
}

// CM-05, CM-11: no connection is even tried.
#[tokio::test]
async fn a_far_document_on_this_machine_is_not_reached_by_its_name() {
    let origin = Origin::saying(ok("content-type: application/json", "{}")).await;
    let url = DocumentUrl::parse(&format!("https://localhost:{}/c.json", origin.port)).unwrap();
    let answer = Outbound::new().unwrap().fetch(Way::Far, &url, MAX_DOCUMENT, HOME).await;
    assert_eq!(answer, Err(Failure::NotPublic));
    assert_eq!(origin.requests.load(Ordering::SeqCst), 0);
}
