//! A history that was read, once more: only what matters of it is read again.

use std::{io, sync::mpsc::Receiver};

use super::{
    BacktestError,
    decoding::in_order,
    given::{Batch, Given, Input, give},
    history::{Decoded, Says},
    index::About,
};

/// Inputs of a batch at most: a history may be long and little of it matter.
const INPUTS: usize = 4096;

/// Blocks of which a batch is made, mostly: handing each over would cost more than the little of it
/// that matters, and many take memory.
const BLOCKS: usize = 4;

/// Hands over `inputs` in batches, `wanted` of them as they are read again, with how far the history
/// is read then; ends early if `hand_over` says that nobody listens.
pub(super) fn retell(
    inputs: &[About],
    wanted: usize,
    decoded: Receiver<(u64, Decoded)>,
    mut hand_over: impl FnMut(Batch, u64) -> bool,
) -> Result<(), BacktestError> {
    let mut retelling = Retelling {
        inputs,
        wanted,
        batch: Batch {
            first: 1,
            inputs: Vec::new(),
        },
        blocks: 0,
    };
    let (mut done, mut goes_on) = (0, true);
    in_order(decoded, |block| {
        done = block.end;
        retelling.take(block, |batch| goes_on &= hand_over(batch, done))?;
        Ok(goes_on)
    })?;
    match goes_on {
        true => retelling.finish(|batch| goes_on &= hand_over(batch, done)),
        false => Ok(()),
    }
}

/// Makes inputs of what was read again; at all others only time passes.
struct Retelling<'a> {
    /// What all are about, from the first on.
    inputs: &'a [About],
    /// How many inputs are still to be read again.
    wanted: usize,
    /// What was told and not handed over.
    batch: Batch,
    /// Of how many blocks it is.
    blocks: usize,
}

impl<'a> Retelling<'a> {
    /// Takes what was read of the next block, and hands over batches.
    fn take(
        &mut self,
        decoded: Decoded,
        mut hand_over: impl FnMut(Batch),
    ) -> Result<(), BacktestError> {
        for item in decoded.items {
            let Says::Happened { body, .. } = item.says else {
                continue;
            };
            self.pass(item.place, &mut hand_over);
            let about = self.next().filter(|about| about.place == item.place);
            let about = about.ok_or_else(changed)?;
            self.tell(about, give(about.how, body), &mut hand_over);
            self.wanted = self.wanted.checked_sub(1).ok_or_else(changed)?;
        }
        self.blocks += 1;
        if self.blocks == BLOCKS {
            hand_over(self.batch());
        }
        Ok(())
    }

    /// Hands over what is left when all was read.
    fn finish(mut self, mut hand_over: impl FnMut(Batch)) -> Result<(), BacktestError> {
        if self.wanted > 0 {
            return Err(changed());
        }
        self.pass(u64::MAX, &mut hand_over);
        hand_over(self.batch);
        Ok(())
    }

    /// What the next input is about.
    fn next(&self) -> Option<&'a About> {
        self.inputs.get(self.batch.next() as usize - 1)
    }

    /// Time passes up to a place.
    fn pass(&mut self, place: u64, mut hand_over: impl FnMut(Batch)) {
        while let Some(about) = self.next().filter(|about| about.place < place) {
            self.tell(about, Given::Nothing, &mut hand_over);
        }
    }

    fn tell(&mut self, about: &About, given: Given, mut hand_over: impl FnMut(Batch)) {
        let at = about.moment.at;
        self.batch.inputs.push(Input { at, given });
        if self.batch.inputs.len() == INPUTS {
            hand_over(self.batch());
        }
    }

    /// Takes what was told, and begins anew.
    fn batch(&mut self) -> Batch {
        self.blocks = 0;
        let next = Batch {
            first: self.batch.next(),
            inputs: Vec::with_capacity(self.batch.inputs.len()),
        };
        std::mem::replace(&mut self.batch, next)
    }
}

/// What is read is not what was read before.
fn changed() -> BacktestError {
    io::Error::other("the history was changed while it was read").into()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use weir_schema::{Body, Timestamp};

    use super::*;
    use crate::backtest::{
        history::{Item, Number},
        index::How,
        report::Moment,
    };

    const INPUTS_TOLD: u64 = 20_000;

    /// Inputs a byte apart.
    fn inputs() -> Vec<About> {
        let at = Timestamp::EPOCH;
        let about = |place| About {
            moment: Moment { seq: place, at },
            place,
            how: How::Whole,
            repository: 0,
            digest: 0,
        };
        (0..INPUTS_TOLD).map(about).collect()
    }

    /// What was read at some places, in blocks.
    fn blocks(places: &[u64]) -> Vec<Decoded> {
        let item = |place: &u64| Item {
            place: *place,
            number: Number::Record(*place),
            says: Says::Happened {
                at: Timestamp::EPOCH,
                delivery: None,
                body: Body::ClockTicked,
            },
        };
        let block = |places: &[u64]| Decoded {
            items: places.iter().map(item).collect(),
            lines: 0,
            end: places.last().map_or(0, |last| last + 1),
        };
        places.chunks(50).map(block).collect()
    }

    #[test]
    fn each_input_is_told_once_and_in_its_order() {
        let inputs = inputs();
        for (from, to, step) in [
            (0, 9_000, 7),
            (0, 20_000, 1),
            (19_999, 20_000, 1),
            (0, 0, 1),
        ] {
            let places: Vec<u64> = (from..to).step_by(step).collect();
            let (sender, decoded) = sync_channel(1_000);
            for (number, block) in (1..).zip(blocks(&places)) {
                sender.send((number, block)).unwrap();
            }
            drop(sender);
            let (mut next, mut given) = (1, Vec::new());
            retell(&inputs, places.len(), decoded, |batch, _| {
                assert_eq!(batch.first, next);
                assert!(batch.inputs.len() <= INPUTS);
                next = batch.next();
                for (ordinal, input) in (batch.first..).zip(&batch.inputs) {
                    if let Given::Event(_) = input.given {
                        given.push(u64::from(ordinal) - 1);
                    }
                }
                true
            })
            .unwrap();
            assert_eq!(u64::from(next), INPUTS_TOLD + 1);
            assert_eq!(given, places);
        }
    }

    #[test]
    fn a_history_that_is_not_what_it_was_is_told_as_such() {
        for (wanted, places) in [(3, vec![1, 5]), (1, vec![1, 5]), (1, vec![INPUTS_TOLD])] {
            let (sender, decoded) = sync_channel(1);
            for block in blocks(&places) {
                sender.send((1, block)).unwrap();
            }
            drop(sender);
            let told = retell(&inputs(), wanted, decoded, |_, _| true);
            assert!(told.is_err_and(|error| error.to_string().contains("changed")));
        }
    }
}
