//! Ten thousand acknowledged revocations on each store, with the server killed in the middle of them again and again: how
//! many came back to life. `make faults` runs it; the tests do the same with fewer.

#![expect(clippy::print_stdout, reason = "it prints what it counted")]

use e2e::house::Store;
use e2e::kills::revoke_and_kill;

const REVOCATIONS: usize = 10_000;

#[tokio::main]
async fn main() {
    for store in [Store::Sqlite, Store::Postgres] {
        let report = revoke_and_kill(store, REVOCATIONS).await;
        println!(
            "{store:?}: {} revocations acknowledged, {} unanswered, {} times killed in the middle, {} revived",
            report.acknowledged, report.unanswered, report.kills, report.revived
        );
        assert_eq!(report.revived, 0, "a revocation that was acknowledged was lost");
    }
}
