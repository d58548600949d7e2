//! The log of a stopped daemon, which answers what the daemon would have answered.

use std::path::Path;

use serde_json::Value;

use super::Page;
use crate::{
    cli::CliError,
    log::{Log, index::Index},
    node::{last_state, open_log_to_read},
    query::{self, EventFilter, Query, QueryError},
};

/// The log of a stopped daemon, opened for reading.
pub struct Stopped {
    index: Index,
    /// Keeps the log locked.
    _log: Log,
}

impl Stopped {
    /// Opens the log in a data directory.
    ///
    /// # Errors
    /// If it cannot be read, or a daemon has it open.
    pub(super) fn open(data: &Path) -> Result<Self, CliError> {
        let log = open_log_to_read(data).map_err(CliError::outside)?;
        let index = Index::open(log.reader());
        Ok(Self { index, _log: log })
    }

    /// Answers a question.
    pub(super) fn ask(&self, query: &Query) -> Result<Value, CliError> {
        self.answer(query).map_err(refused)
    }

    /// A page of records.
    pub(super) fn events(&self, filter: &EventFilter) -> Result<Page, CliError> {
        let page = query::events(&self.index, filter).map_err(refused)?;
        let events = page.events.into_iter();
        Ok(Page {
            events: events
                .map(|event| Box::<str>::from(event.json).into())
                .collect(),
            through: page.through,
            next: page.next,
            undecided: page.undecided,
        })
    }

    fn answer(&self, query: &Query) -> Result<Value, QueryError> {
        let last = self.index.reader().head().next_seq - 1;
        let mut query = query.clone();
        // One tag as it is: what the log says of it is enough, and the log may be long.
        match &mut query {
            Query::Why { at, .. }
            | Query::Show {
                tag: Some(_), at, ..
            } => {
                at.get_or_insert_with(|| last.to_string());
            }
            _ => {}
        }
        let answer = query::of_log(&self.index, &query, &query::Asker::default());
        if let Some(answer) = answer.map_err(|error| self.with_help(&query, error))? {
            return Ok(answer);
        }
        let state = last_state(self.index.reader());
        let state = state.map_err(|error| QueryError::Unavailable(error.to_string()))?;
        let said = query::of_state(&state, self.index.reader(), &query);
        let said = said.map_err(|error| self.with_help(&query, error))?;
        query::complete(&self.index, &query, said)
    }

    fn with_help(&self, query: &Query, error: QueryError) -> QueryError {
        query::suggest(&self.index, query, error)
    }
}

fn refused(error: QueryError) -> CliError {
    match error {
        QueryError::NotFound(_) | QueryError::NoTag(_) | QueryError::Invalid(_) => {
            CliError::usage(error)
        }
        QueryError::Unavailable(_) => CliError::outside(error),
    }
}
