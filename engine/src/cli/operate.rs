//! What operators say: promote, retry, approve, hold, release, override. What moves something needs
//! `--confirm`; without it the event is only shown.

use std::process::ExitCode;

use clap::{Args, Subcommand, builder::NonEmptyStringValueParser as Said};
use serde_json::{Value, json};
use weir_rules::{pattern::RepositoryPattern, rule::parse_duration};
use weir_schema::{Received, Timestamp, vulnerability_name};

use super::{Access, CliError, consequences::Consequences, holds, nothing, out, why::tag_of};
use crate::query::{PromotionFilter, Query};

/// What all of them have.
#[derive(Debug, Args)]
pub struct Who {
    /// Who says it.
    #[arg(long, env = "USER", value_parser = Said::new())]
    actor: String,
    #[command(flatten)]
    access: Access,
}

/// Promote a tag by hand, without a rule.
///
/// It is judged once, when it is recorded: what is missing then, as a scan, an approval or the end of
/// a hold, is not waited for. Ask again when it has come.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// The source, as `repository:tag`.
    #[arg(value_name = "REPO:TAG")]
    source: String,
    /// The target, as `repository:tag`.
    #[arg(value_name = "TARGET:TAG")]
    target: String,
    /// Why.
    #[arg(long, value_parser = Said::new())]
    reason: String,
    /// Reason codes that shall not stop it; may be repeated.
    #[arg(long, value_name = "CODE")]
    waive: Vec<weir_schema::ReasonCode>,
    /// Do it; without this the request is only shown.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    who: Who,
}

/// Try a promotion once more that was given up; it stays what was decided.
#[derive(Debug, Args)]
pub struct RetryArgs {
    /// Which, as `weir promotions` shows it.
    promotion_id: String,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
    /// Do it; without this the request is only shown.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    who: Who,
}

/// Approve a digest for a target repository.
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// The source, as `repository@sha256:...`.
    #[arg(value_name = "REPO@DIGEST")]
    source: String,
    /// The target repository.
    #[arg(long)]
    target: String,
    /// What to say with it.
    #[arg(long)]
    comment: Option<String>,
    /// Take the vote back.
    #[arg(long)]
    revoke: bool,
    /// Not needed: a vote is the word that it may move, which it does at once if nothing else is
    /// missing.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    who: Who,
}

/// Place a hold: nothing in its scope is promoted.
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// Names it, for releasing.
    #[arg(value_parser = Said::new())]
    hold_id: String,
    /// Why.
    #[arg(long, value_parser = Said::new())]
    reason: String,
    /// Only where source or target match this pattern.
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    repository: Option<String>,
    /// Only this digest.
    #[arg(long)]
    digest: Option<String>,
    /// Only this rule.
    #[arg(long)]
    rule: Option<String>,
    /// Not needed: a hold moves nothing.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    who: Who,
}

/// Release a hold.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// Which.
    hold_id: String,
    /// Do it: what waits for it may move at once.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    who: Who,
}

/// Grant or revoke an override.
#[derive(Debug, Subcommand)]
pub enum OverrideCommand {
    /// A vulnerability stops counting.
    Grant(GrantArgs),
    /// It counts again.
    Revoke(RevokeArgs),
}

/// What an override says.
#[derive(Debug, Args)]
pub struct GrantArgs {
    /// Names it, for revoking.
    #[arg(value_parser = Said::new())]
    override_id: String,
    /// The vulnerability, as `CVE-2024-3094`.
    #[arg(value_parser = Said::new())]
    vulnerability: String,
    /// Why it does not count.
    #[arg(long, value_parser = Said::new())]
    reason: String,
    /// Only in source repositories that match this pattern.
    #[arg(long, value_name = "PATTERN", value_parser = pattern)]
    repository: Option<String>,
    /// Only in this image, or in what is below this index.
    #[arg(long)]
    digest: Option<String>,
    /// Only in this package; as `NAME@VERSION`, only in that version of it.
    #[arg(long)]
    package: Option<String>,
    /// Until when: RFC 3339, or a time from now, as `14d` or `12h`.
    #[arg(long, value_name = "TIME", value_parser = to_come)]
    expires_at: Option<String>,
    /// Do it: what it blocked may move at once.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    who: Who,
}

/// Which override no longer holds.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// Which.
    override_id: String,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
    /// Not needed: what counts again moves nothing.
    #[arg(long)]
    confirm: bool,
    #[command(flatten)]
    who: Who,
}

