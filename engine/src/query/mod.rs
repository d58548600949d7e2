//! Answers: questions about state and log, as JSON, for HTTP, command line and whoever asks next.
//! What can be asked ([`Query`], [`EventFilter`]) and what comes of it ([`EventPage`], [`QueryError`])
//! is said here, and not by those who carry it.
//!
//! ```text
//! Query ─┬─ of what is now ────────────> the state                            [of_state]
//!        ├─ of what was, or of a life ─> the index, and the records it finds  [of_log]
//!        └─ of events ─> filter ─> plan ─> the index ─> pages, numbers        [events, count, groups]
//! ```
//!
//! Whoever has the state answers [`of_state`] with it, and should not be kept busy by the rest:
//! [`of_log`] and [`complete`] read the log by themselves, on any thread.

mod asker;
mod condition;
mod contents;
mod cursor;
mod entry;
mod error;
mod events;
pub mod expression;
mod filter;
mod history;
mod impact;
mod known;
mod lineage;
mod meant;
mod overrides;
mod page;
mod past;
mod promotions;
mod question;
pub(crate) mod rules;
mod search;
mod selecting;

use serde_json::{Value, json};
use weir_rules::{State, pattern::RepositoryPatterns};
use weir_schema::{Position, Timestamp};

pub use asker::Asker;
pub use condition::unknown_fields;
pub use contents::tag_of;
pub(crate) use contents::{first_bound, never_read};
pub use error::QueryError;
pub(crate) use events::PAGE;
pub use events::{By, Counted, count, events, groups};
pub use filter::EventFilter;
pub use meant::suggest;
pub use page::{EventPage, Logged, Undecided};
pub use promotions::PromotionFilter;
pub use question::{Part, Query};
pub(crate) use search::is_type;
pub use search::time;

use crate::{
    log::{
        LogReader,
        index::{Index, Plan},
    },
    node::{At, LedgerError, state_at},
    status,
};
use contents::{Found, decode};
use past::Past;

/// Answers what the log alone can answer: questions about the past, about a life, about records.
/// `None` of a question that needs the state as it is: ask [`of_state`], and [`complete`] what it
/// says. Counts and groups end once `asker` has gone; all else is worked on to its end.
///
/// # Errors
/// If the question makes no sense or what it asks for does not exist.
pub fn of_log(index: &Index, query: &Query, asker: &Asker) -> Result<Option<Value>, QueryError> {
    match of_past(index, query)? {
        Some(answer) => Ok(Some(answer)),
        None => of_records(index, query, asker),
    }
}

