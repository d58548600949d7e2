//! `weir verify` and `weir checkpoint`: whether anybody touched the record.

use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde_json::{Value, json};
use weir_schema::Record;

use super::{CliError, Directory, NO, Output, out};
use crate::{
    log::{
        Log, LogOptions, LogReader, OpenError, Problem, ReadError, VerifyReport, archive,
        checkpoint::{CheckpointError, SignedCheckpoint},
        key::{KEY_FILE, SigningKey, VerifierKey},
        verify,
    },
    node::{Basis, CHECKPOINT_FILE, Fold, LedgerError, SnapshotCheck, open_log_to_read},
};

/// Check the log: chain, tree, checkpoints, and that a replay leads to the same.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A checkpoint kept elsewhere; may be repeated.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The key that must have signed it, as `weir checkpoint --key` prints it; without it, the
    /// key in the data directory. Repeated for a log that had one key after the other.
    #[arg(long, value_name = "VKEY")]
    key: Vec<VerifierKey>,
    /// Check these archive files instead, or those in this directory: chain, tree, signatures. May
    /// be repeated, in order.
    #[arg(long, value_name = "PATH")]
    archive: Vec<PathBuf>,
    /// What is found: a line for people, or a JSON object.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    directory: Directory,
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
    directory: Directory,
}

/// What to do when a checkpoint's signer is not known.
const OTHER_KEY: &str = "if the key was replaced, name all that the log had, each with --key, as `weir checkpoint --key` printed them then; if it was not, somebody else signed this";

/// Runs `weir verify`.
///
/// # Errors
/// If the log or a checkpoint cannot be opened.
pub fn verify_log(args: &VerifyArgs) -> Result<ExitCode, CliError> {
    if !args.archive.is_empty() {
        return verify_archive(args);
    }
    let mut claims = Claims::default();
    for path in &args.checkpoint {
        claims.add_file(path, "take another copy of it")?;
    }
    let keys = args.keys()?;
    if keys.is_empty() && !args.checkpoint.is_empty() {
        return Err(
            CliError::usage("there is no key to check the checkpoint's signature with")
                .hint("give the one that `weir checkpoint --key` printed with --key"),
        );
    }
    let log = match open_to_read(&args.directory) {
        Err(Opened::NotWhole(error)) => return args.bad(None, &error),
        Err(opened) => return Err(opened.into()),
        Ok(log) => log,
    };
    let reader = log.reader();
    match reader.checkpoints() {
        Ok(kept) => claims.add_kept(kept),
        Err(error) => return args.bad(None, &error),
    }
    // What the daemon signed last lies beside the log, for keeping elsewhere: it counts here too.
    let last = args.directory.path().join(CHECKPOINT_FILE);
    if last.exists() {
        claims.add_file(&last, "delete it: the daemon writes another")?;
    }
    let found = verified(&reader, &claims.checkpoints, &keys)?;
    told(args, &found, &claims, &keys)
}

/// What a verification found, and the replay that went with it.
struct Found {
    report: VerifyReport,
    fold: Fold,
    /// Snapshots of other states than the records lead to.
    snapshots: Vec<PathBuf>,
}

fn verified(
    reader: &LogReader,
    checkpoints: &[SignedCheckpoint],
    keys: &[VerifierKey],
) -> Result<Found, CliError> {
    let basis = Basis::of(reader).map_err(CliError::outside)?;
    let mut fold = Fold::new(&basis);
    let mut snapshots = SnapshotCheck::of(reader, &basis);
    let bar = super::progress_bar(reader.head().next_seq - 1, "records");
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let report = verify(
        reader,
        checkpoints,
        keys,
        threads,
        |_, bytes| {
            let record = Record::decode(bytes).map_err(|error| error.to_string())?;
            fold.checked(&record).map_err(|error| error.to_string())?;
            snapshots.pass(&record, &fold);
            Ok(())
        },
        |done| bar.set_position(done),
    );
    bar.finish_and_clear();
    Ok(Found {
        report,
        fold,
        snapshots: snapshots.differing(),
    })
}

