//! `weir rules check`: are these rules fit to be put into force?

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use weir_rules::rule::{Located, RuleErrors};

use super::Output;
use super::files::{self, LoadError};
use crate::cli::CliError;

/// Checks every rule below a directory, whatever is wrong with the first.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of rule files, or one rule file
    #[arg(default_value = "rules", value_name = "DIR")]
    pub directory: PathBuf,
    /// Treat warnings as errors
    #[arg(long)]
    pub deny_warnings: bool,
    /// How to print what was found
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Exit code 2 if there is an error, or a warning where those count.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    run_to(
        args,
        &mut std::io::stdout().lock(),
        &mut std::io::stderr().lock(),
    )
}

fn run_to(args: &Args, out: &mut dyn Write, talk: &mut dyn Write) -> Result<ExitCode, CliError> {
    let (count, found) = match files::load(&args.directory) {
        Ok(directory) => (
            directory.loaded.rules.rules().len(),
            directory.loaded.warnings,
        ),
        Err(LoadError::Rules(RuleErrors { errors })) => (0, errors),
        Err(LoadError::Files(error)) => return Err(error),
    };
    if count == 0 && found.is_empty() {
        let message = format!("{}: no rule files (`*.cel`)", args.directory.display());
        return Err(CliError::usage(message));
    }
    let refused = found.iter().any(Located::is_error) || (args.deny_warnings && !found.is_empty());
    match args.output {
        Output::Table => {
            for located in &found {
                writeln!(talk, "{located}\n").map_err(CliError::output)?;
            }
            if !refused {
                let plural = if count == 1 { "rule" } else { "rules" };
                let warnings = if found.len() == 1 {
                    "warning"
                } else {
                    "warnings"
                };
                writeln!(out, "{count} {plural}, {} {warnings}", found.len())
                    .map_err(CliError::output)?;
            }
        }
        Output::Json => {
            let report = json!({ "ok": !refused, "rules": count, "diagnostics": found });
            writeln!(out, "{report}").map_err(CliError::output)?;
        }
        Output::Jsonl => {
            for located in &found {
                writeln!(out, "{}", json!(located)).map_err(CliError::output)?;
            }
        }
    }
    Ok(if refused {
        ExitCode::from(2)
    } else {
        ExitCode::SUCCESS
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::ExitCode;

    use super::{Args, Output, run_to};

    fn check(files: &[(&str, &str)], output: Output) -> (ExitCode, String, String) {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            fs::write(directory.path().join(path), text).unwrap();
        }
        let args = Args {
            directory: directory.path().to_owned(),
            deny_warnings: false,
            output,
        };
        let (mut out, mut talk) = (Vec::new(), Vec::new());
        let code = run_to(&args, &mut out, &mut talk).unwrap();
        (
            code,
            String::from_utf8(out).unwrap(),
            String::from_utf8(talk).unwrap(),
        )
    }

    const GOOD: &str = "//! from: dev/*\n//! to: qa/{1}\nscan.critical == 0";

    #[test]
    fn good_rules_are_counted() {
        let (code, out, talk) = check(&[("a.cel", GOOD), ("b.cel", GOOD)], Output::Table);
        assert_eq!(
            (code, out.as_str(), talk.as_str()),
            (ExitCode::SUCCESS, "2 rules, 0 warnings\n", "")
        );
    }

    #[test]
    fn one_bad_file_is_exit_code_2_and_shown_on_stderr() {
        let bad = GOOD.replace("critical", "critcal");
        let (code, out, talk) = check(&[("a.cel", GOOD), ("b.cel", &bad)], Output::Table);
        assert_eq!((code, out.as_str()), (ExitCode::from(2), ""));
        assert!(
            talk.contains("b.cel:3:6: no field 'critcal' in scan"),
            "{talk}"
        );
        let (code, out, _) = check(&[("a.cel", GOOD), ("b.cel", &bad)], Output::Json);
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(code, ExitCode::from(2));
        assert_eq!(report["ok"], false);
        assert_eq!(report["diagnostics"][0]["line"], 3);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_is_no_text_hides_no_other_error() {
        let directory = tempfile::tempdir().unwrap();
        let place = |name: &str| directory.path().join(name);
        fs::write(place("a.cel"), b"//! from: dev/*\n//! to: q\xff/{1}\ntrue").unwrap();
        fs::write(place("b.cel"), GOOD.replace("critical", "critcal")).unwrap();
        fs::write(place("c.cel"), vec![b' '; 1 << 21]).unwrap();
        std::os::unix::fs::symlink("nowhere", place("d.cel")).unwrap();
        let args = Args {
            directory: directory.path().to_owned(),
            deny_warnings: false,
            output: Output::Json,
        };
        let (mut out, mut talk) = (Vec::new(), Vec::new());
        let code = run_to(&args, &mut out, &mut talk).unwrap();
        let report: serde_json::Value = serde_json::from_slice(&out).unwrap();
        let found = report["diagnostics"].as_array().unwrap().iter();
        let found: Vec<String> = found
            .map(|one| {
                let path = one["path"].as_str().unwrap();
                let name = path.rsplit('/').next().unwrap();
                let message = one["message"].as_str().unwrap();
                format!("{name}:{}:{}: {message}", one["line"], one["column"])
            })
            .collect();
        assert_eq!(code, ExitCode::from(2));
        assert_eq!(
            found,
            [
                "a.cel:2:10: not UTF-8 text",
                "b.cel:3:6: no field 'critcal' in scan",
                "c.cel:1:1: 2097152 bytes are too many for a rule file",
                "d.cel:1:1: a link to nothing",
            ]
        );
    }
}
