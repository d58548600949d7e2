//! `weir rules fmt`: one layout for all rule files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use weir_rules::cel::Limits;
use weir_rules::rule;
use weir_schema::RuleFile;

use super::files;
use crate::cli::CliError;

/// Lays out rule files: one form for the header, a clause a line. Nothing that a rule says changes,
/// comments stay, and a file that does not load is left alone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of rule files, or one rule file
    #[arg(default_value = "rules", value_name = "DIR")]
    pub directory: PathBuf,
    /// Write nothing; exit code 1 if a file would change
    #[arg(long)]
    pub check: bool,
}

/// Prints the files that change, or would.
pub fn run(args: &Args) -> Result<ExitCode, CliError> {
    let loaded = files::load(&args.directory)?;
    let mut out = std::io::stdout().lock();
    let mut changed = 0;
    for RuleFile { path, text } in &loaded.files {
        let shown = files::shown_path(&args.directory, path);
        let Some(formatted) = rule::format(path, text, &Limits::RULES) else {
            tell!("{shown}: left as it is: its layout cannot change without its meaning");
            continue;
        };
        if formatted == *text {
            continue;
        }
        changed += 1;
        if !args.check {
            replace(Path::new(&shown), &formatted)?;
        }
        writeln!(out, "{shown}").map_err(CliError::output)?;
    }
    Ok(if args.check && changed > 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// Puts a new text in the place of a file at once: a daemon that reads it now sees either. A link
/// stays one: what it points at is the file.
fn replace(path: &Path, text: &str) -> Result<(), CliError> {
    let path = &fs::canonicalize(path).map_err(CliError::read(path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // What begins with a dot is no rule file.
    let beside = path.with_file_name(format!(".{name}.new"));
    fs::write(&beside, text).map_err(CliError::write(&beside))?;
    let permissions = fs::metadata(path)
        .map_err(CliError::read(path))?
        .permissions();
    fs::set_permissions(&beside, permissions).map_err(CliError::write(&beside))?;
    fs::rename(&beside, path).map_err(CliError::write(path))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::ExitCode;

    use super::{Args, run};

    #[test]
    fn files_are_laid_out_or_only_checked() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("r.cel");
        let written = "//!from: dev/*\n//! to: qa/{1}\nscan.critical == 0 && scan.high == 0";
        fs::write(&file, written).unwrap();
        let args = |check| Args {
            directory: directory.path().to_owned(),
            check,
        };
        assert_eq!(run(&args(true)).unwrap(), ExitCode::from(1));
        assert_eq!(fs::read_to_string(&file).unwrap(), written);
        assert_eq!(run(&args(false)).unwrap(), ExitCode::SUCCESS);
        assert_eq!(
            fs::read_to_string(&file).unwrap(),
            "//! from: dev/*\n//! to: qa/{1}\n\nscan.critical == 0\n  && scan.high == 0\n"
        );
        assert_eq!(run(&args(true)).unwrap(), ExitCode::SUCCESS);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::write(&file, "//! from: a\n").unwrap();
        assert_eq!(run(&args(false)).unwrap_err().code, 2);
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one_and_what_it_points_at_is_laid_out() {
        let directory = tempfile::tempdir().unwrap();
        let (real, rules) = (
            directory.path().join("real"),
            directory.path().join("rules"),
        );
        fs::create_dir(&real).unwrap();
        fs::create_dir(&rules).unwrap();
        fs::write(real.join("a.cel"), "//!from: dev/*\n//! to: qa/{1}\ntrue").unwrap();
        std::os::unix::fs::symlink("../real/a.cel", rules.join("a.cel")).unwrap();
        let check = false;
        let directory = rules.clone();
        assert_eq!(run(&Args { directory, check }).unwrap(), ExitCode::SUCCESS);
        assert!(rules.join("a.cel").is_symlink());
        assert_eq!(
            fs::read_to_string(real.join("a.cel")).unwrap(),
            "//! from: dev/*\n//! to: qa/{1}\n\ntrue\n"
        );
        assert_eq!(fs::read_dir(&real).unwrap().count(), 1);
    }

    #[test]
    fn the_examples_have_this_form() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../rules/examples").into();
        let check = true;
        assert_eq!(run(&Args { directory, check }).unwrap(), ExitCode::SUCCESS);
    }
}
