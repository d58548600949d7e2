//! `weir rules list`: which rules there are and what they do.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::{Value, json};
use weir_rules::rule::Rule;

use super::{Output, files};
use crate::cli::CliError;
use crate::query::rules::{described, from, to};

/// Lists the rules of a directory.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of rule files, or one rule file
    #[arg(default_value = "rules", value_name = "DIR")]
    pub directory: PathBuf,
    /// How to print the rules
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Prints the rules, sorted by path.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let directory = files::load(&args.directory)?;
    let rules = directory.loaded.rules.rules();
    let mut out = std::io::stdout().lock();
    match args.output {
        Output::Table => {
            writeln!(out, "{}", table(rules.iter().map(AsRef::as_ref))).map_err(CliError::output)?
        }
        Output::Json => {
            let described: Vec<Value> = rules.iter().map(|rule| described(rule)).collect();
            writeln!(out, "{}", json!({ "rules": described })).map_err(CliError::output)?;
        }
        Output::Jsonl => {
            for rule in rules {
                writeln!(out, "{}", described(rule)).map_err(CliError::output)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table<'a>(rules: impl Iterator<Item = &'a Rule>) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["RULE", "KIND", "SEVERITY", "FROM", "TO", "ABOUT"]);
    for rule in rules {
        table.add_row([
            rule.name.as_str(),
            rule.kind.as_str(),
            rule.severity.as_str(),
            &from(rule),
            &to(rule),
            rule.about.as_deref().unwrap_or(""),
        ]);
    }
    table
}
