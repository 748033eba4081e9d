//! The database is away: nothing is promised that was not done, nothing is told about it, and what needs no database goes
//! on. On `PostgreSQL` only, since a file is not away.

mod postgres {
    use std::time::Duration;

    use e2e::answer::Answer;
    use e2e::client::Tokens;
    use e2e::visitor::Visitor;
    use serde_json::Value;

    use crate::nodes::Cluster;
    use crate::stage::{PUB1, ask, assert_json_error, assert_page, assert_quiet, http};

    // RV-02, IN-11, RT-19
    #[tokio::test]
    async fn without_its_database_the_server_promises_nothing_and_tells_nothing() {
        let cluster = Cluster::start(1).await;
        let stage = &cluster.stage;
        let client = stage.client(&[PUB1]).await;
        let tokens = stage.tokens(&client, &Visitor::new()).await;
        let code = stage.code(&client, &Visitor::new(), &["read"]).await;
        cluster.database.take_away();

        let http_answers = [
            client.revoke(&tokens.refresh).await,
            client.revoke(&tokens.access).await,
            client.refresh(&tokens.refresh).await,
            code.redeem().await,
            stage.register(&crate::stage::metadata(&[PUB1])).await,
            Answer::to(http().get(stage.at("/oauth2/userinfo")).bearer_auth(&tokens.access)).await,
        ];
        for answer in http_answers {
            assert_json_error(&answer, 503, "temporarily_unavailable");
            let body: Value = answer.json();
            assert_eq!(body.as_object().map(serde_json::Map::len), Some(2), "{body:#}");
            for told in ["postgres", "sql", "127.0.0.1", "attack_", "pool", "connection"] {
                assert!(!answer.body.to_lowercase().contains(told), "{answer:#?}");
            }
        }
        let page = ask(&client.request().url()).await;
        assert_page(&page, 503, "temporarily_unavailable");
        for told in ["postgres", "sqlx", "attack_", "pool"] {
            assert!(!page.body.to_lowercase().contains(told), "{page:#?}");
        }
        for path in ["/.well-known/oauth-authorization-server", "/.well-known/jwks.json", "/healthz"] {
            assert_eq!(ask(&stage.at(path)).await.status, 200, "{path}");
        }
        assert_eq!(ask(&stage.at("/readyz")).await.status, 503);

        cluster.database.give_back();
        let back = async {
            while ask(&stage.at("/readyz")).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), back)
            .await
            .expect("the server finds its database again");
        // What was refused was not done: the code and the token are unspent, and nothing was revoked.
        Tokens::read(&code.redeem().await);
        Tokens::read(&client.refresh(&tokens.refresh).await);
        assert_quiet(&stage.house, |status| status < 500 || status == 503);
    }
}
