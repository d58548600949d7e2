//! Generated histories: the backtest comes to what the slow way comes to.
//!
//! `WEIR_HISTORIES` says how many (60 if not said), `WEIR_SEED` the first of them (0).

use std::collections::BTreeMap;

use weir_engine::backtest::{self, Kind, Unwatched};
use weir_replay_tests::{
    generate::{History, mean, other_rules, recorded},
    random::Random,
    rule_text::rule_files,
};
use weir_schema::{Body, RuleFile, Tag};

use crate::{Asked, compare, events, file, first_rules, lines, log, own, run, slow};

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("`{variable}` is `{text}`, and should be a number"))
    })
}

fn history(seed: u64) -> History {
    let mut history = match seed % 3 {
        0 => mean(seed),
        _ => recorded(seed),
    };
    // The slow way knows no tags in which signatures are kept: what of them is an echo is told in
    // the stories.
    for (_, body) in &mut history.inputs {
        let of_signatures = match body {
            Body::ImagePushed(push) => (push.tag.as_ref()).is_some_and(is_for_signatures),
            _ => false,
        };
        if of_signatures {
            *body = Body::ClockTicked;
        }
    }
    history
}

fn is_for_signatures(tag: &Tag) -> bool {
    tag.as_str().starts_with("sha256-")
}

/// Rules that differ from `files` a little, or altogether.
fn changed(files: &[RuleFile], seed: u64) -> Vec<RuleFile> {
    let mut random = Random::new(seed ^ 0x5eed);
    let others = other_rules(seed ^ 0xabc);
    let mut new = files.to_vec();
    match random.below(6) {
        0 => return others,
        1 if new.len() > 1 => {
            let gone = random.below(new.len());
            new.remove(gone);
        }
        2 => {
            let place = random.below(new.len());
            let file = &mut new[place];
            file.text = file.text.replace("//! rule: r", "//! rule: renamed-");
            file.path = format!("renamed-{}", file.path);
        }
        3 => new.extend(others.into_iter().map(|file| RuleFile {
            path: format!("more-{}", file.path),
            text: file.text.replace("//! rule: ", "//! rule: more-"),
        })),
        _ => {
            let expressions = [
                "scan.critical == 0",
                "scan.high == 0 && scan.critical == 0",
                "scan.total < 2",
                "true",
                "tag.name != \"latest\"",
                "now - tag.pushed_at >= duration(\"2h\")",
            ];
            let place = random.below(new.len());
            let file = &mut new[place];
            let header: String = file
                .text
                .lines()
                .filter(|line| line.starts_with("//!"))
                .map(|line| format!("{line}\n"))
                .collect();
            file.text = format!("{header}{}\n", random.pick(&expressions));
        }
    }
    new
}

fn asked(history: &History, seed: u64) -> Asked {
    let first = first_rules(&history.inputs);
    let old = (seed % 4 == 1).then(|| {
        let mut old = other_rules(seed ^ 0x01d);
        // No change touches this one, so that not everything is in scope.
        old.extend(rule_files("aside: nowhere/* -> elsewhere/{1} when true"));
        old
    });
    let base = old.clone().unwrap_or(first);
    Asked {
        new: changed(&base, seed),
        old,
    }
}

/// Seeds of histories, so many if the environment does not say how many.
pub fn seeds(count: u64) -> std::ops::Range<u64> {
    let (first, count) = (number("WEIR_SEED", 0), number("WEIR_HISTORIES", count));
    first..first + count
}

fn again(seed: u64, test: &str) -> String {
    format!(
        "again: WEIR_SEED={seed} WEIR_HISTORIES=1 cargo test -p weir-replay-tests --test backtest {test}"
    )
}

