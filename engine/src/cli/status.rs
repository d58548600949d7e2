//! `weir status`: how a daemon is, or what the data directory of a stopped one holds.

use std::{fmt::Write as _, process::ExitCode};

use clap::Args;
use serde_json::Value;

use super::{Access, CliError, Output, on_one_line, out, tamed};
use crate::query::Query;

/// Show how the daemon is: log, rules, stream, lease, and what is open.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Form of what is printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    access: Access,
}

/// Runs the command.
///
/// # Errors
/// If neither a daemon nor a log answers.
pub fn run(args: &StatusArgs) -> Result<ExitCode, CliError> {
    let status = args.access.open()?.ask(&Query::Status)?;
    match args.output {
        Output::Table => out::text(page(&status)),
        Output::Json | Output::Jsonl => out::line(&status),
    }?;
    Ok(ExitCode::SUCCESS)
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// The status as people read it: one line for each thing, what needs attention in words.
fn page(status: &Value) -> String {
    let refused = status["rules"]["refused"].as_str().map(str::to_owned);
    let status = &tamed(status);
    let mut page = String::new();
    // Writing into a string cannot fail.
    let mut line = |name: &str, value: String| {
        let _ = writeln!(page, "{name:<11} {value}");
    };
    line("daemon", daemon(status));
    let log = &status["log"];
    line(
        "log",
        format!(
            "{} records, {}, last {}",
            log["records"],
            bytes(log["bytes"].as_u64().unwrap_or_default()),
            text(&log["last_recorded_at"])
        ),
    );
    line("  hash", text(&log["hash"]));
    if !status["archive"].is_null() {
        line("archive", text(&status["archive"]["directory"]));
    }
    if let Some(problem) = status["archive"]["problem"].as_str() {
        line("", format!("NOT ARCHIVED: {problem}"));
    }
    line("state", text(&status["state_digest"]));
    let rules = &status["rules"];
    line(
        "rules",
        format!(
            "{} in force, {}",
            rules["count"],
            text(&rules["rules_digest"])
        ),
    );
    if let Some(refused) = refused {
        line(
            "  refused",
            "the newer set; what is wrong with it:".to_owned(),
        );
        for one in refused.lines() {
            line("", on_one_line(one));
        }
    }
    if !status["stream"].is_null() {
        line(
            "stream",
            stream(&status["stream"], status["running"] == true),
        );
    }
    if let Some(refused) = status["stream"]["refused"].as_str() {
        line("  refused", refused.to_owned());
    }
    for denied in status["stream"]["denied"].as_array().into_iter().flatten() {
        line(
            "  denied",
            format!("NATS does not permit this node {}", text(denied)),
        );
    }
    if let Some(unread) = status["stream"]["unread"].as_str() {
        line("  NOT READ", unread.to_owned());
    }
    if !status["lease"].is_null() {
        line("lease", lease(&status["lease"]));
    }
    let promotions = &status["promotions"];
    let mut copies = format!(
        "{} open, {} failed",
        promotions["open"], promotions["failed"]
    );
    if promotions["execute"] == false {
        copies.push_str("; this node copies nothing (`promotions.execute = false`)");
    }
    line("promotions", copies);
    let holds = status["holds"].as_array().cloned().unwrap_or_default();
    line("holds", holds.len().to_string());
    for hold in &holds {
        line("", hold_line(hold));
    }
    line("violations", text(&status["violations"]));
    let lookups = &status["lookups"];
    line(
        "look-ups",
        format!(
            "{} deliveries, {} manifests wait for a registry",
            lookups["deliveries"],
            text(&lookups["manifests"])
        ),
    );
    if let Some(through) = status["outputs"]["published_through"]
        .as_u64()
        .filter(|_| !status["stream"].is_null())
    {
        line("outputs", format!("published through record {through}"));
    }
    let sources = status["sources"].as_object().cloned().unwrap_or_default();
    line("sources", format!("{} heard of", sources.len()));
    for (name, at) in &sources {
        line("", format!("{name:<24} {}", text(at)));
    }
    page
}

fn daemon(status: &Value) -> String {
    if status["running"] != true {
        return "not running".to_owned();
    }
    format!(
        "{} at {}, weir {}, since {}",
        text(&status["node"]),
        text(&status["address"]),
        text(&status["version"]),
        text(&status["started_at"])
    )
}

fn stream(stream: &Value, running: bool) -> String {
    let mut line = format!(
        "{} read through {}",
        text(&stream["name"]),
        stream["position"]
    );
    match stream["lag"].as_u64() {
        Some(0) => line.push_str(", nothing waits"),
        Some(lag) => {
            let _ = write!(line, ", {lag} behind");
        }
        None if running => line.push_str(", how far behind is unknown"),
        None => {}
    }
    if running && stream["connected"] != true {
        line.push_str(", NOT CONNECTED");
    }
    line
}

fn lease(lease: &Value) -> String {
    let holder = text(&lease["holder"]);
    match lease["standing"].as_str().unwrap_or_default() {
        "leads" => format!(
            "held by this node ({holder}) since {}",
            text(&lease["since"])
        ),
        "takes-over" => format!("held by this node ({holder}), which reads what was said before"),
        "follows" if lease["holder_executes"] == false => {
            format!("held by {holder}, which copies nothing")
        }
        "follows" => format!("held by {holder}; this node follows"),
        "differs" => format!("THE LOG DIFFERS: {}", text(&lease["problem"])),
        _ => format!("unknown: {}", text(&lease["problem"])),
    }
}

fn hold_line(hold: &Value) -> String {
    let mut line = format!(
        "{} by {}: {}",
        text(&hold["hold_id"]),
        text(&hold["actor"]),
        text(&hold["reason"])
    );
    for key in ["repository", "digest", "rule"] {
        if let Some(scope) = hold[key].as_str() {
            let _ = write!(line, "  {key} {scope}");
        }
    }
    line
}

fn bytes(count: u64) -> String {
    let steps = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let unit = steps.iter().find(|(bits, _)| count >= 1 << bits);
    match unit {
        Some((bits, unit)) => {
            let tenths = (u128::from(count) * 10) >> bits;
            format!("{}.{} {unit}", tenths / 10, tenths % 10)
        }
        None => format!("{count} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sizes_are_said_as_people_say_them() {
        for (count, said) in [
            (0, "0 bytes"),
            (1023, "1023 bytes"),
            (1536, "1.5 KiB"),
            (8 << 20, "8.0 MiB"),
            (5 << 30, "5.0 GiB"),
        ] {
            assert_eq!(bytes(count), said);
        }
    }

    #[test]
    fn what_needs_attention_is_said_in_words() {
        let status = json!({
            "running": true, "node": "a", "address": "http://127.0.0.1:1", "version": "1", "started_at": "t",
            "log": {"records": 7, "bytes": 2048, "last_recorded_at": "t", "hash": "ab"},
            "archive": {"directory": "/archive", "problem": "it holds more"},
            "state_digest": "sha256:00",
            "rules": {"count": 1, "rules_digest": "sha256:11", "refused": "a.cel:1:2: no"},
            "stream": {"name": "WEIR", "position": 5, "last": 9, "lag": 4, "connected": false, "refused": "NATS refuses", "denied": ["to publish on `a.>`"], "unread": "the stream is not read"},
            "lease": {"standing": "follows", "holder": "b", "holder_executes": true},
            "promotions": {"open": 1, "failed": 2, "execute": false},
            "holds": [{"hold_id": "h", "actor": "ann", "reason": "freeze", "repository": "prod/**"}],
            "violations": 3, "lookups": {"deliveries": 0, "manifests": 1},
            "outputs": {"published_through": 6}, "sources": {"dev": "t"},
        });
        let page = page(&status);
        for part in [
            "a.cel:1:2: no",
            "archive     /archive\n            NOT ARCHIVED: it holds more",
            "4 behind, NOT CONNECTED",
            "  denied    NATS does not permit this node to publish on `a.>`",
            "  refused   NATS refuses",
            "  NOT READ  the stream is not read",
            "held by b; this node follows",
            "1 open, 2 failed; this node copies nothing",
            "h by ann: freeze  repository prod/**",
            "published through record 6",
        ] {
            assert!(page.contains(part), "{part}:\n{page}");
        }
    }
}