/// The worst of it, or that all is as it was written.
fn told(
    args: &VerifyArgs,
    found: &Found,
    claims: &Claims,
    keys: &[VerifierKey],
) -> Result<ExitCode, CliError> {
    let report = &found.report;
    if let Some((seq, problem)) = &report.first_bad {
        return told_record(args, *seq, problem, keys);
    }
    if !found.fold.is_whole() {
        return args.bad(
            None,
            &"the log ends before all that its last input leads to: its tail was cut",
        );
    }
    if let Some((problem, hint)) = claims.first_worthless(report) {
        return told_beside(args, &problem, hint);
    }
    if let Some(path) = found.snapshots.first() {
        let problem = format!(
            "{}: it holds something else than the records lead to, and a start would go on from it",
            path.display()
        );
        let dir = path.parent().unwrap_or(path).display();
        let hint = format!("delete {dir}: what is in it is made again from the records");
        return told_beside(args, &problem, &hint);
    }
    let (records, checkpoints) = (report.records, report.checkpoints);
    let (signed, signatures) = match keys {
        [] => (None, "; signatures were not checked"),
        _ => (Some(checkpoints), ""),
    };
    let root = weir_schema::record::hex(&report.root);
    let state = found.fold.state.state_digest();
    args.good(
        &format_args!(
            "{}, {}: as written{signatures}; root {root}; state {state}",
            many(records, "record"),
            many(checkpoints, "checkpoint"),
        ),
        json!({
            "records": records,
            "checkpoints": checkpoints,
            "signed": signed,
            "root": root,
            "state_digest": state,
        }),
    )
}

/// A record is not what was written.
fn told_record(
    args: &VerifyArgs,
    seq: u64,
    problem: &Problem,
    keys: &[VerifierKey],
) -> Result<ExitCode, CliError> {
    let place = args.directory.path();
    let told = format!("{}: record {seq}: {problem}", place.display());
    let code = args.bad(Some(seq), &told)?;
    tell!(
        "hint: everything before record {seq} is as it was written; keep this directory and restore from a copy"
    );
    if keys.is_empty() && matches!(problem, Problem::Cut { .. } | Problem::Rewritten { .. }) {
        tell!(
            "hint: or the checkpoint was changed: there is no key to check its signature with; give it with --key"
        );
    }
    Ok(code)
}

/// Something beside the records is not what was written.
fn told_beside(args: &VerifyArgs, problem: &str, hint: &str) -> Result<ExitCode, CliError> {
    let told = format!("{problem}; the records were found as they were written");
    let code = args.bad(None, &told)?;
    tell!("hint: {hint}");
    Ok(code)
}

