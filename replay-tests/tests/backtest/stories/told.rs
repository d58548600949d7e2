//! What of the differences is told, and as what.

use weir_engine::backtest::{Kind, Outcome};
use weir_replay_tests::{rule_text::rule_files, story::tell};
use weir_schema::{Body, Event};

use super::{CHAIN, STRICT, check, report};
use crate::{Asked, file, run};

#[test]
fn another_target_is_told_as_such() {
    check(
        "ship: dev/* -> staging/{1} when true",
        "ship: dev/* -> stage/{1} when true",
        "
        scan a
        push dev/web:1 a
        ",
        "
        elsewhere dev/web:1@a by ship: -> staging/web:1 / -> stage/web:1
        ",
    );
}

#[test]
fn what_one_input_binds_a_tag_to_one_after_the_other_is_told_in_one_order() {
    let ship = "ship: dev/a, zoo/a -> prod/a; tag: latest when true";
    let go_on = format!("{ship}\ngo-on: prod/a -> live/a; approvals: 1 when true");
    let story = "
        push dev/a:x a
        push zoo/a:y b
        scan a covers b
        ";
    let first = report(ship, &go_on, story);
    assert_eq!(first.differences.len(), 2);
    for _ in 0..16 {
        assert_eq!(report(ship, &go_on, story), first);
    }
}

