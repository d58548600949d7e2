//! Reading a rule set from a directory: every `.cel` file below it, ordered by path.
//!
//! Whoever reads rules does it here, so that what was checked is what is put in force. Rules are known
//! by their path within the directory: the same rules have the same digest wherever they lie.

mod offered;

pub use offered::{Offered, Refused, load};

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use weir_schema::RuleFile;

/// How the name of a rule file ends.
const RULES: &str = "cel";

/// Far more than a rule has; reading stops a log file that was given by mistake.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Directories within directories; more than this is a link that goes round in circles.
const MAX_DEPTH: usize = 32;

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
    /// A rule has a character by which an editor shows another text than is evaluated.
    #[error("{}: {what} at byte {at}", path.display())]
    Hidden {
        /// Which.
        path: PathBuf,
        /// Where it is, from 0.
        at: usize,
        /// What to call it.
        what: String,
    },
    /// A name is not UTF-8.
    #[error("{}: the name is not UTF-8", printable(path))]
    Name {
        /// Which.
        path: PathBuf,
    },
    /// A name has a character that a terminal obeys instead of showing it.
    #[error(
        "{}: the name has a character that is not shown; rename it",
        printable(path)
    )]
    HiddenInName {
        /// Which.
        path: PathBuf,
    },
    /// A file is too large.
    #[error("{}: {bytes} bytes are too many for a rule file", path.display())]
    Large {
        /// Which.
        path: PathBuf,
        /// What it has.
        bytes: u64,
    },
    /// A pipe, a socket or a device: reading it might never end.
    #[error("{}: neither a file nor a directory", path.display())]
    Special {
        /// Which.
        path: PathBuf,
    },
    /// Too many directories within each other.
    #[error("{}: more than {MAX_DEPTH} directories deep", path.display())]
    Deep {
        /// The one that is too deep.
        path: PathBuf,
    },
}

/// A file found in a directory of rules.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Path within the directory, with `/` between its parts.
    pub relative: String,
    /// Path to open.
    pub path: PathBuf,
}

impl Found {
    /// Its text.
    ///
    /// # Errors
    /// If it cannot be read, or is no text of a sensible size.
    pub fn text(&self) -> Result<String, RulesDirError> {
        let path = || self.path.clone();
        let read = |source| RulesDirError::Read {
            path: path(),
            source,
        };
        let metadata = fs::metadata(&self.path).map_err(read)?;
        if !metadata.is_file() {
            return Err(RulesDirError::Special { path: path() });
        }
        if metadata.len() > MAX_FILE_BYTES {
            return Err(RulesDirError::Large {
                path: path(),
                bytes: metadata.len(),
            });
        }
        let bytes = fs::read(&self.path).map_err(read)?;
        let text = String::from_utf8(bytes).map_err(|error| RulesDirError::Text {
            path: path(),
            at: error.utf8_error().valid_up_to(),
        })?;
        match hidden(&text).filter(|_| ends_in(&self.relative, RULES)) {
            Some((at, what)) => Err(RulesDirError::Hidden {
                path: path(),
                at,
                what,
            }),
            None => Ok(text),
        }
    }
}

/// The first character that makes editors show another text than is evaluated: one that ends a line
/// for them and none for a rule, so that what stands behind a comment seems to stand below it, one that
/// turns the direction of the text, or one that moves the cursor of a terminal.
fn hidden(text: &str) -> Option<(usize, String)> {
    text.char_indices().find_map(|(at, character)| {
        let what = match character {
            '\r' if text.get(at + 1..)?.starts_with('\n') => return None,
            '\r' => "a carriage return within a line".to_owned(),
            '\u{85}' | '\u{2028}' | '\u{2029}' => {
                format!(
                    "U+{:04X}, a line end for some editors",
                    u32::from(character)
                )
            }
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                format!("U+{:04X}, which turns text around", u32::from(character))
            }
            '\t' | '\n' => return None,
            _ if character.is_control() => {
                format!("U+{:04X}, a control character", u32::from(character))
            }
            _ => return None,
        };
        Some((at, what))
    })
}

/// Whether a name has characters that a terminal obeys, so that it could say anything there.
fn is_hidden_in(name: &str) -> bool {
    hidden(name).is_some() || name.contains(char::is_control)
}

