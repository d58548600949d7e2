//! Makes it happen: log, stream, adapters, executor, interfaces.

pub mod adapters;
pub mod cli;
pub mod dedup;
pub mod http;
pub mod replay;
pub mod rules_dir;
pub mod secret;
pub mod stream;
//! Makes it happen.

pub mod log;
pub mod copy;
pub mod oci;
pub mod resolve;
