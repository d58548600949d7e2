//! Judging everything anew: what a record can change, it touches, so nothing may change.

use weir_schema::Body;

use super::{Execution, Run};
use crate::state::State;

/// Judges everything anew from what is told alone, as if every record had touched it, and says
/// what would change.
///
/// Nothing should: neither a verdict nor when something wakes up.
#[must_use]
pub fn recheck(state: &State) -> Vec<String> {
    // What is derived is not in the encoding.
    let mut again = match State::from_canonical(&state.to_canonical(), state.settings.clone()) {
        Ok(again) => again,
        Err(error) => return vec![format!("the state cannot be restored: {error}")],
    };
    let trigger = again.seq;
    let mut run = Run::new(&mut again, trigger, Execution::Commands);
    run.state.touch_everything(&mut run.touched);
    run.settle(&Body::ClockTicked);
    let mut changes: Vec<String> = run
        .conclusions
        .iter()
        .map(|conclusion| format!("{:?}", conclusion.body))
        .collect();
    if changes.is_empty() && again.state_digest() != state.state_digest() {
        changes.push("no verdict, but the state: something would wake at another time".to_owned());
    }
    changes
}
