//! Rule files as the commands for their authors need them: messages show each path as the user would
//! type it.

use std::path::Path;

use weir_rules::cel::Limits;
use weir_rules::rule::{Loaded, Located, RuleErrors, RuleSet};
use weir_schema::RuleFile;

use crate::cli::CliError;
use crate::rules_dir::{self, RulesDirError};

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
    let files = rules_dir::read(directory).map_err(CliError::from)?;
    let shown = |mut located: Located| {
        located.path = shown_path(directory, &located.path);
        located
    };
    match RuleSet::load(&files, &Limits::RULES) {
        Ok(Loaded { rules, warnings }) => {
            let warnings = warnings.into_iter().map(shown).collect();
            Ok(LoadedDirectory {
                files,
                loaded: Loaded { rules, warnings },
            })
        }
        Err(RuleErrors { errors }) => {
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
