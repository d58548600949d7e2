//! What was perhaps meant by a tag that is not there.

use weir_rules::suggest::nearest;
use weir_schema::{Record, registry_in, within_default};

use super::{
    Query, QueryError,
    contents::{bound_to, first_bound},
};
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
            let is_life = matches!(query, Query::History { .. });
            let meant = meant(index, repository, tag, is_life).ok().flatten();
            QueryError::NoTag(match meant {
                Some(meant) => format!("{problem}; {meant}"),
                None => problem,
            })
        }
        (error, _) => error,
    }
}

/// When something came that was not there yet.
pub(super) fn came(record: &Record) -> String {
    format!("it came at record {}, {}", record.seq, record.recorded_at)
}

/// `is_life` if its history is what was asked for.
fn meant(
    index: &Index,
    repository: &str,
    tag: &str,
    is_life: bool,
) -> Result<Option<String>, QueryError> {
    let end = u64::MAX;
    if let Some(first) = first_bound(index, repository, tag)? {
        return Ok(Some(match is_life {
            true => came(&first),
            false => "it was there at another time: its history tells when".to_owned(),
        }));
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
