//! What a command can end with, and the exit code that says so.

use std::{
    fmt,
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

/// Nothing is wrong: whoever reads the output has seen enough.
pub const SEEN: u8 = 0;
/// The answer is no: a test failed, something is blocked, a verification failed.
pub const NO: u8 = 1;
/// The command line, the configuration or a rule is wrong.
pub const USAGE: u8 = 2;
/// Something outside failed: a file, a server, the log.
pub const OUTSIDE: u8 = 3;

/// An error of a command, with what to do about it. An answer of "no" is none: that is exit code 1
/// with the answer printed.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// What is wrong: place and cause.
    pub message: String,
    /// The remedy.
    pub hint: Option<String>,
    /// The exit code.
    pub code: u8,
}

impl CliError {
    /// Something the user said is wrong.
    pub fn usage(message: impl ToString) -> Self {
        Self {
            message: message.to_string(),
            hint: None,
            code: USAGE,
        }
    }

    /// Something outside failed.
    pub fn outside(message: impl ToString) -> Self {
        Self {
            message: message.to_string(),
            hint: None,
            code: OUTSIDE,
        }
    }

    /// What to attach to a failed read of `path`. One that is not there was mistyped; everything else
    /// is trouble outside.
    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |error| {
            let message = format!("cannot read {path}: {error}");
            match error.kind() {
                io::ErrorKind::NotFound => Self::usage(message),
                _ => Self::outside(message),
            }
        }
    }

    /// What to attach to a failed write of `path`.
    pub fn write(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |error| Self::outside(format!("cannot write {path}: {error}"))
    }

    /// What ends a command whose output cannot be written: nothing, if nobody reads on.
    pub fn output(error: io::Error) -> Self {
        let code = match error.kind() {
            io::ErrorKind::BrokenPipe => SEEN,
            _ => OUTSIDE,
        };
        Self {
            code,
            ..Self::outside(format!("cannot write the output: {error}"))
        }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Prints the error to stderr and gives its exit code.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        if self.code == SEEN {
            return ExitCode::SUCCESS;
        }
        tell!("weir: {}", self.message);
        if let Some(hint) = &self.hint {
            tell!("hint: {hint}");
        }
        ExitCode::from(self.code)
    }
}

/// What `tell!` does.
pub(super) fn tell(said: fmt::Arguments<'_>) {
    let _nobody_listens = writeln!(io::stderr().lock(), "{said}");
}
