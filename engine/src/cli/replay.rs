//! `weir replay`: folds a history, prints every decision and a summary.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use serde::Serialize;
use weir_rules::{Execution, Settings, cel::Limits, rule::RuleSet};
use weir_schema::RuleFile;

use super::{CliError, Output};
use crate::{
    replay::{self, Line, Replay, Summary, write_line},
    rules_dir,
};

/// Fold a history and print every decision, violation and a summary.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Directory of rules in force from the first record.
    #[arg(long, value_name = "DIR")]
    pub rules: PathBuf,
    /// History as CloudEvents, one a line; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    pub events: PathBuf,
    /// Leave promotions undone: no `weir.promotion.completed` follows a decision.
    #[arg(long)]
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
/// With exit code 2 for a rule that is wrong, 3 for a directory that cannot be read.
pub fn load_rules(dir: &std::path::Path) -> Result<Vec<RuleFile>, CliError> {
    let files = rules_dir::read(dir).map_err(CliError::outside)?;
    let pairs: Vec<(String, String)> = files
        .iter()
        .map(|file| (file.path.clone(), file.text.clone()))
        .collect();
    match RuleSet::load(&pairs, &Limits::RULES) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                eprintln!("{warning}");
            }
            Ok(files)
        }
        Err(errors) => Err(CliError::usage(errors)),
    }
}

/// Runs the command.
///
/// # Errors
/// If rules or history cannot be read, or the output not be written.
pub fn run(args: &ReplayArgs) -> Result<ExitCode, CliError> {
    let rules = load_rules(&args.rules)?;
    let input: Box<dyn io::BufRead> = if args.events.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let file = File::open(&args.events).map_err(|error| {
            CliError::outside(format!("cannot read {}: {error}", args.events.display()))
        })?;
        Box::new(BufReader::with_capacity(1 << 16, file))
    };
    let execution = if args.no_execute {
        Execution::Commands
    } else {
        Execution::AtOnce
    };
    let mut output = BufWriter::new(io::stdout().lock());
    let failed = |error: io::Error| CliError::outside(format!("cannot write the output: {error}"));
    let mut lines = Vec::new();
    let summary = {
        let print = |line: &Line| match args.output {
            Output::Jsonl => write_line(&mut output, line),
            Output::Table | Output::Json => {
                lines.push(line.clone());
                Ok(())
            }
        };
        let mut replay = Replay::new(Settings::default(), rules, execution, print);
        replay::lines(&mut replay, input).map_err(|error| {
            CliError::outside(format!("cannot replay {}: {error}", args.events.display()))
        })?;
        replay.finish().map_err(failed)?.0
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
    .map_err(failed)?;
    Ok(ExitCode::SUCCESS)
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
