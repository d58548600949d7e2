//! `weir export` and `weir import log`: the log as JSON Lines or archive files, equal to the byte
//! both ways.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use super::{CliError, Directory, NO, USAGE, integrity, out, progress_bar};
use crate::{
    log::{archive, key::VerifierKey},
    node::{self, ImportError, Imported, Source},
};

/// Write the whole log as JSON Lines, or as archive files: readable for decades, and what `weir
/// import log` reads.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// File to write; `-` for standard output.
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Leave out the records before this one.
    #[arg(long, value_name = "SEQ", default_value = "1", value_parser = clap::value_parser!(u64).range(1..))]
    from: u64,
    /// Write archive files into this directory instead: what is new since the last time.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["file", "from"])]
    archive: Option<PathBuf>,
    #[command(flatten)]
    directory: Directory,
}

/// Make a log from what `weir export` wrote: the same records, hashes and state.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The exported log, archive files or directories of these, each going on where the one before
    /// it ends; `-` for standard input.
    #[arg(required = true)]
    source: Vec<PathBuf>,
    /// Data directory to make; one that exists must be empty, or hold an import that was
    /// interrupted.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The key that must have signed archive files, as `weir checkpoint --key` printed it; repeated
    /// for a log that had one key after the other.
    #[arg(long, value_name = "VKEY")]
    key: Vec<VerifierKey>,
}

/// Runs `weir export`.
///
/// # Errors
/// If the log cannot be read, or the file not be written.
pub fn export(args: &ExportArgs) -> Result<ExitCode, CliError> {
    let log = integrity::open_to_read(&args.directory)?;
    let reader = log.reader();
    let bar = progress_bar(reader.head().next_seq - 1, "records");
    if let Some(dir) = &args.archive {
        let key = integrity::signing_key(&args.directory)?;
        let written = node::archive(&reader, dir, key.as_ref(), true, |seq| {
            bar.set_position(seq)
        });
        bar.finish_and_clear();
        for path in written.map_err(CliError::outside)? {
            out::line(path.display())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let failed = || CliError::write(&args.file);
    let progress = |seq| bar.set_position(seq);
    let exported = if args.file.as_os_str() == "-" {
        let mut out = BufWriter::new(io::stdout().lock());
        node::export_from(&reader, args.from, &mut out, progress)
    } else {
        let mut out = BufWriter::new(File::create_new(&args.file).map_err(failed())?);
        let exported = node::export_from(&reader, args.from, &mut out, progress);
        let written = out.flush().and_then(|()| out.get_ref().sync_all());
        // A part of an export cannot be told from a whole one of a shorter log.
        if exported.is_err() || written.is_err() {
            let _left = std::fs::remove_file(&args.file);
        }
        written.map_err(failed())?;
        exported
    };
    bar.finish_and_clear();
    let records = exported.map_err(CliError::outside)?;
    tell!("{records} records exported");
    Ok(ExitCode::SUCCESS)
}

/// Runs `weir import log`.
///
/// # Errors
/// If a source is no export, or the log cannot be made.
pub fn import(args: &ImportArgs) -> Result<ExitCode, CliError> {
    let mut sources = Vec::new();
    for path in &args.source {
        sources.extend(sources_in(path)?);
    }
    let archives = sources
        .iter()
        .any(|source| matches!(source, Source::Archive(_)));
    if archives && args.key.is_empty() {
        tell!("no --key: that the archive is whole is checked, not who signed it");
    }
    let bar = progress_bar(0, "records");
    let imported = node::import_all(&args.data, sources, &args.key, |seq| {
        bar.set_position(seq);
    });
    bar.finish_and_clear();
    let Imported {
        records,
        before,
        concluded,
        state,
    } = imported.map_err(told)?;
    if concluded > 0 {
        tell!(
            "the last {concluded} records followed from the one before them, and were made again"
        );
    }
    out::line(format_args!(
        "{records} records imported, {before} of them before; state {}",
        state.state_digest()
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn told(error: ImportError) -> CliError {
    let code = match error {
        ImportError::BadArchive(_)
        | ImportError::Cut { .. }
        | ImportError::Record { .. }
        | ImportError::Line { .. } => NO,
        ImportError::NotEmpty { .. }
        | ImportError::Header { .. }
        | ImportError::OtherLog { .. }
        | ImportError::Nothing => USAGE,
        _ => super::OUTSIDE,
    };
    CliError {
        code,
        ..CliError::outside(error)
    }
}

/// What to read of a path that was named.
fn sources_in(path: &Path) -> Result<Vec<Source<'static>>, CliError> {
    if path.as_os_str() == "-" {
        return Ok(vec![Source::Lines {
            file: "standard input".to_owned(),
            lines: Box::new(io::stdin().lock()),
        }]);
    }
    if path.is_dir() {
        let files = archive_files(path)?;
        return Ok(files.into_iter().map(Source::Archive).collect());
    }
    if path.extension().is_some_and(|extension| extension == "zst") {
        // What is not there was mistyped, and is no archive that is damaged.
        File::open(path).map_err(CliError::read(path))?;
        return Ok(vec![Source::Archive(path.to_owned())]);
    }
    let file = File::open(path).map_err(CliError::read(path))?;
    let lines: Box<dyn BufRead> = Box::new(BufReader::with_capacity(1 << 16, file));
    let file = path.display().to_string();
    Ok(vec![Source::Lines { file, lines }])
}

/// The archive files of a directory, of which there must be some.
pub(super) fn archive_files(dir: &Path) -> Result<Vec<PathBuf>, CliError> {
    let files = archive::files(dir).map_err(CliError::read(dir))?;
    if files.is_empty() {
        return Err(CliError::usage(format!(
            "there are no archive files in {}",
            dir.display()
        )));
    }
    Ok(files.into_iter().map(|file| file.path).collect())
}
