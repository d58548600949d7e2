//! `weir rules list`: which rules there are and what they do.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use comfy_table::{Table, presets};
use serde_json::{Value, json};
use weir_rules::rule::{Rule, RuleTarget, ScanRequirement, Separate};

use super::{Output, files};
use crate::cli::CliError;

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
            let described: Vec<Value> = rules.iter().map(|rule| describe(rule)).collect();
            writeln!(out, "{}", json!({ "rules": described })).map_err(CliError::output)?;
        }
        Output::Jsonl => {
            for rule in rules {
                writeln!(out, "{}", describe(rule)).map_err(CliError::output)?;
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

fn describe(rule: &Rule) -> Value {
    json!({
        "rule": rule.name,
        "path": rule.path,
        "kind": rule.kind.as_str(),
        "severity": rule.severity.as_str(),
        "from": from(rule),
        "to": to(rule),
        "tag": rule.tag.as_str(),
        "class": rule.classes,
        "about": rule.about,
        "owner": rule.owner,
        "link": rule.link,
        "scan": scan(rule.scan),
        "scanners": rule.scanners,
        "soak": rule.soak.map(|soak| format!("{}s", soak.as_seconds_f64())),
        "approvals": rule.approvals,
        "separate": rule.separate.iter().map(|who| separate(*who)).collect::<Vec<_>>(),
        "window": rule.window.as_ref().map(ToString::to_string),
        "message": rule.message.as_ref().map(|message| message.as_str()),
        "expression": rule.expression_text,
    })
}

fn scan(scan: ScanRequirement) -> &'static str {
    match scan {
        ScanRequirement::Required => "required",
        ScanRequirement::NotRequired => "not-required",
    }
}

fn separate(separate: Separate) -> &'static str {
    match separate {
        Separate::Pusher => "pusher",
        Separate::RuleOwner => "rule-owner",
    }
}

fn from(rule: &Rule) -> String {
    rule.from
        .as_ref()
        .map_or_else(|| "**".to_owned(), ToString::to_string)
}

fn to(rule: &Rule) -> String {
    match &rule.to {
        RuleTarget::Repository(template) => format!("{template}:{}", rule.tag),
        RuleTarget::Matching(patterns) => patterns.to_string(),
        RuleTarget::Any => "**".to_owned(),
    }
}
