//! Generated histories: every invariant on many seeds.
//!
//! `WEIR_HISTORIES` says how many, `WEIR_SEED` the first of them (0). If it is not said, the cheaper
//! an invariant is to check, the more: about three thousand in all.

use std::collections::{BTreeMap, BTreeSet};

use weir_replay_tests::{
    campaign::{self, Objection, number},
    generate::mean,
    invariants,
};
use weir_schema::{Body, ReasonCode};

fn run(name: &str, histories: u64) {
    let invariant = invariants::ALL.iter().find(|(known, _)| *known == name);
    let invariant = *invariant.unwrap_or_else(|| panic!("no invariant `{name}`"));
    let (first, count) = (number("WEIR_SEED", 0), number("WEIR_HISTORIES", histories));
    if let Err(Objection { seed, problem, .. }) = campaign::run(&[invariant], first, count, |_| ())
    {
        panic!(
            "{problem}\n\nagain: WEIR_SEED={seed} WEIR_HISTORIES=1 cargo test -p weir-replay-tests --test proof generated::{name}"
        );
    }
}

macro_rules! invariants {
    ($($name:ident: $histories:literal,)*) => {
        $(#[test] fn $name() { run(stringify!($name), $histories); })*

        #[test]
        fn no_invariant_is_forgotten() {
            let known: Vec<&str> = invariants::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(known, [$(stringify!($name)),*]);
        }
    };
}

invariants! {
    incremental: 60,
    scanned: 600,
    digest_bound: 600,
    duplicates: 600,
    order: 600,
    snapshot: 100,
    twice: 100,
    removed: 400,
}

/// How many histories are looked at, and in how many of them everything is to come up.
const HISTORIES: u64 = 200;
const LEAST: usize = 2;

/// Events that only the engine says, and that histories therefore do not tell.
const CONCLUSIONS: [&str; 3] = [
    "weir.decision.made",
    "weir.violation.found",
    "weir.violation.cleared",
];

#[test]
fn generated_histories_reach_every_event_verdict_and_reason() {
    // In how many histories each comes up.
    let mut counts = BTreeMap::<String, usize>::new();
    for seed in 0..HISTORIES {
        let mut reached = BTreeSet::<String>::new();
        let history = mean(seed);
        for (_, body) in &history.inputs {
            reached.insert(format!("input {}", body.kind()));
        }
        history
            .play(|seen| {
                for conclusion in &seen.step.conclusions {
                    reached.insert(conclusion.body.kind().to_owned());
                    if let Body::DecisionMade(made) = &conclusion.body {
                        reached.insert(made.verdict.to_string());
                        let reasons = made.reasons.iter().chain(&made.waived);
                        reached.extend(reasons.map(|reason| reason.code.to_string()));
                        let by = if made.actor.is_some() { "by hand" } else { "" };
                        let advice = if made.advisory { "advice" } else { "" };
                        reached.extend([by, advice].map(str::to_owned));
                        if !made.overrides.is_empty() {
                            reached.insert("override used".into());
                        }
                    }
                    if let Body::PromotionFailed(outcome) = &conclusion.body {
                        reached.extend(outcome.error.clone());
                    }
                }
                Ok(())
            })
            .expect("looking does not fail");
        for one in reached {
            *counts.entry(one).or_default() += 1;
        }
    }
    let inputs = Body::TYPES
        .iter()
        .filter(|kind| !CONCLUSIONS.contains(kind))
        .map(|kind| format!("input {kind}"));
    let verdicts = ["promote", "wait", "block", "error", "withdrawn"];
    let others = [
        "weir.decision.made",
        "weir.promotion.completed",
        "weir.promotion.failed",
        "weir.violation.found",
        "weir.violation.cleared",
        "input org.example.thing",
        "superseded",
        "withdrawn",
        "by hand",
        "advice",
        "override used",
    ];
    let wanted = inputs
        .chain(verdicts.into_iter().chain(others).map(str::to_owned))
        .chain(ReasonCode::ALL.iter().map(ToString::to_string));
    let count = |one: &String| counts.get(one).copied().unwrap_or(0);
    let rare: Vec<(String, usize)> = wanted
        .map(|one| (one.clone(), count(&one)))
        .filter(|(_, count)| *count < LEAST)
        .collect();
    assert!(
        rare.is_empty(),
        "in fewer than {LEAST} of {HISTORIES} histories: {rare:?}"
    );
}
