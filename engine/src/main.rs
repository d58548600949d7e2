//! The `weir` binary.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    weir_engine::cli::Cli::parse().run()
}
