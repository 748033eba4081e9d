//! Whether the time of a refused sign-in tells that an account exists: 1 000 tries, every other one at an account that is there.
//! `make bench` runs it on the programs as they are released.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::Duration;

use e2e::answer::Answer;
use e2e::house::{House, Plan, Store};
use e2e::visitor::Visitor;
use tokio::time::Instant;

const TRIES: usize = 1000;

/// Mean and variance.
fn moments(all: &[f64]) -> (f64, f64) {
    #[expect(clippy::cast_precision_loss, reason = "a thousand is exact")]
    let count = all.len() as f64;
    let mean = all.iter().sum::<f64>() / count;
    (mean, all.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (count - 1.0))
}

/// Mann–Whitney: how far the ranks of `a` among all are from where they would be by chance, in standard deviations. Unlike a
/// mean it does not care how slow the slowest were.
#[expect(clippy::cast_precision_loss, reason = "a thousand is exact")]
fn ranks(a: &[f64], b: &[f64]) -> f64 {
    let below = |one: &f64| -> f64 {
        b.iter()
            .map(|other| match one.total_cmp(other) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            })
            .sum()
    };
    let u: f64 = a.iter().map(below).sum();
    let (a, b) = (a.len() as f64, b.len() as f64);
    (u - a * b / 2.0) / (a * b * (a + b + 1.0) / 12.0).sqrt()
}

fn median(all: &[f64]) -> f64 {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

async fn measure(house: &House) -> [Vec<f64>; 2] {
    let visitor = Visitor::new();
    let page = visitor.open(&format!("{}/login", house.issuer())).await.page();
    let form = page.form("action");
    let http = visitor.http();
    let mut times = [Vec::new(), Vec::new()];
    for i in 0..TRIES {
        let known = i % 2 == 0;
        let email = if known { "alice@example.test" } else { "nobody@example.test" };
        let fields =
            form.filled(&[("email", email), ("password", "a wrong guess")], &[], ("action", "sign_in"));
        // From a network of its own, so that no brake is in the way.
        let from = format!("10.{}.{}.1", i / 250, i % 250);
        let request = http.post(form.action.clone()).form(&fields).header("x-forwarded-for", from);
        let start = Instant::now();
        let answer = Answer::to(request).await;
        let took: Duration = start.elapsed();
        assert_eq!(answer.status, 401, "{answer:#?}");
        // The first ones warm up.
        if i >= 20 {
            times[usize::from(known)].push(took.as_secs_f64() * 1000.0);
        }
    }
    times
}

#[tokio::main]
async fn main() {
    let plan = Plan::on(Store::Sqlite).without_artifacts().with("SERVER__TRUSTED_PROXIES", "127.0.0.1,::1");
    let house = House::build(plan).await;
    let [unknown, known] = measure(&house).await;
    let ((mean_unknown, spread_unknown), (mean_known, spread_known)) = (moments(&unknown), moments(&known));
    #[expect(clippy::cast_precision_loss, reason = "a thousand is exact")]
    let error = (spread_unknown / unknown.len() as f64 + spread_known / known.len() as f64).sqrt();
    let difference = mean_known - mean_unknown;
    println!(
        "refused sign-ins: {TRIES} tries, alternating between an account that is there and one that is not"
    );
    for (name, mean, spread, all) in
        [("known  ", mean_known, spread_known, &known), ("unknown", mean_unknown, spread_unknown, &unknown)]
    {
        println!(
            "  {name} mean {mean:.3} ms, median {:.3} ms, standard deviation {:.3} ms",
            median(all),
            spread.sqrt()
        );
    }
    println!(
        "  difference of means {difference:+.3} ms ({:+.2} %), 99 % of such measurements within {:.3} ms of the truth",
        difference / mean_unknown * 100.0,
        2.576 * error
    );
    let (t, z) = (difference / error, ranks(&known, &unknown));
    println!(
        "  Welch's t {t:+.2}, Mann-Whitney z {z:+.2}; beyond 2.6 in either direction the time would tell (99 %)"
    );
    let telling = t.abs() > 2.6 && z.abs() > 2.6;
    println!(
        "  {}",
        if telling {
            "THE TIME TELLS which accounts are there"
        } else {
            "the time does not tell which accounts are there"
        }
    );
}
