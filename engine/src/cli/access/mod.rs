//! Where a command finds its answers: a running daemon, or the data directory of a stopped one.
//!
//! ```text
//!                     ┌─> daemon ──> address, connection ──> HTTP
//! Access ──> Source ──┤
//!                     └─> stopped ──> the log ──> query
//! ```

mod address;
mod connection;
mod daemon;
mod directory;
mod source;
mod stopped;

use std::fs;

use clap::Args;

pub use daemon::Daemon;
pub use directory::Directory;
pub use source::{Page, Source};
pub use stopped::Stopped;

use super::CliError;
use crate::{daemon::ADDRESS_FILE, log::is_open, node::Ledger};
use connection::NoAnswer;
use directory::variable;

/// Where the log is, or the daemon that has it: a daemon that runs on the directory is asked.
#[derive(Debug, Clone, Args)]
pub struct Access {
    /// Address of a running daemon, as `http://127.0.0.1:8470`; goes before --data
    /// [env: WEIR_SERVER, unless there is --data].
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Token for it.
    #[arg(long, value_name = "TOKEN", env = "WEIR_TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    directory: Directory,
}

impl Access {
    /// Finds the daemon, or opens the log.
    ///
    /// # Errors
    /// If there is neither.
    pub fn open(&self) -> Result<Source, CliError> {
        match self.daemon()? {
            Some(daemon) => Ok(Source::Daemon(daemon)),
            None => {
                self.there_is_a_log()?;
                let stopped = Stopped::open(&self.directory.path())?;
                Ok(Source::Log(Box::new(stopped)))
            }
        }
    }

    /// Where the log is, for what reads it itself.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The daemon that is named. A directory on the command line is what is meant, whatever a
    /// variable says.
    fn server(&self) -> Option<String> {
        let given = self.server.clone().filter(|server| !server.is_empty());
        given.or_else(|| match self.directory.is_given() {
            true => None,
            false => variable("WEIR_SERVER"),
        })
    }

    fn daemon(&self) -> Result<Option<Daemon>, CliError> {
        // The note of a daemon that was killed, or one that was copied with the directory, may lead to
        // another daemon: only one that has this log open is asked.
        let noted = || {
            let data = self.directory.path();
            let noted = fs::read_to_string(data.join(ADDRESS_FILE)).ok()?;
            is_open(&data).then(|| noted.trim().to_owned())
        };
        let named = self.server();
        let Some(address) = named.clone().or_else(noted) else {
            return Ok(None);
        };
        let daemon = Daemon::at(&address, self.token.clone())?;
        match (named, daemon.knock()) {
            (_, Ok(())) => Ok(Some(daemon)),
            (
                Some(server),
                Err(NoAnswer {
                    why,
                    nobody_listens,
                }),
            ) => {
                let problem = format!("no daemon answers at {server}: {why}");
                Err(CliError::outside(problem).hint(match nobody_listens {
                    true => "start it with `weir run`, or leave out --server to read the data directory of a stopped one",
                    false => "look at --server and WEIR_SERVER: is it `http` or `https`, is the name right, and who signed its certificate?",
                }))
            }
            // A daemon that was killed leaves its note behind.
            (None, Err(_)) => Ok(None),
        }
    }

    /// The daemon, where one runs.
    ///
    /// # Errors
    /// If one was named and does not answer.
    pub fn if_running(&self) -> Result<Option<Daemon>, CliError> {
        self.daemon()
    }

    /// The daemon, where only a running one will do.
    ///
    /// # Errors
    /// If none runs.
    pub fn running(&self) -> Result<Daemon, CliError> {
        self.daemon()?.ok_or_else(|| {
            CliError::outside(format!(
                "no daemon runs on {}",
                self.directory.path().display()
            ))
            .hint("start it with `weir run`, or name it with --server")
        })
    }

    /// The daemon, for what is asked before it is told something: a log that is open here would be
    /// taken for one that a daemon has open.
    ///
    /// # Errors
    /// As [`Self::running`].
    pub fn open_running(&self) -> Result<Source, CliError> {
        self.running().map(Source::Daemon)
    }

    /// Opens the log of a stopped daemon for reading.
    ///
    /// # Errors
    /// If there is none, or it cannot be opened.
    pub fn log(&self) -> Result<Ledger, CliError> {
        self.there_is_a_log()?;
        Ledger::open_to_read(&self.directory.path()).map_err(CliError::outside)
    }

    fn there_is_a_log(&self) -> Result<(), CliError> {
        let data = self.directory.path();
        if data.exists() {
            return Ok(());
        }
        Err(CliError::outside(format!("there is no log in {}", data.display()))
            .hint("name the data directory with --data, a running daemon with --server, or start one with `weir run`"))
    }
}
