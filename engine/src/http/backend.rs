//! What the HTTP edge needs from the engine.

use std::future::Future;

use bytes::Bytes;
use serde_json::Value;
use weir_schema::Received;

use crate::{
    backtest::{Question, jobs::Standing},
    query::{EventFilter, EventPage, Query, QueryError},
};

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
    /// Where it is kept: the sequence in the stream, or of the record. Of what came before, where that
    /// is, or a place after it.
    pub sequence: u64,
    /// The same came before, by its source and id: nothing is kept of it again.
    pub repeated: bool,
}

impl Accepted {
    /// Of several parts of a delivery: the last, and whether all of them came before.
    pub(crate) fn all(parts: &[Self]) -> Self {
        Self {
            sequence: parts.last().map_or(0, |last| last.sequence),
            repeated: !parts.is_empty() && parts.iter().all(|one| one.repeated),
        }
    }
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

/// The engine, as the HTTP edge sees it.
pub trait Backend: Send + Sync + 'static {
    /// Makes a delivery durable. Its content is judged later, never here.
    fn intake(
        &self,
        delivery: Delivery,
    ) -> impl Future<Output = Result<Accepted, IntakeError>> + Send;

    /// Whether waivers count that a source sends and proves no more by than that it is that source.
    fn may_waive(&self, source: &str) -> bool;

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
    fn reconcile(&self, confirm: bool) -> impl Future<Output = Result<Value, QueryError>> + Send;

    /// Starts a backtest over the log; returns its number.
    fn start_backtest(
        &self,
        question: Question,
    ) -> impl Future<Output = Result<u64, QueryError>> + Send;

    /// Where a backtest stands; `None` if there is no such one.
    fn backtest(&self, id: u64) -> Option<Standing>;

    /// Ends a backtest and forgets it; false if there is no such one.
    fn end_backtest(&self, id: u64) -> impl Future<Output = bool> + Send;

    /// Whether the engine serves; the reason if it does not.
    fn ready(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// The engine's own metrics in Prometheus text form, to follow those of the edge.
    fn metrics(&self) -> impl Future<Output = String> + Send;
}
