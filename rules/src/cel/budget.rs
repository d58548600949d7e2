//! The work that one evaluation may do, and how a function fails.
//!
//! One step is a short turn of a loop, one element made, or sixteen bytes read or made: so the budget
//! bounds the memory of an evaluation as well as its time.

use super::limits::Limits;
use std::cell::Cell;

const BYTES_PER_STEP: usize = 16;

/// Comparing shorter texts is no more work than any other step.
pub(super) const LONG_TEXT: usize = 256;

/// What making a text, a list or a map takes, however short it is.
const STEPS_TO_MAKE: usize = 2;

/// Why a function or an operator gave no value.
#[derive(Debug)]
pub(super) enum Fault {
    /// There is no such function for values of these types.
    NoOverload,
    /// The function is there, but not for these values.
    Failed(String),
    /// A limit was reached. Unlike other errors this one is never absorbed by `&&` and `||`.
    Exhausted(String),
}

impl Fault {
    pub(super) fn failed(message: impl Into<String>) -> Fault {
        Fault::Failed(message.into())
    }
}

/// What is left of the limits of one evaluation.
#[derive(Debug)]
pub(super) struct Budget {
    left: Cell<u64>,
    limits: Limits,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Budget {
        Budget {
            left: Cell::new(limits.steps),
            limits: *limits,
        }
    }

    /// Takes `steps` steps.
    #[inline]
    pub(super) fn spend(&self, steps: usize) -> Result<(), Fault> {
        if self.take(steps) {
            Ok(())
        } else {
            Err(self.exhausted())
        }
    }

    /// Takes `steps` steps, if there are so many.
    #[inline]
    pub(super) fn take(&self, steps: usize) -> bool {
        let left = self.left.get().checked_sub(steps as u64);
        self.left.set(left.unwrap_or(0));
        left.is_some()
    }

    /// What is wrong after more steps were asked for than were left.
    #[cold]
    pub(super) fn exhausted(&self) -> Fault {
        Fault::Exhausted(format!(
            "this exceeds the budget of {} steps",
            self.limits.steps
        ))
    }

    /// To be called before a text or bytes of this length are made.
    pub(super) fn make_bytes(&self, length: usize) -> Result<(), Fault> {
        self.fits_bytes(length)?;
        self.spend(STEPS_TO_MAKE + length / BYTES_PER_STEP)
    }

    /// Whether a text of this length may be made; takes nothing.
    pub(super) fn fits_bytes(&self, length: usize) -> Result<(), Fault> {
        if length > self.limits.string_bytes {
            let limit = self.limits.string_bytes;
            return Err(Fault::Exhausted(format!(
                "this makes a text of more than {limit} bytes"
            )));
        }
        Ok(())
    }

    /// To be called before a list or map of this length is made.
    pub(super) fn make_items(&self, length: usize) -> Result<(), Fault> {
        self.fits_items(length)?;
        self.spend(STEPS_TO_MAKE + length)
    }

    /// Whether a list of this length may be made; takes nothing.
    pub(super) fn fits_items(&self, length: usize) -> Result<(), Fault> {
        if length > self.limits.list_items {
            let limit = self.limits.list_items;
            return Err(Fault::Exhausted(format!(
                "this makes a list of more than {limit} elements"
            )));
        }
        Ok(())
    }

    /// To be called before this many bytes are looked through.
    pub(super) fn read_bytes(&self, length: usize) -> Result<(), Fault> {
        self.spend(length / BYTES_PER_STEP)
    }

    /// To be called before a text or bytes of this length are compared with others, so many times.
    pub(super) fn compare_bytes(&self, length: usize, times: usize) -> Result<(), Fault> {
        if length < LONG_TEXT {
            return Ok(());
        }
        self.spend((length / BYTES_PER_STEP).saturating_mul(times))
    }

    /// Whether no step is left.
    pub(super) fn is_used_up(&self) -> bool {
        self.left.get() == 0
    }

    /// The steps taken so far.
    pub(super) fn spent(&self) -> u64 {
        self.limits.steps - self.left.get()
    }
}
