//! A history that was read, once more: only what matters of it is read again.

use std::{io, sync::mpsc::Receiver};

use super::{
    BacktestError,
    decoding::in_order,
    given::{Batch, Given, Input, give},
    history::{Decoded, Says},
    index::{About, Index},
};

/// Inputs of a batch at most: a history may be long and little of it matter.
const INPUTS: usize = 4096;

/// Blocks of which a batch is made, mostly: handing each over would cost more than the little of it
/// that matters, and many take memory.
const BLOCKS: usize = 4;

/// Hands over in batches what is read again, `wanted` inputs, with how far the history is read then;
/// ends early if `hand_over` says that nobody listens.
pub(super) fn retell(
    index: &Index,
    wanted: usize,
    decoded: Receiver<(u64, Decoded)>,
    mut hand_over: impl FnMut(Batch, u64) -> bool,
) -> Result<(), BacktestError> {
    let mut retelling = Retelling {
        index,
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

/// Makes the inputs that the index tells of out of those that were read again; at all others only
/// time passes.
struct Retelling<'a> {
    index: &'a Index,
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
        self.index.about(self.batch.next())
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
