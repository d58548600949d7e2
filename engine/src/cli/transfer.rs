//! `weir export` and `weir import log`: the log as JSON Lines, equal to the byte both ways.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use super::{Access, CliError, USAGE, integrity, progress_bar};
use crate::node::{self, ImportError};

/// Write the whole log as JSON Lines: readable for decades, and what `weir import log` reads.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// File to write; `-` for standard output.
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    access: Access,
}

/// Make a log from what `weir export` wrote: the same records, hashes and state.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The exported log; `-` for standard input.
    file: PathBuf,
    /// Data directory to make; one that exists must be empty, or hold an import that was
    /// interrupted.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// Runs `weir export`.
///
/// # Errors
/// If the log cannot be read, or the file not be written.
pub fn export(args: &ExportArgs) -> Result<ExitCode, CliError> {
    let log = integrity::open_to_read(&args.access)?;
    let reader = log.reader();
    let failed = |error: io::Error| {
        CliError::outside(format!("cannot write {}: {error}", args.file.display()))
    };
    let bar = progress_bar(reader.head().next_seq - 1, "records");
    let exported = if args.file.as_os_str() == "-" {
        let mut out = BufWriter::new(io::stdout().lock());
        node::export(&reader, &mut out, |seq| bar.set_position(seq))
    } else {
        let mut out = BufWriter::new(File::create_new(&args.file).map_err(failed)?);
        let exported = node::export(&reader, &mut out, |seq| bar.set_position(seq));
        out.flush()
            .and_then(|()| out.get_ref().sync_all())
            .map_err(failed)?;
        exported
    };
    bar.finish_and_clear();
    let records = exported.map_err(CliError::outside)?;
    eprintln!("{records} records exported");
    Ok(ExitCode::SUCCESS)
}

/// Runs `weir import log`.
///
/// # Errors
/// If the file is no export, or the log cannot be made.
pub fn import(args: &ImportArgs) -> Result<ExitCode, CliError> {
    let lines: Box<dyn BufRead> = if args.file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(&args.file).map_err(|error| {
            CliError::outside(format!("cannot read {}: {error}", args.file.display()))
        })?;
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    let bar = progress_bar(0, "records");
    let imported = node::import(&args.data, lines, |seq| bar.set_position(seq));
    bar.finish_and_clear();
    let imported = imported.map_err(|error| {
        let usage = matches!(
            error,
            ImportError::NotEmpty { .. } | ImportError::Header(_) | ImportError::Line { .. }
        );
        let mut error = CliError::outside(error);
        if usage {
            error.code = USAGE;
        }
        error
    })?;
    println!(
        "{} records imported, {} of them before; state {}",
        imported.records,
        imported.before,
        imported.state.state_digest()
    );
    Ok(ExitCode::SUCCESS)
}
