//! Makes it happen.
pub mod cli;
