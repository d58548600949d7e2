//! `weir backtest`: what other rules would have decided on the recorded history.

use std::{
    io::{self, Read, Write},
    num::NonZeroUsize,
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use serde::Serialize;
use weir_schema::Timestamp;

use super::{Access, CliError, NO, integrity, replay};
use crate::{
    backtest::{
        self, BacktestError, ChangedRule, History, Kind, LISTED, Outcome, Question, Report, Source,
        Totals, Watch, markdown, words,
    },
    http::Asked,
    query,
    replay::write_line,
};

/// Decide the recorded history under other rules, and show what would have been decided otherwise.
#[derive(Debug, Args)]
pub struct BacktestArgs {
    /// Directory of the new rules.
    #[arg(long, value_name = "DIR")]
    rules: PathBuf,
    /// Directory of the old rules; without it, what was in force as recorded.
    #[arg(long, value_name = "DIR")]
    against: Option<PathBuf>,
    /// A history from a file instead of a log: CloudEvents, one a line, or what `weir export`
    /// wrote; `-` for standard input.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Count and list only what happened from this time on: RFC 3339, or an age as `7d`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Count and list only what happened before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// List at most so many differences, in full; the others are counted.
    #[arg(long, value_name = "N", default_value_t = LISTED)]
    limit: usize,
    /// Threads that decode the history, ahead of the two that fold it; by default one for each core.
    /// A running daemon chooses for itself.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Exit with 1 if there are such differences.
    #[arg(long, value_name = "WHAT", value_enum)]
    fail_on: Option<FailOn>,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Form,
    #[command(flatten)]
    access: Access,
}

/// Differences that end with exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FailOn {
    /// Something would be promoted that was not, or sooner, or elsewhere.
    Promoted,
    /// Something would not be promoted that was, or later, or elsewhere; or is refused harder.
    Blocked,
    /// Any verdict would have been another at some time.
    Any,
}

/// The form in which it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line: the differences, and last a summary.
    Jsonl,
    /// For a comment on a pull request.
    Markdown,
}

#[derive(Serialize)]
struct Last<'a> {
    summary: Summary<'a>,
}

/// All of a report but the differences.
#[derive(Serialize)]
struct Summary<'a> {
    history: &'a History,
    rules: &'a [ChangedRule],
    repositories: &'a [String],
    old: &'a Totals,
    new: &'a Totals,
    totals: &'a std::collections::BTreeMap<Kind, u64>,
    unlisted: u64,
}

/// Runs the command.
///
/// # Errors
/// If a rule set is refused or the history cannot be read.
pub fn run(args: &BacktestArgs) -> Result<ExitCode, CliError> {
    let rules = replay::load_rules(&args.rules)?;
    // In a check of a change, a wrong path must not look like a change of nothing.
    if rules.is_empty() {
        return Err(
            CliError::usage(format!("{}: no rule files (`.cel`)", args.rules.display()))
                .hint("to ask what would be without rules, use one with `severity: off`"),
        );
    }
    let against = args
        .against
        .as_deref()
        .map(replay::load_rules)
        .transpose()?;
    let question = Question {
        new: rules,
        old: against,
        since: args
            .since
            .as_deref()
            .map(|at| time("since", at))
            .transpose()?,
        until: args
            .until
            .as_deref()
            .map(|at| time("until", at))
            .transpose()?,
        limit: args.limit,
        jobs: args.jobs,
    };
    let report = ask(args, question)?;
    if report.history.events == 0 && report.history.rejected > 0 {
        return Err(CliError::usage(format!(
            "none of the {} lines of the history is an event",
            report.history.rejected
        ))
        .hint("`weir replay` says what is wrong with the first"));
    }
    if args.against.is_none() && report.history.activations == 0 {
        tell!(
            "weir: the history puts no rules in force, so the new ones are compared with none; name others with --against"
        );
    }
    let mut output = io::BufWriter::new(io::stdout().lock());
    let printed = match args.output {
        Form::Table => table(&mut output, &report),
        Form::Json => write_line(&mut output, &report),
        Form::Jsonl => lines(&mut output, &report),
        Form::Markdown => output.write_all(markdown(&report).as_bytes()),
    };
    printed
        .and_then(|()| output.flush())
        .map_err(CliError::output)?;
    let fails = match args.fail_on {
        None => 0,
        Some(FailOn::Promoted) => report.count(Kind::promotes),
        Some(FailOn::Blocked) => report.count(Kind::blocks),
        Some(FailOn::Any) => report.count(Kind::changes_a_verdict),
    };
    Ok(if fails > 0 {
        ExitCode::from(NO)
    } else {
        ExitCode::SUCCESS
    })
}

