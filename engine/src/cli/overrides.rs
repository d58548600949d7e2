//! `weir overrides`: what is waived, by whom, and until when.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::{
    Access, CliError, Output, out,
    why::{short, text},
};
use crate::query::Query;

/// Show overrides that were granted and not revoked: by whom, why, until when, and how many
/// decisions used each.
#[derive(Debug, Args)]
pub struct OverridesArgs {
    /// Only those that are in force and will not be after this time, as `14d`.
    #[arg(long, value_name = "AGE")]
    expiring: Option<String>,
    /// As it was at this sequence or time.
    #[arg(long, value_name = "SEQ|TIME")]
    at: Option<String>,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    access: Access,
}

/// Runs the command.
///
/// # Errors
/// If the question makes no sense or nobody can be asked.
pub fn run(args: &OverridesArgs) -> Result<ExitCode, CliError> {
    let query = Query::Overrides {
        expiring: args.expiring.clone(),
        at: args.at.clone(),
    };
    let answer = args.access.open()?.ask(&query)?;
    let all = answer.as_array().cloned().unwrap_or_default();
    out::rows(args.output, &answer, &all, |all| match &args.expiring {
        _ if !all.is_empty() => format!("{}\n", table(all)),
        Some(span) => format!("no override ends within {span}\n"),
        None => "nothing is overridden\n".to_owned(),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn table(all: &[Value]) -> comfy_table::Table {
    let mut table = super::table([
        "OVERRIDE",
        "VULNERABILITY",
        "SCOPE",
        "GRANTED",
        "BY",
        "EXPIRES",
        "DECISIONS",
        "REASON",
    ]);
    for one in all {
        let expires = match (one["in_force"] == true, one["expires_at"].as_str()) {
            (true, Some(at)) => at.to_owned(),
            (true, None) => "never".to_owned(),
            (false, at) => format!("expired {}", at.unwrap_or_default()),
        };
        table.add_row([
            text(&one["override_id"]).to_owned(),
            text(&one["vulnerability"]).to_owned(),
            scope(&one["scope"]),
            text(&one["granted_at"]).to_owned(),
            text(&one["actor"]).to_owned(),
            expires,
            one["decisions"].to_string(),
            text(&one["reason"]).to_owned(),
        ]);
    }
    table
}

fn scope(scope: &Value) -> String {
    let parts = [
        scope["repository"].as_str().map(str::to_owned),
        scope["digest"].as_str().map(short),
        scope["package"].as_str().map(str::to_owned),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "everywhere".to_owned()
    } else {
        parts.join(" ")
    }
}
