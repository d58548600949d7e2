//! `weir history`: the life of a tag, on one page.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::{
    Access, CliError, Output, on_one_line, out, tamed,
    why::{detail, short, tag_of, text},
};
use crate::query::Query;

/// Show the life of a tag on one page: pushed, scanned, what it waited for, who waived what,
/// promoted by which rule, and how it is now.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// The tag, as `repository:tag`.
    #[arg(value_name = "REPO:TAG")]
    tag: String,
    /// Up to this sequence or time.
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
/// If the tag was never recorded or nobody can be asked.
pub fn run(args: &HistoryArgs) -> Result<ExitCode, CliError> {
    let (repository, tag) = tag_of(&args.tag)?;
    let query = Query::History {
        repository: repository.clone(),
        tag: tag.clone(),
        at: args.at.clone(),
    };
    let answer = args.access.open()?.ask(&query)?;
    let entries = answer["entries"].as_array().cloned().unwrap_or_default();
    out::rows(args.output, &answer, &entries, |entries| {
        let when = args.at.as_ref().map_or("now", |_| "then");
        let state = match &answer["now"] {
            Value::Null => "gone\n".to_owned(),
            state => detail(&tamed(state)),
        };
        format!("{}\n{}{when}: {state}", args.tag, lines(entries))
    })?;
    if let Some(first) = answer["told_from"].as_u64() {
        tell!(
            "only the newest are told; those before: weir log --repository {repository} --tag {tag} --before {first}"
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Entries, each on a line.
pub(super) fn lines(entries: &[Value]) -> String {
    let lines = entries.iter().map(|entry| {
        let line = format!(
            "  {:<24}  {:>7}  {:<19}  {}",
            short_time(text(&entry["at"])),
            entry["seq"].to_string(),
            text(&entry["what"]),
            text(&entry["text"])
        );
        format!("{}\n", on_one_line(line.trim_end()))
    });
    lines.collect()
}

/// A time without the parts of a second that nobody reads.
fn short_time(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

/// A digest as people read it.
pub(super) fn digests(all: &Value) -> String {
    let all = all.as_array().into_iter().flatten();
    all.map(|digest| short(text(digest)))
        .collect::<Vec<_>>()
        .join(", ")
}
