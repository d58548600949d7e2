//! `weir reconcile`: what registries hold, compared with what the log says.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::{Access, CliError, Output, out, table};

/// Compare registries with the log; --confirm records what no event had told of.
#[derive(Debug, Args)]
pub struct ReconcileArgs {
    /// Record what is found, so that it is decided by. Without it nothing is recorded.
    #[arg(long)]
    confirm: bool,
    /// Form in which the differences are printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    access: Access,
}

/// Runs the command: exit code 0 if all was looked at, 3 if a registry could not be asked.
///
/// # Errors
/// If no daemon runs or it cannot answer.
pub fn run(args: &ReconcileArgs) -> Result<ExitCode, CliError> {
    let found = args.access.running()?.reconcile(args.confirm)?;
    let drift = found["drift"].as_array().cloned().unwrap_or_default();
    out::rows(args.output, &found, &drift, table_of)?;
    let problems = found["problems"].as_array().cloned().unwrap_or_default();
    for problem in &problems {
        eprintln!("not compared: {}", problem.as_str().unwrap_or_default());
    }
    let done = match (drift.is_empty(), args.confirm) {
        (true, _) => "no difference",
        (false, true) => "recorded",
        (false, false) => "nothing is recorded; run again with --confirm to record this",
    };
    eprintln!(
        "{} tags and {} manifests compared: {done}",
        found["tags"], found["manifests"]
    );
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(super::OUTSIDE)
    })
}

fn table_of(drift: &[Value]) -> String {
    if drift.is_empty() {
        return String::new();
    }
    let mut rows = table(["DRIFT", "REPOSITORY", "TAG", "DIGEST", "LOG SAYS"]);
    for one in drift {
        let cell = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        rows.add_row(["drift", "repository", "tag", "digest", "was"].map(cell));
    }
    format!("{rows}\n")
}
