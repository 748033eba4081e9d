//! Many revocations, and a server that is killed in the middle of them at any moment: what was answered with 200 must never
//! come back to life.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::answer::Answer;
use crate::client::{Client, Tokens, decode, text};
use crate::house::{House, Plan, Store};
use crate::process;
use crate::scene::Scene;
use crate::visitor::Visitor;

/// Grants that are made and revoked between two kills.
const BATCH: usize = 40;
/// How many are revoked at the same time.
const AT_ONCE: usize = 8;
/// The kill comes up to this long after the answer that it waits for: at any moment of the next revocations.
const SPREAD: Duration = Duration::from_millis(10);

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Revocations that were answered with 200.
    pub acknowledged: usize,
    /// Revocations that were not answered, since the server was dead.
    pub unanswered: usize,
    /// How often the server was killed while revocations were under way.
    pub kills: usize,
    /// Acknowledged revocations of which something worked afterwards. There must be none.
    pub revived: usize,
}

/// Revokes until so many revocations were acknowledged, killing the server with `kill -9` once in every batch; then tries
/// everything again that was acknowledged.
pub async fn revoke_and_kill(store: Store, wanted: usize) -> Report {
    let plan = Plan::on(store).without_artifacts().with("TOKEN__ACCESS_TTL", "1d");
    let plan = [
        "LIMITS__TOKEN_FAILURES",
        "LIMITS__PENDING_REQUESTS",
        "REGISTRATION__PER_ADDRESS",
        "REGISTRATION__OVERALL",
    ]
    .iter()
    .fold(plan, |plan, limit| plan.with(limit, "1000000"));
    let mut house = House::build(plan).await;
    let (mut report, mut acknowledged) = (Report::default(), Vec::new());
    while acknowledged.len() < wanted {
        let scene = Scene::at(&house).await;
        let client = scene.client().await;
        let grants = grants(&scene, &client).await;
        let asked = grants.len();
        let answered = Arc::new(AtomicUsize::new(0));
        let work = tokio::spawn(revoke(client, grants, Arc::clone(&answered)));
        let enough = random_below(BATCH);
        while answered.load(Ordering::SeqCst) < enough && !work.is_finished() {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(SPREAD * u32::try_from(random_below(100)).expect("small") / 100).await;
        house.kill9();
        let done = work.await.expect("the revocations end");
        report.kills += usize::from(done.len() < asked);
        report.unanswered += asked - done.len();
        acknowledged.extend(done);
        house.restart_auth_server().await;
    }
    report.acknowledged = acknowledged.len();
    report.revived = revived(&house, &acknowledged).await;
    report
}

fn random_below(end: usize) -> usize {
    use rand::TryRng as _;
    let random = rand::rngs::SysRng.try_next_u32().expect("the operating system gives random bytes");
    random as usize % end
}

async fn grants(scene: &Scene, client: &Client) -> Vec<Tokens> {
    let visitor = Visitor::new();
    // The first one signs in, so that the others need not.
    let mut all = vec![scene.tokens(client, &visitor).await];
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (scene, client, visitor) = (scene.clone(), client.clone(), visitor.clone());
            tokio::spawn(async move {
                let mut some = Vec::new();
                for _ in 0..BATCH / AT_ONCE {
                    some.push(scene.tokens(&client, &visitor).await);
                }
                some
            })
        })
        .collect();
    for task in tasks {
        all.extend(task.await.expect("the grants are made"));
    }
    all
}

/// Revokes all of these, several at once. Gives those of which the server said that it was done.
async fn revoke(client: Client, grants: Vec<Tokens>, answered: Arc<AtomicUsize>) -> Vec<(Client, Tokens)> {
    let per_task = grants.len().div_ceil(AT_ONCE);
    let tasks: Vec<_> = grants
        .chunks(per_task)
        .map(|some| {
            let (client, some, answered) = (client.clone(), some.to_vec(), Arc::clone(&answered));
            tokio::spawn(async move {
                let (http, mut done) = (process::client(), Vec::new());
                for tokens in some {
                    let form = [("token", &tokens.refresh), ("client_id", &client.client_id)];
                    let url = client.discovery.endpoint("revocation_endpoint");
                    let answer = http.post(url).form(&form).send().await;
                    if answer.is_ok_and(|answer| answer.status() == 200) {
                        answered.fetch_add(1, Ordering::SeqCst);
                        done.push((client.clone(), tokens));
                    }
                }
                done
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.extend(task.await.expect("the revocations end"));
    }
    all
}

/// How many of these still work in some way: the refresh token, the access token, or their absence from the feed.
async fn revived(house: &House, acknowledged: &[(Client, Tokens)]) -> usize {
    let told = feed(house).await;
    let http = process::client();
    let mut count = 0;
    for (client, tokens) in acknowledged {
        let refreshed = client.refresh(&tokens.refresh).await;
        let asked = http.get(format!("{}/oauth2/userinfo", house.origin())).bearer_auth(&tokens.access);
        let (_, claims) = decode(&tokens.access);
        let dead = refreshed.status == 400
            && refreshed.json()["error"] == "invalid_grant"
            && Answer::to(asked).await.status == 401
            && told.contains(&text(&claims["sid"]));
        count += usize::from(!dead);
    }
    count
}

/// The grants that the feed names, from its beginning.
async fn feed(house: &House) -> std::collections::HashSet<String> {
    let (id, secret) = house.resource_credentials();
    let (mut told, mut after) = (std::collections::HashSet::new(), 0);
    loop {
        let url = format!("{}/oauth2/revocations?after={after}&wait=0", house.origin());
        let answer = Answer::to(process::client().get(url).basic_auth(&id, Some(&secret))).await;
        assert_eq!(answer.status, 200, "{answer:#?}");
        let (_, page) = decode(&answer.body);
        let entries = page["entries"].as_array().expect("entries");
        told.extend(
            entries.iter().filter(|entry| entry["claim"] == "sid").map(|entry| text(&entry["value"])),
        );
        if page["more"] != Value::Bool(true) {
            return told;
        }
        after = page["sequence"].as_i64().expect("a number");
    }
}
