//! What follows in the next stages.

use weir_engine::backtest::Outcome;

use super::{CHAIN, STRICT, check};

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
