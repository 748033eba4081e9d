//! What can be had once is had once, however many ask at the same instant and at how many servers (CD-20, RT-06).

use e2e::answer::Answer;
use e2e::client::{Client, Tokens};
use e2e::house::Store;
use e2e::visitor::Visitor;
use futures_util::future::join_all;

use crate::stage::{Code, PUB1, Stage, assert_json_error};

const ASKING: usize = 64;

/// The one answer that won. All others must be the refusal `error`.
fn sole_winner(answers: Vec<Answer>, error: &str) -> Tokens {
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
    assert_eq!((won.len(), lost.len()), (1, ASKING - 1), "{won:#?}");
    for answer in lost {
        assert_json_error(&answer, 400, error);
    }
    Tokens::read(&won[0])
}

async fn race_for_a_code(stage: &Stage, clients: &[Client], visitor: &Visitor) {
    let code = stage.code(&clients[0], visitor, &["read"]).await;
    let asks = (0..ASKING).map(|i| {
        let code = Code { client: clients[i % clients.len()].clone(), ..code.clone() };
        async move { code.redeem().await }
    });
    let tokens = sole_winner(join_all(asks).await, "invalid_grant");
    // Each loser held everything that the winner held: the code was copied, and what it gave is dead.
    assert_json_error(&clients[0].refresh(&tokens.refresh).await, 400, "invalid_grant");
}

async fn race_for_a_refresh(stage: &Stage, clients: &[Client], visitor: &Visitor) {
    let first = stage.tokens(&clients[0], visitor).await;
    let asks = (0..ASKING).map(|i| clients[i % clients.len()].refresh(&first.refresh));
    let tokens = sole_winner(join_all(asks).await, "refresh_replayed");
    assert_json_error(&clients[0].refresh(&tokens.refresh).await, 400, "invalid_grant");
}

e2e::on_both_stores!(of_sixty_four_who_show_one_code_or_one_refresh_token_one_is_served);

// CD-20, RT-06
async fn of_sixty_four_who_show_one_code_or_one_refresh_token_one_is_served(store: Store) {
    let stage = Stage::start(store).await;
    let clients = [stage.client(&[PUB1]).await];
    let visitor = Visitor::new();
    for _ in 0..2 {
        race_for_a_code(&stage, &clients, &visitor).await;
        race_for_a_refresh(&stage, &clients, &visitor).await;
    }
    stage.close().await;
}

mod across_servers {
    mod postgres {
        use e2e::visitor::Visitor;

        use crate::nodes::Cluster;
        use crate::races::{race_for_a_code, race_for_a_refresh};
        use crate::stage::{PUB1, assert_quiet};

        // CD-20, RT-06
        #[tokio::test]
        async fn of_sixty_four_at_three_servers_one_is_served() {
            let cluster = Cluster::start(3).await;
            let clients = cluster.clients(&cluster.stage.client(&[PUB1]).await);
            let visitor = Visitor::new();
            for _ in 0..2 {
                race_for_a_code(&cluster.stage, &clients, &visitor).await;
                race_for_a_refresh(&cluster.stage, &clients, &visitor).await;
            }
            assert_quiet(&cluster.stage.house, |status| status < 500);
        }
    }
}
