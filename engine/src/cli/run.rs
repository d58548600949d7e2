//! `weir run`: the daemon.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Args;
use tokio::sync::{Notify, watch};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use super::CliError;
use crate::{
    causes::said,
    config::Config,
    daemon::{self, RulesRefused, Signals, StreamForgotten},
    http::ServeError,
    log::archive::write::prepare,
};

/// Run the daemon; with no configuration, one node with its log in ./weir-data.
///
/// Every key of the configuration can be given by --set and, but for registries and sources whose names
/// have dots or hyphens, by a variable, as WEIR_DATA, WEIR_HTTP__LISTEN or
/// WEIR_STREAM__LEASE__TTL_SECONDS. Flags win over variables, these over the file.
/// SIGHUP reads the rules again; SIGTERM and SIGINT end the daemon. What it logs is chosen by
/// WEIR_LOG, as in WEIR_LOG=info,weir_engine=debug.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Configuration file.
    #[arg(long, value_name = "FILE", env = "WEIR_CONFIG")]
    config: Option<PathBuf>,
    /// Directory of the log (variable: WEIR_DATA).
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Directory of rule files, watched for changes (variable: WEIR_RULES).
    #[arg(long, value_name = "DIR")]
    rules: Option<PathBuf>,
    /// Address to listen at (variable: WEIR_LISTEN).
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// A key of the configuration, as `stream.lease.ttl_seconds=5`; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Log lines as JSON.
    #[arg(long, env = "WEIR_JSON_LOGS")]
    json_logs: bool,
}

/// Runs until SIGINT or SIGTERM.
///
/// # Errors
/// If the configuration is wrong, or something that the daemon cannot do without fails.
pub fn run(args: &RunArgs) -> Result<ExitCode, CliError> {
    let config = configuration(args, std::env::vars_os().filter_map(text))?;
    if let Some(dir) = &config.archive {
        prepare(dir).map_err(|error| no_archive(dir, &error))?;
    }
    start_logging(args.json_logs);
    let runtime = tokio::runtime::Runtime::new().map_err(CliError::outside)?;
    let (stop, stopped) = watch::channel(false);
    let signals = Signals {
        stop: stopped,
        reload: Arc::default(),
    };
    let done = runtime.block_on(async move {
        tokio::spawn(reload_on_hangup(Arc::clone(&signals.reload)));
        tokio::spawn(async move {
            wait_for_signal().await;
            stop.send_replace(true);
            // A second signal ends at once: the log is durable at every moment.
            wait_for_signal().await;
            std::process::exit(i32::from(super::OUTSIDE));
        });
        daemon::run(config, signals).await
    });
    done.map(|()| ExitCode::SUCCESS).map_err(|error| {
        let configured = match error.downcast_ref::<ServeError>() {
            Some(refused) => matches!(refused, ServeError::Config(_) | ServeError::Listen(_)),
            None => error.is::<RulesRefused>() || error.is::<StreamForgotten>(),
        };
        match configured {
            true => CliError::usage(said(&*error)),
            false => CliError::outside(said(&*error)),
        }
    })
}

/// What is configured, by whatever way.
fn configuration(
    args: &RunArgs,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Config, CliError> {
    let config = Config::load(args.config.as_deref(), environment, &args.sets);
    let mut config = config.map_err(CliError::usage)?;
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    if args.rules.is_some() {
        config.rules.clone_from(&args.rules);
    }
    if let Some(listen) = &args.listen {
        config.http.listen.clone_from(listen);
        let checked = config.http.check();
        checked.map_err(|error| CliError::usage(format!("`--listen {listen}`: {error}")))?;
    }
    Ok(config)
}

fn no_archive(dir: &Path, error: &std::io::Error) -> CliError {
    let message = format!("`archive`: cannot write in `{}`: {error}", dir.display());
    CliError::usage(message).hint(
        "name a directory that weir may write in, best on another disk; it is made if it does not exist",
    )
}

/// A variable, if it is text: ours are.
fn text(variable: (OsString, OsString)) -> Option<(String, String)> {
    let (name, value) = variable;
    Some((name.into_string().ok()?, value.into_string().ok()?))
}

async fn reload_on_hangup(reload: Arc<Notify>) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut hangup) = signal(SignalKind::hangup()) else {
        return;
    };
    while hangup.recv().await.is_some() {
        tracing::info!("SIGHUP: the rules are read again");
        reload.notify_one();
    }
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

/// What of a filter of log lines may have been meant as a level, and is none.
fn mistaken(filter: &str) -> Option<&str> {
    let mut parts = filter.split(',').map(str::trim);
    parts.find(|part| {
        let is_level = part.parse::<LevelFilter>().is_ok();
        !part.is_empty()
            && !is_level
            && !part.contains(['=', '[', ':'])
            && !part.starts_with("weir")
    })
}

/// What is logged of libraries where nobody names them: NATS's client tells each event that we tell.
const QUIET: &str = "async_nats=warn,sled=warn";

/// The filter that somebody chose; `None` if it is none.
fn filter(chosen: &str) -> Option<EnvFilter> {
    let levels = chosen.split(',').map(str::trim);
    let mut all = levels.filter_map(|part| part.parse::<LevelFilter>().ok());
    // Who wants to hear little of all is not to hear more of them. What comes later counts.
    match all.next_back() {
        Some(level) if level > LevelFilter::WARN => {
            EnvFilter::try_new(format!("{QUIET},{chosen}")).ok()
        }
        _ => EnvFilter::try_new(chosen).ok(),
    }
}

pub(super) fn start_logging(json: bool) {
    if let Some(part) = std::env::var("WEIR_LOG").ok().as_deref().and_then(mistaken) {
        tell!(
            "weir: `WEIR_LOG`: `{part}` is no level (error, warn, info, debug, trace), so it names a part of the program, and nothing else is logged"
        );
    }
    let chosen = std::env::var("WEIR_LOG").ok();
    let filter = chosen.as_deref().and_then(filter);
    let filter = filter.unwrap_or_else(|| EnvFilter::new(format!("info,{QUIET}")));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        // It would be said on stderr, where nobody listens.
        .log_internal_errors(false);
    if json {
        lines.json().init();
    } else {
        lines.init();
    }
}

#[cfg(test)]
mod tests {
    use super::{filter, mistaken};

    #[test]
    fn a_word_that_is_no_level_is_told() {
        for well in [
            "info",
            "INFO,weir_engine=debug",
            "weir_engine",
            "",
            "off",
            "async_nats=warn",
        ] {
            assert_eq!(mistaken(well), None, "{well}");
        }
        assert_eq!(mistaken("verbose"), Some("verbose"));
        assert_eq!(mistaken("weir_engine=debug, inf"), Some("inf"));
    }

    #[test]
    fn libraries_are_heard_as_far_as_they_are_named() {
        let directives = |chosen: &str| filter(chosen).unwrap().to_string();
        assert!(directives("info").contains("async_nats=warn"));
        assert!(directives("debug,async_nats=info").contains("async_nats=info"));
        for chosen in ["error", "error,weir_engine=info", "weir_engine=debug"] {
            assert!(!directives(chosen).contains("async_nats"), "{chosen}");
        }
        assert!(filter("a=b=c").is_none());
    }
}
