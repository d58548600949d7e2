//! Rule files as the commands for their authors need them: messages show each path as the user would
//! type it.

use std::io::ErrorKind::NotFound;
use std::path::Path;

use weir_rules::cel::Limits;
use weir_rules::rule::{Level, Loaded, Located, RuleErrors, RuleSet};
use weir_schema::RuleFile;

use crate::cli::CliError;
use crate::rules_dir::{self, Found, RulesDirError};

/// Rules that were read and loaded.
#[derive(Debug)]
pub struct LoadedDirectory {
    /// What is recorded when these rules are activated; paths are within the directory.
    pub files: Vec<RuleFile>,
    /// The rules and warnings. Warnings have paths as the user would type them.
    pub loaded: Loaded,
}

/// Why a directory gave no rules.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Something could not be read.
    #[error(transparent)]
    Files(#[from] CliError),
    /// Some file has an error. Paths are as the user would type them.
    #[error(transparent)]
    Rules(RuleErrors),
}

impl From<LoadError> for CliError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Files(error) => error,
            LoadError::Rules(errors) => Self::usage(errors),
        }
    }
}

/// Reads and loads every rule below `directory`, or one rule file.
pub fn load(directory: &Path) -> Result<LoadedDirectory, LoadError> {
    let (mut files, mut no_text) = (Vec::new(), Vec::new());
    for found in rules_dir::find(directory, rules_dir::RULES).map_err(CliError::from)? {
        match found.text() {
            Ok(text) => files.push(RuleFile {
                path: found.relative,
                text,
            }),
            Err(error) => no_text.push(diagnostic(&found, error, directory.is_dir())?),
        }
    }
    let shown = |mut located: Located| {
        located.path = shown_path(directory, &located.path);
        located
    };
    match RuleSet::load_offered(&files, &Limits::RULES) {
        Ok(Loaded { rules, warnings }) if no_text.is_empty() => {
            let warnings = warnings.into_iter().map(shown).collect();
            Ok(LoadedDirectory {
                files,
                loaded: Loaded { rules, warnings },
            })
        }
        others => {
            let others = others.err().map_or_else(Vec::new, |others| others.errors);
            let mut errors: Vec<Located> = no_text.into_iter().chain(others).map(shown).collect();
            errors.sort_by(|a, b| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column)));
            Err(LoadError::Rules(RuleErrors { errors }))
        }
    }
}

/// What is wrong with a file that holds no text of a rule, so that it stands beside what is wrong with
/// others. Trouble of the system remains a failure.
fn diagnostic(
    found: &Found,
    error: RulesDirError,
    in_directory: bool,
) -> Result<Located, CliError> {
    let path = &found.relative;
    let whole = |message: &str, help: &str| Ok(Located::of_file(path, "", message, help));
    match error {
        RulesDirError::Text { at, .. } => {
            let bytes = std::fs::read(&found.path).map_err(CliError::read(&found.path))?;
            let text = String::from_utf8_lossy(&bytes);
            let help = Some("save the file as UTF-8".to_owned());
            let message = "not UTF-8 text";
            Ok(Located::new(
                path,
                &text,
                at..at,
                Level::Error,
                message,
                help,
            ))
        }
        RulesDirError::Hidden { at, what, .. } => {
            let whole =
                std::fs::read_to_string(&found.path).map_err(CliError::read(&found.path))?;
            let text = whole.strip_prefix('\u{feff}').unwrap_or(&whole);
            let at = at - (whole.len() - text.len());
            let help = "remove it: editors would show another text than is evaluated; in a text \
                        write its escape, such as `\\u2028`";
            let level = Level::Error;
            Ok(Located::new(
                path,
                text,
                at..at,
                level,
                what,
                Some(help.to_owned()),
            ))
        }
        RulesDirError::Large { bytes, .. } => whole(
            &format!("{bytes} bytes are too many for a rule file"),
            "only rules have names that end in `.cel`",
        ),
        RulesDirError::Special { .. } if in_directory => whole(
            "neither a file nor a directory",
            "only rules have names that end in `.cel`",
        ),
        RulesDirError::Read { source, .. } if in_directory && source.kind() == NotFound => {
            whole("a link to nothing", "put a rule there, or remove the link")
        }
        other => Err(other.into()),
    }
}

/// A path within `directory` as the user would type it.
pub fn shown_path(directory: &Path, relative: &str) -> String {
    if directory.is_file() {
        directory.display().to_string()
    } else {
        directory.join(relative).display().to_string()
    }
}

/// Path within `directory` and text of every file below it whose name ends in `.{extension}`.
pub fn read(directory: &Path, extension: &str) -> Result<Vec<(String, String)>, CliError> {
    rules_dir::find(directory, extension)?
        .into_iter()
        .map(|found| {
            let text = found.text()?;
            Ok((found.relative, text))
        })
        .collect()
}

impl From<RulesDirError> for CliError {
    fn from(error: RulesDirError) -> Self {
        match error {
            RulesDirError::Read { path, source } => Self::read(&path)(source),
            other => Self::usage(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{LoadError, load};

    #[test]
    fn a_window_with_a_zone_for_one_span_only_is_refused_of_its_author() {
        let directory = tempfile::tempdir().unwrap();
        let rule = "//! from: dev/*\n//! to: prod/{1}\n\
                    //! window: Mon 08:00-16:00; Fri 08:00-12:00 Europe/Berlin\ntrue";
        fs::write(directory.path().join("r.cel"), rule).unwrap();
        let LoadError::Rules(errors) = load(directory.path()).unwrap_err() else {
            panic!("expected errors in rules");
        };
        assert!(errors.to_string().contains("r.cel:3:13: "), "{errors}");
    }

    #[test]
    fn errors_show_the_path_that_a_user_would_type() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("r.cel");
        fs::write(&file, "").unwrap();
        for given in [directory.path(), &file] {
            let LoadError::Rules(errors) = load(given).unwrap_err() else {
                panic!("expected errors in rules");
            };
            assert_eq!(errors.errors[0].path, file.display().to_string());
        }
    }
}
