//! `weir scan-worker`: runs a scanner on what Weir asks to be scanned.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Args;

use super::{CliError, send::check_adapter};
use crate::{
    config::Config,
    daemon::sources::SourceSettings,
    scan::{self, Command, WorkerConfig},
    stream::{Stream, StreamConfig},
};

/// Scan what Weir asks for: takes requests from the stream, runs a scanner, sends its reports back.
///
/// Weir asks where its configuration says `[scans] request = true`. Start as many workers as scans
/// shall run; each request goes to one of them.
#[derive(Debug, Args)]
pub struct ScanWorkerArgs {
    /// The scanner's command line; `{reference}` is the image, by its digest. No shell is asked.
    #[arg(long, value_name = "COMMAND")]
    exec: String,
    /// Configuration file of Weir, for its `[stream]` and how it reads the source.
    #[arg(long, value_name = "FILE", env = "WEIR_CONFIG")]
    config: Option<PathBuf>,
    /// Address of the NATS server, where there is no configuration file.
    #[arg(long, value_name = "URL", env = "WEIR_NATS")]
    nats: Option<String>,
    /// Adapter that reads the reports; found by their content if not given.
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,
    /// Name of the scanner in failures, where no report tells it; the program's name if not given.
    #[arg(long, value_name = "NAME")]
    scanner: Option<String>,
    /// Name of the source that reports are sent as.
    #[arg(long, value_name = "NAME", default_value = "scan-worker")]
    source: String,
    /// Seconds that one scan may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    timeout: u64,
    /// Scans at a time.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    concurrent: usize,
    /// End after this many scans.
    #[arg(long, value_name = "NUMBER")]
    at_most: Option<usize>,
}

/// Works until a signal ends it.
///
/// # Errors
/// If the command line makes no sense, its program cannot be run, there is no such adapter, or the stream
/// cannot be reached.
pub fn run(args: &ScanWorkerArgs) -> Result<ExitCode, CliError> {
    let command: Command = args.exec.parse().map_err(CliError::usage)?;
    command.find().map_err(|error| {
        CliError::usage(error)
            .hint("name the scanner's program in --exec, by its path or as it is found on PATH")
    })?;
    // It would be the end of every request that it takes.
    if let Some(adapter) = &args.adapter {
        check_adapter(adapter)?;
    }
    let weir = match &args.config {
        Some(path) => Config::read(path).map_err(CliError::usage)?,
        None => Config::default(),
    };
    let settings = SourceSettings::configured(&weir).of(&args.source);
    let stream = stream_config(args, weir)?;
    let config = WorkerConfig {
        scanner: args
            .scanner
            .clone()
            .unwrap_or_else(|| command.name().to_lowercase()),
        command,
        adapter: args.adapter.clone(),
        source: args.source.clone(),
        settings,
        timeout: Duration::from_secs(args.timeout.max(1)),
        concurrent: args.concurrent,
        at_most: args.at_most,
    };
    super::run::start_logging(false);
    crate::oci::install_crypto_provider();
    let runtime = tokio::runtime::Runtime::new().map_err(CliError::outside)?;
    runtime.block_on(async {
        let stream = Stream::open(&stream).await.map_err(CliError::outside)?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let signal = tokio::spawn(async move {
            super::run::wait_for_signal().await;
            let _nobody_works = stop.send(true);
        });
        let done = scan::work(&stream, config, stopped).await;
        signal.abort();
        done.map_err(CliError::outside)?;
        Ok(ExitCode::SUCCESS)
    })
}

fn stream_config(args: &ScanWorkerArgs, config: Config) -> Result<StreamConfig, CliError> {
    match (config.stream, &args.nats) {
        (stream, Some(url)) => {
            let mut stream = stream.unwrap_or_default();
            stream.urls = vec![url.clone()];
            Ok(stream)
        }
        (Some(stream), None) => Ok(stream),
        (None, None) => Err(CliError::usage("no stream is configured").hint(
            "name the NATS server with --nats, or a configuration with [stream] with --config",
        )),
    }
}
