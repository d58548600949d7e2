//! Facts that do not depend on each other give the same verdicts in any order.

use weir_schema::ReasonCode;

use super::{Verdicts, note};
use crate::{
    generate::{History, tame},
    random::Random,
};

pub(super) fn check(seed: u64) -> Result<(), String> {
    let (history, facts_from) = tame(seed);
    let mut random = Random::new(seed);
    let wanted = verdicts(&history)?;
    for _ in 0..3 {
        let other = reordered(&history, facts_from, &mut random);
        let got = verdicts(&other)?;
        if got != wanted {
            return Err(format!("in another order {got:#?}, first {wanted:#?}"));
        }
    }
    Ok(())
}

/// Facts in another order, and pushes in theirs somewhere between them.
fn reordered(history: &History, facts_from: usize, random: &mut Random) -> History {
    let mut other = history.clone();
    let mut facts = other.inputs.split_off(facts_from);
    random.shuffle(&mut facts);
    let pushes = other.inputs.split_off(1);
    for push in pushes {
        let place = random.below(facts.len() + 1);
        while place > 0 && other.inputs.len() <= place && !facts.is_empty() {
            other.inputs.extend(facts.pop());
        }
        other.inputs.push(push);
    }
    other.inputs.extend(facts);
    let end = history.inputs.last().map(|(at, _)| *at);
    for input in &mut other.inputs {
        input.0 = end.unwrap_or(input.0);
    }
    other
}

fn verdicts(history: &History) -> Result<Verdicts, String> {
    let mut verdicts = Verdicts::new();
    history.play(|seen| {
        note(&mut verdicts, seen);
        Ok(())
    })?;
    // Whether the target had it already depends on where the tag has been, and that on the order.
    for (_, _, _, reasons) in verdicts.values_mut() {
        reasons.retain(|reason| reason.code != ReasonCode::AlreadyThere);
    }
    Ok(verdicts)
}
