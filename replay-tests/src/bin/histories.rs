//! Every invariant on a great many generated histories, and the state digests of the golden ones.
//!
//! `WEIR_HISTORIES` says how many (1000 if not said), `WEIR_SEED` the first seed (0). Arguments name
//! the invariants to check, where it is not all. With the argument `digests` it prints the state
//! digest of each golden history instead.
//!
//! ```sh
//! WEIR_HISTORIES=1000000 cargo run --release -p weir-replay-tests --bin histories
//! ```

use std::{process::ExitCode, time::Instant};

use weir_replay_tests::{
    campaign::{self, number},
    invariants,
    recorded::golden_digests,
};

/// After so many histories a line says how far it is.
const TELL_EVERY: u64 = 10_000;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "digests") {
        for (name, digest) in golden_digests(false) {
            println!("{name} {digest}");
        }
        return ExitCode::SUCCESS;
    }
    let wanted = |name: &str| arguments.is_empty() || arguments.iter().any(|one| one == name);
    let all = invariants::ALL.iter().copied();
    let wanted: Vec<_> = all.filter(|(name, _)| wanted(name)).collect();
    let (first, count) = (number("WEIR_SEED", 0), number("WEIR_HISTORIES", 1000));
    let began = Instant::now();
    let rate = |done: u64| done as f64 / began.elapsed().as_secs_f64();
    let told = campaign::run(&wanted, first, count, |done| {
        if done.is_multiple_of(TELL_EVERY) {
            eprintln!("{done} of {count}, {:.0} a second", rate(done));
        }
    });
    match told {
        Ok(()) => {
            println!(
                "{count} histories from seed {first} on, {} invariants after every record: no objection; {:.0} histories a second",
                wanted.len(),
                rate(count)
            );
            ExitCode::SUCCESS
        }
        Err(objection) => {
            println!(
                "seed {}, {}: {}\n\nagain: WEIR_SEED={} WEIR_HISTORIES=1 cargo test -p weir-replay-tests --test proof generated::{}",
                objection.seed,
                objection.invariant,
                objection.problem,
                objection.seed,
                objection.invariant
            );
            ExitCode::FAILURE
        }
    }
}
