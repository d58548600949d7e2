//! What is given, what follows and what is told, case by case.
//!
//! Each story is told under rules, as a daemon records it, and decided again under others: from
//! the log, from the log's export and from its events, and the slow way.

use weir_engine::backtest::{Difference, Kind, Outcome, Report};
use weir_replay_tests::{content::Contents, rule_text::rule_files, show, story::tell};
use weir_rules::Execution;

use crate::{Asked, compare, file, lines, log, run, slow};

const CHAIN: &str = "
    to-staging: dev/* -> staging/{1} when scan.critical == 0
    to-prod: staging/* -> prod/{1} when true";

const STRICT: &str = "
    to-staging: dev/* -> staging/{1} when scan.critical == 0 && scan.high == 0
    to-prod: staging/* -> prod/{1} when true";

/// Tells the story under `rules`, decides it again under `new`, and compares what differs.
fn check(rules: &str, new: &str, story: &str, expected: &str) -> Report {
    let report = report(rules, new, story);
    let mut contents = Contents::default();
    for word in story.split(|next: char| next.is_whitespace() || next == '@' || next == ',') {
        contents.know(word);
    }
    let told: Vec<String> = report
        .differences
        .iter()
        .map(|one| line(one, &contents))
        .collect();
    let expected: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(told, expected, "as it is:\n{}", told.join("\n"));
    report
}

fn report(rules: &str, new: &str, story: &str) -> Report {
    let events = tell(rules, story).events;
    let execution = match story.trim_start().starts_with("commands") {
        true => Execution::Commands,
        false => Execution::AtOnce,
    };
    let asked = Asked {
        old: None,
        new: rule_files(new),
    };
    let (_dir, log, records, exported) = log(&events, execution);
    let report = run(&log, &asked);
    assert_eq!(run(&exported, &asked), report);
    let numbers: Vec<u64> = (1..=events.len() as u64).collect();
    assert_eq!(
        lines(&run(&file(&events), &asked), &numbers),
        lines(&report, &records)
    );
    let inputs: Vec<slow::Input> = events
        .into_iter()
        .map(|event| (event.time.expect("a story has times"), event.body))
        .collect();
    let slow = slow::compare(&inputs, None, &asked.new);
    if let Err(problem) = compare(&report, &records, &slow) {
        panic!("{problem}");
    }
    report
}

fn line(one: &Difference, contents: &Contents) -> String {
    let source = &one.source;
    let digest = source.digest.as_ref().expect("it has a digest");
    format!(
        "{} {}:{}@{} by {}: {} / {}",
        one.kind,
        source.repository,
        source.tag,
        contents.name(digest),
        one.rule,
        side(&one.old, contents),
        side(&one.new, contents)
    )
}

fn side(side: &Outcome, contents: &Contents) -> String {
    if let Some(violation) = side.violations.last() {
        let word = if violation.found { "found" } else { "cleared" };
        return format!("{word} {}", show::reasons(&violation.reasons, contents));
    }
    if let Some(promoted) = &side.promoted {
        return format!("-> {}:{}", promoted.target.repository, promoted.target.tag);
    }
    match (&side.decided, &side.absent) {
        (Some(decided), _) => {
            let verdict = decided.verdict;
            format!("{verdict} {}", show::reasons(&decided.reasons, contents))
                .trim_end()
                .to_owned()
        }
        (None, Some(absent)) => absent.clone(),
        (None, None) => "nothing".to_owned(),
    }
}

#[test]
fn what_is_not_promoted_is_not_there_for_the_next_stage() {
    check(
        CHAIN,
        STRICT,
        "
        push dev/web:1 a
        scan a CVE-1:HIGH
        push dev/web:2 b
        scan b
        ",
        "
        never dev/web:1@a by to-staging: -> staging/web:1 / block clause-false `scan.high == 0`
        never staging/web:1@a by to-prod: -> prod/web:1 / `to-staging` did not promote dev/web:1 to it
        ",
    );
}

#[test]
fn what_is_promoted_newly_is_there_for_the_next_stage() {
    check(
        STRICT,
        CHAIN,
        "
        push dev/web:1 a
        scan a CVE-1:HIGH
        ",
        "
        newly dev/web:1@a by to-staging: block clause-false `scan.high == 0` / -> staging/web:1
        newly staging/web:1@a by to-prod: `to-staging` did not promote dev/web:1 to it / -> prod/web:1
        ",
    );
}

#[test]
fn what_becomes_right_later_is_promoted_later_at_every_stage() {
    let story = "
        push dev/web:1 a
        scan a CVE-1:HIGH
        wait 1d
        scan a
        ";
    check(
        CHAIN,
        STRICT,
        story,
        "
        later dev/web:1@a by to-staging: -> staging/web:1 / -> staging/web:1
        later staging/web:1@a by to-prod: -> prod/web:1 / -> prod/web:1
        ",
    );
    let report = check(
        STRICT,
        CHAIN,
        story,
        "
        earlier dev/web:1@a by to-staging: -> staging/web:1 / -> staging/web:1
        earlier staging/web:1@a by to-prod: -> prod/web:1 / -> prod/web:1
        ",
    );
    let [first, second] = &report.differences[..] else {
        panic!("two differences");
    };
    for one in [first, second] {
        let at = |side: &Outcome| side.promoted.as_ref().expect("promoted").moment.at;
        let later = at(&one.old).since(at(&one.new));
        assert!(later > chrono::TimeDelta::hours(23), "{later}");
        assert_eq!(
            one.moment.at,
            at(&one.new),
            "it shows where the first is promoted"
        );
    }
}

#[test]
fn a_registrys_word_of_a_copy_is_not_given() {
    // As recorded: the copy begins, the registry tells of the tag, the copy is done.
    let report = check(
        CHAIN,
        STRICT,
        "
        commands
        scan a CVE-1:HIGH
        push dev/web:1 a
        begin
        push staging/web:1 a by weir
        finish
        ",
        "
        never dev/web:1@a by to-staging: -> staging/web:1 / block clause-false `scan.high == 0`
        never staging/web:1@a by to-prod: -> prod/web:1 / `to-staging` did not promote dev/web:1 to it
        ",
    );
    assert_eq!((report.history.outcomes, report.history.echoes), (2, 1));
}

#[test]
fn a_word_of_a_copy_that_comes_after_its_end_or_twice_is_not_given() {
    let report = report(
        CHAIN,
        STRICT,
        "
        commands
        scan a CVE-1:HIGH
        push dev/web:1 a
        begin
        finish
        push staging/web:1 a by weir
        wait 1h
        push staging/web:1 a by weir
        ",
    );
    assert_eq!(report.history.echoes, 2);
    assert_eq!(report.count(|kind| kind == Kind::Never), 2);
}

#[test]
fn a_word_of_a_copy_that_others_overtook_is_not_given() {
    // The first copy is told of when the second is done already.
    let report = check(
        CHAIN,
        STRICT,
        "
        commands
        scan a CVE-1:HIGH
        scan b CVE-1:HIGH
        push dev/web:1 a
        begin
        finish
        # To production:
        begin
        finish
        push dev/web:1 b
        begin
        finish
        push staging/web:1 a by weir
        push staging/web:1 b by weir
        ",
        "
        never dev/web:1@a by to-staging: -> staging/web:1 / block clause-false `scan.high == 0`
        never staging/web:1@a by to-prod: -> prod/web:1 / `to-staging` did not promote dev/web:1 to it
        never dev/web:1@b by to-staging: -> staging/web:1 / block clause-false `scan.high == 0`
        never staging/web:1@b by to-prod: -> prod/web:1 / `to-staging` did not promote dev/web:1 to it
        ",
    );
    assert_eq!(report.history.echoes, 2);
}

#[test]
fn what_others_push_to_the_target_stays() {
    // Another image under the same tag, after the promotion and its echo.
    check(
        CHAIN,
        STRICT,
        "
        commands
        scan a CVE-1:HIGH
        scan c
        push dev/web:1 a
        begin
        push staging/web:1 a by weir
        finish
        push staging/web:1 c by hand
        ",
        "
        never dev/web:1@a by to-staging: -> staging/web:1 / block clause-false `scan.high == 0`
        never staging/web:1@a by to-prod: -> prod/web:1 / `to-staging` did not promote dev/web:1 to it
        ",
    );
    // The same image under the same tag, before the promotion began: it was there already.
    check(
        CHAIN,
        STRICT,
        "
        commands
        push staging/web:1 a by hand
        scan a CVE-1:HIGH
        push dev/web:1 a
        ",
        "
        never dev/web:1@a by to-staging: -> staging/web:1 / block clause-false `scan.high == 0`
        ",
    );
    // Back to the promoted image by hand, after others had moved the tag.
    let report = check(
        CHAIN,
        STRICT,
        "
        commands
        scan a CVE-1:HIGH
        scan c
        push dev/web:1 a
        begin
        push staging/web:1 a by weir
        finish
        push staging/web:1 c by hand
        wait 1h
        push staging/web:1 a by hand
        ",
        "
        never dev/web:1@a by to-staging: -> staging/web:1 / block clause-false `scan.high == 0`
        never staging/web:1@a by to-prod: -> prod/web:1 / `to-staging` did not promote dev/web:1 to it
        ",
    );
    assert_eq!(report.history.echoes, 1);
}

#[test]
fn the_same_image_pushed_by_somebody_else_after_a_promotion_stays() {
    // Old: it was promoted to staging and is there. New: it came by hand, an hour later.
    check(
        CHAIN,
        STRICT,
        "
        commands
        scan a CVE-1:HIGH
        push dev/web:1 a
        begin
        push staging/web:1 a by weir
        finish
        wait 1h
        push staging/web:1 a by hand
        ",
        "
        never dev/web:1@a by to-staging: -> staging/web:1 / block clause-false `scan.high == 0`
        later staging/web:1@a by to-prod: -> prod/web:1 / -> prod/web:1
        ",
    );
}

#[test]
fn a_copy_that_failed_goes_well_on_both_sides_and_what_is_pushed_after_it_stays() {
    // To-prod takes only what has been there for an hour: it tells when the tag came.
    let old = "
        to-staging: dev/* -> staging/{1} when scan.critical == 0
        to-prod: staging/* -> prod/{1}; soak: 1h when true";
    let new = old.replace("scan.critical == 0", "scan.high == 0");
    let report = check(
        old,
        &new,
        "
        commands
        scan a CVE-1:HIGH
        push dev/web:1 a
        begin
        give-up
        wait 2h
        push staging/web:1 a by hand
        wait 2h
        ",
        "
        never dev/web:1@a by to-staging: -> staging/web:1 / block clause-false `scan.high == 0`
        later staging/web:1@a by to-prod: -> prod/web:1 / -> prod/web:1
        ",
    );
    assert_eq!(report.history.echoes, 0);
}

#[test]
fn a_copy_that_is_retried_by_hand_stays_weirs_own() {
    let report = check(
        CHAIN,
        STRICT,
        "
        commands
        scan a CVE-1:HIGH
        push dev/web:1 a
        begin
        give-up
        wait 2h
        retry
        begin
        push staging/web:1 a by weir
        finish
        ",
        "
        never dev/web:1@a by to-staging: -> staging/web:1 / block clause-false `scan.high == 0`
        never staging/web:1@a by to-prod: -> prod/web:1 / `to-staging` did not promote dev/web:1 to it
        ",
    );
    assert_eq!(report.history.echoes, 1);
}

#[test]
fn parts_of_a_copy_prove_nothing_where_it_was_not_made() {
    // Somebody pushed the app to staging by hand, and one of its images was deleted there. The
    // copy brought the image back; without the copy it stays away.
    let chain = "
        to-staging: dev/* -> staging/{1}; tag: {tag}-new when scan.critical == 0
        to-prod: staging/* -> prod/{1} when scan.total < 9";
    let strict = chain.replace("scan.critical == 0", "scan.high == 0");
    let report = check(
        chain,
        &strict,
        "
        commands
        app shop = api web
        app other = api web
        push staging/shop:1 other by hand
        delete staging/shop@api
        scan api CVE-1:HIGH
        push dev/shop:1 shop
        scan web
        begin
        push staging/shop api by weir
        push staging/shop shop by weir
        push staging/shop:1-new shop by weir
        finish
        ",
        "
        never dev/shop:1@shop by to-staging: -> staging/shop:1-new / block clause-false `scan.high == 0`
        never staging/shop:1-new@shop by to-prod: -> prod/shop:1-new / `to-staging` did not promote dev/shop:1 to it
        ",
    );
    assert_eq!(report.history.echoes, 3);
}

#[test]
fn signatures_that_went_along_are_no_tags_of_others() {
    let report = report(
        CHAIN,
        STRICT,
        &format!(
            "
        commands
        artifact sig
        push dev/web:1 a
        push dev/web:{tag} sig by signer
        scan a CVE-1:HIGH
        begin
        push staging/web:{tag} sig by weir
        push staging/web:1 a by weir
        finish
        push staging/web:{tag} other by signer
        ",
            tag = format_args!(
                "{}.sig",
                weir_replay_tests::content::digest("a")
                    .to_string()
                    .replace(':', "-")
            )
        ),
    );
    assert_eq!(
        report.history.echoes, 2,
        "the other signature is somebody's own"
    );
}

#[test]
fn a_promotion_of_another_weir_is_a_fact() {
    let mut events = tell(
        CHAIN,
        "
        scan a CVE-1:HIGH
        push elsewhere/web:1 a
        push dev/web:1 a
        ",
    )
    .events;
    let mut foreign = events.last().cloned().expect("an event");
    foreign.id = "foreign".into();
    foreign.body = weir_schema::Body::PromotionCompleted(weir_schema::PromotionOutcome {
        promotion_id: "p3".into(),
        rule: "theirs".into(),
        source: weir_schema::TagRef {
            repository: "elsewhere/web".parse().expect("a repository"),
            tag: "1".parse().expect("a tag"),
            digest: Some(weir_replay_tests::content::digest("a")),
        },
        target: weir_schema::TargetRef {
            repository: "staging/web".into(),
            tag: "9".into(),
        },
        attempts: None,
        error: None,
    });
    events.push(foreign);
    let asked = Asked {
        old: None,
        new: rule_files("to-prod: staging/* -> prod/{1} when scan.high == 0"),
    };
    for source in [file(&events), log(&events, Execution::AtOnce).3] {
        let report = run(&source, &asked);
        assert_eq!(report.history.outcomes, 0);
        let never = report
            .differences
            .iter()
            .find(|one| one.source.tag.as_str() == "9");
        let never = never.expect("what came to staging was promoted to prod");
        assert_eq!(never.kind, Kind::Never);
        assert_eq!(
            never
                .new
                .decided
                .as_ref()
                .map(|decided| decided.verdict.as_str()),
            Some("block")
        );
    }
}

#[test]
fn a_request_by_hand_is_given_and_answered_anew() {
    check(
        CHAIN,
        STRICT,
        "
        scan a CVE-1:HIGH
        push dev/web:1 a
        request staging/web:1 demo/web:1
        ",
        "
        never dev/web:1@a by to-staging: -> staging/web:1 / block clause-false `scan.high == 0`
        never staging/web:1@a by to-prod: -> prod/web:1 / `to-staging` did not promote dev/web:1 to it
        never staging/web:1@a by manual: -> demo/web:1 / `to-staging` did not promote dev/web:1 to it
        ",
    );
}

#[test]
fn people_and_deletions_stay_as_they_were() {
    // The approval was given before the tag came later under the new rules; the deletion too.
    let old = "
        to-staging: dev/* -> staging/{1} when scan.critical == 0
        to-prod: staging/* -> prod/{1}; approvals: 1 when true";
    check(
        old,
        &old.replace("scan.critical == 0", "scan.high == 0"),
        "
        scan a CVE-1:HIGH
        push dev/web:1 a
        approve staging/web@a prod/web anna
        delete staging/web:1
        wait 1d
        scan a
        ",
        "
        later dev/web:1@a by to-staging: -> staging/web:1 / -> staging/web:1
        later staging/web:1@a by to-prod: -> prod/web:1 / -> prod/web:1
        ",
    );
}

#[test]
fn a_hold_a_window_and_a_soak_hold_both_sides() {
    let old = "to-staging: dev/* -> staging/{1}; soak: 1h when true";
    check(
        old,
        &old.replace("1h", "3h"),
        "
        scan a
        push dev/web:1 a
        hold h in staging/*
        wait 2h
        release h
        wait 2h
        ",
        "
        later dev/web:1@a by to-staging: -> staging/web:1 / -> staging/web:1
        ",
    );
}

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
        other-reasons dev/web:1@a by ship: -> staging/web:1 / -> staging/web:1
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
    let same = Asked {
        old: None,
        new: rule_files(new),
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
