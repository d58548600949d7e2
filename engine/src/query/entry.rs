//! One line of a life: what a record says, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use weir_rules::MANUAL;
use weir_schema::{
    Approval, Body, Decision, Digest, ImagePushed, OverrideGranted, Platform, PromotionRequested,
    Reason, Record, RepositoryConfigured, ScanCompleted, Severity, Tag, TagRef, TargetRef,
    Timestamp, Verdict,
};

/// What a record says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Entry {
    /// The record.
    pub(super) seq: u64,
    /// Its time.
    pub(super) at: Timestamp,
    /// What happened, in a word or two.
    pub(super) what: &'static str,
    /// The rest, for people.
    pub(super) text: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The event's data; of a scan the numbers of findings instead of each.
    pub(super) data: Value,
}

/// What the images of an application are called.
pub(super) type Names = BTreeMap<Digest, String>;

/// A name for an image: its component, or its platform.
pub(super) fn name(component: Option<&str>, platform: Option<&Platform>) -> Option<String> {
    match (component, platform) {
        (Some(component), Some(platform)) => Some(format!("{component} ({platform})")),
        (Some(component), None) => Some(component.to_owned()),
        (None, Some(platform)) => Some(platform.to_string()),
        (None, None) => None,
    }
}

/// What a record says of the tag that a page is about; of others it says where they are.
pub(super) fn entry(record: &Record, names: &Names, about: Option<(&str, &str)>) -> Entry {
    let (what, text) = told(&record.event.body, names, about);
    let mut data = record.event.body.data();
    if let (Body::ScanCompleted(scan), Some(data)) = (&record.event.body, data.as_object_mut()) {
        data.remove("findings");
        data.remove("licenses");
        let counts = counts(scan);
        let counts = counts.map(|(severity, count)| (severity.to_string(), count.into()));
        data.insert("counts".into(), Value::Object(counts.collect()));
    }
    Entry {
        seq: record.seq,
        at: record.recorded_at,
        what,
        text,
        kind: record.event.body.kind().to_owned(),
        data,
    }
}

