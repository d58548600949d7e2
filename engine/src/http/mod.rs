//! The HTTP edge: intake for registries, queries for people and programs.
//!
//! ```text
//! request ── admission (token) ── route ── Backend ── JSON, or a problem (RFC 9457)
//! ```
//!
//! The web page (`page`) is files that ask the same questions.
//!
//! [`Questions`] are the same queries, asked by name over NATS.
//!
//! Nothing is decided here: a [`Backend`] makes deliveries durable and answers queries.

mod admission;
mod backend;
mod backtests;
mod config;
mod connections;
mod intake;
mod metrics;
mod openapi;
mod operators;
mod page;
mod problem;
mod promotions;
mod questions;
mod read;
mod reconcile;
mod server;
mod webhook;

pub use admission::{Admission, ListenError, check_listen};
pub use backend::{Accepted, Backend, Delivery, IntakeError};
pub use backtests::Asked;
pub use config::{HttpConfig, HttpConfigError};
pub use metrics::Metrics;
pub use problem::Problem;
pub(crate) use problem::TOKEN_NEEDED;
pub use questions::Questions;
pub(crate) use read::LARGEST_PAGE;
pub(crate) use server::GRACE;
pub use server::{ServeError, Server};
