//! What the HTTP edge needs from the engine.

use std::future::Future;

use bytes::Bytes;
use serde::{
    Deserialize, Serialize,
    ser::{SerializeStruct, Serializer},
};
use serde_json::{Value, value::RawValue};
use weir_schema::Received;

use super::{EventFilter, PromotionFilter};
use crate::backtest::{Question, jobs::Standing};

/// The raw body of a registry's or scanner's delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The adapter that the address names; `None` leaves it to recognition.
    pub adapter: Option<String>,
    /// Who sent it, as the address says.
    pub source: String,
    /// Its headers, sorted, without those of the connection and without secrets.
    pub headers: Vec<(String, String)>,
    /// The body, as it came.
    pub body: Bytes,
}

/// A delivery is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// Where it is kept: the sequence in the stream, or of the record.
    pub sequence: u64,
}

/// Why a delivery is not durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntakeError {
    /// It may be later: the sender is told to try again.
    #[error("cannot make the delivery durable: {problem}")]
    Unavailable {
        /// What is in the way.
        problem: String,
        /// Seconds after which to try again.
        retry_after_seconds: u64,
    },
    /// It never will be, for what it says.
    #[error("{0}")]
    Refused(String),
    /// It never will be, for its size.
    #[error("the delivery is too large: {0}")]
    TooLarge(String),
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Tags with their verdicts.
    Tags {
        /// Only of repositories that match these patterns.
        repository: Option<String>,
        /// At this sequence or time; now if not given.
        at: Option<String>,
        /// Which of them.
        part: Part,
    },
    /// Repositories.
    Repositories(Part),
    /// Why a tag is or is not promoted.
    Why {
        /// The tag's repository.
        repository: String,
        /// The tag.
        tag: String,
        /// Only under this rule.
        rule: Option<String>,
        /// At this sequence or time; now if not given.
        at: Option<String>,
    },
    /// The value of an expression on what a rule would read of a tag.
    Eval {
        /// The expression.
        expression: String,
        /// The tag's repository.
        repository: String,
        /// The tag.
        tag: String,
        /// As this rule would read it.
        rule: Option<String>,
        /// At this sequence or time; now if not given.
        at: Option<String>,
    },
    /// State of a repository or a tag.
    Show {
        /// The repository.
        repository: String,
        /// The tag.
        tag: Option<String>,
        /// At this sequence or time; now if not given.
        at: Option<String>,
    },
    /// The life of a tag.
    History {
        /// The repository.
        repository: String,
        /// The tag.
        tag: String,
        /// Up to this sequence or time; up to now if not given.
        at: Option<String>,
    },
    /// What stands behind a digest.
    Lineage {
        /// The digest, or its first eight digits or more.
        digest: String,
        /// Up to this sequence or time; up to now if not given.
        at: Option<String>,
    },
    /// Which tags hold a vulnerability.
    Impact {
        /// Its name.
        vulnerability: String,
        /// At this sequence or time; now if not given.
        at: Option<String>,
    },
    /// Overrides that were granted and not revoked.
    Overrides {
        /// Only those that will end within this time, as `14d`.
        expiring: Option<String>,
        /// At this sequence or time; now if not given.
        at: Option<String>,
    },
    /// How many records there are.
    Count(EventFilter),
    /// How many records there are of each kind.
    Groups {
        /// Which records.
        filter: EventFilter,
        /// `actor`, `rule`, `type`, `repository`, `verdict`, `reason`, ...
        by: String,
    },
    /// Decisions, newest last.
    Decisions(EventFilter),
    /// Promotions that are not completed, newest last.
    Promotions(PromotionFilter),
    /// Rules in force.
    Rules,
    /// How the engine is: log, rules, stream, lease, what is open.
    Status,
}

/// A part of a list that is in order; all of it by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// Only those behind this one, by its name: `repository:tag`, or a repository.
    pub after: Option<String>,
    /// At most so many; all if not given.
    pub limit: Option<usize>,
}

/// A record as it is in the log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Its sequence.
    pub seq: u64,
    /// Its text.
    pub json: Box<RawValue>,
}

/// Records that were asked for.
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    /// In the order asked for.
    pub events: Vec<Logged>,
    /// The log was looked through up to and including this record; of a page that is newest first,
    /// the last record there was.
    pub through: u64,
    /// The cursor of the next page, if there may be one. A page that took long to find may be
    /// short, or empty, and have a next one.
    pub next: Option<String>,
    /// Records looked at of which it is not known whether they are asked for.
    pub undecided: Option<Undecided>,
}

/// Records for which the expression of a filter errs, otherwise than for want of a field: they are
/// left out of the answer, which is told, for what is left out may be what was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undecided {
    /// How many there are.
    pub count: u64,
    /// One of them.
    pub seq: u64,
    /// What went wrong with that one, with its place in the expression.
    pub problem: String,
}

impl Serialize for EventPage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let events: Vec<&RawValue> = self.events.iter().map(|event| &*event.json).collect();
        let fields = 3 + usize::from(self.undecided.is_some());
        let mut page = serializer.serialize_struct("EventPage", fields)?;
        page.serialize_field("events", &events)?;
        page.serialize_field("through", &self.through)?;
        page.serialize_field("next", &self.next)?;
        if let Some(undecided) = &self.undecided {
            page.serialize_field("undecided", undecided)?;
        }
        page.end()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// What was asked for does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The question makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The engine cannot answer now.
    #[error("{0}")]
    Unavailable(String),
}

/// The engine, as the HTTP edge sees it.
pub trait Backend: Send + Sync + 'static {
    /// Makes a delivery durable. Its content is judged later, never here.
    fn intake(
        &self,
        delivery: Delivery,
    ) -> impl Future<Output = Result<Accepted, IntakeError>> + Send;

    /// Makes operators' events durable, in order, and returns the place of each.
    fn publish(
        &self,
        events: Vec<Received>,
    ) -> impl Future<Output = Result<Vec<Accepted>, IntakeError>> + Send;

    /// Records of the log.
    fn events(
        &self,
        filter: &EventFilter,
    ) -> impl Future<Output = Result<EventPage, QueryError>> + Send;

    /// Returns once there is a record after `after`.
    fn appended(&self, after: u64) -> impl Future<Output = ()> + Send;

    /// Everything else.
    fn query(&self, query: Query) -> impl Future<Output = Result<Value, QueryError>> + Send;

    /// Compares registries with the log; records what is found if `confirm`.
    fn reconcile(&self, confirm: bool) -> impl Future<Output = Result<Value, QueryError>> + Send {
        let problem = format!("no registry can be asked (confirm: {confirm})");
        async move { Err(QueryError::Unavailable(problem)) }
    }

    /// Starts a backtest over the log; returns its number.
    fn start_backtest(
        &self,
        _question: Question,
    ) -> impl Future<Output = Result<u64, QueryError>> + Send {
        async { Err(QueryError::Unavailable("there is no log".to_owned())) }
    }

    /// Where a backtest stands; `None` if there is no such one.
    fn backtest(&self, _id: u64) -> Option<Standing> {
        None
    }

    /// Ends a backtest and forgets it; false if there is no such one.
    fn end_backtest(&self, _id: u64) -> impl Future<Output = bool> + Send {
        async { false }
    }

    /// Whether the engine serves; the reason if it does not.
    fn ready(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// The engine's own metrics in Prometheus text form, to follow those of the edge.
    fn metrics(&self) -> impl Future<Output = String> + Send;
}