fn told(body: &Body, names: &Names, about: Option<(&str, &str)>) -> (&'static str, String) {
    let short = |digest: &Digest| match names.get(digest) {
        Some(name) => name.clone(),
        None => digest.short(),
    };
    let is_here = |repository: &str, tag: &str| about == Some((repository, tag));
    match body {
        Body::RepositoryCreated(one) => ("created", one.repository.to_string()),
        Body::RepositoryDeleted(one) => (
            "repository deleted",
            with_actor(one.repository.to_string(), &one.actor),
        ),
        Body::RepositoryConfigured(one) => ("configured", configured(one)),
        Body::ImagePushed(push) => ("pushed", pushed(push, about)),
        Body::ManifestResolved(facts) => ("became known", short(&facts.digest)),
        Body::TagDeleted(one) => (
            "tag deleted",
            with_actor(place(one.repository.as_str(), one.tag.as_str()), &one.actor),
        ),
        Body::ManifestDeleted(one) => (
            "deleted",
            with_actor(
                format!("{} from {}", short(&one.digest), one.repository),
                &one.actor,
            ),
        ),
        Body::ScanStarted(scan) => (
            "scan started",
            format!("{} by {}", short(&scan.digest), scan.scanner.name),
        ),
        Body::ScanCompleted(scan) => (
            "scanned",
            format!(
                "{} by {}: {}",
                short(&scan.digest),
                scan.scanner.name,
                findings(scan)
            ),
        ),
        Body::ScanRequested(scan) => ("scan requested", short(&scan.digest)),
        Body::ScanFailed(scan) => (
            "scan failed",
            format!(
                "{} by {}: {}",
                short(&scan.digest),
                scan.scanner.name,
                scan.reason
            ),
        ),
        Body::ScannerUpdated(one) => ("scanner updated", one.scanner.name.to_string()),
        Body::OverrideGranted(one) => ("overridden", overridden(one)),
        Body::OverrideRevoked(one) => (
            "override revoked",
            format!(
                "{} by {}{}",
                one.override_id,
                one.actor,
                behind_colon(&one.reason)
            ),
        ),
        Body::ApprovalGranted(vote) => ("approved", voted(vote)),
        Body::ApprovalRevoked(vote) => ("approval revoked", voted(vote)),
        Body::HoldPlaced(hold) => (
            "held",
            format!("{} by {}: {}", hold.hold_id, hold.actor, hold.reason),
        ),
        Body::HoldReleased(hold) => (
            "hold released",
            format!("{} by {}", hold.hold_id, hold.actor),
        ),
        Body::PromotionRequested(one) => ("promotion requested", requested(one)),
        Body::RulesActivated(rules) => (
            "rules activated",
            with_actor(format!("{} files", rules.files.len()), &rules.actor),
        ),
        Body::InputRejected(one) => ("rejected", one.reason.clone()),
        Body::DecisionMade(made) => decided(
            made,
            names,
            is_here(made.source.repository.as_str(), made.source.tag.as_str()),
        ),
        Body::PromotionStarted(one) => (
            "copy started",
            way(&one.source, &one.target, &one.rule, about),
        ),
        Body::PromotionCompleted(one) => {
            ("promoted", way(&one.source, &one.target, &one.rule, about))
        }
        Body::PromotionFailed(one) => {
            let error = one.error.as_deref().unwrap_or("no reason given");
            (
                "promotion failed",
                format!(
                    "{}: {error}",
                    way(&one.source, &one.target, &one.rule, about)
                ),
            )
        }
        Body::PromotionRetried(one) => (
            "retried",
            with_actor(one.promotion_id.clone(), &Some(one.actor.clone())),
        ),
        Body::ViolationFound(one) => (
            "violation",
            format!("rule {}: {}", one.rule, reasons(&one.reasons, names)),
        ),
        Body::ViolationCleared(one) => ("violation over", format!("rule {}", one.rule)),
        Body::ClockTicked => ("time passed", String::new()),
        Body::Unknown(kind) => ("recorded", kind.clone()),
    }
}

fn configured(one: &RepositoryConfigured) -> String {
    let tags = if one.immutable_tags {
        "immutable"
    } else {
        "mutable"
    };
    with_actor(format!("{}: {tags} tags", one.repository), &one.actor)
}

fn pushed(push: &ImagePushed, about: Option<(&str, &str)>) -> String {
    let mut text = push.digest.short();
    let repository = push.repository.as_str();
    let tag = push.tag.as_ref().map(Tag::as_str).unwrap_or_default();
    if about != Some((repository, tag)) {
        let _ = write!(text, " to {}", place(repository, tag));
    }
    with_actor(text, &push.actor)
}

fn overridden(one: &OverrideGranted) -> String {
    let until = one.expires_at.map(|end| format!(", until {end}"));
    format!(
        "{} by {}: {} ({}{})",
        one.vulnerability,
        one.actor,
        one.reason,
        one.override_id,
        until.unwrap_or_default()
    )
}

fn voted(vote: &Approval) -> String {
    format!(
        "{} for {} by {}{}",
        vote.digest.short(),
        vote.target,
        vote.actor,
        behind_colon(&vote.comment)
    )
}

fn requested(one: &PromotionRequested) -> String {
    let waive = match one.waive.as_deref() {
        Some(waive) if !waive.is_empty() => format!(", waiving {}", waive.join(", ")),
        _ => String::new(),
    };
    let target = place(one.target.repository.as_str(), one.target.tag.as_str());
    format!("to {target} by {}: {}{waive}", one.actor, one.reason)
}

