//! `weir rules`: authoring rules, without a running daemon.

pub mod check;
pub mod docs;
pub mod files;
pub mod fmt;
pub mod list;
pub mod test;

use std::process::ExitCode;

use super::CliError;

/// What to do with rules.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check rule files; exit code 2 if any has an error
    Check(check::Args),
    /// List the rules of a directory
    List(list::Args),
    /// Show what a rule may read: variables, fields, functions
    Docs(docs::Args),
    /// Lay out rule files; `--check` only says which would change
    Fmt(fmt::Args),
    /// Run the tests beside the rules; exit code 1 if one fails
    Test(test::Args),
}

/// Check, list, test and lay out rule files, and show what a rule may read.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// Runs one of the commands.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    match &args.command {
        Command::Check(args) => check::run(args),
        Command::List(args) => list::run(args),
        Command::Docs(args) => docs::run(args),
        Command::Fmt(args) => fmt::run(args),
        Command::Test(args) => test::run(args),
    }
}

/// How data is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Jsonl,
}
