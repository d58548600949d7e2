//! `weir log`: the audit query.

use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use serde_json::Value;

use super::{Access, CliError, Output};
use crate::http::EventFilter;

/// Show what happened, filtered.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// Only events of this type, as `weir.decision.made`.
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Only about this repository, as source or target.
    #[arg(long)]
    repository: Option<String>,
    /// Only about this tag.
    #[arg(long)]
    tag: Option<String>,
    /// Only about this digest.
    #[arg(long)]
    digest: Option<String>,
    /// Only by this actor.
    #[arg(long)]
    actor: Option<String>,
    /// Only under this rule.
    #[arg(long)]
    rule: Option<String>,
    /// Only from this time on: RFC 3339, or an age as `7d`, `12h`, `30m`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only before this time.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Only where this CEL expression over `seq`, `recorded_at`, `event` and `data` is true.
    #[arg(long = "where", value_name = "CEL")]
    expression: Option<String>,
    /// Only records after this sequence.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
    /// At most so many; all if not given.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Only say how many there are.
    #[arg(long)]
    count: bool,
    /// Go on as records come; needs a running daemon.
    #[arg(long, short)]
    follow: bool,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    access: Access,
}

/// How many records are asked for at once.
const PAGE: usize = 1000;

/// Runs the command.
///
/// # Errors
/// If the filter makes no sense or the log cannot be read.
pub fn run(args: &LogArgs) -> Result<ExitCode, CliError> {
    let mut source = args.access.open()?;
    let mut filter = EventFilter {
        after: args.after,
        limit: args.limit.unwrap_or(PAGE).min(PAGE),
        kind: args.kind.clone(),
        repository: args.repository.clone(),
        tag: args.tag.clone(),
        digest: args.digest.clone(),
        actor: args.actor.clone(),
        rule: args.rule.clone(),
        since: args.since.as_deref().map(time).transpose()?,
        until: args.until.as_deref().map(time).transpose()?,
        expression: args.expression.clone(),
    };
    let mut left = args.limit.unwrap_or(usize::MAX);
    let mut count = 0_u64;
    let mut output = io::stdout().lock();
    let mut all = Vec::new();
    loop {
        let (events, through, more) = source.events(&filter)?;
        filter.after = through;
        for event in events {
            if left == 0 {
                break;
            }
            left -= 1;
            count += 1;
            match args.output {
                _ if args.count => {}
                Output::Jsonl => writeln!(output, "{event}").map_err(CliError::outside)?,
                Output::Json => all.push(event),
                Output::Table => writeln!(output, "{}", line(&event)).map_err(CliError::outside)?,
            }
        }
        output.flush().map_err(CliError::outside)?;
        if left == 0 || (!more && !args.follow) {
            break;
        }
        if !more {
            if matches!(source, super::access::Source::Log(_)) {
                return Err(CliError::usage(
                    "--follow needs a running daemon: the log of a stopped one does not grow",
                ));
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }
    if args.count {
        writeln!(output, "{count}").map_err(CliError::outside)?;
    } else if args.output == Output::Json {
        writeln!(output, "{}", Value::Array(all)).map_err(CliError::outside)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An RFC 3339 time, from an age or as it is.
pub(super) fn time(text: &str) -> Result<String, CliError> {
    match weir_rules::rule::parse_duration(text) {
        Ok(age) => {
            Ok((chrono::Utc::now() - age).to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
        }
        Err(_) => match text.parse::<weir_schema::Timestamp>() {
            Ok(time) => Ok(time.to_string()),
            Err(error) => Err(CliError::usage(format!("{error}, or an age as in `7d`"))),
        },
    }
}

/// A record on one line, for people.
fn line(record: &Value) -> String {
    let event = &record["event"];
    let data = &event["data"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = text(&event["type"]);
    let place = |value: &Value| match (value["repository"].as_str(), value["tag"].as_str()) {
        (Some(repository), Some(tag)) => format!("{repository}:{tag}"),
        (Some(repository), None) => repository.to_owned(),
        _ => String::new(),
    };
    let mut parts = vec![place(data), place(&data["source"])];
    if data["target"].is_object() {
        parts.push(format!("-> {}", place(&data["target"])));
    }
    if let Some(digest) = data["digest"].as_str() {
        parts.push(digest.chars().take(19).collect());
    }
    for key in [
        "rule",
        "verdict",
        "override_id",
        "vulnerability",
        "hold_id",
        "actor",
        "reason",
        "error",
    ] {
        if let Some(value) = data[key].as_str() {
            parts.push(value.to_owned());
        }
    }
    if let Some(scanner) = data["scanner"]["name"].as_str() {
        parts.push(format!("by {scanner}"));
    }
    for reason in data["reasons"].as_array().into_iter().flatten() {
        let about = ["component", "clause", "deny_rule", "hold_id", "digest"]
            .into_iter()
            .find_map(|key| reason[key].as_str());
        parts.push(format!(
            "[{} {}]",
            text(&reason["code"]),
            about
                .unwrap_or_default()
                .chars()
                .take(80)
                .collect::<String>()
        ));
    }
    parts.retain(|part| !part.is_empty());
    format!(
        "{:>7}  {}  {:<26}  {}",
        record["seq"],
        text(&record["recorded_at"]),
        kind.strip_prefix("weir.").unwrap_or(&kind),
        parts.join("  ")
    )
}
