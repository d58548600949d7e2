//! Conclusions as a line of text, with names for digests: what stories compare.

use weir_schema::{Body, Decision, Reason, TagRef, Verdict};

use crate::content::Contents;

/// A conclusion for people; `None` for what only says that a decision was carried out.
#[must_use]
pub fn conclusion(body: &Body, contents: &Contents, with_rule: bool) -> Option<String> {
    match body {
        Body::DecisionMade(made) => Some(decision(made, contents, with_rule)),
        Body::PromotionFailed(outcome) => Some(format!(
            "failed {}: {}",
            tag(&outcome.source, contents),
            outcome.error.as_deref().unwrap_or("no error")
        )),
        Body::ViolationFound(found) => Some(format!(
            "violation {}:{}@{}: {}",
            found.repository,
            found.tag,
            contents.name(&found.digest),
            reasons(&found.reasons, contents)
        )),
        Body::ViolationCleared(found) => Some(format!(
            "cleared {}:{}@{}",
            found.repository,
            found.tag,
            contents.name(&found.digest)
        )),
        _ => None,
    }
}

fn tag(source: &TagRef, contents: &Contents) -> String {
    let digest = source.digest.as_ref();
    let name = digest.map_or_else(|| "nothing".into(), |digest| contents.name(digest));
    format!("{}:{}@{name}", source.repository, source.tag)
}

fn decision(made: &Decision, contents: &Contents, with_rule: bool) -> String {
    let mut text = format!("{} {}", made.verdict, tag(&made.source, contents));
    if made.verdict == Verdict::Promote {
        text.push_str(&format!(
            " -> {}:{}",
            made.target.repository, made.target.tag
        ));
    }
    if with_rule || made.actor.is_some() {
        text.push_str(&format!(" by {}", made.rule));
    }
    if made.advisory {
        text.push_str(" (advice)");
    }
    if !made.overrides.is_empty() {
        text.push_str(&format!(" using {}", made.overrides.join(" ")));
    }
    if !made.waived.is_empty() {
        text.push_str(&format!(" waiving {}", reasons(&made.waived, contents)));
    }
    if !made.reasons.is_empty() {
        text.push_str(&format!(": {}", reasons(&made.reasons, contents)));
    }
    text
}

/// The reasons of a verdict, in their order.
#[must_use]
pub fn reasons(reasons: &[Reason], contents: &Contents) -> String {
    let texts: Vec<String> = reasons
        .iter()
        .map(|reason| self::reason(reason, contents))
        .collect();
    texts.join(", ")
}

fn reason(reason: &Reason, contents: &Contents) -> String {
    let mut text = reason.code.to_string();
    let mut add = |detail: &str| {
        text.push(' ');
        text.push_str(detail);
    };
    if let Some(digest) = &reason.digest {
        add(&contents.name(digest));
    }
    if let Some(clause) = &reason.clause {
        add(&format!("`{clause}`"));
    }
    if let Some(rule) = &reason.deny_rule {
        add(rule);
    }
    if let Some(hold) = &reason.hold_id {
        add(hold);
    }
    if let (Some(have), Some(need)) = (reason.have, reason.need) {
        add(&format!("{have}/{need}"));
    }
    if let Some(until) = &reason.until {
        add(&format!("until {until}"));
    }
    text
}
