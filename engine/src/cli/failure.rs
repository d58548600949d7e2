//! How a command fails: what it says, and the exit code it leaves.

use std::io;
use std::path::{Path, PathBuf};

use super::error::{CliError, OUTSIDE, SEEN, USAGE};

/// Why a command could not give its answer. An answer of "no" is not a failure: it is exit code 1
/// with the answer printed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The question was wrong: usage, configuration or a rule.
    #[error("{0}")]
    Input(String),
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    /// A wrong question, in words.
    pub fn input(message: impl Into<String>) -> Self {
        Self::Input(message.into())
    }

    /// What to attach to a failed read of `path`.
    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::Read { path, source }
    }

    /// What to attach to a failed write of `path`.
    pub fn write(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |source| Self::Write { path, source }
    }

    /// 2 for a wrong question, 3 for trouble outside, 0 if nobody reads on.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => USAGE,
            // A path that does not exist was mistyped; everything else is trouble outside.
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => USAGE,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => SEEN,
            Self::Read { .. } | Self::Write { .. } | Self::Output(_) => OUTSIDE,
        }
    }
}

impl From<Failure> for CliError {
    fn from(failure: Failure) -> Self {
        Self {
            message: failure.to_string(),
            hint: None,
            code: failure.exit_code(),
        }
    }
}
