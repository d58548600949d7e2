//! Long mixed logs: generated histories of every kind of event, one after the other.

use weir_engine::node::{Incoming, Ledger};
use weir_replay_tests::generate::{self, Input};
use weir_schema::{Event, Position, Timestamp};

/// Inputs as they come to a ledger.
pub fn incoming(inputs: &[Input], seed: u64) -> Vec<Incoming> {
    let inputs = (1..).zip(inputs);
    inputs
        .map(|(number, (at, body))| {
            let event = Event {
                id: format!("{seed}-{number}").into(),
                source: "/mixed".into(),
                time: Some(*at),
                subject: None,
                body: body.clone(),
            };
            Incoming {
                received: event.into(),
                at: *at,
                position: Position::Local,
            }
        })
        .collect()
}

/// Adds histories to a ledger, each later than the one before.
pub fn fill(ledger: &mut Ledger, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let history = generate::mean(seed);
        let mut inputs = incoming(&history.inputs, seed);
        let (Some(first), now) = (inputs.first().map(|one| one.at), ledger.state().now()) else {
            continue;
        };
        for input in &mut inputs {
            let passed = input.at.since(first);
            let later: Timestamp = now.max(first).saturating_add(passed);
            input.at = later;
        }
        ledger.take(inputs, None).expect("they are taken");
    }
}
