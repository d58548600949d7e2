//! Deny rules beside the promote rules of their set. What some name is no source or target of these,
//! so that they stop nothing but promotions by hand; others stop images where artifacts go too.

use std::sync::Arc;

use weir_schema::registry_in;

use super::header::split_file;
use super::located::{Level, Located};
use super::{Kind, Rule, RuleTarget, Severity};
use crate::Class;
use crate::meet::{Glyph, meet};
use crate::pattern::{RepositoryPattern, RepositoryPatterns};
use crate::suggest::nearest;
use crate::template::Template;

/// So many sources or targets are listed in a message; a reader finds the rest in the rules.
const MOST_LISTED: usize = 5;

/// What is left of a deny rule that meets no promote rule.
const BY_HAND: &str = ": only promotions by hand are denied";

/// From where to where a promote rule leads, by one of its patterns.
struct Way<'a> {
    source: &'a RepositoryPattern,
    target: &'a Template,
    source_shape: Vec<Glyph>,
    target_shape: Vec<Glyph>,
}

/// Warnings about deny rules of a set that can stop none of its promote rules. `text_of` gives the
/// text of a rule's file. A set without promote rules has none: there, people promote by hand.
pub(super) fn denies_that_meet_nothing<'a>(
    rules: &[Arc<Rule>],
    text_of: impl Fn(&Rule) -> Option<&'a str>,
) -> Vec<Located> {
    let ways: Vec<Way<'_>> = rules.iter().flat_map(|rule| ways(rule)).collect();
    if ways.is_empty() {
        return Vec::new();
    }
    let warning = |rule: &Arc<Rule>| {
        let (key, message, help) = meets_nothing(rule, &ways)?;
        located(rule, text_of(rule)?, key, message, help)
    };
    rules.iter().filter_map(warning).collect()
}

/// Warnings about deny rules that say nothing of classes, and so let artifacts pass, where a promote
/// rule of the set takes these. `text_of` gives the text of a rule's file.
pub(super) fn denies_that_let_artifacts_pass<'a>(
    rules: &[Arc<Rule>],
    text_of: impl Fn(&Rule) -> Option<&'a str>,
) -> Vec<Located> {
    let acts = |rule: &&Arc<Rule>| rule.severity != Severity::Off;
    let (denies, promotes): (Vec<_>, Vec<_>) = rules
        .iter()
        .filter(acts)
        .partition(|rule| rule.kind == Kind::Deny);
    let takes_artifacts = |rule: &&Arc<Rule>| rule.classes.contains(&Class::Artifact);
    let promotes: Vec<_> = promotes.into_iter().filter(takes_artifacts).collect();
    let warning = |deny: &Arc<Rule>| {
        let text = text_of(deny)?;
        let promote = promotes.iter().find(|rule| meets(deny, &ways(rule)))?;
        if deny.classes.contains(&Class::Artifact) || has_key(deny, text, "class") {
            return None;
        }
        let message = format!(
            "without `class` this denies no artifacts, and `{}` ({}) promotes them to what it speaks of",
            promote.name, promote.path
        );
        let help = "write `class: app, index, image, artifact` to deny them too, or `class: app, index, image` if they may pass";
        located(deny, text, "kind", message, help.to_owned())
    };
    denies.into_iter().filter_map(warning).collect()
}

/// Whether a deny rule speaks of a way.
fn meets(deny: &Rule, ways: &[Way<'_>]) -> bool {
    let to = match &deny.to {
        RuleTarget::Matching(patterns) => Some(patterns),
        RuleTarget::Any | RuleTarget::Repository(_) => None,
    };
    let from = deny.from.as_ref();
    ways.iter().any(|way| {
        to.is_none_or(|to| any_meets(to, &way.target_shape))
            && from.is_none_or(|from| any_meets(from, &way.source_shape))
    })
}

fn has_key(rule: &Rule, whole_text: &str, key: &str) -> bool {
    let text = whole_text.strip_prefix('\u{feff}').unwrap_or(whole_text);
    let split = split_file(&rule.path, text, &mut Vec::new());
    split.entries.iter().any(|entry| entry.key == key)
}

fn ways(rule: &Rule) -> Vec<Way<'_>> {
    let (Some(from), RuleTarget::Repository(target)) = (&rule.from, &rule.to) else {
        return Vec::new();
    };
    let way = |source| Way {
        source,
        target,
        source_shape: source.shape(),
        target_shape: target.shape(source),
    };
    from.as_slice().iter().map(way).collect()
}

