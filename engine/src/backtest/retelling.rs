//! A history that was read, once more: only what matters of it is read again.

use std::io;

use super::{
    BacktestError,
    given::{Batch, Given, Input, give},
    history::{Decoded, Says},
    index::{About, Index},
};

/// Inputs of a batch at most: a history may be long and little of it matter.
const INPUTS: usize = 4096;

/// Makes the inputs that the index tells of out of those that were read again; at all others only
/// time passes.
pub(super) struct Retelling<'a> {
    index: &'a Index,
    /// How many inputs were told.
    told: usize,
    /// How many are still to be read again.
    wanted: usize,
}

impl<'a> Retelling<'a> {
    /// `wanted` inputs are read again.
    pub(super) fn of(index: &'a Index, wanted: usize) -> Self {
        Self {
            index,
            told: 0,
            wanted,
        }
    }

    /// Takes what was read of the next block, and hands over batches.
    pub(super) fn take(
        &mut self,
        decoded: Decoded,
        mut hand_over: impl FnMut(Batch),
    ) -> Result<(), BacktestError> {
        let mut batch = self.batch();
        for item in decoded.items {
            let Says::Happened { body, .. } = item.says else {
                continue;
            };
            self.pass(item.place, &mut batch, &mut hand_over);
            let about = self.next().filter(|about| about.place == item.place);
            let about = about.ok_or_else(changed)?;
            batch.inputs.push(Input {
                at: about.moment.at,
                given: give(about.how, body),
            });
            self.told += 1;
            self.wanted = self.wanted.checked_sub(1).ok_or_else(changed)?;
        }
        hand_over(batch);
        Ok(())
    }

    /// Hands over what is left when all was read.
    pub(super) fn finish(mut self, mut hand_over: impl FnMut(Batch)) -> Result<(), BacktestError> {
        if self.wanted > 0 {
            return Err(changed());
        }
        let mut batch = self.batch();
        self.pass(u64::MAX, &mut batch, &mut hand_over);
        hand_over(batch);
        Ok(())
    }

    fn next(&self) -> Option<&'a About> {
        self.index.inputs.get(self.told)
    }

    fn batch(&self) -> Batch {
        Batch {
            first: u32::try_from(self.told + 1).expect("the index numbers its inputs so"),
            inputs: Vec::new(),
        }
    }

    /// Time passes up to a place.
    fn pass(&mut self, place: u64, batch: &mut Batch, mut hand_over: impl FnMut(Batch)) {
        while let Some(about) = self.next().filter(|about| about.place < place) {
            if batch.inputs.len() >= INPUTS {
                hand_over(std::mem::replace(batch, self.batch()));
            }
            batch.inputs.push(Input {
                at: about.moment.at,
                given: Given::Nothing,
            });
            self.told += 1;
        }
    }
}

/// What is read is not what was read before.
fn changed() -> BacktestError {
    io::Error::other("the history was changed while it was read").into()
}