/// A path with its characters that a terminal obeys as their escapes.
fn printable(path: &Path) -> String {
    let text = path.to_string_lossy();
    let characters = text.chars().flat_map(|character| {
        let as_it_is = !is_hidden_in(character.encode_utf8(&mut [0; 4]));
        let escaped = character.escape_unicode().filter(move |_| !as_it_is);
        escaped.chain(Some(character).filter(|_| as_it_is))
    });
    characters.collect()
}

/// Reads the rule files below `dir`, or the one file that `dir` is. Paths are relative to it.
///
/// # Errors
/// If anything below it cannot be read: a rule set is read whole or not at all.
pub fn read(dir: &Path) -> Result<Vec<RuleFile>, RulesDirError> {
    let found = find(dir, RULES)?.into_iter();
    found
        .map(|found| {
            Ok(RuleFile {
                text: found.text()?,
                path: found.relative,
            })
        })
        .collect()
}

/// When the newest of the rule files below `dir` was written; `None` where the system does not say, or
/// says a time at which there were none: builds that can be made again set one.
#[must_use]
pub fn newest(dir: &Path) -> Option<SystemTime> {
    /// Thirty years after 1970.
    const PLAUSIBLE: Duration = Duration::from_secs(30 * 365 * 24 * 3600);
    let found = find(dir, RULES).ok()?.into_iter();
    let written = found.map(|found| fs::metadata(&found.path)?.modified());
    let newest = written.collect::<io::Result<Vec<_>>>().ok()?;
    let newest = newest.into_iter().max();
    newest.filter(|at| *at > SystemTime::UNIX_EPOCH + PLAUSIBLE)
}

/// Every file below `dir` whose name ends in `.{ending}`, sorted by path; `dir` itself if it is none
/// to look into. What begins with a dot is left out: a repository's own files, an editor's, and the
/// folders of a mounted Kubernetes `ConfigMap`, which hold each file once more.
///
/// # Errors
/// If a folder cannot be read.
pub fn find(dir: &Path, ending: &str) -> Result<Vec<Found>, RulesDirError> {
    let metadata = fs::metadata(dir).map_err(|source| RulesDirError::Read {
        path: dir.to_owned(),
        source,
    })?;
    let mut found = Vec::new();
    if metadata.is_dir() {
        walk(dir, "", ending, 0, &mut found)?;
    } else {
        let relative = dir.file_name().unwrap_or_default().to_string_lossy();
        let (relative, path) = (relative.into_owned(), dir.to_owned());
        if is_hidden_in(&relative) {
            return Err(RulesDirError::HiddenInName { path });
        }
        found.push(Found { relative, path });
    }
    found.sort();
    Ok(found)
}

fn walk(
    dir: &Path,
    prefix: &str,
    ending: &str,
    depth: usize,
    found: &mut Vec<Found>,
) -> Result<(), RulesDirError> {
    let path = || dir.to_owned();
    let read = |source| RulesDirError::Read {
        path: path(),
        source,
    };
    if depth > MAX_DEPTH {
        return Err(RulesDirError::Deep { path: path() });
    }
    for entry in fs::read_dir(dir).map_err(read)? {
        let entry = entry.map_err(read)?;
        let path = entry.path();
        let name = entry.file_name();
        let Some(name) = name.to_str() else {
            return Err(RulesDirError::Name { path });
        };
        if name.starts_with('.') {
            continue;
        }
        let relative = format!("{prefix}{name}");
        let is_wanted = ends_in(name, ending);
        if is_hidden_in(name) && (is_wanted || path.is_dir()) {
            return Err(RulesDirError::HiddenInName { path });
        }
        let metadata = match fs::metadata(&path) {
            Ok(metadata) => metadata,
            // A link to nothing is found by its name; whoever reads it learns what is wrong.
            Err(_) if is_wanted => {
                found.push(Found { relative, path });
                continue;
            }
            Err(source) => return Err(RulesDirError::Read { path, source }),
        };
        if metadata.is_dir() {
            walk(&path, &format!("{relative}/"), ending, depth + 1, found)?;
        } else if is_wanted {
            found.push(Found { relative, path });
        }
    }
    Ok(())
}

