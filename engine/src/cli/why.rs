//! `weir why`, `show` and `promotions`: what is, and why.

use std::{fmt::Write as _, process::ExitCode};

use clap::Args;
use serde_json::Value;

use super::{Access, CliError, NO, Output, out};
use crate::query::{PromotionFilter, Query};

/// Explain why a tag is or is not promoted.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The tag, as `repository:tag`.
    #[arg(value_name = "REPO:TAG")]
    tag: String,
    /// Only under this rule.
    #[arg(long)]
    rule: Option<String>,
    /// As it was at this sequence or time.
    #[arg(long, value_name = "SEQ|TIME")]
    at: Option<String>,
    /// Exit with 1 if something stands in the way.
    #[arg(long)]
    exit_code: bool,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    access: Access,
}

/// Show the state of a repository or a tag: its components and their scans.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// A repository, or a tag as `repository:tag`; all repositories if not given.
    #[arg(value_name = "REPO[:TAG]")]
    what: Option<String>,
    /// As it was at this sequence or time.
    #[arg(long, value_name = "SEQ|TIME")]
    at: Option<String>,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    access: Access,
}

/// Show promotions that are decided, running or failed.
#[derive(Debug, Args)]
pub struct PromotionsArgs {
    /// Form of what is printed.
    #[arg(long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    access: Access,
}

/// Splits `repository:tag`; a colon before a slash belongs to a registry's port.
///
/// # Errors
/// If there is no tag.
pub fn tag_of(text: &str) -> Result<(String, String), CliError> {
    match crate::query::tag_of(text) {
        Some((repository, tag)) => Ok((repository.to_owned(), tag.to_owned())),
        None => Err(CliError::usage(format!(
            "`{text}` names no tag: expected `repository:tag`"
        ))),
    }
}

