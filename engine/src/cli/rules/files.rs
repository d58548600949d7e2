//! Finding and reading the rule files of a directory.
//!
//! Rules are known by their path within the directory, so that the same rules have the same digest
//! wherever they lie; messages show the path as the user would type it.

use std::fs;
use std::path::{Path, PathBuf};

use weir_rules::cel::Limits;
use weir_rules::rule::{Loaded, Located, RuleErrors, RuleSet};

use crate::cli::failure::Failure;

/// Far more than a rule has; reading stops a log file that was given by mistake.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Directories within directories; more than this is a link that goes round in circles.
const MAX_DEPTH: usize = 32;

/// A file found in a rule directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Path within the directory, with `/` between its parts.
    pub relative: String,
    /// Path to open.
    pub path: PathBuf,
}

/// Rules that were read and loaded.
#[derive(Debug)]
pub struct LoadedDirectory {
    /// What is recorded when these rules are activated: path within the directory, and text.
    pub files: Vec<(String, String)>,
    /// The rules and warnings. Warnings have paths as the user would type them.
    pub loaded: Loaded,
}

/// Why a directory gave no rules.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Something could not be read.
    #[error(transparent)]
    Files(#[from] Failure),
    /// Some file has an error. Paths are as the user would type them.
    #[error(transparent)]
    Rules(RuleErrors),
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Files(failure) => failure,
            LoadError::Rules(errors) => Self::input(errors.to_string()),
        }
    }
}

/// Reads and loads every rule below `directory`, or one rule file.
pub fn load(directory: &Path) -> Result<LoadedDirectory, LoadError> {
    let files = read(directory, "cel")?;
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
pub fn read(directory: &Path, extension: &str) -> Result<Vec<(String, String)>, Failure> {
    find(directory, extension)?
        .into_iter()
        .map(|found| Ok((found.relative, read_text(&found.path)?)))
        .collect()
}

/// Every file below `directory` whose name ends in `.{extension}`, sorted by path; `directory`
/// itself if it is a file. What begins with a dot is left out.
pub fn find(directory: &Path, extension: &str) -> Result<Vec<Found>, Failure> {
    let metadata = fs::metadata(directory).map_err(Failure::read(directory))?;
    let mut found = Vec::new();
    if metadata.is_file() {
        let name = directory
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        found.push(Found {
            relative: name,
            path: directory.to_owned(),
        });
    } else {
        walk(directory, "", extension, 0, &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn walk(
    directory: &Path,
    prefix: &str,
    extension: &str,
    depth: usize,
    found: &mut Vec<Found>,
) -> Result<(), Failure> {
    if depth > MAX_DEPTH {
        let message = format!(
            "{}: more than {MAX_DEPTH} directories deep",
            directory.display()
        );
        return Err(Failure::input(message));
    }
    for entry in fs::read_dir(directory).map_err(Failure::read(directory))? {
        let entry = entry.map_err(Failure::read(directory))?;
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(Failure::input(format!(
                "{}: the name is not UTF-8",
                path.display()
            )));
        };
        if name.starts_with('.') {
            continue;
        }
        let relative = format!("{prefix}{name}");
        let metadata = fs::metadata(&path).map_err(Failure::read(&path))?;
        if metadata.is_dir() {
            walk(&path, &format!("{relative}/"), extension, depth + 1, found)?;
        } else if name
            .strip_suffix(extension)
            .is_some_and(|stem| stem.ends_with('.'))
        {
            found.push(Found { relative, path });
        }
    }
    Ok(())
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let size = fs::metadata(path).map_err(Failure::read(path))?.len();
    if size > MAX_FILE_BYTES {
        let message = format!(
            "{}: {size} bytes are too many for a rule file",
            path.display()
        );
        return Err(Failure::input(message));
    }
    let bytes = fs::read(path).map_err(Failure::read(path))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Failure::input(format!("{}: byte {at} is not UTF-8", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{LoadError, find, load};

    #[test]
    fn files_are_found_in_all_directories_and_sorted_by_path() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        for path in [
            "z.cel",
            "b/c/x.cel",
            "b/a.cel",
            "a.test.yaml",
            ".git/y.cel",
            ".h.cel",
            "cel",
        ] {
            fs::write(root.join(path), "").unwrap();
        }
        let names: Vec<String> = find(root, "cel")
            .unwrap()
            .into_iter()
            .map(|found| found.relative)
            .collect();
        assert_eq!(names, ["b/a.cel", "b/c/x.cel", "z.cel"]);
        assert_eq!(find(root, "test.yaml").unwrap()[0].relative, "a.test.yaml");
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

    #[test]
    fn a_file_that_is_no_text_is_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("r.cel"), b"ab\xff").unwrap();
        let error = load(directory.path()).unwrap_err().to_string();
        assert!(error.ends_with("r.cel: byte 2 is not UTF-8"), "{error}");
    }
}