#[test]
fn a_backtest_comes_to_what_two_folds_come_to() {
    for seed in seeds(60) {
        let history = history(seed);
        let asked = asked(&history, seed);
        let slow = slow::compare(&history.inputs, asked.old.as_deref(), &asked.new);
        let report = run(&file(&events(&history.inputs)), &asked);
        let numbers: Vec<u64> = (1..=history.inputs.len() as u64).collect();
        if let Err(problem) = compare(&report, &numbers, &slow) {
            panic!("{problem}\n\n{}", again(seed, "a_backtest_comes"));
        }
    }
}

#[test]
fn a_difference_is_told_alike_however_few_are_listed() {
    for seed in seeds(60) {
        let history = history(seed);
        let asked = asked(&history, seed);
        let source = file(&events(&history.inputs));
        let whole = run(&source, &asked);
        // After the last that was said of those that are listed nothing is folded for them.
        for limit in [1, 4] {
            let mut question = asked.question();
            question.limit = limit;
            let report = backtest::run(&source, &question, &Unwatched).expect("it runs");
            let first: Vec<_> = whole.differences.iter().take(limit).cloned().collect();
            assert_eq!(
                report.differences,
                first,
                "{limit}; {}",
                again(seed, "a_difference_is_told_alike")
            );
        }
    }
}

#[test]
fn a_log_comes_to_what_its_events_come_to() {
    // A log is written to disk: fewer of these.
    for seed in seeds(60).step_by(6) {
        let history = history(seed);
        let asked = asked(&history, seed);
        let events = events(&history.inputs);
        let (_dir, log, records, exported) = log(&events, history.execution);
        let from_log = run(&log, &asked);
        let own = own(&log);
        let slow = slow::compare_own(&history.inputs, &own, asked.old.as_deref(), &asked.new);
        if let Err(problem) = compare(&from_log, &records, &slow) {
            panic!("{problem}\n\n{}", again(seed, "a_log_comes"));
        }
        assert_eq!(
            run(&exported, &asked),
            from_log,
            "{}",
            again(seed, "a_log_comes")
        );
        let numbers: Vec<u64> = (1..=events.len() as u64).collect();
        let from_events = run(&file(&events), &asked);
        // Of events without decisions every outcome is taken for Weir's own.
        if own.iter().all(|own| *own) {
            assert_eq!(lines(&from_events, &numbers), lines(&from_log, &records));
            assert_eq!(from_events.history.echoes, from_log.history.echoes);
        }
    }
}

#[test]
fn what_was_in_force_is_no_difference_to_itself() {
    for seed in seeds(60) {
        let history = history(seed);
        // Up to where the rules were first changed.
        let changes = |body: &Body| matches!(body, Body::RulesActivated(_));
        let mut seen = 0;
        let inputs: Vec<_> = history
            .inputs
            .iter()
            .take_while(|(_, body)| {
                seen += usize::from(changes(body));
                seen < 2
            })
            .cloned()
            .collect();
        let asked = Asked {
            old: None,
            new: first_rules(&inputs),
        };
        let report = run(&file(&events(&inputs)), &asked);
        assert_eq!(
            report.totals,
            BTreeMap::new(),
            "{}",
            again(seed, "what_was_in_force")
        );
        assert_eq!(report.old, report.new);
    }
}

#[test]
fn generated_histories_reach_what_they_are_for() {
    let mut kinds: BTreeMap<Kind, u64> = BTreeMap::new();
    let (mut outcomes, mut echoes) = (0, 0);
    for seed in 0..150 {
        let history = history(seed);
        let report = run(&file(&events(&history.inputs)), &asked(&history, seed));
        for (kind, count) in report.totals {
            *kinds.entry(kind).or_default() += count;
        }
        outcomes += report.history.outcomes;
        echoes += report.history.echoes;
    }
    let missing: Vec<&Kind> = Kind::ALL
        .iter()
        .filter(|kind| !kinds.contains_key(kind))
        .collect();
    assert!(missing.is_empty(), "{missing:?} do not come up: {kinds:?}");
    assert!(outcomes > 100 && echoes > 50, "{outcomes} {echoes}");
}
