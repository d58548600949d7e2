//! `weir proof`: that a record is in the log, and that the log only grew, on paper.

use std::{
    fs,
    io::{self, Read},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;
use weir_schema::record::hex;

use super::{CliError, Directory, NO, integrity, out};
use crate::log::{
    LogReader,
    checkpoint::SignedCheckpoint,
    key::{KEY_FILE, SigningKey, VerifierKey},
    proof::{Consistency, Inclusion, Proof, ProofError},
    tree,
};

/// Prove that a record is in the log, or that the log only grew; check such a proof.
#[derive(Debug, Args)]
pub struct ProofArgs {
    #[command(subcommand)]
    command: ProofCommand,
}

#[derive(Debug, Subcommand)]
enum ProofCommand {
    /// Prove that a record is in the log.
    Inclusion(Box<InclusionArgs>),
    /// Prove that the log only grew.
    Consistency(Box<ConsistencyArgs>),
    /// Check a proof; needs no log.
    Check(Box<CheckArgs>),
}

/// The form of a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// As C2SP tools read it.
    Text,
    /// One JSON document.
    Json,
}

#[derive(Debug, Args)]
struct InclusionArgs {
    /// The record's sequence.
    seq: u64,
    /// Prove it for the log of so many records; without it, of all.
    #[arg(long, value_name = "SIZE")]
    size: Option<u64>,
    /// Form of the proof.
    #[arg(long, value_enum, default_value = "text")]
    output: Form,
    #[command(flatten)]
    directory: Directory,
}

#[derive(Debug, Args)]
struct ConsistencyArgs {
    /// The number of records then, or the file of a checkpoint.
    old: String,
    /// The number of records that it grew to; without it, all.
    new: Option<u64>,
    /// Form of the proof.
    #[arg(long, value_enum, default_value = "text")]
    output: Form,
    #[command(flatten)]
    directory: Directory,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The proof, as text; `-` for standard input.
    file: PathBuf,
    /// The key that must have signed it, as `weir checkpoint --key` prints it; without it, the
    /// key in the data directory.
    #[arg(long, value_name = "VKEY")]
    key: Option<VerifierKey>,
    /// The old checkpoint, for a proof that the log only grew.
    #[arg(long, value_name = "FILE")]
    old: Option<PathBuf>,
    #[command(flatten)]
    directory: Directory,
}

/// Runs `weir proof`.
///
/// # Errors
/// If the log cannot be read, or there is no such record.
pub fn run(args: &ProofArgs) -> Result<ExitCode, CliError> {
    match &args.command {
        ProofCommand::Inclusion(args) => inclusion(args),
        ProofCommand::Consistency(args) => consistency(args),
        ProofCommand::Check(args) => check(args),
    }
}

fn inclusion(args: &InclusionArgs) -> Result<ExitCode, CliError> {
    let log = integrity::open_to_read(&args.directory)?;
    let reader = log.reader();
    let checkpoint = signed(&args.directory, &reader, args.size)?;
    let size = checkpoint.checkpoint.size;
    let proof = reader.prove_inclusion(args.seq, checkpoint)?;
    let Some(proof) = proof else {
        return Err(CliError::usage(format!(
            "there is no record {} among the first {size}",
            args.seq
        )));
    };
    match args.output {
        Form::Text => print(&proof.to_string()),
        Form::Json => print(&format!("{:#}\n", inclusion_json(&proof))),
    }
}

fn consistency(args: &ConsistencyArgs) -> Result<ExitCode, CliError> {
    let log = integrity::open_to_read(&args.directory)?;
    let reader = log.reader();
    let old = match args.old.parse() {
        Ok(size) => size,
        Err(_) => {
            let old = integrity::read_checkpoint(&PathBuf::from(&args.old))?.checkpoint;
            let root = reader.root_at(old.size)?;
            if root != Some(old.root) {
                tell!(
                    "weir: the log does not continue the checkpoint of size {}: there is no proof",
                    old.size
                );
                return Ok(ExitCode::from(NO));
            }
            old.size
        }
    };
    let checkpoint = signed(&args.directory, &reader, args.new)?;
    let new = checkpoint.checkpoint.size;
    let Some(proof) = reader.prove_consistency(old, checkpoint)? else {
        return Err(CliError::usage(format!(
            "{old} records are more than {new}: a log only grows"
        )));
    };
    match args.output {
        Form::Text => print(&proof.to_string()),
        Form::Json => print(&format!("{:#}\n", consistency_json(&reader, &proof)?)),
    }
}

