//! `weir replay`: folds a history, prints every decision and a summary.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde::Serialize;
use weir_rules::{Execution, Settings};
use weir_schema::RuleFile;

use super::{CliError, Output, integrity, rules::files};
use crate::{
    backtest::{self, Source},
    node,
    replay::{self, Line, Replay, Summary, write_line},
};

/// Fold a history and print every decision, violation and a summary.
///
/// The history is a file of events, or the log of a stopped daemon. Of a log the records are folded
/// as they are, and each must follow from those before; with --rules its inputs are decided under
/// these instead, as `weir backtest` does: what followed from the old rules follows anew.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Directory of rules in force from the first record; of a log, in place of those that it put
    /// in force.
    #[arg(long, value_name = "DIR", required_unless_present = "data")]
    pub rules: Option<PathBuf>,
    /// History as CloudEvents, one a line; `-` for standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "data")]
    pub events: Option<PathBuf>,
    /// History in the log of this data directory.
    #[arg(long, value_name = "DIR", conflicts_with = "events")]
    pub data: Option<PathBuf>,
    /// Leave promotions undone: no `weir.promotion.completed` follows a decision.
    #[arg(long, requires = "rules")]
    pub no_execute: bool,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value = "table")]
    pub output: Output,
}

#[derive(Serialize)]
struct Last<'a> {
    summary: &'a Summary,
}

/// Reads rules and refuses a set with an error, with every place.
///
/// # Errors
/// With exit code 2 for a rule that is wrong or a path that is not there, 3 for what cannot be read.
pub fn load_rules(dir: &Path) -> Result<Vec<RuleFile>, CliError> {
    let directory = files::load(dir)?;
    for warning in &directory.loaded.warnings {
        tell!("{warning}");
    }
    Ok(directory.files)
}

/// Runs the command.
///
/// # Errors
/// If rules or history cannot be read, or the output not be written.
pub fn run(args: &ReplayArgs) -> Result<ExitCode, CliError> {
    let rules = args.rules.as_deref().map(load_rules).transpose()?;
    let mut output = BufWriter::new(io::stdout().lock());
    let mut lines = Vec::new();
    let mut print = |line: &Line| match args.output {
        Output::Jsonl => write_line(&mut output, line),
        Output::Table | Output::Json => {
            lines.push(line.clone());
            Ok(())
        }
    };
    let summary = match (&args.data, &args.events, rules) {
        (Some(data), _, Some(rules)) => decided_anew(args, data, rules, &mut print)?,
        (Some(data), _, None) => as_recorded(data, &mut print)?,
        (None, Some(file), Some(rules)) => from_file(args, file, rules, &mut print)?,
        (None, ..) => return Err(CliError::usage("name a history with --events or --data")),
    };
    match args.output {
        Output::Jsonl => write_line(&mut output, &Last { summary: &summary }),
        Output::Json => write_line(
            &mut output,
            &serde_json::json!({"decisions": lines, "summary": summary}),
        ),
        Output::Table => table(&mut output, &lines, &summary),
    }
    .and_then(|()| output.flush())
    .map_err(CliError::output)?;
    Ok(ExitCode::SUCCESS)
}

/// Folds a file of events.
fn from_file(
    args: &ReplayArgs,
    file: &Path,
    rules: Vec<RuleFile>,
    print: impl FnMut(&Line) -> io::Result<()>,
) -> Result<Summary, CliError> {
    let place = file.display();
    let input: Box<dyn io::BufRead> = if file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(file).map_err(CliError::read(file))?;
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    let mut replay = Replay::new(Settings::default(), rules, execution(args), print);
    replay::lines(&mut replay, input)
        .map_err(|error| CliError::outside(format!("cannot replay {place}: {error}")))?;
    let rejected = replay.first_rejected();
    let rejected = rejected.map(|(line, reason)| format!("line {line}: {reason}"));
    if let Some((line, why)) = replay.first_refused() {
        tell!("{place}: line {line}: its rules are refused, those before it stay:\n{why}");
    }
    let summary = replay.finish().map_err(CliError::output)?.0;
    if let Some(first) = rejected {
        tell!(
            "{} lines of {} are no events; {first}",
            summary.rejected,
            file.display()
        );
    }
    Ok(summary)
}

/// Folds the records of a log.
fn as_recorded(
    data: &Path,
    mut print: impl FnMut(&Line) -> io::Result<()>,
) -> Result<Summary, CliError> {
    let log = integrity::open_dir_to_read(data)?;
    let reader = log.reader();
    let mut summary = Summary::default();
    let mut printed = Ok(());
    let bar = super::progress_bar(reader.head().next_seq, "records");
    let state = node::refold(&reader, |record| {
        summary.recorded(record);
        bar.set_position(record.seq);
        if let Some(line) = Line::of(record.seq, record.recorded_at, &record.event.body) {
            printed = print(&line);
        }
        printed.is_ok()
    });
    bar.finish_and_clear();
    printed.map_err(CliError::output)?;
    summary.state_digest = state.map_err(CliError::outside)?.state_digest().to_string();
    Ok(summary)
}

/// Folds the inputs of a log under other rules.
fn decided_anew(
    args: &ReplayArgs,
    data: &Path,
    rules: Vec<RuleFile>,
    print: impl FnMut(&Line) -> io::Result<()>,
) -> Result<Summary, CliError> {
    let log = integrity::open_dir_to_read(data)?;
    let source = Source::Log(log.reader());
    let settings = source.settings().map_err(CliError::outside)?;
    let mut replay = Replay::new(settings, Vec::new(), execution(args), print);
    let bar = super::progress_bar(log.reader().head().next_seq, "records");
    let folded = backtest::inputs(
        &source,
        rules,
        |at, body| replay.given(at, body),
        |done| bar.set_position(done),
    );
    bar.finish_and_clear();
    folded.map_err(CliError::outside)?;
    Ok(replay.finish().map_err(CliError::output)?.0)
}

fn execution(args: &ReplayArgs) -> Execution {
    if args.no_execute {
        Execution::Commands
    } else {
        Execution::AtOnce
    }
}

fn table(mut output: impl Write, lines: &[Line], summary: &Summary) -> io::Result<()> {
    let mut table = super::table(["SEQ", "AT", "RULE", "SOURCE", "TARGET", "VERDICT", "WHY"]);
    for line in lines {
        match line {
            Line::Decision {
                seq,
                at,
                rule,
                source,
                target,
                verdict,
                reasons,
                ..
            } => table.add_row([
                seq.to_string(),
                at.to_string(),
                rule.clone(),
                format!("{}:{}", source.repository, source.tag),
                format!("{}:{}", target.repository, target.tag),
                verdict.to_string(),
                super::reasons(reasons),
            ]),
            Line::Violation {
                seq,
                at,
                violation,
                rule,
                repository,
                tag,
                reasons,
                ..
            } => table.add_row([
                seq.to_string(),
                at.to_string(),
                rule.clone(),
                String::new(),
                format!("{repository}:{tag}"),
                format!("violation {violation}"),
                super::reasons(reasons),
            ]),
        };
    }
    writeln!(output, "{table}")?;
    writeln!(
        output,
        "{} events, {} records, {} decisions, {} promotions, {} violations, {} rejected",
        summary.events,
        summary.records,
        summary.decisions,
        summary.promotions,
        summary.violations,
        summary.rejected
    )?;
    writeln!(output, "state {}", summary.state_digest)
}
