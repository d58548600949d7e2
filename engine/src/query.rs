//! Answers: questions about state and log, as JSON, for HTTP and command line alike.

pub mod expression;

use std::cell::OnceCell;

use serde_json::{Value, json};
use weir_rules::{State, cel};
use weir_schema::Timestamp;

use crate::{
    http::{EventFilter, EventPage, Query, QueryError},
    log::LogReader,
    node::{At, AtError, LedgerError, state_at},
    status,
};

/// How many records a page has if nothing is said.
const PAGE: usize = 100;

/// The most records a page may have.
const LARGEST_PAGE: usize = 10_000;

/// Answers a question about the state; about a past one if it says when.
///
/// # Errors
/// If it makes no sense or what it asks for does not exist.
pub fn answer(state: &State, reader: &LogReader, query: &Query) -> Result<Value, QueryError> {
    match query {
        Query::Tags { repository } => json(&state.tags(repository.as_deref())),
        Query::Repositories => json(&state.repository_names()),
        Query::Why {
            repository,
            tag,
            rule,
            at,
        } => match at {
            Some(at) => why(&past(reader, at)?, repository, tag, rule.as_deref()),
            None => why(state, repository, tag, rule.as_deref()),
        },
        Query::Eval {
            expression,
            repository,
            tag,
            rule,
            at,
        } => {
            let of = |state: &State| {
                expression::value(state, expression, repository, tag, rule.as_deref())
            };
            match at {
                Some(at) => of(&past(reader, at)?),
                None => of(state),
            }
        }
        Query::Show {
            repository,
            tag,
            at,
        } => match at {
            Some(at) => show(&past(reader, at)?, repository, tag.as_deref()),
            None => show(state, repository, tag.as_deref()),
        },
        Query::Decisions(filter) => {
            let filter = EventFilter {
                kind: Some("weir.decision.made".into()),
                ..filter.clone()
            };
            page_json(&events(reader, &filter)?)
        }
        Query::Promotions(_) => json(&state.promotions()),
        Query::Status => status::of_log(state, reader),
        Query::Rules => {
            let rules = state.rules().rules().iter().map(|rule| {
                json!({
                    "rule": rule.name,
                    "path": rule.path,
                    "kind": format!("{:?}", rule.kind).to_lowercase(),
                    "severity": format!("{:?}", rule.severity).to_lowercase(),
                    "about": rule.about,
                    "expression": rule.expression_text,
                })
            });
            let rules: Vec<Value> = rules.collect();
            Ok(json!({
                "rules": rules,
                "rules_digest": format!("sha256:{}", weir_schema::record::hex(&state.rules().digest())),
                "refused": state.rules_refused(),
            }))
        }
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<Value, QueryError> {
    serde_json::to_value(value).map_err(|error| QueryError::Unavailable(error.to_string()))
}

fn page_json(page: &EventPage) -> Result<Value, QueryError> {
    let events: Vec<&Value> = page.events.iter().map(|(_, event)| event).collect();
    Ok(json!({"events": events, "through": page.through, "more": page.more}))
}

fn why(
    state: &State,
    repository: &str,
    tag: &str,
    rule: Option<&str>,
) -> Result<Value, QueryError> {
    if state.tag(repository, tag).is_none() {
        return Err(QueryError::NotFound(format!(
            "there is no tag `{repository}:{tag}`"
        )));
    }
    let found = state.explain(repository, tag, rule);
    if found.is_empty() {
        let which = rule.map_or_else(
            || "no promote rule".to_owned(),
            |rule| format!("no promote rule `{rule}`"),
        );
        return Err(QueryError::NotFound(format!(
            "{which} in force takes `{repository}:{tag}`: nothing promotes it"
        )));
    }
    json(&found)
}

fn show(state: &State, repository: &str, tag: Option<&str>) -> Result<Value, QueryError> {
    match tag {
        Some(tag) => match state.tag(repository, tag) {
            Some(view) => json(&view),
            None => Err(QueryError::NotFound(format!(
                "there is no tag `{repository}:{tag}`"
            ))),
        },
        None => json(&state.tags(Some(repository))),
    }
}

/// The state at a sequence or a time.
fn past(reader: &LogReader, at: &str) -> Result<State, QueryError> {
    let at: At = at
        .parse()
        .map_err(|error: AtError| QueryError::Invalid(error.to_string()))?;
    state_at(reader, at).map_err(|error| match error {
        LedgerError::Beyond { .. } => QueryError::NotFound(error.to_string()),
        _ => QueryError::Unavailable(error.to_string()),
    })
}

/// Records that match a filter, oldest first.
///
/// # Errors
/// If the filter makes no sense or the log cannot be read.
pub fn events(reader: &LogReader, filter: &EventFilter) -> Result<EventPage, QueryError> {
    let limit = if filter.limit == 0 {
        PAGE
    } else {
        filter.limit.min(LARGEST_PAGE)
    };
    let time = |text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => text
            .parse::<Timestamp>()
            .map(Some)
            .map_err(|error| QueryError::Invalid(error.to_string())),
    };
    let (since, until) = (time(&filter.since)?, time(&filter.until)?);
    let condition = filter
        .expression
        .as_deref()
        .map(Condition::compile)
        .transpose()?;
    let mut page = EventPage {
        events: Vec::new(),
        through: filter.after,
        more: false,
    };
    for row in reader.range(filter.after + 1, None) {
        let (seq, bytes) = row.map_err(|error| QueryError::Unavailable(error.to_string()))?;
        if page.events.len() == limit {
            page.more = true;
            break;
        }
        page.through = seq;
        let record: Value = serde_json::from_slice(&bytes)
            .map_err(|error| QueryError::Unavailable(format!("record {seq}: {error}")))?;
        let at = record["recorded_at"]
            .as_str()
            .and_then(|text| text.parse::<Timestamp>().ok());
        if since.is_some_and(|since| at < Some(since))
            || until.is_some_and(|until| at >= Some(until))
        {
            continue;
        }
        if matches(&record, filter)
            && condition
                .as_ref()
                .is_none_or(|condition| condition.holds(&record))
        {
            page.events.push((seq, record));
        }
    }
    Ok(page)
}

/// Whether a record is about what the filter names, as source or target.
fn matches(record: &Value, filter: &EventFilter) -> bool {
    let event = &record["event"];
    let data = &event["data"];
    let is = |wanted: &Option<String>, values: &[&Value]| {
        wanted
            .as_deref()
            .is_none_or(|wanted| values.iter().any(|value| value.as_str() == Some(wanted)))
    };
    is(&filter.kind, &[&event["type"]])
        && is(
            &filter.repository,
            &[
                &data["repository"],
                &data["source"]["repository"],
                &data["target"]["repository"],
                &data["target"],
            ],
        )
        && is(
            &filter.tag,
            &[&data["tag"], &data["source"]["tag"], &data["target"]["tag"]],
        )
        && is(
            &filter.digest,
            &[&data["digest"], &data["source"]["digest"]],
        )
        && is(&filter.actor, &[&data["actor"]])
        && is(&filter.rule, &[&data["rule"]])
}

/// A CEL condition on a record.
struct Condition {
    program: cel::Program,
}

/// What a condition on a record may name.
const RECORD_VARIABLES: [&str; 4] = ["seq", "recorded_at", "event", "data"];

/// The variables of a record, each made when it is first named.
struct RecordFacts<'a> {
    record: &'a Value,
    made: [OnceCell<cel::Value>; RECORD_VARIABLES.len()],
}

