//! What was perhaps meant by a tag that is not there.

use weir_rules::suggest::nearest;
use weir_schema::{registry_in, within_default};

use super::{Query, QueryError, contents::bound_to};
use crate::log::index::{Dimension, Groups, Index, Plan, Search};

/// Adds to the answer that a tag is not there what was perhaps meant: a name without the host of
/// the default registry, or one that differs by a slip of the hand. Other answers stay as they are.
///
/// Costs the names that the index has; to be asked where there is no answer, and then once.
#[must_use]
pub fn suggest(index: &Index, query: &Query, error: QueryError) -> QueryError {
    let named = match query {
        Query::Why {
            repository, tag, ..
        }
        | Query::Eval {
            repository, tag, ..
        }
        | Query::History {
            repository, tag, ..
        }
        | Query::Show {
            repository,
            tag: Some(tag),
            ..
        } => Some((repository, tag)),
        _ => None,
    };
    match (error, named) {
        (QueryError::NoTag(problem), Some((repository, tag))) => {
            // A log that cannot be read is told by whoever asks it something that it knows.
            let meant = meant(index, repository, tag).ok().flatten();
            QueryError::NoTag(match meant {
                Some(meant) => format!("{problem}; {meant}"),
                None => problem,
            })
        }
        (error, _) => error,
    }
}

fn meant(index: &Index, repository: &str, tag: &str) -> Result<Option<String>, QueryError> {
    let end = u64::MAX;
    if bound_to(index, repository, tag, end)?.is_some() {
        let told = "it was there at another time: its history tells when";
        return Ok(Some(told.to_owned()));
    }
    if let Some(host) = registry_in(repository)
        && let Some(path) = within_default(repository, host)
        && bound_to(index, path, tag, end)?.is_some()
    {
        return Ok(Some(format!(
            "there is `{path}:{tag}`: repositories of the default registry are named without its host"
        )));
    }
    let names = |plan, dimension| -> Result<Groups, QueryError> {
        let search = Search {
            plan,
            range: 0..end,
            newest_first: false,
        };
        Ok(index.group(&search, dimension)?)
    };
    let repositories = names(Plan::Any, Dimension::Repository)?;
    if !repositories.contains_key(repository) {
        let known = repositories.keys().map(String::as_str);
        let near = nearest(repository, known);
        return Ok(near.map(|near| format!("did you mean the repository `{near}`?")));
    }
    let here = Plan::has(Dimension::Repository, repository);
    let tags = names(here, Dimension::Tag)?;
    // It may be asked for by others too, and never have been there.
    let others = tags
        .keys()
        .map(String::as_str)
        .filter(|other| *other != tag);
    let near = nearest(tag, others);
    Ok(near.map(|near| format!("did you mean `{repository}:{near}`?")))
}
