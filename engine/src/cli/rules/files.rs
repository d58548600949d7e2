//! Rule files as the commands for their authors need them: messages show each path as the user would
//! type it.

use std::path::Path;

use weir_rules::rule::{Located, RuleErrors};

use crate::cli::CliError;
use crate::rules_dir::{self, Offered, Refused, RulesDirError};

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

/// Reads and loads every rule below `directory`, or one rule file. Warnings have paths as the user would
/// type them.
pub fn load(directory: &Path) -> Result<Offered, LoadError> {
    let shown = |mut located: Located| {
        located.path = shown_path(directory, &located.path);
        located
    };
    match rules_dir::load(directory) {
        Ok(Offered { files, mut loaded }) => {
            loaded.warnings = loaded.warnings.into_iter().map(shown).collect();
            Ok(Offered { files, loaded })
        }
        Err(Refused::Unreadable(error)) => Err(CliError::from(error).into()),
        Err(Refused::Rules(RuleErrors { errors })) => {
            let errors = errors.into_iter().map(shown).collect();
            Err(LoadError::Rules(RuleErrors { errors }))
        }
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
