//! Weir's own copies, and what registries say of them.

use weir_engine::backtest::Kind;
use weir_replay_tests::{rule_text::rule_files, story::tell};
use weir_rules::Execution;

use super::{CHAIN, STRICT, check, report};
use crate::{Asked, file, log, run};

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
        blocked dev/web:1@a by to-staging: promote already-there / block clause-false `scan.high == 0`
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
