//! `weir why`, `show` and `promotions`: what is, and why.

use std::{fmt::Write as _, process::ExitCode};

use clap::Args;
use serde_json::Value;

use super::{
    Access, CliError, NO, Output,
    explanation::{explanation, image_line, left_out_line, reason_line},
    nothing, out,
};
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

pub(super) fn short(digest: &str) -> String {
    digest
        .split_once(':')
        .map_or(digest, |(_, hex)| hex)
        .chars()
        .take(12)
        .collect()
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
    if let (true, Some(repository)) = (tags.is_empty(), &args.what) {
        nothing::hint(&mut source, repository)?;
    }
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
    for left in tag["left_out"].as_array().into_iter().flatten() {
        page.push_str(&left_out_line(left));
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

/// What it waits for; or what went wrong last, and when it is tried again.
pub(super) fn trouble(one: &Value) -> String {
    let copy = &one["copy"];
    if let Some(lacking) = one["waits_for"].as_str() {
        return lacking.to_owned();
    }
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
        tell!("what failed is given up: `weir retry PROMOTION --confirm` tries it again");
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
    fn a_tag_is_shown_with_what_in_it_is_not_scanned_and_why() {
        let page = detail(&json!({
            "repository": "dev/web", "tag": "1.0", "class": "index", "digest": "sha256:12",
            "images": [{"role": "platform", "digest": "sha256:34", "scan": "missing"}],
            "left_out": [{"digest": "sha256:56", "why": "attestation"}],
        }));
        let lines: Vec<Vec<&str>> = page
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(lines[2], ["platform", "34", "scan", "missing"]);
        assert_eq!(lines[3], ["56", "not", "scanned:", "attestation"]);
    }
}