/// Whether a name ends in a dot and `ending`, whatever the case: a deny that is not read because its
/// name is shouted would be one that nobody misses.
fn ends_in(name: &str, ending: &str) -> bool {
    name.len()
        .checked_sub(ending.len())
        .and_then(|start| name.split_at_checked(start))
        .is_some_and(|(stem, end)| stem.ends_with('.') && end.eq_ignore_ascii_case(ending))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

    use super::{RulesDirError, find, read};

    fn paths(dir: &Path) -> Vec<String> {
        let files = read(dir).unwrap().into_iter();
        files.map(|file| file.path).collect()
    }

    #[test]
    fn files_are_found_in_all_directories_and_sorted_by_path() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("b/c")).unwrap();
        fs::create_dir_all(root.join(".git")).unwrap();
        for path in [
            "z.cel",
            "b/c/x.cel",
            "b/A.CEL",
            "a.test.yaml",
            ".git/y.cel",
            ".h.cel",
            "cel",
        ] {
            fs::write(root.join(path), "").unwrap();
        }
        assert_eq!(paths(root), ["b/A.CEL", "b/c/x.cel", "z.cel"]);
        assert_eq!(find(root, "test.yaml").unwrap()[0].relative, "a.test.yaml");
    }

    #[test]
    fn a_rule_that_editors_show_otherwise_is_refused_where_it_does() {
        let dir = tempfile::tempdir().unwrap();
        let text_of = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            find(&path, "cel").unwrap()[0].text()
        };
        for character in [
            '\r', '\u{85}', '\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}', '\u{1b}', '\0',
            '\u{9b}', '\u{7f}',
        ] {
            let text = format!("true // all{character}&& false");
            let refused = text_of("r.cel", &text);
            assert!(
                matches!(refused, Err(RulesDirError::Hidden { at: 11, .. })),
                "{refused:?}"
            );
            assert!(text_of("r.test.yaml", &text).is_ok());
        }
        assert!(text_of("r.cel", "true\r\n// \u{5d0}\u{200f}\t\r\n").is_ok());
    }

    #[test]
    fn a_name_that_a_terminal_would_obey_is_refused_and_shown_escaped() {
        for name in [
            "a\u{1b}[2K.cel",
            "a\nr.cel",
            "b\u{9b}/r.cel",
            "b\u{202e}/r.cel",
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "true").unwrap();
            let refused = read(dir.path()).unwrap_err().to_string();
            assert!(
                refused.contains("\\u{") && refused.ends_with("; rename it"),
                "{refused}"
            );
            assert!(
                !refused.contains(|one: char| one.is_control() || one == '\u{202e}'),
                "{refused}"
            );
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a\u{1b}.cel");
        fs::write(&path, "true").unwrap();
        assert!(find(&path, "cel").is_err());
        fs::rename(&path, dir.path().join("a\u{1b}.md")).unwrap();
        assert!(find(dir.path(), "cel").unwrap().is_empty());
    }

    #[test]
    fn a_mounted_config_map_holds_each_rule_once() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("..2026_11_27")).unwrap();
        fs::write(root.join("..2026_11_27/to-prod.cel"), "true").unwrap();
        symlink("..2026_11_27", root.join("..data")).unwrap();
        symlink("..data/to-prod.cel", root.join("to-prod.cel")).unwrap();
        assert_eq!(paths(root), ["to-prod.cel"]);
    }

    #[test]
    fn what_is_no_rule_file_is_refused_by_name_and_never_waited_for() {
        let refused = |name: &str, make: &dyn Fn(&Path)| {
            let dir = tempfile::tempdir().unwrap();
            make(&dir.path().join(name));
            read(dir.path()).unwrap_err()
        };
        let error = refused("r.cel", &|path| fs::write(path, b"ab\xff").unwrap());
        assert!(
            error
                .to_string()
                .ends_with("r.cel: not UTF-8 text: byte 2 is none")
        );
        let error = refused("r.cel", &|path| {
            fs::write(path, vec![b' '; 1 << 21]).unwrap()
        });
        assert!(
            matches!(
                error,
                RulesDirError::Large {
                    bytes: 0x20_0000,
                    ..
                }
            ),
            "{error}"
        );
        let error = refused("r.cel", &|path| {
            let made = Command::new("mkfifo").arg(path).status().unwrap();
            assert!(made.success());
        });
        assert!(matches!(error, RulesDirError::Special { .. }), "{error}");
        let error = refused("round", &|path| symlink(".", path).unwrap());
        let goes_round = matches!(
            error,
            RulesDirError::Deep { .. } | RulesDirError::Read { .. }
        );
        assert!(goes_round, "{error}");
    }
}
