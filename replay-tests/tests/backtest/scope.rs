//! Changes that touch a part of the registry: only that part is folded on both sides, and the
//! answer is that of two whole folds.

use serde_json::json;
use weir_engine::backtest::Report;
use weir_replay_tests::{content::digest, random::Random, rule_text::rule_files};
use weir_schema::{Body, Event, RuleFile, Timestamp};

use crate::{Asked, compare, events, file, generated::seeds, run, slow, slow::Input};

/// Two teams with stages of their own, and images that both use.
const TEAMS: [&str; 2] = ["red", "blue"];

const RULES: &str = "
    red-staging: red/dev/* -> red/staging/{1} when scan.critical == 0
    red-prod: red/staging/* -> red/prod/{1} when scan.high < 2
    blue-staging: blue/dev/* -> blue/staging/{1} when scan.critical == 0
    blue-prod: blue/staging/* -> blue/prod/{1} when scan.high < 2";

fn history(seed: u64, across: bool) -> Vec<Input> {
    let mut random = Random::new(seed);
    let mut now: Timestamp = "2026-03-02T00:00:00Z".parse().expect("a time");
    let mut inputs = Vec::new();
    let mut say = |kind: &str, data: serde_json::Value| {
        now = now.saturating_add(chrono::TimeDelta::minutes(7));
        let event = json!({
            "specversion": "1.0", "id": "1", "source": "generated", "type": kind, "data": data,
        });
        let event = Event::from_json(event.to_string().as_bytes())
            .unwrap_or_else(|error| panic!("{error} in {event}"));
        inputs.push((now, event.body));
    };
    say("weir.rules.activated", json!({"files": rule_files(RULES)}));
    for _ in 0..60 {
        let team = *random.pick(&TEAMS);
        let stage = *random.pick(&["dev", "dev", "staging"]);
        let repository = format!("{team}/{stage}/app");
        let name = format!("image{}", random.below(4));
        let tag = *random.pick(&["1", "2"]);
        match random.below(14) {
            0..=3 => say(
                "weir.image.pushed",
                json!({
                    "repository": repository, "tag": tag, "digest": digest(&name),
                    "media_type": "application/vnd.oci.image.manifest.v1+json",
                }),
            ),
            4..=7 => {
                let severities = ["CRITICAL", "HIGH", "HIGH", "LOW", "LOW"];
                let findings: Vec<_> = (0..random.below(3))
                    .map(|number| json!({"id": format!("CVE-{number}"), "severity": *random.pick(&severities)}))
                    .collect();
                // Some reports are on something that was never pushed, and cover the image.
                let on = if random.chance(30) { "bundle" } else { &name };
                say(
                    "weir.scan.completed",
                    json!({
                        "digest": digest(on), "covers": [digest(&name)],
                        "scanner": {"name": "trivy"}, "findings": findings,
                    }),
                );
            }
            8 => say(
                "weir.manifest.deleted",
                json!({"repository": repository, "digest": digest(&name)}),
            ),
            9 => say(
                "weir.tag.deleted",
                json!({"repository": repository, "tag": tag}),
            ),
            // The same name is given again elsewhere.
            10..=12 if random.chance(70) => say(
                "weir.override.granted",
                json!({
                    "override_id": format!("o{}", random.below(3)), "actor": "sara",
                    "vulnerability": format!("CVE-{}", random.below(3)), "reason": "not reachable",
                    "scope": match random.below(4) {
                        0 => json!({}),
                        1 => json!({"repository": "**/staging/app"}),
                        _ => json!({"repository": repository}),
                    },
                }),
            ),
            10..=12 => say(
                "weir.override.revoked",
                json!({"override_id": format!("o{}", random.below(3)), "actor": "sara"}),
            ),
            _ if across => say(
                "weir.promotion.requested",
                json!({
                    "repository": repository, "tag": tag, "actor": "olga", "reason": "wanted",
                    "target": {"repository": "red/prod/app", "tag": tag},
                }),
            ),
            _ => say("weir.clock.ticked", json!({})),
        }
    }
    inputs
}