/// The log of `size` records, signed; of all without one.
fn signed(
    directory: &Directory,
    reader: &LogReader,
    size: Option<u64>,
) -> Result<SignedCheckpoint, CliError> {
    let path = directory.path().join(KEY_FILE);
    let key = SigningKey::load(&path).map_err(CliError::outside)?;
    let key = key.ok_or_else(|| {
        CliError::outside(format!("there is no signing key in {}", path.display()))
            .hint("`weir checkpoint` makes one")
    })?;
    let last = reader.head().tree_size;
    let checkpoint = reader.checkpoint_at(size.unwrap_or(last), &key);
    let checkpoint = checkpoint.map_err(CliError::outside)?;
    checkpoint.ok_or_else(|| CliError::usage(format!("the log has only {last} records")))
}

fn check(args: &CheckArgs) -> Result<ExitCode, CliError> {
    let text = if args.file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        fs::read_to_string(&args.file)
    };
    let text = text.map_err(CliError::read(&args.file))?;
    let key = integrity::verifier(&args.directory, args.key.as_ref())?;
    let key = key.ok_or_else(|| {
        CliError::usage("there is no key to check the proof with")
            .hint("give the one that `weir checkpoint --key` printed with --key")
    })?;
    let checked = match text.parse::<Proof>() {
        Ok(Proof::Inclusion(proof)) => proof.check(&key).map(|()| {
            let record = String::from_utf8_lossy(&proof.record).into_owned();
            tell!(
                "record {} is in the log `{}` of {} records, signed by its key",
                proof.seq,
                key.name(),
                proof.checkpoint.checkpoint.size
            );
            record + "\n"
        }),
        Ok(Proof::Consistency(proof)) => {
            let old = args.old.as_ref().ok_or_else(|| {
                CliError::usage("a proof that the log only grew is checked against a checkpoint")
                    .hint("name its file with --old")
            })?;
            let old = integrity::read_checkpoint(old)?;
            proof.check(&key, &old).map(|()| {
                tell!(
                    "the log `{}` of {} records continues that of {}, signed by its key",
                    key.name(),
                    proof.checkpoint.checkpoint.size,
                    proof.old
                );
                String::new()
            })
        }
        Err(error @ ProofError::Form(_)) => return Err(CliError::usage(error)),
        Err(error) => Err(error),
    };
    match checked {
        Ok(data) => print(&data),
        Err(error) => {
            tell!("weir: the proof does not hold: {error}");
            Ok(ExitCode::from(NO))
        }
    }
}

fn print(text: &str) -> Result<ExitCode, CliError> {
    out::text(text)?;
    Ok(ExitCode::SUCCESS)
}

fn inclusion_json(proof: &Inclusion) -> serde_json::Value {
    let path: Vec<String> = proof.path.iter().map(hex).collect();
    json!({
        "seq": proof.seq,
        "index": proof.seq.saturating_sub(1),
        "leaf_hash": hex(&tree::leaf_hash(&proof.record)),
        "record": String::from_utf8_lossy(&proof.record),
        "path": path,
        "size": proof.checkpoint.checkpoint.size,
        "root": hex(&proof.checkpoint.checkpoint.root),
        "checkpoint": proof.checkpoint.to_string(),
    })
}

fn consistency_json(
    reader: &LogReader,
    proof: &Consistency,
) -> Result<serde_json::Value, CliError> {
    let path: Vec<String> = proof.path.iter().map(hex).collect();
    Ok(json!({
        "old_size": proof.old,
        "old_root": reader.root_at(proof.old)?.as_ref().map(hex),
        "path": path,
        "size": proof.checkpoint.checkpoint.size,
        "root": hex(&proof.checkpoint.checkpoint.root),
        "checkpoint": proof.checkpoint.to_string(),
    }))
}
