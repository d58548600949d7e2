//! The command line: one file a command, each with its arguments and a `run`.

pub mod eval;
pub mod failure;
pub mod import;
pub mod rules;
