//! The command line: data to stdout, talk to stderr, exit codes as documented.

mod error;
pub mod eval;
pub mod failure;
pub mod import;
mod replay;
pub mod rules;

use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use weir_schema::Reason;

pub use error::{CliError, NO, OUTSIDE, USAGE};

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
    Replay(replay::ReplayArgs),
}

impl Cli {
    /// Runs the command that was given.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            Command::Replay(args) => replay::run(&args),
        };
        done.unwrap_or_else(|error| error.report())
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

/// Reasons on one line, as people read them.
fn reasons(reasons: &[Reason]) -> String {
    let texts = reasons.iter().map(|reason| {
        let mut text = reason.code.to_string();
        let details = [
            reason.component.clone(),
            reason.digest.as_ref().map(weir_schema::Digest::short),
            reason.clause.clone(),
            reason.deny_rule.clone(),
            reason.hold_id.clone(),
            reason.message.clone(),
            reason.until.map(|until| format!("until {until}")),
        ];
        for detail in details.into_iter().flatten() {
            text.push(' ');
            text.push_str(&detail);
        }
        text
    });
    texts.collect::<Vec<_>>().join("; ")
}
