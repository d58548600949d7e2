//! `weir rules test`.
use std::process::ExitCode;
use crate::cli::failure::Failure;
/// Arguments.
#[derive(Debug, clap::Args)]
pub struct Args {}
/// Runs the tests.
pub fn run(_args: &Args) -> Result<ExitCode, Failure> { Ok(ExitCode::SUCCESS) }