fn check(new: &str, across: bool) {
    let mut differ = 0;
    for seed in seeds(25) {
        let inputs = history(seed, across);
        let asked = Asked {
            old: None,
            new: rule_files(new),
        };
        let slow = slow::compare(&inputs, None, &asked.new);
        let report = run(&file(&events(&inputs)), &asked);
        let numbers: Vec<u64> = (1..=inputs.len() as u64).collect();
        if let Err(problem) = compare(&report, &numbers, &slow) {
            panic!("{problem}\n\nseed {seed}");
        }
        differ += report.differences.len();
    }
    assert!(differ > 5, "the histories tell the rules apart: {differ}");
}

#[test]
fn a_change_of_one_team_is_told_as_if_everything_were_folded() {
    check(
        &RULES.replace(
            "red/staging/{1} when scan.critical == 0",
            "red/staging/{1} when scan.total == 0",
        ),
        false,
    );
}

#[test]
fn a_promotion_by_hand_into_the_part_that_is_folded_is_seen() {
    check(
        &RULES.replace(
            "red/prod/{1} when scan.high < 2",
            "red/prod/{1} when scan.high == 0",
        ),
        true,
    );
}

#[test]
fn a_deny_rule_touches_what_it_speaks_of() {
    let deny = "\n deny red: ** -> red/prod/* when scan.high > 0";
    check(&format!("{RULES}{deny}"), true);
    check(&format!("{RULES}{deny}"), false);
}

#[test]
fn a_rule_between_teams_links_them() {
    let across = "\n across: blue/prod/* -> red/dev/{1}; tag: {tag}-blue when true";
    check(&format!("{RULES}{across}"), false);
}

/// What each team asks for, harder.
fn harder(rules: &str) -> String {
    rules.replace("scan.critical == 0", "scan.total == 0")
}

#[test]
fn rules_that_all_change_touch_no_more_than_they_speak_of() {
    let of_red: String = RULES
        .lines()
        .filter(|line| line.trim().starts_with("red"))
        .map(|line| format!("{line}\n"))
        .collect();
    let (old, new) = (rule_files(&of_red), rule_files(&harder(&of_red)));
    for seed in seeds(25) {
        let inputs = history(seed, false);
        let report = told_as_if_everything_were_folded(&inputs, &old, &new);
        assert!(
            report
                .repositories
                .iter()
                .all(|pattern| pattern.starts_with("red/"))
        );
    }
}

#[test]
fn where_most_of_a_long_history_is_touched_all_of_it_is_folded() {
    let (old, new) = (rule_files(RULES), rule_files(&harder(RULES)));
    let mut inputs = history(1, false);
    let short = told_as_if_everything_were_folded(&inputs, &old, &new);
    assert!(!short.repositories.contains(&"**".to_owned()));

    let (last, _) = inputs[inputs.len() - 1];
    inputs.extend((1..=20_000).map(|seconds| {
        let at = last.saturating_add(chrono::TimeDelta::seconds(seconds));
        (at, Body::ClockTicked)
    }));
    let long = told_as_if_everything_were_folded(&inputs, &old, &new);
    assert_eq!(long.repositories, ["**"]);
    assert_eq!(long.differences, short.differences);
}

fn told_as_if_everything_were_folded(
    inputs: &[Input],
    old: &[RuleFile],
    new: &[RuleFile],
) -> Report {
    let asked = Asked {
        old: Some(old.to_vec()),
        new: new.to_vec(),
    };
    let slow = slow::compare(inputs, Some(old), new);
    let report = run(&file(&events(inputs)), &asked);
    let numbers: Vec<u64> = (1..=inputs.len() as u64).collect();
    compare(&report, &numbers, &slow).unwrap_or_else(|problem| panic!("{problem}"));
    report
}
