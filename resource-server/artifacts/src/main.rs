//! The program `doorward-artifacts`.

use std::{error::Error, io::Write, path::PathBuf, process::ExitCode};

use clap::Parser;
use doorward_artifacts::{app::App, config::Config, telemetry};

/// The reference MCP server: eleven tools over a real artifact store, behind tokens of a Doorward authorization server
#[derive(Parser)]
#[command(version, after_help = ENVIRONMENT)]
struct Arguments {
    /// Settings in TOML; the environment has the last word.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the settings, print the ones in force, and stop.
    #[arg(long)]
    check_config: bool,
}

const ENVIRONMENT: &str = "\
Without any setting it serves http://localhost:9100/mcp for the issuer http://localhost:9000.

Environment (the file has the same keys in lower case):
  DOORWARD_ARTIFACTS__LISTEN            addresses, with commas between them  [127.0.0.1:9100,[::1]:9100]
  DOORWARD_ARTIFACTS__RESOURCE          address of the MCP endpoint          [http://localhost:9100/mcp]
  DOORWARD_ARTIFACTS__ISSUER            authorization server                 [http://localhost:9000]
  DOORWARD_ARTIFACTS__ISSUER_ADDRESS    where it is reached, if elsewhere
  DOORWARD_ARTIFACTS__DATA_DIR          rows and bytes                       [./data/artifacts]
  DOORWARD_ARTIFACTS__CREDENTIALS_FILE  this server's own credentials        [./data/artifacts.credentials]
  DOORWARD_ARTIFACTS__MAX_FEED_LAG      silence of the revocation feed     [60s]
  DOORWARD_ARTIFACTS__ON_FEED_LAG       then serve or refuse               [serve]
  DOORWARD_ARTIFACTS__LOG__FORMAT       pretty or json                       [pretty]
  DOORWARD_ARTIFACTS__LOG__FILTER       what is logged                       [info]

More, such as the limits of plans, is in docs/artifacts.md; --check-config prints every setting in force.";

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "doorward-artifacts: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let config = Config::of_process(arguments.config.as_deref())?;
    if arguments.check_config {
        return Ok(std::io::stdout().write_all(config.describe().as_bytes())?);
    }
    telemetry::start(config.log_format, &config.log_filter);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let app = App::build(&config).await?;
        for address in app.addresses()? {
            tracing::info!(%address, "listening");
        }
        app.serve(stop_signal()).await;
        Ok(())
    })
}

/// Done when the process is asked to stop: Ctrl-C, or SIGTERM from whoever started it.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    let _ = tokio::signal::ctrl_c().await;
}