/// The key at fault, what is wrong and what to do about it, if a deny rule meets no way.
fn meets_nothing(rule: &Rule, ways: &[Way<'_>]) -> Option<(&'static str, String, String)> {
    let to = match &rule.to {
        RuleTarget::Matching(patterns) => Some(patterns),
        RuleTarget::Any => None,
        RuleTarget::Repository(_) => return None,
    };
    let from = rule.from.as_ref();
    let leads_to = |way: &Way<'_>| to.is_none_or(|to| any_meets(to, &way.target_shape));
    let leads_from = |way: &Way<'_>| from.is_none_or(|from| any_meets(from, &way.source_shape));
    if let Some(to) = to.filter(|_| !ways.iter().any(leads_to)) {
        let message = format!("no rule of this set promotes to what `{to}` matches{BY_HAND}");
        let targets = ways
            .iter()
            .map(|way| (way.target.as_str(), &way.target_shape));
        return Some((
            "to",
            message,
            remedy("targets", to, &targets.collect::<Vec<_>>()),
        ));
    }
    if let Some(from) = from.filter(|_| !ways.iter().any(leads_from)) {
        let message = format!("no rule of this set promotes from what `{from}` matches{BY_HAND}");
        let sources = ways
            .iter()
            .map(|way| (way.source.as_str(), &way.source_shape));
        return Some((
            "from",
            message,
            remedy("sources", from, &sources.collect::<Vec<_>>()),
        ));
    }
    if let (Some(from), Some(to)) = (from, to)
        && !ways.iter().any(|way| leads_from(way) && leads_to(way))
    {
        let message = format!("no rule of this set promotes from `{from}` to `{to}`{BY_HAND}");
        let help = "each of the two alone is met by a promote rule, but no promote rule meets both";
        return Some(("from", message, help.to_owned()));
    }
    None
}

fn any_meets(patterns: &RepositoryPatterns, shape: &[Glyph]) -> bool {
    let mut patterns = patterns.as_slice().iter();
    patterns.any(|pattern| meet(&pattern.shape(), shape))
}

/// What there is, and which spelling of the patterns would meet it.
fn remedy(what: &str, patterns: &RepositoryPatterns, places: &[(&str, &Vec<Glyph>)]) -> String {
    let mut names: Vec<&str> = places.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    let more = if names.len() > MOST_LISTED {
        ", ..."
    } else {
        ""
    };
    names.truncate(MOST_LISTED);
    let list = format!("the {what} are `{}`{more}", names.join("`, `"));
    let near = patterns.as_slice().iter().find_map(|pattern| {
        let near = near_spellings(pattern.as_str(), &names).into_iter();
        near.filter_map(|text| text.parse::<RepositoryPattern>().ok())
            .find(|near| places.iter().any(|(_, shape)| meet(&near.shape(), shape)))
    });
    match near {
        Some(near) => format!("did you mean `{near}`? {list}"),
        None => list,
    }
}

/// What may have been meant by a pattern, the likeliest first: patterns match whole names, with the
/// registry and every part.
fn near_spellings(pattern: &str, names: &[&str]) -> Vec<String> {
    let mut spellings = Vec::new();
    let host = registry_in(pattern);
    let path = host.map_or(pattern, |host| &pattern[host.len() + 1..]);
    if host.is_some() {
        spellings.push(path.to_owned());
    }
    for host in names.iter().filter_map(|name| registry_in(name)) {
        spellings.push(format!("{host}/{path}"));
    }
    let host = host.map_or(String::new(), |host| format!("{host}/"));
    spellings.push(format!("{pattern}/**"));
    spellings.push(host.clone() + &path.replace("**", "*").replace('*', "**"));
    let (first, rest) = path
        .split_once('/')
        .map_or((path, ""), |(first, rest)| (first, rest));
    for name in names {
        let known = registry_in(name).map_or(*name, |host| &name[host.len() + 1..]);
        let known = known.split('/').next().unwrap_or_default();
        let alike = known.starts_with(first) || first.starts_with(known);
        if !known.is_empty() && (alike || nearest(first, [known]).is_some()) {
            spellings.push(
                format!("{host}{known}/{rest}")
                    .trim_end_matches('/')
                    .to_owned(),
            );
            spellings.push(format!("{host}{known}/**"));
        }
    }
    spellings
}

fn located(
    rule: &Rule,
    whole_text: &str,
    key: &str,
    message: String,
    help: String,
) -> Option<Located> {
    let text = whole_text.strip_prefix('\u{feff}').unwrap_or(whole_text);
    let split = split_file(&rule.path, text, &mut Vec::new());
    let entry = split.entries.iter().find(|entry| entry.key == key)?;
    let span = entry.value_start..entry.value_start + entry.value.len();
    let level = Level::Warning;
    Some(Located::new(
        &rule.path,
        text,
        span,
        level,
        message,
        Some(help),
    ))
}
