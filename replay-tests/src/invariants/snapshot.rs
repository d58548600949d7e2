//! A snapshot and the records after it give the same conclusions and state as all records.

use weir_rules::{State, step};

use super::same_state;
use crate::{generate::mean, random::Random, thawed};

pub(super) fn check(seed: u64) -> Result<(), String> {
    let history = mean(seed);
    let mut random = Random::new(seed);
    let mut restored = State::new(history.settings.clone());
    history
        .play(|seen| {
            if random.chance(30) {
                restored = thawed(&restored, &history.settings);
            }
            let taken = step(
                &mut restored,
                seen.input.0,
                &seen.input.1,
                history.execution,
            );
            if taken != *seen.step {
                return Err(format!("restored {taken:#?}, else {:#?}", seen.step));
            }
            same_state("restored and not", &restored, seen.after)
        })
        .map(drop)
}
