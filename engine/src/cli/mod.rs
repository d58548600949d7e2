//! The command line: data to stdout, talk to stderr, exit codes as documented.

/// Says something on stderr, as `eprintln!` does. Where nobody listens it is not said, and the command
/// goes on: its data and its exit code are what counts.
macro_rules! tell {
    ($($said:tt)*) => {
        $crate::cli::error::tell(format_args!($($said)*))
    };
}

pub mod access;
mod backtest;
mod consequences;
mod error;
pub mod eval;
mod explanation;
mod history;
mod holds;
mod impact;
pub mod import;
mod integrity;
mod lineage;
mod list;
mod log;
mod nothing;
mod operate;
mod out;
mod overrides;
mod proof;
mod reconcile;
mod record;
mod replay;
pub mod rules;
mod run;
mod scan_worker;
mod send;
mod status;
mod transfer;
mod why;

use std::{io::ErrorKind, process::ExitCode};

use clap::{Parser, Subcommand, ValueEnum};
use serde_json::Value;
use weir_schema::Reason;

pub use access::{Access, Directory};
pub use error::{CliError, NO, OUTSIDE, USAGE};
pub use explanation::explanation;

/// Promotion and policy engine for container registries.
///
/// Exit codes: 0 success; 1 the answer is no; 2 usage, configuration or rule error; 3 something
/// outside failed.
#[derive(Debug, Parser)]
#[command(name = "weir", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The form in which data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Jsonl,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Status(status::StatusArgs),
    Replay(replay::ReplayArgs),
    Backtest(backtest::BacktestArgs),
    Rules(rules::Args),
    Eval(eval::Args),
    /// Rules from what other products keep, or a log that was exported.
    #[command(subcommand)]
    Import(Import),
    Export(transfer::ExportArgs),
    Demo(DemoArgs),
    Verify(integrity::VerifyArgs),
    Checkpoint(integrity::CheckpointArgs),
    Proof(proof::ProofArgs),
    Log(Box<log::LogArgs>),
    Why(why::WhyArgs),
    Show(why::ShowArgs),
    List(list::ListArgs),
    History(history::HistoryArgs),
    Lineage(lineage::LineageArgs),
    Impact(impact::ImpactArgs),
    Overrides(overrides::OverridesArgs),
    Promotions(why::PromotionsArgs),
    Send(send::SendArgs),
    Reconcile(reconcile::ReconcileArgs),
    ScanWorker(scan_worker::ScanWorkerArgs),
    Promote(operate::PromoteArgs),
    Retry(operate::RetryArgs),
    Approve(operate::ApproveArgs),
    Hold(operate::HoldArgs),
    Release(operate::ReleaseArgs),
    /// Grant or revoke an override.
    #[command(subcommand)]
    Override(operate::OverrideCommand),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
enum Import {
    /// Promotion policies of DTR or MSR.
    Msr(import::msr::Args),
    Log(transfer::ImportArgs),
}

/// Tell a self-contained story on the real engine, from captured events.
#[derive(Debug, clap::Args)]
struct DemoArgs {
    /// Directory for the demo's log and rules; an earlier demo's is made anew.
    #[arg(long, value_name = "DIR", default_value = "weir-demo")]
    data: std::path::PathBuf,
}

impl Cli {
    /// Runs the command that was given.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            Command::Run(args) => run::run(&args),
            Command::Status(args) => status::run(&args),
            Command::Replay(args) => replay::run(&args),
            Command::Backtest(args) => backtest::run(&args),
            Command::Rules(args) => rules::run(&args),
            Command::Eval(args) => eval::run(&args),
            Command::Import(Import::Msr(args)) => import::msr::run(&args),
            Command::Import(Import::Log(args)) => transfer::import(&args),
            Command::Export(args) => transfer::export(&args),
            Command::Demo(args) => crate::demo::run(&args.data, &mut std::io::stdout().lock())
                .map(|()| ExitCode::SUCCESS)
                .map_err(|error| match error.downcast::<std::io::Error>() {
                    Ok(error) if error.kind() == ErrorKind::BrokenPipe => CliError::output(*error),
                    Ok(error) => CliError::outside(error),
                    Err(error) => CliError::outside(error),
                }),
            Command::Verify(args) => integrity::verify_log(&args),
            Command::Checkpoint(args) => integrity::checkpoint(&args),
            Command::Proof(args) => proof::run(&args),
            Command::Log(args) => log::run(&args),
            Command::Why(args) => why::why(&args),
            Command::Show(args) => why::show(&args),
            Command::List(args) => list::run(&args),
            Command::History(args) => history::run(&args),
            Command::Lineage(args) => lineage::run(&args),
            Command::Impact(args) => impact::run(&args),
            Command::Overrides(args) => overrides::run(&args),
            Command::Promotions(args) => why::promotions(&args),
            Command::Send(args) => send::run(&args),
            Command::Reconcile(args) => reconcile::run(&args),
            Command::ScanWorker(args) => scan_worker::run(&args),
            Command::Promote(args) => operate::promote(&args),
            Command::Retry(args) => operate::retry(&args),
            Command::Approve(args) => operate::approve(&args),
            Command::Hold(args) => operate::hold(&args),
            Command::Release(args) => operate::release(&args),
            Command::Override(command) => operate::overriding(&command),
            Command::Completions { shell } => {
                let mut script = Vec::new();
                let mut command = <Self as clap::CommandFactory>::command();
                clap_complete::generate(shell, &mut command, "weir", &mut script);
                out::text(String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS)
            }
        };
        done.unwrap_or_else(|error| error.report())
    }
}

/// A progress bar on stderr, if somebody looks at it.
fn progress_bar(total: u64, what: &'static str) -> indicatif::ProgressBar {
    if !std::io::IsTerminal::is_terminal(&std::io::stderr()) {
        return indicatif::ProgressBar::hidden();
    }
    let style = indicatif::ProgressStyle::with_template(
        "{bar:30} {human_pos} of {human_len} {msg}, {per_sec}, {eta} left",
    );
    let bar = indicatif::ProgressBar::new(total).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// An empty table with a heading.
fn table<const N: usize>(heading: [&str; N]) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table
        .load_preset(comfy_table::presets::NOTHING)
        .set_header(heading);
    table
}

/// An answer with texts as a terminal may have them: whoever pushes an image has no say over the screen
/// of those who look, and begins no line of his own there.
fn tamed(value: &Value) -> Value {
    match value {
        Value::String(text) => on_one_line(text).into(),
        Value::Array(items) => items.iter().map(tamed).collect(),
        Value::Object(fields) => {
            let fields = fields.iter();
            let fields = fields.map(|(name, value)| (on_one_line(name), tamed(value)));
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// A text from events as a terminal may have it.
fn on_one_line(text: &str) -> String {
    let plain = text.chars().map(|character| match character {
        '\n' | '\r' | '\t' => ' ',
        character if character.is_control() || turns_text(character) => '\u{fffd}',
        character => character,
    });
    plain.collect()
}

/// Whether a character changes the direction of what follows it: what is read is not what is there.
fn turns_text(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Reasons on one line, as people read them.
fn reasons(reasons: &[Reason]) -> String {
    let texts: Vec<String> = reasons.iter().map(Reason::to_string).collect();
    texts.join("; ")
}