impl<'a> RecordFacts<'a> {
    fn new(record: &'a Value) -> Self {
        Self {
            record,
            made: Default::default(),
        }
    }
}

impl cel::Facts for RecordFacts<'_> {
    fn variable(&self, index: u16) -> Result<&cel::Value, Box<cel::FactError>> {
        let make = || match index {
            0 => cel::Value::from_json(&self.record["seq"]),
            1 => {
                let time = self.record["recorded_at"]
                    .as_str()
                    .and_then(|text| text.parse::<Timestamp>().ok());
                time.map_or(cel::Value::Null, cel::Value::Timestamp)
            }
            2 => cel::Value::from_json(&self.record["event"]),
            _ => cel::Value::from_json(&self.record["event"]["data"]),
        };
        let made = self.made.get(usize::from(index));
        Ok(made.map_or(&cel::Value::Null, |made| made.get_or_init(make)))
    }
}

impl Condition {
    fn compile(text: &str) -> Result<Self, QueryError> {
        let environment = cel::Environment::open(RECORD_VARIABLES);
        match cel::Program::compile(text, &environment, &cel::Limits::RULES) {
            Ok((program, _)) => Ok(Self { program }),
            Err(errors) => {
                let texts: Vec<String> = errors
                    .iter()
                    .map(|error| error.render("expression", text))
                    .collect();
                Err(QueryError::Invalid(texts.join("\n")))
            }
        }
    }

    /// A record for which the condition errs is not one of those asked for: fields differ by type.
    fn holds(&self, record: &Value) -> bool {
        matches!(
            self.program.evaluate(&RecordFacts::new(record)),
            Ok(cel::Value::Bool(true))
        )
    }
}
