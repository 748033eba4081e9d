//! A server that is killed at any moment.

use e2e::house::Store;
use e2e::kills::revoke_and_kill;

e2e::on_both_stores!(no_acknowledged_revocation_comes_back_to_life_when_the_server_is_killed);

// PR-01; `make faults` does the same with ten thousand.
async fn no_acknowledged_revocation_comes_back_to_life_when_the_server_is_killed(store: Store) {
    let report = revoke_and_kill(store, 100).await;
    assert_eq!(report.revived, 0, "{report:?}");
    assert!(report.kills > 0, "no kill came while revocations were under way: {report:?}");
}
