//! Reading a rule set from a directory: every `.cel` file below it, ordered by path.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use weir_schema::RuleFile;

/// Why a directory of rules could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RulesDirError {
    /// A folder or file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not UTF-8.
    #[error("{}: not UTF-8 text: byte {at} is none", path.display())]
    Text {
        /// Which.
        path: PathBuf,
        /// The first byte at fault, from 0.
        at: usize,
    },
}

/// Reads the rule files below `dir`, or the one file that `dir` is. Paths are relative to it.
///
/// # Errors
/// If anything below it cannot be read: a rule set is read whole or not at all.
pub fn read(dir: &Path) -> Result<Vec<RuleFile>, RulesDirError> {
    let mut files = Vec::new();
    let at = |source| RulesDirError::Read {
        path: dir.to_owned(),
        source,
    };
    if fs::metadata(dir).map_err(at)?.is_dir() {
        walk(dir, "", &mut files)?;
    } else {
        let name = dir
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        files.push(read_file(dir, name)?);
    }
    files.sort();
    Ok(files)
}

fn walk(dir: &Path, prefix: &str, files: &mut Vec<RuleFile>) -> Result<(), RulesDirError> {
    let at = |source| RulesDirError::Read {
        path: dir.to_owned(),
        source,
    };
    for entry in fs::read_dir(dir).map_err(at)? {
        let entry = entry.map_err(at)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if fs::metadata(&path).map_err(at)?.is_dir() {
            walk(&path, &format!("{prefix}{name}/"), files)?;
        } else if path.extension().is_some_and(|extension| extension == "cel") {
            files.push(read_file(&path, format!("{prefix}{name}"))?);
        }
    }
    Ok(())
}

fn read_file(path: &Path, name: String) -> Result<RuleFile, RulesDirError> {
    let bytes = fs::read(path).map_err(|source| RulesDirError::Read {
        path: path.to_owned(),
        source,
    })?;
    let text = String::from_utf8(bytes).map_err(|error| RulesDirError::Text {
        path: path.to_owned(),
        at: error.utf8_error().valid_up_to(),
    })?;
    Ok(RuleFile { path: name, text })
}
