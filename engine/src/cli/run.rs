//! `weir run`: the daemon.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use tokio::sync::watch;

use super::CliError;
use crate::{config::Config, daemon};

/// Run the daemon; with no configuration, one node with its log in ./weir-data.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = "WEIR_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of the log.
    #[arg(long, value_name = "DIR", env = "WEIR_DATA")]
    data: Option<PathBuf>,
    /// Directory of rule files, watched for changes.
    #[arg(long, value_name = "DIR", env = "WEIR_RULES")]
    rules: Option<PathBuf>,
    /// Address to listen at.
    #[arg(long, value_name = "ADDRESS", env = "WEIR_LISTEN")]
    listen: Option<String>,
    /// Log lines as JSON.
    #[arg(long)]
    json_logs: bool,
}

/// Runs until SIGINT or SIGTERM.
///
/// # Errors
/// If the configuration is wrong, or something that the daemon cannot do without fails.
pub fn run(args: &RunArgs) -> Result<ExitCode, CliError> {
    let mut config = match &args.config {
        Some(path) => Config::read(path).map_err(CliError::usage)?,
        None => Config::default(),
    };
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    if args.rules.is_some() {
        config.rules.clone_from(&args.rules);
    }
    if let Some(listen) = &args.listen {
        config.http.listen.clone_from(listen);
    }
    if let Some(rules) = &config.rules {
        super::replay::load_rules(rules)?;
    }
    start_logging(args.json_logs);
    let runtime = tokio::runtime::Runtime::new().map_err(CliError::outside)?;
    let (stop, stopped) = watch::channel(false);
    let done = runtime.block_on(async move {
        tokio::spawn(async move {
            wait_for_signal().await;
            stop.send_replace(true);
            // A second signal ends at once: the log is durable at every moment.
            wait_for_signal().await;
            std::process::exit(i32::from(super::OUTSIDE));
        });
        daemon::run(config, stopped).await
    });
    done.map(|()| ExitCode::SUCCESS).map_err(CliError::outside)
}

pub(super) async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

pub(super) fn start_logging(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WEIR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,async_nats=warn,sled=warn"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        lines.json().init();
    } else {
        lines.init();
    }
}
