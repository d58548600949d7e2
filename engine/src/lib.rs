//! Makes it happen: log, stream, adapters, executor, interfaces.
//!
//! ```text
//!  http ──┐                       ┌─> outputs (stream::outbox)
//!         ├─> adapters ──> node ──┼─> copy ──> oci ──> registries
//! stream ─┘                 │     └─> answers (query) ──> http, cli
//!                          log
//! ```
//!
//! `node` is one thread that owns log, state and rules; everything else brings it inputs or
//! carries out what it decided.

pub mod adapters;
mod aside;
mod backoff;
pub mod backtest;
mod causes;
pub mod cli;
pub mod config;
pub mod copy;
pub mod daemon;
pub mod dedup;
pub mod demo;
pub mod http;
mod identifiers;
pub mod log;
pub mod node;
pub mod oci;
pub mod query;
pub mod reconcile;
pub mod replay;
pub mod resolve;
pub mod rules_dir;
pub mod scan;
pub mod secret;
mod status;
pub mod stream;
mod structured;

/// Records are decided on one thread, written on another and sent on a third: the allocator of the C
/// library hands memory back between threads under a lock, which took half of the time of it all.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
