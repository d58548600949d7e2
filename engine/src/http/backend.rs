//! What the HTTP edge needs from the engine.

use std::future::Future;

use bytes::Bytes;
use serde_json::Value;
use weir_schema::Received;

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
    /// It never will be, for its size.
    #[error("the delivery is too large: {0}")]
    TooLarge(String),
}

/// What may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Tags, in all repositories or one.
    Tags {
        /// Only of this repository.
        repository: Option<String>,
    },
    /// Repositories.
    Repositories,
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
    /// Decisions, newest last.
    Decisions(EventFilter),
    /// Promotions, newest last.
    Promotions(EventFilter),
    /// Rules in force.
    Rules,
    /// How the engine is: log, rules, stream, lease, what is open.
    Status,
}

/// Which records are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Only records after this sequence.
    pub after: u64,
    /// At most this many.
    pub limit: usize,
    /// Only of this type.
    pub kind: Option<String>,
    /// Only about this repository.
    pub repository: Option<String>,
    /// Only about this tag.
    pub tag: Option<String>,
    /// Only about this digest.
    pub digest: Option<String>,
    /// Only by this actor.
    pub actor: Option<String>,
    /// Only under this rule.
    pub rule: Option<String>,
    /// Only from this time on (RFC 3339).
    pub since: Option<String>,
    /// Only before this time (RFC 3339).
    pub until: Option<String>,
    /// Only where this CEL expression holds.
    pub expression: Option<String>,
}

/// Records that were asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EventPage {
    /// Sequence and JSON of each, in order.
    pub events: Vec<(u64, Value)>,
    /// The log was looked through up to and including this record; the next page is after it.
    pub through: u64,
    /// Whether there may be more after `through` already.
    pub more: bool,
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
