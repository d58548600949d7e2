//! A rule set as it is offered: every file read and loaded, and all that is wrong with any of them, so
//! that a command and a daemon say the same of it.

use std::{fs, io::ErrorKind::NotFound, path::Path};

use weir_rules::{
    cel::Limits,
    rule::{Level, Loaded, Located, RuleErrors, RuleSet},
};
use weir_schema::RuleFile;

use super::{Found, RULES, RulesDirError, find};

/// Rules that were read and loaded.
#[derive(Debug)]
pub struct Offered {
    /// What is recorded when these rules are activated; paths are within the directory.
    pub files: Vec<RuleFile>,
    /// The rules and warnings.
    pub loaded: Loaded,
}

/// Why a directory gave no rules.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Trouble of the system.
    #[error(transparent)]
    Unreadable(#[from] RulesDirError),
    /// Some file has an error; paths are within the directory.
    #[error(transparent)]
    Rules(RuleErrors),
}

/// Reads and loads every rule below `dir`, or one rule file.
///
/// # Errors
/// With all that is wrong with any file: one error refuses the whole set.
pub fn load(dir: &Path) -> Result<Offered, Refused> {
    let (mut files, mut errors) = (Vec::new(), Vec::new());
    for found in find(dir, RULES)? {
        match found.text() {
            Ok(text) => files.push(RuleFile {
                path: found.relative,
                text,
            }),
            Err(error) => errors.push(diagnostic(&found, error, dir.is_dir())?),
        }
    }
    match RuleSet::load_offered(&files, &Limits::RULES) {
        Ok(loaded) if errors.is_empty() => return Ok(Offered { files, loaded }),
        Ok(_) => {}
        Err(others) => errors.extend(others.errors),
    }
    errors.sort_by(|a, b| (&a.path, a.line, a.column).cmp(&(&b.path, b.line, b.column)));
    Err(Refused::Rules(RuleErrors { errors }))
}

/// What is wrong with a file that holds no text of a rule, so that it stands beside what is wrong with
/// others. Trouble of the system remains a failure.
fn diagnostic(
    found: &Found,
    error: RulesDirError,
    in_directory: bool,
) -> Result<Located, RulesDirError> {
    let read = |source| RulesDirError::Read {
        path: found.path.clone(),
        source,
    };
    let path = &found.relative;
    let whole = |message: &str, help: &str| Ok(Located::of_file(path, "", message, help));
    match error {
        RulesDirError::Text { at, .. } => {
            let bytes = fs::read(&found.path).map_err(read)?;
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
            let whole = fs::read_to_string(&found.path).map_err(read)?;
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
        other => Err(other),
    }
}
