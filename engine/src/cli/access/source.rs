//! Whoever answers, asked the same way: a daemon, or the log of a stopped one.

use serde_json::Value;

use super::{Daemon, Stopped, address};
use crate::{
    cli::CliError,
    http::LARGEST_PAGE,
    query::{EventFilter, Part, Query, Undecided},
};

/// An opened access.
pub enum Source {
    /// A daemon answers.
    Daemon(Daemon),
    /// The log of a stopped one answers.
    Log(Box<Stopped>),
}

/// A page of records, as text.
pub struct Page {
    /// The records.
    pub events: Vec<String>,
    /// The log was looked through up to and including this record.
    pub through: u64,
    /// The cursor of the next page.
    pub next: Option<String>,
    /// Records left out because `--where` errs for them.
    pub undecided: Option<Undecided>,
}

impl Source {
    /// Asks a question.
    ///
    /// # Errors
    /// With exit code 2 for what makes no sense or does not exist, 3 for what failed outside.
    pub fn ask(&mut self, query: &Query) -> Result<Value, CliError> {
        match self {
            Self::Daemon(daemon) => daemon.get(&address::path(query)),
            Self::Log(stopped) => stopped.ask(query),
        }
    }

    /// All tags, of the repositories that match if there is a pattern, as a list.
    ///
    /// # Errors
    /// As [`Source::ask`].
    pub fn tags(
        &mut self,
        repository: Option<&str>,
        at: Option<&str>,
    ) -> Result<Vec<Value>, CliError> {
        let mut all = Vec::new();
        // A daemon gives a page at a time, a log all there are.
        let mut part = Part {
            after: None,
            limit: matches!(self, Self::Daemon(_)).then_some(LARGEST_PAGE),
        };
        loop {
            let answer = self.ask(&Query::Tags {
                repository: repository.map(str::to_owned),
                at: at.map(str::to_owned),
                part: part.clone(),
            })?;
            let Value::Array(page) = answer else {
                return Ok(all);
            };
            let is_full = part.limit == Some(page.len());
            all.extend(page);
            match all.last() {
                Some(last) if is_full => {
                    let text = |name| last[name].as_str().unwrap_or_default();
                    part.after = Some(format!("{}:{}", text("repository"), text("tag")));
                }
                _ => return Ok(all),
            }
        }
    }

    /// The names of all repositories that have tags.
    ///
    /// # Errors
    /// As [`Source::ask`].
    pub fn repositories(&mut self) -> Result<Vec<String>, CliError> {
        let mut all = Vec::new();
        let mut part = Part {
            after: None,
            limit: matches!(self, Self::Daemon(_)).then_some(LARGEST_PAGE),
        };
        loop {
            let page = self.ask(&Query::Repositories(part.clone()))?;
            let page = page.as_array().into_iter().flatten();
            let before = all.len();
            all.extend(page.filter_map(|name| name.as_str().map(str::to_owned)));
            match part.limit {
                Some(limit) if all.len() - before == limit => part.after = all.last().cloned(),
                _ => return Ok(all),
            }
        }
    }

    /// A page of records.
    ///
    /// # Errors
    /// As [`Source::ask`].
    pub fn events(&mut self, filter: &EventFilter) -> Result<Page, CliError> {
        match self {
            Self::Daemon(daemon) => daemon.events(filter),
            Self::Log(stopped) => stopped.events(filter),
        }
    }
}
