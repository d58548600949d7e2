//! `weir verify` and `weir checkpoint`: whether anybody touched the record.

use std::{fs, io::IsTerminal, path::PathBuf, process::ExitCode};

use clap::Args;
use weir_schema::Record;

use super::{Access, CliError, NO};
use crate::{
    log::{
        Log, LogOptions,
        checkpoint::SignedCheckpoint,
        key::{SigningKey, VerifierKey},
        verify,
    },
    node::{Basis, Fold},
};

/// Where the data directory keeps the key of its checkpoints.
const KEY_FILE: &str = "checkpoint.key";

/// Check the log: chain, tree, checkpoints, and that a replay leads to the same.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A checkpoint kept elsewhere; may be repeated.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The key that must have signed it, as `weir checkpoint --key` prints it.
    #[arg(long, value_name = "VKEY")]
    key: Option<VerifierKey>,
    #[command(flatten)]
    access: Access,
}

/// Sign the log as it is now and print the checkpoint, for keeping elsewhere.
#[derive(Debug, Args)]
pub struct CheckpointArgs {
    /// Print the key that verifies checkpoints instead.
    #[arg(long)]
    key: bool,
    /// Name in the checkpoint's first line, for a new key.
    #[arg(long, default_value = "weir")]
    origin: String,
    #[command(flatten)]
    access: Access,
}

/// Runs `weir verify`.
///
/// # Errors
/// If the log or a checkpoint cannot be opened.
pub fn verify_log(args: &VerifyArgs) -> Result<ExitCode, CliError> {
    let mut checkpoints = Vec::new();
    for path in &args.checkpoint {
        let text = fs::read_to_string(path).map_err(|error| {
            CliError::outside(format!("cannot read {}: {error}", path.display()))
        })?;
        let signed: SignedCheckpoint = text
            .parse()
            .map_err(|error| CliError::usage(format!("{}: {error}", path.display())))?;
        checkpoints.push(signed);
    }
    let options = LogOptions {
        read_only: true,
        ..LogOptions::default()
    };
    let log = Log::open(args.access.data(), options).map_err(CliError::outside)?;
    let reader = log.reader();
    let mut fold = Fold::new(&Basis::of(&reader).map_err(CliError::outside)?);
    let total = reader.head().next_seq - 1;
    let bar = if std::io::stderr().is_terminal() {
        indicatif::ProgressBar::new(total)
    } else {
        indicatif::ProgressBar::hidden()
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let report = verify(
        &reader,
        &checkpoints,
        args.key.as_ref(),
        threads,
        |_, bytes| {
            let record = Record::decode(bytes).map_err(|error| error.to_string())?;
            fold.record(&record).map_err(|error| error.to_string())
        },
        |done| bar.set_position(done),
    );
    bar.finish_and_clear();
    if let Some((seq, problem)) = &report.first_bad {
        eprintln!("weir: record {seq}: {problem}");
        eprintln!(
            "hint: everything before record {seq} is as it was written; keep this directory and restore from a copy"
        );
        return Ok(ExitCode::from(NO));
    }
    println!(
        "{} records, {} checkpoints: as written; root {}; state {}",
        report.records,
        report.checkpoints,
        weir_schema::record::hex(&report.root),
        fold.state.state_digest()
    );
    Ok(ExitCode::SUCCESS)
}

/// Runs `weir checkpoint`.
///
/// # Errors
/// If the log is in use or cannot be signed.
pub fn checkpoint(args: &CheckpointArgs) -> Result<ExitCode, CliError> {
    let data = args.access.data();
    if !data.exists() {
        return Err(
            CliError::outside(format!("there is no log in {}", data.display()))
                .hint("name the data directory with --data"),
        );
    }
    let mut log = Log::open(data, LogOptions::default()).map_err(|error| {
        CliError::outside(error)
            .hint("a checkpoint is made by the only writer: stop the daemon first")
    })?;
    let key = SigningKey::load_or_create(&data.join(KEY_FILE), &args.origin)
        .map_err(CliError::outside)?;
    if args.key {
        println!("{}", key.verifier());
        return Ok(ExitCode::SUCCESS);
    }
    match log.checkpoint(&key).map_err(CliError::outside)? {
        Some(signed) => print!("{signed}"),
        None => {
            return Err(CliError::outside(
                "the log is empty: there is nothing to sign",
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}