fn time(name: &str, text: &str) -> Result<Timestamp, CliError> {
    query::time(name, text, chrono::Utc::now().into()).map_err(CliError::usage)
}

fn ask(args: &BacktestArgs, question: Question) -> Result<Report, CliError> {
    if let Some(file) = &args.events {
        let failed = CliError::read(file);
        let source = if file.as_os_str() == "-" {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
            Source::Bytes(bytes)
        } else {
            std::fs::File::open(file).map_err(failed)?;
            Source::File(file.clone())
        };
        return here(&source, &question, "bytes");
    }
    if let Some(daemon) = args.access.if_running()? {
        let bar = super::progress_bar(0, "records");
        let Question {
            new,
            old,
            since,
            until,
            limit,
            jobs: _,
        } = question;
        let asked = Asked {
            rules: new,
            against: old,
            since,
            until,
            limit: Some(limit),
        };
        let report = daemon.backtest(&asked, |done, of| {
            bar.set_length(of);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        return report;
    }
    let log = integrity::open_to_read(args.access.directory())?;
    here(&Source::Log(log.reader()), &question, "records")
}

/// Runs it in this process.
fn here(source: &Source, question: &Question, what: &'static str) -> Result<Report, CliError> {
    let bar = super::progress_bar(source.end().map_err(failure)?, what);
    let report = backtest::run(source, question, &Bar(&bar));
    bar.finish_and_clear();
    report.map_err(failure)
}

fn failure(error: BacktestError) -> CliError {
    match error {
        BacktestError::Rules { .. } | BacktestError::NoTime { .. } => CliError::usage(error),
        _ => CliError::outside(error),
    }
}

struct Bar<'a>(&'a ProgressBar);

impl Watch for Bar<'_> {
    fn folded(&self, done: u64, of: u64) {
        self.0.set_length(of);
        self.0.set_position(done);
    }
}

fn lines(mut output: impl Write, report: &Report) -> io::Result<()> {
    for difference in &report.differences {
        write_line(&mut output, difference)?;
    }
    let summary = Summary {
        history: &report.history,
        rules: &report.rules,
        repositories: &report.repositories,
        old: &report.old,
        new: &report.new,
        totals: &report.totals,
        unlisted: report.unlisted,
    };
    write_line(output, &Last { summary })
}

fn table(mut output: impl Write, report: &Report) -> io::Result<()> {
    writeln!(output, "{}", words::history(report))?;
    for rule in &report.rules {
        writeln!(output, "rule {} {}", rule.rule, words::change(rule.change))?;
    }
    if let Some(compared) = words::compared(report) {
        writeln!(output, "{compared}")?;
    }
    if !report.differences.is_empty() {
        let mut table =
            super::table(["AT", "DIFFERENCE", "RULE", "SOURCE", "TARGET", "OLD", "NEW"]);
        for one in &report.differences {
            let source = &one.source;
            table.add_row([
                one.moment.at.to_string(),
                one.kind.to_string(),
                one.rule.clone(),
                format!("{}:{}", source.repository, source.tag),
                words::targets(one).join(", now "),
                side(&one.old),
                side(&one.new),
            ]);
        }
        writeln!(output, "{table}")?;
    }
    if report.unlisted > 0 {
        writeln!(output, "and {} more", report.unlisted)?;
    }
    let mut table = super::table(["", "OLD", "NEW"]);
    for (what, old, new) in [
        ("decisions", report.old.decisions, report.new.decisions),
        ("promotions", report.old.promotions, report.new.promotions),
        ("violations", report.old.violations, report.new.violations),
    ] {
        table.add_row([what.to_owned(), old.to_string(), new.to_string()]);
    }
    writeln!(output, "{table}")?;
    for (kind, count) in &report.totals {
        writeln!(output, "{kind:<20} {count:>7}  {}", kind.about())?;
    }
    if report.totals.is_empty() {
        writeln!(output, "no difference")?;
    }
    Ok(())
}

/// What a side came to, with the values that decided beside what they belong to.
fn side(outcome: &Outcome) -> String {
    let (mut text, then) = words::came_to(outcome);
    let parts = outcome.clauses.iter().flat_map(|clause| &clause.parts);
    let values: Vec<String> = parts
        .map(|part| format!("{} = {}", part.text, part.value))
        .collect();
    if !values.is_empty() {
        text = format!("{text} ({})", values.join(", "));
    }
    match then {
        Some(then) => format!("{text}, {then}"),
        None => text,
    }
}