#[test]
fn a_rule_that_is_renamed_or_split_decides_alike() {
    let report = check(
        "ship: dev/* -> staging/{1} when true",
        "
        releases: dev/* -> staging/{1} when tag.name != \"latest\"
        snapshots: dev/* -> staging/{1} when tag.name == \"latest\"",
        "
        scan a
        push dev/web:1 a
        push dev/web:latest a
        ",
        "
        other-rule dev/web:1@a by releases: -> staging/web:1 / -> staging/web:1
        appears dev/web:1@a by snapshots: no rule `snapshots` is in force / block clause-false `tag.name == \"latest\"`
        appears dev/web:latest@a by releases: no rule `releases` is in force / block clause-false `tag.name != \"latest\"`
        other-rule dev/web:latest@a by snapshots: -> staging/web:latest / -> staging/web:latest
        ",
    );
    let old_rules: Vec<_> = report
        .differences
        .iter()
        .map(|one| one.old.rule.as_deref())
        .collect();
    assert_eq!(old_rules, [Some("ship"), None, None, Some("ship")]);
    assert!(!Kind::OtherRule.changes_a_verdict());
}

#[test]
fn rules_that_were_refused_change_no_answer() {
    let rules = "
        ship: dev/* -> staging/{1} when scan.critical == 0
        other: lab/* -> shown/{1} when true";
    let events = tell(rules, "scan a CVE-1:HIGH\npush dev/web:1 a\npush lab/x:1 a").events;
    let asked = Asked {
        old: None,
        new: rule_files(&rules.replace("scan.critical", "scan.high")),
    };
    let plain = run(&file(&events), &asked);
    assert_eq!(plain.rules.len(), 1);
    assert_eq!(plain.repositories, ["dev/*", "staging/**"]);
    let activates = |event: &Event| matches!(event.body, Body::RulesActivated(_));
    let first = events.iter().position(activates).expect("rules");
    for place in [first, first + 1, events.len()] {
        let mut events = events.clone();
        let mut refused = events[first].clone();
        refused.id = "refused".into();
        refused.time = events[place.min(events.len() - 1)].time;
        if let Body::RulesActivated(rules) = &mut refused.body {
            rules.files[0].text.push_str(" &&");
        }
        events.insert(place, refused);
        let report = run(&file(&events), &asked);
        assert_eq!(report.rules, plain.rules, "at {place}");
        assert_eq!(report.repositories, plain.repositories, "at {place}");
        assert_eq!(report.totals, plain.totals, "at {place}");
    }
}

#[test]
fn a_harder_and_a_milder_no_are_told() {
    let story = "
        scan a CVE-1:HIGH
        push dev/web:1 a
        ";
    let waits = "ship: dev/* -> staging/{1}; approvals: 1 when true";
    let blocks = "ship: dev/* -> staging/{1} when scan.high == 0";
    check(
        waits,
        blocks,
        story,
        "
        blocked dev/web:1@a by ship: wait approval-missing 0/1 / block clause-false `scan.high == 0`
        ",
    );
    check(blocks, waits, story, "
        unblocked dev/web:1@a by ship: block clause-false `scan.high == 0` / wait approval-missing 0/1
        ");
}

#[test]
fn a_rule_that_errs_is_harder_than_one_that_blocks() {
    check(
        "ship: dev/* -> staging/{1} when scan.critical == 0",
        "ship: dev/* -> staging/{1} when 10 / scan.high > 0",
        "
        scan a CVE-1:CRITICAL
        push dev/web:1 a
        ",
        "
        blocked dev/web:1@a by ship: block clause-false `scan.critical == 0` / error rule-error `10 / scan.high > 0`
        ",
    );
}

#[test]
fn another_word_for_a_while_and_other_reasons_are_told_apart() {
    check(
        "ship: dev/* -> staging/{1}; approvals: 1 when scan.critical == 0",
        "ship: dev/* -> staging/{1}; approvals: 1 when scan.total == 0",
        "
        scan a CVE-1:LOW
        push dev/web:1 a
        wait 1h
        scan a
        scan b CVE-1:CRITICAL
        push dev/web:2 b
        ",
        "
        meanwhile dev/web:1@a by ship: wait approval-missing 0/1 / block clause-false `scan.total == 0`
        other-reasons dev/web:2@b by ship: block clause-false `scan.critical == 0` / block clause-false `scan.total == 0`
        ",
    );
}

#[test]
fn a_violation_of_one_side_is_told_where_both_promoted() {
    check(
        "ship: dev/* -> staging/{1} when scan.critical == 0",
        "ship: dev/* -> staging/{1} when scan.critical == 0 && scan.high < 2",
        "
        scan a
        push dev/web:1 a
        wait 1d
        scan a CVE-1:HIGH CVE-2:HIGH
        ",
        "
        violated staging/web:1@a by ship: nothing / found clause-false `scan.high < 2`
        ",
    );
}

#[test]
fn a_rule_that_only_warns_promotes_nothing() {
    check(
        "ship: dev/* -> staging/{1}; severity: warn when true",
        "ship: dev/* -> staging/{1} when true",
        "
        scan a
        push dev/web:1 a
        ",
        "
        newly dev/web:1@a by ship: promote / -> staging/web:1
        ",
    );
}

#[test]
fn there_and_back_is_two_bindings_of_one_digest() {
    let story = "
        scan a
        scan b CVE-1:HIGH
        push dev/web:1 a
        push dev/web:1 b
        push dev/web:1 a
        ";
    check(
        "ship: dev/* -> staging/{1} when true",
        "ship: dev/* -> staging/{1} when scan.high == 0",
        story,
        "
        never dev/web:1@b by ship: -> staging/web:1 / block clause-false `scan.high == 0`
        other-reasons dev/web:1@a by ship: -> staging/web:1 / promote already-there
        ",
    );
}

#[test]
fn rules_are_compared_from_where_the_history_put_its_first_in_force() {
    // What was pushed before is judged when rules come, on both sides.
    let new = "ship: dev/* -> staging/{1} when scan.high == 0";
    let mut events = tell(
        new,
        "
        scan a
        push dev/web:1 a
        ",
    )
    .events;
    events.rotate_left(1);
    for (number, event) in events.iter_mut().enumerate() {
        let at = format!("2026-03-02T00:00:0{number}Z");
        event.time = Some(at.parse().expect("a time"));
    }
    // Of another text, so that there is something to compare, and the same meaning.
    let same = Asked {
        old: None,
        new: rule_files(&new.replace("scan.high == 0", "scan.high < 1")),
    };
    let report = run(&file(&events), &same);
    assert_eq!((report.count(|_| true), report.new.promotions), (0, 1));
    // Named rules are in force from the first record on: both sides, or one would be earlier.
    let named = Asked {
        old: Some(rule_files(new)),
        ..same
    };
    let report = run(&file(&events), &named);
    assert_eq!((report.count(|_| true), report.new.promotions), (0, 1));
}

#[test]
fn values_of_the_deciding_clauses_are_shown_on_both_sides() {
    let report = report(
        "ship: dev/* -> staging/{1} when scan.high <= 1 && tag.name != \"x\"",
        "
        ship: dev/* -> staging/{1} when scan.high <= 1 && vulnerabilities.all(v, v.severity != \"HIGH\")
        deny none: dev/* -> staging/* when scan.total > 0",
        "
        scan a CVE-1:LOW CVE-2:HIGH
        push dev/web:1 a
        ",
    );
    let one = &report.differences[0];
    let values = |side: &Outcome| -> Vec<String> {
        let clauses = side.clauses.iter();
        clauses
            .map(|clause| {
                let parts: Vec<String> = clause
                    .parts
                    .iter()
                    .map(|part| format!("{} = {}", part.text, part.value))
                    .collect();
                let deny = clause.deny_rule.as_deref().unwrap_or("");
                format!("{deny}{}: {}", clause.clause, parts.join(", "))
            })
            .collect()
    };
    assert_eq!(
        values(&one.old),
        [
            "scan.high <= 1: scan.high = 1",
            "tag.name != \"x\": tag.name = \"1\""
        ]
    );
    assert_eq!(
        values(&one.new),
        [
            "vulnerabilities.all(v, v.severity != \"HIGH\"): v[1].severity = \"HIGH\"",
            "nonescan.total > 0: scan.total = 2",
        ]
    );
    for side in [&one.old, &one.new] {
        let explanation = side.explanation.as_ref().expect("explained");
        assert_eq!(explanation["source"], "dev/web:1");
        assert_eq!(explanation["images"][0]["scan"], "completed");
    }
}

#[test]
fn times_limit_what_is_told_and_not_what_is_folded() {
    let events = tell(
        CHAIN,
        "
        push dev/web:1 a
        scan a CVE-1:HIGH
        wait 1d
        push dev/web:2 b
        scan b CVE-1:HIGH
        wait 1d
        push dev/web:3 c
        scan c CVE-1:HIGH
        ",
    )
    .events;
    let source = file(&events);
    let tags = |since: Option<&str>, until: Option<&str>| {
        let mut question = Asked {
            old: None,
            new: rule_files(STRICT),
        }
        .question();
        let time = |text: &str| text.parse().expect("a time");
        (question.since, question.until) = (since.map(time), until.map(time));
        let report =
            weir_engine::backtest::run(&source, &question, &weir_engine::backtest::Unwatched)
                .expect("it runs");
        let tags: Vec<String> = report
            .differences
            .iter()
            .filter(|one| one.source.repository.as_str() == "dev/web")
            .map(|one| one.source.tag.to_string())
            .collect();
        (tags.concat(), report.old.promotions)
    };
    assert_eq!(tags(None, None), ("123".into(), 6));
    assert_eq!(tags(Some("2026-03-03T00:00:00Z"), None), ("23".into(), 4));
    assert_eq!(tags(None, Some("2026-03-03T00:00:00Z")), ("1".into(), 2));
    let day = (Some("2026-03-03T00:00:00Z"), Some("2026-03-04T00:00:00Z"));
    assert_eq!(tags(day.0, day.1), ("2".into(), 2));
}

#[test]
fn beyond_the_limit_differences_are_counted() {
    let events = tell(
        CHAIN,
        "
        scan a CVE-1:HIGH
        push dev/web:1 a
        push dev/web:2 a
        push dev/web:3 a
        ",
    )
    .events;
    let mut question = Asked {
        old: None,
        new: rule_files(STRICT),
    }
    .question();
    question.limit = 2;
    let report =
        weir_engine::backtest::run(&file(&events), &question, &weir_engine::backtest::Unwatched)
            .expect("it runs");
    assert_eq!((report.differences.len(), report.unlisted), (2, 4));
    assert_eq!(report.totals[&Kind::Never], 6);
}
