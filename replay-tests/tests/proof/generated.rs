//! Generated histories: every invariant on many seeds.
//!
//! `WEIR_HISTORIES` says how many (60 if not said), `WEIR_SEED` the first of them (0).

use std::sync::Mutex;

use weir_replay_tests::{
    generate::mean,
    invariants::{self, Check},
};
use weir_schema::Body;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("`{variable}` is `{text}`, and should be a number"))
    })
}

fn run(name: &str) {
    let (_, check): &(&str, Check) = invariants::ALL
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap_or_else(|| panic!("no invariant `{name}`"));
    let (first, count) = (number("WEIR_SEED", 0), number("WEIR_HISTORIES", 60));
    let next = Mutex::new(first);
    let problems = Mutex::new(Vec::new());
    let work = || {
        loop {
            let seed = {
                let mut next = next.lock().expect("no thread panics with it");
                *next += 1;
                *next - 1
            };
            if seed >= first + count {
                return;
            }
            if let Err(problem) = check(seed) {
                problems
                    .lock()
                    .expect("no thread panics with it")
                    .push((seed, problem));
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let problems = problems.into_inner().expect("no thread panicked");
    if let Some((seed, problem)) = problems.iter().min() {
        panic!(
            "{problem}\n\nagain: WEIR_SEED={seed} WEIR_HISTORIES=1 cargo test -p weir-replay-tests --test proof generated::{name}"
        );
    }
}

macro_rules! invariants {
    ($($name:ident)*) => {
        $(#[test] fn $name() { run(stringify!($name)); })*

        #[test]
        fn no_invariant_is_forgotten() {
            let known: Vec<&str> = invariants::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(known, [$(stringify!($name)),*]);
        }
    };
}

invariants!(incremental scanned digest_bound duplicates order snapshot twice removed);

#[test]
fn generated_histories_reach_what_they_are_for() {
    let mut kinds = std::collections::BTreeMap::<String, usize>::new();
    for seed in 0..60 {
        mean(seed)
            .play(|seen| {
                for conclusion in &seen.step.conclusions {
                    let kind = match &conclusion.body {
                        Body::DecisionMade(made) => made.verdict.to_string(),
                        other => other.kind().to_owned(),
                    };
                    *kinds.entry(kind).or_default() += 1;
                }
                Ok(())
            })
            .expect("looking does not fail");
    }
    for kind in [
        "promote",
        "wait",
        "block",
        "error",
        "withdrawn",
        "weir.promotion.completed",
        "weir.promotion.failed",
        "weir.violation.found",
        "weir.violation.cleared",
    ] {
        assert!(kinds.contains_key(kind), "no `{kind}` in {kinds:?}");
    }
}
