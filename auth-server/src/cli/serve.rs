//! `serve`, `migrate`, `check-config`.

use serde_json::json;

use super::output::{Answer, Failure, table};
use crate::{app, config::Config, store, telemetry};

pub(super) async fn serve(config: Config) -> Result<Answer, Failure> {
    telemetry::init(config.log);
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Box::pin(app::serve(config)).await?;
    Ok(Answer::nothing())
}

pub(super) async fn migrate(config: &Config) -> Result<Answer, Failure> {
    let store = store::open(&config.store).await?;
    let version = store.migrate().await;
    store.close().await;
    let version = version?;
    Answer::new(
        format!("the database is up to date: schema version {version}"),
        &json!({ "schema_version": version }),
    )
}

pub(super) fn check_config(config: &Config) -> Result<Answer, Failure> {
    let rows: Vec<_> = config
        .effective
        .iter()
        .map(|setting| {
            let value = setting.value().unwrap_or_else(|| "(not set)".to_owned());
            [setting.key.clone(), value, setting.source.to_string()]
        })
        .collect();
    let mut text = table(["SETTING", "VALUE", "FROM"], &rows, "");
    for warning in &config.warnings {
        text.push_str("\nwarning: ");
        text.push_str(warning);
    }
    Answer::new(text, &json!({ "settings": config.effective, "warnings": config.warnings }))
}
