//! The same records give the same conclusions and state, and recorded decisions come again.

use weir_rules::{State, step};

use super::same_state;
use crate::generate::mean;

pub(super) fn check(seed: u64) -> Result<(), String> {
    let (history, again) = (mean(seed), mean(seed));
    if history.inputs != again.inputs {
        return Err("the same seed gave another history".into());
    }
    let mut state = State::new(history.settings.clone());
    let mut inputs = again.inputs.iter();
    history
        .play(|seen| {
            let Some((at, body)) = inputs.next() else {
                return Err("the second history is shorter".into());
            };
            let taken = step(&mut state, *at, body, again.execution);
            if taken != *seen.step {
                return Err(format!("second {taken:#?}, first {:#?}", seen.step));
            }
            same_state("first and second", &state, seen.after)
        })
        .map(drop)
}
