//! Where the log is, as it was said or else by the environment.

use std::path::PathBuf;

use clap::Args;

/// Where the log is.
#[derive(Debug, Clone, Args)]
pub struct Directory {
    /// Data directory [env: WEIR_DATA] [default: weir-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Directory {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let given = self.data.clone();
        let given = given.or_else(|| variable("WEIR_DATA").map(PathBuf::from));
        given.unwrap_or_else(|| PathBuf::from("weir-data"))
    }

    /// Whether the command line names it.
    pub(super) fn is_given(&self) -> bool {
        self.data.is_some()
    }
}

/// A variable of the environment that says something.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