/// Answers a question about what was, from the state as it was; `None` of any other.
fn of_past(index: &Index, query: &Query) -> Result<Option<Value>, QueryError> {
    let reader = index.reader();
    let answer = match query {
        Query::Why {
            repository,
            tag,
            rule,
            at: Some(at),
        } => {
            let state = state_of_tag(index, repository, tag, true, at)?;
            why(&state, repository, tag, rule.as_deref())?
        }
        Query::Eval {
            expression,
            repository,
            tag,
            rule,
            at: Some(at),
        } => {
            let state = state_of_tag(index, repository, tag, true, at)?;
            expression::value(&state, expression, repository, tag, rule.as_deref())?
        }
        Query::Show {
            repository,
            tag: Some(tag),
            at: Some(at),
        } => {
            let state = state_of_tag(index, repository, tag, false, at)?;
            show(&state, repository, Some(tag))?
        }
        Query::Show {
            repository,
            tag: None,
            at: Some(at),
        } => match past::of_repository(index, repository, end_of(reader, at)?)? {
            Some(state) => show(&state, repository, None)?,
            None => show(&past_state(reader, at)?, repository, None)?,
        },
        Query::Tags {
            repository,
            at: Some(at),
            part,
        } => tags(&past_state(reader, at)?, repository.as_deref(), part)?,
        Query::Impact {
            vulnerability,
            at: Some(at),
        } => match impact::state_of(index, vulnerability, end_of(reader, at)?)? {
            Some(state) => json(&state.impact(vulnerability))?,
            None => json(&past_state(reader, at)?.impact(vulnerability))?,
        },
        Query::Overrides {
            expiring,
            at: Some(at),
        } => {
            let state = overrides::state_of(index, end_of(reader, at)?)?;
            let all = json(&state.overrides())?;
            let (now, end) = (state.now(), state.seq() + 1);
            overrides::complete(index, all, expiring.as_deref(), now, end)?
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// Answers a question about a life, or about records; `None` of any other.
fn of_records(index: &Index, query: &Query, asker: &Asker) -> Result<Option<Value>, QueryError> {
    let end = |at: &Option<String>| match at {
        Some(at) => end_of(index.reader(), at),
        None => Ok(index.reader().head().next_seq),
    };
    let answer = match query {
        Query::History {
            repository,
            tag,
            at,
        } => {
            let end = end(at)?;
            json(&history::history(
                index,
                repository,
                tag,
                end,
                recorded(at),
            )?)?
        }
        Query::Lineage { digest, at } => lineage_of(index, digest, end(at)?, recorded(at))?,
        Query::Count(filter) => {
            let counted = count(index, filter, asker)?;
            let answer = json!({"count": counted.found});
            with_undecided(answer, counted.undecided)?
        }
        Query::Groups { filter, by } => {
            let by: By = by.parse().map_err(QueryError::Invalid)?;
            let name = by.to_string();
            let counted = groups(index, filter, by, asker)?;
            let groups = counted.found.into_iter();
            let groups: Vec<Value> = groups
                .map(|(term, count)| json!({ &*name: term, "count": count }))
                .collect();
            let answer = json!({"by": name, "groups": groups});
            with_undecided(answer, counted.undecided)?
        }
        Query::Decisions(filter) => {
            let filter = EventFilter {
                kinds: vec!["weir.decision.made".into()],
                ..filter.clone()
            };
            json(&events(index, &filter)?)?
        }
        _ => return Ok(None),
    };
    Ok(Some(answer))
}

/// Answers a question about what is now, from the state.
///
/// # Errors
/// If it makes no sense or what it asks for does not exist; of what [`of_log`] answers too.
pub fn of_state(state: &State, reader: &LogReader, query: &Query) -> Result<Value, QueryError> {
    match query {
        Query::Tags {
            repository, part, ..
        } => tags(state, repository.as_deref(), part),
        Query::Repositories(part) => {
            let limit = part.limit.unwrap_or(usize::MAX);
            json(&state.repository_names(part.after.as_deref(), limit))
        }
        Query::Why {
            repository,
            tag,
            rule,
            ..
        } => why(state, repository, tag, rule.as_deref()),
        Query::Eval {
            expression,
            repository,
            tag,
            rule,
            ..
        } => expression::value(state, expression, repository, tag, rule.as_deref()),
        Query::Show {
            repository, tag, ..
        } => show(state, repository, tag.as_deref()),
        Query::Impact { vulnerability, .. } => json(&state.impact(vulnerability)),
        Query::Overrides { .. } => json(&state.overrides()),
        Query::Promotions(filter) => json(&promotions::promotions(state, filter)?),
        Query::Rules => Ok(rules::in_force(state)),
        Query::Status => status::of_log(state, reader),
        Query::History { .. }
        | Query::Lineage { .. }
        | Query::Count(_)
        | Query::Groups { .. }
        | Query::Decisions(_) => Err(QueryError::Unavailable(
            "the log answers this, not the state".to_owned(),
        )),
    }
}

/// Adds to what [`of_state`] said of a question what only the log knows.
///
/// # Errors
/// If the question makes no sense or the log cannot be read.
pub fn complete(index: &Index, query: &Query, said: Value) -> Result<Value, QueryError> {
    match query {
        Query::Overrides { expiring, .. } => {
            let now: Timestamp = chrono::Utc::now().into();
            let end = index.reader().head().next_seq;
            overrides::complete(index, said, expiring.as_deref(), now, end)
        }
        _ => Ok(said),
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<Value, QueryError> {
    serde_json::to_value(value).map_err(|error| QueryError::Unavailable(error.to_string()))
}

fn with_undecided(mut answer: Value, undecided: Option<Undecided>) -> Result<Value, QueryError> {
    if let Some(undecided) = undecided {
        answer["undecided"] = json(&undecided)?;
    }
    Ok(answer)
}

fn tags(state: &State, pattern: Option<&str>, part: &Part) -> Result<Value, QueryError> {
    let patterns = pattern.map(|pattern| {
        let patterns = pattern.parse::<RepositoryPatterns>();
        patterns.map_err(|error| QueryError::Invalid(search::wrong_pattern(pattern, &error)))
    });
    let patterns = patterns.transpose()?;
    let passes = |name: &str| patterns.as_ref().is_none_or(|one| one.matches(name));
    let after = part.after.as_deref().map(|after| {
        tag_of(after).ok_or_else(|| {
            QueryError::Invalid(format!("`after` is `{after}`, expected `repository:tag`"))
        })
    });
    let limit = part.limit.unwrap_or(usize::MAX);
    json(&state.tags_where(passes, after.transpose()?, limit))
}

fn why(
    state: &State,
    repository: &str,
    tag: &str,
    rule: Option<&str>,
) -> Result<Value, QueryError> {
    if state.tag(repository, tag).is_none() {
        return Err(no_tag(repository, tag));
    }
    let found = state.explain(repository, tag, rule);
    if found.is_empty() {
        let others = state.explain(repository, tag, None).into_iter();
        let others: Vec<String> = others.map(|one| format!("`{}`", one.rule)).collect();
        let which = rule.map_or(String::new(), |rule| format!(" `{rule}`"));
        let then = match others.is_empty() {
            true => "nothing promotes it".to_owned(),
            false => format!("it is taken by {}", others.join(", ")),
        };
        let class = for_its_class(state, repository, tag, rule);
        return Err(QueryError::NotFound(format!(
            "no promote rule{which} in force takes `{repository}:{tag}`: {then}{class}"
        )));
    }
    json(&found)
}

/// Which rules would take a tag if what it points at were of another class; empty if none.
fn for_its_class(state: &State, repository: &str, tag: &str, rule: Option<&str>) -> String {
    let Some((class, rules)) = state.not_taken_for_class(repository, tag) else {
        return String::new();
    };
    let asked = rules
        .iter()
        .filter(|one| rule.is_none_or(|name| one.name == name));
    let takes: Vec<String> = asked
        .map(|rule| {
            let classes: Vec<&str> = rule.classes.iter().map(|class| class.as_str()).collect();
            format!("`{}` takes `class: {}`", rule.name, classes.join(", "))
        })
        .collect();
    match takes.is_empty() {
        true => String::new(),
        false => format!("; it is of class `{class}`, and {}", takes.join(", ")),
    }
}

fn show(state: &State, repository: &str, tag: Option<&str>) -> Result<Value, QueryError> {
    match tag {
        Some(tag) => match state.tag(repository, tag) {
            Some(view) => json(&view),
            None => Err(no_tag(repository, tag)),
        },
        None => json(&state.tags(Some(repository))),
    }
}

fn no_tag(repository: &str, tag: &str) -> QueryError {
    QueryError::NoTag(format!("there is no tag `{repository}:{tag}`"))
}

/// How it is said that something was recorded in the time that is asked about.
fn recorded(at: &Option<String>) -> &'static str {
    match at {
        Some(_) => "recorded up to then",
        None => "ever recorded",
    }
}

fn lineage_of(index: &Index, text: &str, end: u64, when: &str) -> Result<Value, QueryError> {
    let begin = search::digest(text)?;
    let digest = match contents::resolve(index, &begin, end)? {
        Found::One(digest) => digest,
        Found::None => {
            let problem = format!("no digest `{text}` was {when}");
            let first = contents::records(index, Plan::digest(&begin), u64::MAX, false).next();
            return Err(QueryError::NotFound(match first.transpose()? {
                Some(record) => format!("{problem}; {}", meant::came(&record)),
                None => problem,
            }));
        }
        Found::Several(a, b) => {
            return Err(QueryError::Invalid(search::ambiguous(text, &a, &b)));
        }
    };
    let digest = digest.parse();
    let digest =
        digest.map_err(|error: weir_schema::DigestError| QueryError::Invalid(error.to_string()))?;
    json(&lineage::lineage(index, &digest, end)?)
}

/// The moment that is meant, as the user says it: a sequence, a time, a date, an age. What was not yet is
/// not known: a moment is no later than the last record or now.
fn moment(reader: &LogReader, at: &str) -> Result<At, QueryError> {
    let now: Timestamp = chrono::Utc::now().into();
    let moment =
        match at.parse() {
            Ok(at) => at,
            Err(_) => At::Time(time("at", at, now).map_err(|error| {
                QueryError::Invalid(format!("{error}, or the number of a record"))
            })?),
        };
    let last = reader.head().next_seq - 1;
    match moment {
        At::Seq(seq) if seq > last => {
            let beyond = LedgerError::Beyond { seq, last };
            Err(QueryError::NotFound(beyond.to_string()))
        }
        // A clock elsewhere may be ahead of this one.
        At::Time(time)
            if time > now && reader.recorded_at(last)?.is_none_or(|last| time > last) =>
        {
            Err(QueryError::NotFound(format!(
                "`at` is `{at}`, which is still to come: leave it out to be told how it is now"
            )))
        }
        moment => Ok(moment),
    }
}

/// The sequence after the last that counts at a moment: that of the record, and of what was
/// concluded from it.
fn end_of(reader: &LogReader, at: &str) -> Result<u64, QueryError> {
    let last = reader.head().next_seq - 1;
    let seq = match moment(reader, at)? {
        At::Seq(seq) => seq,
        At::Time(time) => reader.last_not_after(time)?,
    };
    for row in reader.range(seq + 1, None) {
        let (next, bytes) = row?;
        if !matches!(decode(&bytes)?.position, Position::Step { .. }) {
            return Ok(next);
        }
    }
    Ok(last + 1)
}

/// The state as it was, as far as a tag goes, and if asked for the tags that it would go to.
fn state_of_tag(
    index: &Index,
    repository: &str,
    tag: &str,
    targets: bool,
    at: &str,
) -> Result<State, QueryError> {
    let end = end_of(index.reader(), at)?;
    if !past::is_indexed(index, end) {
        return past_state(index.reader(), at);
    }
    let mut past = Past::new(index, end)?;
    past.add_tag(repository, tag)?;
    if targets {
        past.add_targets(repository, tag)?;
    }
    past.state()
}

/// The state of everything at a moment.
fn past_state(reader: &LogReader, at: &str) -> Result<State, QueryError> {
    state_at(reader, moment(reader, at)?).map_err(|error| match error {
        LedgerError::Beyond { .. } => QueryError::NotFound(error.to_string()),
        _ => QueryError::Unavailable(error.to_string()),
    })
}
