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
        tell!("not compared: {}", problem.as_str().unwrap_or_default());
    }
    tell!(
        "{} tags and {} manifests compared: {}",
        found["tags"],
        found["manifests"],
        done(&found, args.confirm)
    );
    Ok(if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(super::OUTSIDE)
    })
}

/// What a comparison came to. Nothing is said of what was not compared.
fn done(found: &Value, confirmed: bool) -> &'static str {
    let is_empty = |name: &str| found[name].as_array().is_none_or(Vec::is_empty);
    let compared_some = found["tags"] != 0 || found["manifests"] != 0;
    match (is_empty("drift"), is_empty("problems")) {
        (true, true) => "no difference",
        (true, false) if compared_some => "no difference in these",
        (true, false) => "whether anything differs is not known",
        (false, _) if confirmed => "recorded",
        (false, _) => "nothing is recorded; run again with --confirm to record this",
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_said_of_what_was_not_compared() {
        for (tags, drift, problems, expected) in [
            (2, json!([]), json!([]), "no difference"),
            (0, json!([]), json!([]), "no difference"),
            (2, json!([]), json!(["cut"]), "no difference in these"),
            (
                0,
                json!([]),
                json!(["cut"]),
                "whether anything differs is not known",
            ),
            (2, json!([{}]), json!(["cut"]), "recorded"),
        ] {
            let found = json!({"tags": tags, "manifests": 0, "drift": drift, "problems": problems});
            assert_eq!(done(&found, true), expected, "{found}");
        }
    }
}