/// A pattern of repositories, as one that matches nothing would be recorded without a word.
fn pattern(text: &str) -> Result<String, String> {
    let read = text.parse::<RepositoryPattern>();
    read.map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

/// A time that has not come yet, in RFC 3339; a duration counts from now.
fn to_come(text: &str) -> Result<String, String> {
    let now: Timestamp = chrono::Utc::now().into();
    let span = parse_duration(text).ok();
    let at: Timestamp = match span {
        Some(span) => now.saturating_add(span),
        None => text.parse().map_err(|_| {
            "expected a time as `2026-08-21T10:00:00Z`, or one from now as `14d` or `12h`"
                .to_owned()
        })?,
    };
    match at > now {
        true => Ok(span.map_or(text.to_owned(), |_| at.to_string())),
        false => Err("that time has passed".to_owned()),
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| (key, without_nulls(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

fn say(who: &Who, kind: &str, data: Value, confirmed: bool) -> Result<ExitCode, CliError> {
    let event = json!({
        "specversion": "1.0",
        "id": uuid::Uuid::new_v4().to_string(),
        "source": "/operators",
        "type": kind,
        "time": chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
        "data": without_nulls(data),
    });
    let event = Received::from_json(event.to_string().as_bytes()).map_err(CliError::usage)?;
    if !confirmed {
        out::line(&event.json)?;
        tell!("nothing was sent: add --confirm");
        return Ok(ExitCode::SUCCESS);
    }
    let daemon = who.access.running()?;
    let consequences = Consequences::of(&daemon, &event)?;
    daemon.publish(&[event])?;
    consequences.tell()
}

/// Runs `weir promote`.
///
/// # Errors
/// If the request makes no sense or no daemon takes it.
pub fn promote(args: &PromoteArgs) -> Result<ExitCode, CliError> {
    let (repository, tag) = tag_of(&args.source)?;
    let (target, target_tag) = tag_of(&args.target)?;
    let waive: Vec<&str> = args.waive.iter().map(|code| code.as_str()).collect();
    let data = json!({
        "repository": repository,
        "tag": tag,
        "target": {"repository": target, "tag": target_tag},
        "actor": args.who.actor,
        "reason": args.reason,
        "waive": if waive.is_empty() { Value::Null } else { json!(waive) },
    });
    say(&args.who, "weir.promotion.requested", data, args.confirm)
}

/// Runs `weir retry`.
///
/// # Errors
/// If nothing of that name was given up or no daemon takes it.
pub fn retry(args: &RetryArgs) -> Result<ExitCode, CliError> {
    let mut open = match args.confirm {
        true => args.who.access.open_running()?,
        false => args.who.access.open()?,
    };
    let all = open.ask(&Query::Promotions(PromotionFilter::default()))?;
    let mut all = all.as_array().into_iter().flatten();
    let found = all.find(|one| one["promotion_id"] == args.promotion_id.as_str());
    let Some(promotion) = found else {
        return Err(CliError::usage(format!(
            "there is no open promotion `{}`",
            args.promotion_id
        ))
        .hint("list them with `weir promotions`"));
    };
    let progress = promotion["progress"].as_str().unwrap_or_default();
    if progress != "failed" {
        return Err(CliError::usage(format!(
            "the promotion `{}` was not given up: it is {progress}",
            args.promotion_id
        )));
    }
    let status = open.ask(&Query::Status)?;
    holds::warn_of_holds(&status["holds"], promotion);
    let data = json!({
        "promotion_id": args.promotion_id,
        "actor": args.who.actor,
        "reason": args.reason,
    });
    say(&args.who, "weir.promotion.retried", data, args.confirm)
}

/// Runs `weir approve`.
///
/// # Errors
/// If the vote makes no sense or no daemon takes it.
pub fn approve(args: &ApproveArgs) -> Result<ExitCode, CliError> {
    let (repository, digest) = args.source.split_once('@').ok_or_else(|| {
        CliError::usage(format!(
            "`{}` names no digest: an approval is bound to `repository@sha256:...`",
            args.source
        ))
    })?;
    let kind = if args.revoke {
        "weir.approval.revoked"
    } else {
        "weir.approval.granted"
    };
    let data = json!({
        "repository": repository,
        "digest": digest,
        "target": args.target,
        "actor": args.who.actor,
        "comment": args.comment,
    });
    let said = say(&args.who, kind, data, true)?;
    if !args.revoke {
        let of_repository = Query::Show {
            repository: repository.to_owned(),
            tag: None,
            at: None,
        };
        let tell = || {
            let tags = args.who.access.open_running()?.ask(&of_repository)?;
            holds::tell_of_target(repository, &args.target, &tags);
            Ok(())
        };
        add(tell());
    }
    Ok(said)
}

/// Runs `weir hold`.
///
/// # Errors
/// If the hold makes no sense or no daemon takes it.
pub fn hold(args: &HoldArgs) -> Result<ExitCode, CliError> {
    // It would take the other's place, which only releasing may.
    let mut open = args.who.access.open_running()?;
    let status = open.ask(&Query::Status)?;
    let mut holds = status["holds"].as_array().into_iter().flatten();
    if let Some(rule) = &args.rule {
        holds::warn_of_rule(&open.ask(&Query::Rules)?, rule);
    }
    if holds.any(|hold| hold["hold_id"] == args.hold_id.as_str()) {
        return Err(
            CliError::usage(format!("there is a hold `{}` already", args.hold_id))
                .hint("give this one another name, or release that one first"),
        );
    }
    let scope = json!({"repository": args.repository, "digest": args.digest, "rule": args.rule});
    let data = json!({
        "hold_id": args.hold_id,
        "actor": args.who.actor,
        "reason": args.reason,
        "scope": scope,
    });
    let said = say(&args.who, "weir.hold.placed", data, true)?;
    let mut tell = || {
        let promotions = open.ask(&Query::Promotions(PromotionFilter::default()))?;
        holds::warn_of_promotions(&scope, &promotions);
        match &args.repository {
            Some(pattern) => nothing::hint(&mut open, pattern),
            None => Ok(()),
        }
    };
    add(tell());
    Ok(said)
}

/// What is added to something that is recorded: where it cannot be found out, that fails nothing.
fn add(told: Result<(), CliError>) {
    if let Err(error) = told {
        tell!(
            "weir: warning: it is recorded; what there is to say of it cannot be asked: {}",
            error.message
        );
    }
}

/// Runs `weir release`.
///
/// # Errors
/// If no daemon takes it.
pub fn release(args: &ReleaseArgs) -> Result<ExitCode, CliError> {
    if args.confirm {
        let status = args.who.access.open_running()?.ask(&Query::Status)?;
        let mut holds = status["holds"].as_array().into_iter().flatten();
        if !holds.any(|hold| hold["hold_id"] == args.hold_id.as_str()) {
            return Err(
                CliError::usage(format!("there is no hold `{}`", args.hold_id))
                    .hint("list them with `weir status`"),
            );
        }
    }
    let data = json!({"hold_id": args.hold_id, "actor": args.who.actor});
    say(&args.who, "weir.hold.released", data, args.confirm)
}

/// Runs `weir override`.
///
/// # Errors
/// If the override makes no sense or no daemon takes it.
pub fn overriding(command: &OverrideCommand) -> Result<ExitCode, CliError> {
    match command {
        OverrideCommand::Grant(args) => {
            if args.confirm
                && let Some(known) = override_named(&args.who.access, &args.override_id)?
            {
                refuse_another(args, &known)?;
            }
            let data = json!({
                "override_id": args.override_id,
                "vulnerability": vulnerability_name(&args.vulnerability),
                "reason": args.reason,
                "actor": args.who.actor,
                "scope": {"repository": args.repository, "digest": args.digest, "package": args.package},
                "expires_at": args.expires_at,
            });
            say(&args.who, "weir.override.granted", data, args.confirm)
        }
        OverrideCommand::Revoke(args) => {
            if override_named(&args.who.access, &args.override_id)?.is_none() {
                return Err(CliError::usage(format!(
                    "there is no override `{}` in force",
                    args.override_id
                ))
                .hint("list them with `weir overrides`"));
            }
            let data = json!({"override_id": args.override_id, "actor": args.who.actor, "reason": args.reason});
            say(&args.who, "weir.override.revoked", data, true)
        }
    }
}

/// The override of that name, if it is in force.
fn override_named(access: &Access, name: &str) -> Result<Option<Value>, CliError> {
    let all = access.open_running()?.ask(&Query::Overrides {
        expiring: None,
        at: None,
    })?;
    let mut all = all.as_array().cloned().unwrap_or_default().into_iter();
    Ok(all.find(|one| one["override_id"] == name && one["in_force"] == true))
}

/// Refuses to put an override of something else in the place of one that is in force. The same one may
/// be granted again: for longer, or for a better reason.
fn refuse_another(args: &GrantArgs, known: &Value) -> Result<(), CliError> {
    let scope = &known["scope"];
    let is_same = known["vulnerability"] == *vulnerability_name(&args.vulnerability)
        && scope["repository"] == json!(args.repository)
        && scope["digest"] == json!(args.digest)
        && scope["package"] == json!(args.package);
    if is_same {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "there is an override `{}` already, of something else",
        args.override_id
    ))
    .hint("give this one another name, or revoke that one first; `weir overrides` shows it"))
}
