//! `weir list`: tags with their verdicts, now or at a past record.

use std::process::ExitCode;

use clap::Args;

use super::{Access, CliError, Output, nothing, out, why::overview};

/// List tags with their verdicts.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only of repositories that match: patterns as in rules.
    #[arg(value_name = "PATTERN")]
    repository: Option<String>,
    /// As it was at this sequence or time.
    #[arg(long, value_name = "SEQ|TIME")]
    at: Option<String>,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    access: Access,
}

/// Runs the command.
///
/// # Errors
/// If the pattern is none or nobody can be asked.
pub fn run(args: &ListArgs) -> Result<ExitCode, CliError> {
    let mut source = args.access.open()?;
    let tags = source.tags(args.repository.as_deref(), args.at.as_deref())?;
    out::rows(args.output, &tags.clone().into(), &tags, |tags| {
        format!("{}\n", overview(tags))
    })?;
    if let (true, Some(pattern)) = (tags.is_empty(), &args.repository) {
        nothing::hint(&mut source, pattern)?;
    }
    Ok(ExitCode::SUCCESS)
}