/// Checkpoints, and where they are from.
#[derive(Default)]
struct Claims {
    checkpoints: Vec<SignedCheckpoint>,
    /// Of each the place, and what to do if it proves nothing.
    places: Vec<(String, &'static str)>,
    /// What was named, or lies beside the log, and is no checkpoint, with what to do.
    unreadable: Option<(String, &'static str)>,
}

impl Claims {
    fn add_file(&mut self, path: &Path, remedy: &'static str) -> Result<(), CliError> {
        let text = fs::read(path).map_err(CliError::read(path))?;
        let place = format!("{}: ", path.display());
        match String::from_utf8_lossy(&text).parse() {
            Ok(signed) => {
                self.checkpoints.push(signed);
                self.places.push((place, remedy));
            }
            Err(error) => {
                let error: CheckpointError = error;
                self.unreadable
                    .get_or_insert((format!("{place}{error}"), remedy));
            }
        }
        Ok(())
    }

    fn add_kept(&mut self, kept: Vec<SignedCheckpoint>) {
        for signed in kept {
            self.checkpoints.push(signed);
            let place = "kept in the log: ".to_owned();
            let remedy = "somebody wrote it there who has not the key, or changed it: check the log against a checkpoint kept elsewhere, with --checkpoint, or restore it from a copy";
            self.places.push((place, remedy));
        }
    }

    /// The first that proves nothing, and what to do.
    fn first_worthless(&self, report: &VerifyReport) -> Option<(String, &'static str)> {
        if self.unreadable.is_some() {
            return self.unreadable.clone();
        }
        let (place, error) = report.unsigned.as_ref()?;
        let (place, remedy) = self.places.get(*place)?;
        let remedy = match error {
            CheckpointError::Unsigned { .. } => OTHER_KEY,
            _ => remedy,
        };
        Some((format!("{place}{error}"), remedy))
    }
}

/// So many of something, in words.
fn many(count: impl Display, what: &str) -> String {
    match count.to_string() {
        one if one == "1" => format!("1 {what}"),
        many => format!("{many} {what}s"),
    }
}

impl VerifyArgs {
    /// The keys that were named, else the one in the data directory, if there is one.
    fn keys(&self) -> Result<Vec<VerifierKey>, CliError> {
        match self.key[..] {
            [] => Ok(verifier(&self.directory, None)?.into_iter().collect()),
            _ => Ok(self.key.clone()),
        }
    }

    /// All is as it was written.
    fn good(&self, told: &dyn Display, mut found: Value) -> Result<ExitCode, CliError> {
        match self.output {
            Output::Table => out::line(told)?,
            Output::Json | Output::Jsonl => {
                found["as_written"] = true.into();
                out::line(found)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Something is not as it was written: from record `seq` on, where that is known.
    fn bad(&self, seq: Option<u64>, problem: &dyn Display) -> Result<ExitCode, CliError> {
        if self.output != Output::Table {
            let problem = problem.to_string();
            out::line(json!({"as_written": false, "first_bad": seq, "problem": problem}))?;
        }
        tell!("weir: {problem}");
        Ok(ExitCode::from(NO))
    }
}

/// Runs `weir verify --archive`.
fn verify_archive(args: &VerifyArgs) -> Result<ExitCode, CliError> {
    let mut paths = Vec::new();
    for path in &args.archive {
        match path.is_dir() {
            true => {
                for shorter in archive::shorter(path).map_err(CliError::read(path))? {
                    tell!(
                        "not checked: {}, for a longer file begins with the same record",
                        shorter.path.display()
                    );
                }
                paths.extend(super::transfer::archive_files(path)?);
            }
            false => paths.push(path.clone()),
        }
    }
    // What is not there was not tampered with.
    for path in &paths {
        fs::File::open(path).map_err(CliError::read(path))?;
    }
    let keys = args.keys()?;
    let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
    if keys.is_empty() {
        let missing = "there is no key to check signatures with";
        let hint = "give the one that `weir checkpoint --key` printed with --key";
        if !args.checkpoint.is_empty() {
            return Err(CliError::usage(missing).hint(hint));
        }
        tell!("{missing}: {hint}");
    }
    let mut roots = Vec::new();
    for path in &args.checkpoint {
        let note = fs::read_to_string(path).map_err(CliError::read(path))?;
        match archive::check::opened(&note, &keys) {
            Ok(root) => roots.push(root),
            Err(problem) => {
                return args.bad(None, &format!("{}: {problem}", path.display()));
            }
        }
    }
    let bar = super::progress_bar(0, "records");
    let checked = archive::check::check(paths.iter().map(PathBuf::as_path), &keys, &roots, |seq| {
        bar.set_position(seq)
    });
    bar.finish_and_clear();
    // A key that was named is one that must have signed.
    let checked = checked.and_then(|checked| match args.key[..] {
        [] => Ok(checked),
        _ => checked.all_vouched().map(|()| checked),
    });
    match checked {
        Err(found) => args.bad(None, &found),
        Ok(checked) => {
            let (first, last) = (checked.first, checked.root.size);
            let (signed, files) = ((!keys.is_empty()).then_some(checked.signed), paths.len());
            let signatures = match signed {
                Some(signed) => format!("{signed} of {files} files signed"),
                None => "signatures were not checked".to_owned(),
            };
            let root = weir_schema::record::hex(&checked.root.hash);
            args.good(
                &format_args!(
                    "records {first} to {last}: as written; {signatures}; root {root}"
                ),
                json!({"first": first, "last": last, "files": files, "signed": signed, "root": root}),
            )
        }
    }
}

/// Runs `weir checkpoint`.
///
/// # Errors
/// If the log cannot be signed.
pub fn checkpoint(args: &CheckpointArgs) -> Result<ExitCode, CliError> {
    let data = args.directory.path();
    let made = || SigningKey::load_or_create(&data.join(KEY_FILE), &args.origin);
    if args.key && data.exists() {
        out::line(made().map_err(CliError::outside)?.verifier())?;
        return Ok(ExitCode::SUCCESS);
    }
    match open_to_read(&args.directory).map(drop) {
        // The one writer is the daemon, which signs by itself.
        Err(Opened::InUse(error)) => {
            let last = fs::read_to_string(data.join(CHECKPOINT_FILE)).map_err(|_| error)?;
            tell!("the running daemon's last; it signs every few seconds while records come");
            out::text(last)?;
            return Ok(ExitCode::SUCCESS);
        }
        opened => opened?,
    }
    let mut log = Log::open(&data, LogOptions::default()).map_err(CliError::outside)?;
    let key = made().map_err(CliError::outside)?;
    match log.checkpoint(&key).map_err(CliError::outside)? {
        Some(signed) => out::text(signed)?,
        None => {
            return Err(CliError::outside(
                "the log is empty: there is nothing to sign",
            ));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Why a log is not open.
pub(super) enum Opened {
    /// It is not what was written, or not all of it: the answer is no.
    NotWhole(LedgerError),
    /// Another process has it.
    InUse(CliError),
    /// Anything else.
    Failed(CliError),
}

impl From<Opened> for CliError {
    fn from(opened: Opened) -> Self {
        match opened {
            Opened::NotWhole(error) => Self::outside(error),
            Opened::InUse(error) | Opened::Failed(error) => error,
        }
    }
}

/// The log of a stopped daemon, without its state.
pub(super) fn open_to_read(directory: &Directory) -> Result<Log, Opened> {
    open_dir_to_read(&directory.path())
}

/// As [`open_to_read`], of a data directory.
pub(super) fn open_dir_to_read(dir: &Path) -> Result<Log, Opened> {
    open_log_to_read(dir).map_err(|error| match &error {
        LedgerError::Open(OpenError::Damaged { .. })
        | LedgerError::Read(_)
        | LedgerError::Unfinished => Opened::NotWhole(error),
        LedgerError::Open(OpenError::InUse { .. }) => Opened::InUse(
            CliError::outside(error)
                .hint("stop the daemon, or work on a copy of its data directory"),
        ),
        LedgerError::Open(OpenError::Missing { .. }) => {
            Opened::Failed(CliError::outside(error).hint("name the data directory with --data"))
        }
        _ => Opened::Failed(CliError::outside(error)),
    })
}

/// Reads a checkpoint's file; its signature is not checked.
pub(super) fn read_checkpoint(path: &PathBuf) -> Result<SignedCheckpoint, CliError> {
    let text = fs::read_to_string(path).map_err(CliError::read(path))?;
    text.parse()
        .map_err(|error| CliError::usage(format!("{}: {error}", path.display())))
}

/// The key in the data directory, if there is one.
pub(super) fn signing_key(directory: &Directory) -> Result<Option<SigningKey>, CliError> {
    SigningKey::load(&directory.path().join(KEY_FILE)).map_err(CliError::outside)
}

/// The key that was named, else the one in the data directory, if there is one.
pub(super) fn verifier(
    directory: &Directory,
    named: Option<&VerifierKey>,
) -> Result<Option<VerifierKey>, CliError> {
    match named {
        Some(key) => Ok(Some(key.clone())),
        None => Ok(signing_key(directory)?.map(|key| key.verifier().clone())),
    }
}

/// What cannot be read of a log that opens is damage.
impl From<ReadError> for CliError {
    fn from(error: ReadError) -> Self {
        Self::outside(error)
    }
}
