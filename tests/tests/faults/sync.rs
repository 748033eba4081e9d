//! What reaches the disk, and when, as the system itself saw it.

use std::collections::HashMap;

use e2e::house::{House, Plan, Store};
use e2e::scene::Scene;
use e2e::visitor::Visitor;

/// One call of the system: where in the trace it began and ended, and what it said.
#[derive(Debug)]
struct Call {
    began: usize,
    ended: usize,
    text: String,
}

/// The calls of a trace; of those that were interrupted by the calls of other threads, both halves.
fn calls(trace: &str) -> Vec<Call> {
    let (mut open, mut calls) = (HashMap::new(), Vec::new());
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, text)) = line.trim_start().split_once(char::is_whitespace) else { continue };
        // A short thread number is padded.
        let text = text.trim_start();
        if let Some(begin) = text.strip_suffix("<unfinished ...>") {
            open.insert(thread, (at, begin));
        } else if text.starts_with("<... ") {
            let (began, begin) = open.remove(thread).unwrap_or((at, ""));
            calls.push(Call { began, ended: at, text: format!("{begin}{text}") });
        } else {
            calls.push(Call { began: at, ended: at, text: text.to_owned() });
        }
    }
    calls.sort_by_key(|call| call.began);
    calls
}

// PR-01
#[tokio::test]
async fn between_the_request_and_the_answer_of_a_revocation_the_log_is_synced_to_the_disk() {
    let traced = [
        "strace",
        "--daemonize",
        "--follow-forks",
        "--decode-fds=path",
        "--string-limit=64",
        "--output=trace",
        "--trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg,fsync,fdatasync",
    ];
    let house = House::build(Plan::on(Store::Sqlite).without_artifacts().through(&traced)).await;
    let (scene, visitor) = (Scene::at(&house).await, Visitor::new());
    let client = scene.client().await;
    for _ in 0..5 {
        let tokens = scene.tokens(&client, &visitor).await;
        assert_eq!(client.revoke(&tokens.refresh).await.status, 200);
    }
    let trace = std::fs::read_to_string(house.folder().join("trace")).expect("strace wrote it");
    let calls = calls(&trace);
    let of = |call: &Call, names: &[&str]| names.iter().any(|name| call.text.starts_with(name));
    let asked: Vec<_> = calls
        .iter()
        .filter(|call| of(call, &["read", "recv"]) && call.text.contains("POST /oauth2/revoke"))
        .collect();
    assert_eq!(asked.len(), 5, "{trace}");
    for asked in asked {
        let answer = calls.iter().find(|call| {
            call.began > asked.ended && of(call, &["write", "send"]) && call.text.contains("HTTP/1.1 200")
        });
        let answer = answer.unwrap_or_else(|| panic!("no answer after line {}: {trace}", asked.ended));
        let synced = calls.iter().any(|call| {
            call.began > asked.ended
                && call.ended < answer.began
                && of(call, &["fsync", "fdatasync"])
                && call.text.contains("doorward.db-wal")
                && call.text.contains("= 0")
        });
        let between: Vec<_> = trace.lines().skip(asked.began).take(answer.ended - asked.began + 1).collect();
        assert!(synced, "answered before the log was on the disk:\n{}", between.join("\n"));
    }
}