fn decided(made: &Decision, names: &Names, here: bool) -> (&'static str, String) {
    let what = match made.verdict {
        Verdict::Promote => "to be promoted",
        // Asked once by hand, nothing asks again when what is missing has come.
        Verdict::Wait if made.rule == MANUAL => "not granted",
        Verdict::Wait => "waits",
        Verdict::Block => "blocked",
        Verdict::Error => "rule error",
        Verdict::Withdrawn => "withdrawn",
    };
    let mut text = String::new();
    if !here {
        let _ = write!(
            text,
            "{} ",
            place(made.source.repository.as_str(), made.source.tag.as_str())
        );
    }
    let target = place(&made.target.repository, &made.target.tag);
    let _ = write!(text, "-> {target} by rule {}", made.rule);
    if made.advisory {
        text.push_str(" (advice)");
    }
    if !made.reasons.is_empty() {
        let _ = write!(text, ": {}", reasons(&made.reasons, names));
    }
    if !made.overrides.is_empty() {
        let _ = write!(text, ", with overrides {}", made.overrides.join(", "));
    }
    if !made.waived.is_empty() {
        let _ = write!(text, ", waiving {}", reasons(&made.waived, names));
    }
    if let Some(actor) = &made.actor {
        let _ = write!(text, ", asked by {actor}");
    }
    (what, text)
}

/// Where a promotion leads, as seen from a tag: to others, or from others.
fn way(source: &TagRef, target: &TargetRef, rule: &str, about: Option<(&str, &str)>) -> String {
    let from = place(source.repository.as_str(), source.tag.as_str());
    let to = place(&target.repository, &target.tag);
    let text = match about {
        Some(about) if about == (source.repository.as_str(), source.tag.as_str()) => {
            format!("to {to}")
        }
        Some(about) if about == (&*target.repository, &*target.tag) => format!("from {from}"),
        _ => format!("{from} to {to}"),
    };
    format!("{text} by rule {rule}")
}

fn place(repository: &str, tag: &str) -> String {
    if tag.is_empty() {
        repository.to_owned()
    } else {
        format!("{repository}:{tag}")
    }
}

fn with_actor(text: String, actor: &Option<String>) -> String {
    match actor {
        Some(actor) => format!("{text} by {actor}"),
        None => text,
    }
}

fn behind_colon(text: &Option<String>) -> String {
    text.as_ref()
        .map_or(String::new(), |text| format!(": {text}"))
}

/// Reasons on one line.
fn reasons(reasons: &[Reason], names: &Names) -> String {
    let texts = reasons.iter().map(|reason| {
        let digest = reason.digest.as_ref().map(|digest| {
            let of_reason = name(reason.component.as_deref(), reason.platform.as_ref());
            let known = of_reason.or_else(|| names.get(digest).cloned());
            known.unwrap_or_else(|| digest.short())
        });
        let counted = reason.have.zip(reason.need);
        let details = [
            digest,
            reason.clause.clone(),
            reason.deny_rule.clone(),
            reason.hold_id.clone(),
            reason.message.clone(),
            reason.until.map(|until| format!("until {until}")),
            counted.map(|(have, need)| format!("{have} of {need}")),
        ];
        let details: Vec<String> = details.into_iter().flatten().collect();
        format!("{} {}", reason.code, details.join(" "))
            .trim_end()
            .to_owned()
    });
    texts.collect::<Vec<_>>().join("; ")
}

/// Numbers of findings by severity, the worst first, without those of which there is none.
fn counts(scan: &ScanCompleted) -> impl Iterator<Item = (Severity, u64)> {
    let told = scan.counts.clone().unwrap_or_default();
    let found = scan.findings.clone();
    Severity::ALL.into_iter().filter_map(move |severity| {
        let count = match &found {
            Some(found) => found.iter().filter(|one| one.severity == severity).count() as u64,
            None => told.0.get(&severity).copied().unwrap_or(0),
        };
        (count > 0).then_some((severity, count))
    })
}

fn findings(scan: &ScanCompleted) -> String {
    let texts: Vec<String> = counts(scan)
        .map(|(severity, count)| format!("{count} {}", severity.to_string().to_lowercase()))
        .collect();
    if texts.is_empty() {
        "nothing found".to_owned()
    } else {
        texts.join(", ")
    }
}