/// Runs `weir why`.
///
/// # Errors
/// If the tag does not exist or nobody can be asked.
pub fn why(args: &WhyArgs) -> Result<ExitCode, CliError> {
    let (repository, tag) = tag_of(&args.tag)?;
    let query = Query::Why {
        repository,
        tag,
        rule: args.rule.clone(),
        at: args.at.clone(),
    };
    let answer = args.access.open()?.ask(&query)?;
    let all = answer.as_array().cloned().unwrap_or_default();
    out::rows(args.output, &answer, &all, |all| {
        all.iter().map(explanation).collect()
    })?;
    let given_up = |one: &Value| {
        let promotions = one["promotions"].as_array();
        promotions.is_some_and(|all| all.iter().any(|open| open["progress"] == "failed"))
    };
    let blocked = all
        .iter()
        .any(|one| one["verdict"] != "promote" || given_up(one));
    Ok(if args.exit_code && blocked {
        ExitCode::from(NO)
    } else {
        ExitCode::SUCCESS
    })
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An explanation as people read it.
#[must_use]
pub fn explanation(one: &Value) -> String {
    let mut page = String::new();
    let mut say = |line: String| {
        page.push_str(&line);
        page.push('\n');
    };
    say(format!(
        "{} -> {}   rule {}   {}",
        text(&one["source"]),
        text(&one["target"]),
        text(&one["rule"]),
        text(&one["verdict"])
    ));
    say(format!(
        "  {} {}",
        text(&one["class"]),
        text(&one["digest"])
    ));
    for name in ["about", "owner", "link"] {
        if let Some(told) = one[name].as_str() {
            say(format!("  {name:<16} {told}"));
        }
    }
    if one["severity"] == "warn" {
        say("  advice only: the rule has `severity: warn`, and promotes nothing".to_owned());
    }
    for image in one["images"].as_array().into_iter().flatten() {
        say(image_line(image));
    }
    for left in one["left_out"].as_array().into_iter().flatten() {
        say(format!(
            "    {:<20} {:<12} not scanned: {}",
            "",
            short(text(&left["digest"])),
            text(&left["why"])
        ));
    }
    // What is not scanned yet may be found in it yet.
    let mut images = one["images"].as_array().into_iter().flatten();
    let scanned = images.all(|image| image["scan"] == "completed");
    for stage in one["stages"].as_array().into_iter().flatten() {
        let reasons = stage["reasons"].as_array().cloned().unwrap_or_default();
        if reasons.is_empty() {
            let so_far = match text(&stage["stage"]) {
                "rule" if !scanned => " as far as is scanned",
                _ => "",
            };
            say(format!("  {:<16} ok{so_far}", text(&stage["stage"])));
            continue;
        }
        for reason in reasons {
            say(format!(
                "  {:<16} {}",
                text(&stage["stage"]),
                reason_line(&reason)
            ));
        }
    }
    // The values are of use where the expression, or a deny, is what stands in the way.
    for deny in one["denies"].as_array().into_iter().flatten() {
        let only_warns = match (&deny["denies"], &deny["warns"]) {
            (Value::Bool(true), _) => "",
            (_, Value::Bool(true)) => ", which only warns",
            _ => continue,
        };
        say(format!(
            "  values of the deny rule {}{only_warns}",
            text(&deny["rule"])
        ));
        values(&deny["expression"], 2, &mut say);
    }
    let stages = one["stages"].as_array().into_iter().flatten();
    let own = |reason: &Value| reason["deny_rule"].is_null();
    let objects = |stage: &Value| {
        stage["stage"] == "rule"
            && stage["reasons"]
                .as_array()
                .is_some_and(|all| all.iter().any(own))
    };
    if one["verdict"] != "promote"
        && !one["expression"].is_null()
        && stages.into_iter().any(objects)
    {
        say("  values".to_owned());
        values(&one["expression"], 2, &mut say);
    }
    let overrides: Vec<&str> = one["overrides"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !overrides.is_empty() {
        say(format!(
            "  {:<16} {}",
            "overridden by",
            overrides.join(", ")
        ));
    }
    for vote in one["uncounted"].as_array().into_iter().flatten() {
        say(format!(
            "  {:<16} that of {}, who is the {}",
            "vote not counted",
            text(&vote["actor"]),
            match text(&vote["why"]) {
                "rule-owner" => "rule's owner",
                other => other,
            }
        ));
    }
    for open in one["promotions"].as_array().into_iter().flatten() {
        let id = text(&open["promotion_id"]);
        say(format!(
            "  {:<16} {id} {}",
            "promotion",
            match (text(&open["progress"]), text(&open["error"])) {
                ("decided", _) => "is decided; the copy has not begun".to_owned(),
                ("started", "") => "is being copied".to_owned(),
                ("started", error) => format!("is being copied again: {error}"),
                (_, error) => format!("was given up: {error}; try again with `weir retry {id}`"),
            }
        ));
    }
    let needs = one["needs"].as_array().cloned().unwrap_or_default();
    if !needs.is_empty() && one["verdict"] != "promote" {
        say("  it would pass with".to_owned());
        for need in &needs {
            say(format!("    - {}", text(need)));
        }
    }
    page.push('\n');
    page
}

pub(super) fn short(digest: &str) -> String {
    digest
        .split_once(':')
        .map_or(digest, |(_, hex)| hex)
        .chars()
        .take(12)
        .collect()
}

fn image_line(image: &Value) -> String {
    let platform = &image["platform"];
    let platform = if platform.is_object() {
        format!(
            "{}/{}",
            text(&platform["os"]),
            text(&platform["architecture"])
        )
    } else {
        String::new()
    };
    let name = image["component"]
        .as_str()
        .unwrap_or_else(|| text(&image["role"]));
    let mut line = format!(
        "    {:<20} {:<12} {:<14} scan {}",
        name,
        short(text(&image["digest"])),
        platform,
        text(&image["scan"])
    );
    let counts: Vec<u64> = image["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_u64)
        .collect();
    if let [critical, high, medium, low, ..] = counts[..]
        && image["scan"] == "completed"
    {
        let _ = write!(
            line,
            "  ({critical} critical, {high} high, {medium} medium, {low} low)"
        );
    }
    line
}

fn reason_line(reason: &Value) -> String {
    let mut line = text(&reason["code"]).to_owned();
    for key in [
        "component",
        "clause",
        "deny_rule",
        "hold_id",
        "message",
        "until",
    ] {
        if let Some(value) = reason[key].as_str() {
            let _ = write!(line, "  {value}");
        }
    }
    if let Some(digest) = reason["digest"].as_str() {
        let _ = write!(line, "  {}", short(digest));
    }
    if let (Some(have), Some(need)) = (reason["have"].as_u64(), reason["need"].as_u64()) {
        let _ = write!(line, "  {have} of {need}");
    }
    line
}

/// The values of an expression's parts, indented by depth, as far as they decided.
fn values(node: &Value, depth: usize, say: &mut impl FnMut(String)) {
    const DEEPEST: usize = 6;
    if depth > DEEPEST {
        return;
    }
    if let Some(source) = node["text"].as_str() {
        let value = match (&node["value"], node["error"].as_str()) {
            (_, Some(error)) => format!("error: {error}"),
            (value, None) => value.to_string(),
        };
        let value: String = value.chars().take(100).collect();
        say(format!("{}{source} = {value}", "  ".repeat(depth)));
    }
    for part in node["parts"].as_array().into_iter().flatten() {
        values(part, depth + 1, say);
    }
    for element in node["elements"].as_array().into_iter().flatten() {
        say(format!(
            "{}{}",
            "  ".repeat(depth + 1),
            element_words(element)
        ));
        values(&element["body"], depth + 2, say);
    }
    if let Some(more) = node["more_elements"].as_u64() {
        say(format!("{}and {more} more", "  ".repeat(depth + 1)));
    }
}

/// An element of a list that decided: by its name in the rule, and what tells it from others.
fn element_words(element: &Value) -> String {
    const TELLING: [&str; 12] = [
        "id",
        "severity",
        "package",
        "version",
        "component",
        "platform",
        "digest",
        "actor",
        "rule",
        "repository",
        "tag",
        "artifact_type",
    ];
    let name = format!("{}[{}]", text(&element["name"]), element["index"]);
    let value = &element["value"];
    let Some(fields) = value.as_object() else {
        return format!("{name} = {value}");
    };
    let told = TELLING.iter().filter_map(|key| fields.get(*key)?.as_str());
    let told: Vec<&str> = told.collect();
    format!("{name}: {}", told.join(" "))
}

/// Runs `weir show`.
///
/// # Errors
/// If it does not exist or nobody can be asked.
pub fn show(args: &ShowArgs) -> Result<ExitCode, CliError> {
    let mut source = args.access.open()?;
    let answer = match &args.what {
        None => source.tags(None, args.at.as_deref())?.into(),
        Some(what) => {
            let (repository, tag) = match tag_of(what) {
                Ok((repository, tag)) => (repository, Some(tag)),
                Err(_) => (what.clone(), None),
            };
            source.ask(&Query::Show {
                repository,
                tag,
                at: args.at.clone(),
            })?
        }
    };
    let tags = match &answer {
        Value::Array(tags) => tags.clone(),
        one => vec![one.clone()],
    };
    let of_one_tag = args
        .what
        .as_deref()
        .is_some_and(|what| tag_of(what).is_ok());
    out::rows(args.output, &answer, &tags, |tags| {
        if of_one_tag {
            tags.iter().map(detail).collect()
        } else {
            format!("{}\n", overview(tags))
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn overview(tags: &[Value]) -> comfy_table::Table {
    let mut table = super::table(["TAG", "CLASS", "DIGEST", "PUSHED", "SCANNED", "VERDICTS"]);
    for tag in tags {
        let images = tag["images"].as_array().cloned().unwrap_or_default();
        let scanned = images
            .iter()
            .filter(|image| image["scan"] == "completed")
            .count();
        let verdicts = tag["verdicts"].as_array().into_iter().flatten();
        let verdicts: Vec<String> = verdicts
            .map(|one| format!("{}: {}", text(&one["rule"]), text(&one["verdict"])))
            .collect();
        table.add_row([
            format!("{}:{}", text(&tag["repository"]), text(&tag["tag"])),
            text(&tag["class"]).to_owned(),
            short(text(&tag["digest"])),
            text(&tag["pushed_at"]).to_owned(),
            format!("{scanned}/{}", images.len()),
            verdicts.join(", "),
        ]);
    }
    table
}

pub(super) fn detail(tag: &Value) -> String {
    let mut page = format!(
        "{}:{}   {}   {}\n  pushed {}{}\n",
        text(&tag["repository"]),
        text(&tag["tag"]),
        text(&tag["class"]),
        text(&tag["digest"]),
        text(&tag["pushed_at"]),
        tag["pushed_by"]
            .as_str()
            .map(|actor| format!(" by {actor}"))
            .unwrap_or_default()
    );
    for image in tag["images"].as_array().into_iter().flatten() {
        page.push_str(&image_line(image));
        page.push('\n');
    }
    for unknown in tag["unknown"].as_array().into_iter().flatten() {
        let _ = writeln!(
            page,
            "    children of {} are not known",
            short(text(unknown))
        );
    }
    for hop in tag["lineage"].as_array().into_iter().flatten() {
        let _ = writeln!(
            page,
            "  came from {} by rule {} at {}",
            text(&hop["source"]),
            text(&hop["rule"]),
            text(&hop["at"])
        );
    }
    for verdict in tag["verdicts"].as_array().into_iter().flatten() {
        let _ = writeln!(
            page,
            "  {} -> {}: {}",
            text(&verdict["rule"]),
            text(&verdict["target"]),
            text(&verdict["verdict"])
        );
        for reason in verdict["reasons"].as_array().into_iter().flatten() {
            let _ = writeln!(page, "    {}", reason_line(reason));
        }
    }
    for reason in tag["violation"].as_array().into_iter().flatten() {
        let _ = writeln!(page, "  violation: {}", reason_line(reason));
    }
    page
}

/// How far a promotion is: with the manifests that are there, while it is being copied.
fn progress(one: &Value) -> String {
    let (word, copy) = (text(&one["progress"]), &one["copy"]);
    match copy["manifests"].as_u64() {
        Some(all) if all > 0 => format!("{word}, {} of {all} manifests", copy["manifests_done"]),
        _ => word.to_owned(),
    }
}

/// What went wrong last, and when it is tried again.
fn trouble(one: &Value) -> String {
    let copy = &one["copy"];
    match (text(&copy["error"]), text(&copy["retry_at"])) {
        ("", _) => text(&one["error"]).to_owned(),
        (error, "") => format!("{error} (trying again)"),
        (error, at) => format!("{error} (again at {at})"),
    }
}

/// Runs `weir promotions`.
///
/// # Errors
/// If nobody can be asked.
pub fn promotions(args: &PromotionsArgs) -> Result<ExitCode, CliError> {
    let answer = args
        .access
        .open()?
        .ask(&Query::Promotions(PromotionFilter::default()))?;
    let all = answer.as_array().cloned().unwrap_or_default();
    out::rows(args.output, &answer, &all, promotions_table)?;
    if args.output == Output::Table && all.iter().any(|one| one["progress"] == "failed") {
        eprintln!("what failed is given up: `weir retry PROMOTION --confirm` tries it again");
    }
    Ok(ExitCode::SUCCESS)
}

fn promotions_table(all: &[Value]) -> String {
    let mut table = super::table([
        "PROMOTION",
        "RULE",
        "SOURCE",
        "TARGET",
        "PROGRESS",
        "TRIES",
        "ERROR",
    ]);
    for one in all {
        let place =
            |value: &Value| format!("{}:{}", text(&value["repository"]), text(&value["tag"]));
        table.add_row([
            text(&one["promotion_id"]).to_owned(),
            text(&one["rule"]).to_owned(),
            place(&one["source"]),
            place(&one["target"]),
            progress(one),
            match &one["copy"]["attempt"] {
                Value::Null => one["attempts"].to_string(),
                attempt => attempt.to_string(),
            },
            trouble(one),
        ]);
    }
    format!("{table}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_elements_that_decided_are_told_by_name() {
        let part = |text: &str| json!({"text": text, "value": false});
        let mut all = part("vulnerabilities.all(v, v.severity != \"HIGH\")");
        all["elements"] = json!([
            {"name": "v", "index": 3, "value": {"id": "CVE-1", "severity": "HIGH", "package": "zlib", "age": "2s"}, "body": part("v.severity != \"HIGH\"")},
            {"name": "t", "index": 0, "value": "x", "body": part("t == \"y\"")},
        ]);
        all["more_elements"] = json!(7);
        let mut lines = Vec::new();
        values(&all, 0, &mut |line| lines.push(line));
        assert_eq!(
            lines,
            [
                "vulnerabilities.all(v, v.severity != \"HIGH\") = false",
                "  v[3]: CVE-1 HIGH zlib",
                "    v.severity != \"HIGH\" = false",
                "  t[0] = \"x\"",
                "    t == \"y\" = false",
                "  and 7 more",
            ]
        );
    }
}
