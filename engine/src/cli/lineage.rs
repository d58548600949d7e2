//! `weir lineage`: what stands behind a digest.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::{
    Access, CliError, Output,
    history::{digests, lines},
    out, tamed,
    why::{short, text},
};
use crate::query::Query;

/// Show what stands behind a digest: pushes, scans, overrides, approvals and rules, across stages,
/// also of the images of an application.
#[derive(Debug, Args)]
pub struct LineageArgs {
    /// The digest, or its first eight digits or more.
    #[arg(value_name = "DIGEST")]
    digest: String,
    /// Up to this sequence or time.
    #[arg(long, value_name = "SEQ|TIME")]
    at: Option<String>,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    access: Access,
}

/// The lists of entries, with what to call them.
const SECTIONS: [(&str, &str); 5] = [
    ("pushes", "pushes"),
    ("scans", "scans that counted, and the last"),
    ("overrides", "overrides used"),
    ("approvals", "votes"),
    ("deletions", "deletions"),
];

/// Runs the command.
///
/// # Errors
/// If the digest was never recorded or nobody can be asked.
pub fn run(args: &LineageArgs) -> Result<ExitCode, CliError> {
    let query = Query::Lineage {
        digest: args.digest.clone(),
        at: args.at.clone(),
    };
    let answer = args.access.open()?.ask(&query)?;
    match args.output {
        Output::Json | Output::Jsonl => out::line(&answer),
        Output::Table => out::text(page(&tamed(&answer))),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn page(answer: &Value) -> String {
    let mut page = format!("{}\n", text(&answer["digest"]));
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    for content in list("contents") {
        let (digest, name) = (text(&content["digest"]), text(&content["name"]));
        let line = format!("  {}  {name}", short(digest));
        page.push_str(&format!("{}\n", line.trim_end()));
    }
    let part_of = digests(&answer["part_of"]);
    if !part_of.is_empty() {
        page.push_str(&format!("  in {part_of}\n"));
    }
    let promotions = list("promotions");
    if !promotions.is_empty() {
        page.push_str("promotions\n");
    }
    for one in &promotions {
        page.push_str(&promotion(one));
    }
    for (name, title) in SECTIONS {
        let entries = list(name);
        if !entries.is_empty() {
            page.push_str(&format!("{title}\n{}", lines(&entries)));
        }
    }
    let rules = list("rules");
    if !rules.is_empty() {
        page.push_str("rules\n");
    }
    for one in rules {
        let by = one["actor"].as_str().map(|actor| format!(" by {actor}"));
        page.push_str(&format!(
            "  {}  activated with record {} at {}{}\n",
            short(text(&one["rules_digest"])),
            one["activated"],
            text(&one["activated_at"]),
            by.unwrap_or_default()
        ));
    }
    page
}

fn promotion(one: &Value) -> String {
    let mut line = format!(
        "  {:<24}  {:>7}  {} -> {} by rule {} ({})",
        text(&one["decided_at"]),
        one["decided"].to_string(),
        text(&one["source"]),
        text(&one["target"]),
        text(&one["rule"]),
        text(&one["ended"])
    );
    for (name, title) in [("overrides", "with overrides"), ("waived", "waiving")] {
        let all = one[name].as_array().into_iter().flatten();
        let all: Vec<&str> = all.map(text).collect();
        if !all.is_empty() {
            line.push_str(&format!(", {title} {}", all.join(", ")));
        }
    }
    if let Some(requested) = one["requested"]["text"].as_str() {
        line.push_str(&format!(", asked for {requested}"));
    }
    line.push('\n');
    line
}
