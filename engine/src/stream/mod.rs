//! The stream: all inputs in one order, by NATS JetStream.
//!
//! ```text
//! intake, operators, executor ── Publisher ──> JetStream `registry.>` ── Consumer ──> the log
//! the log ── Outbox ──> JetStream `weir.events.>`
//! Leases ── one of the nodes acts
//! Service ── questions, answered by one of the nodes
//! ```
//!
//! The broker's order and time are the truth; the log keeps the position. The client library is
//! named in this module only.

mod announce;
mod config;
mod connection;
mod consumer;
mod fetch;
mod lease;
mod limit;
mod message;
mod outbox;
mod permissions;
mod provision;
mod publisher;
mod server;
mod service;
mod taking;
mod unread;
mod work;

pub use announce::AnnounceError;
pub use config::{LeaseConfig, OutputsConfig, StreamConfig, StreamConfigError};
pub use connection::{ConnectError, Connection};
pub use consumer::{ConsumeError, Consumer};
pub use lease::{
    Acquired, Candidate, LastRecord, Lease, LeaseError, Leases, Lost, NoTerm, TellsLast, Term,
    Validity,
};
pub use limit::{LimitOf, MessageLimit};
pub use message::{Damaged, Escort, Message, Origin, Settled, Speaker};
pub use outbox::{Cursor, Outbox, OutboxError, Output, OutputBatch, Outputs};
pub use permissions::{Denial, NeededSubjects};
pub use provision::{OpenError, Stream};
pub use publisher::{Ack, PublishError, Publisher};
pub use service::{Asked, Service, ServiceError};
pub use taking::Refusal;
pub use unread::Obstacle;
pub use work::{Work, WorkError, WorkQueue};
