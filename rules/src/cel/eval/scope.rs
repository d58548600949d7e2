//! Names that loops and bindings bind, from the inside out.

use super::super::budget::Budget;
use super::super::value::Value;
use super::EvalError;

/// Names that are passed over for one step: a look at one is a small part of a turn of a loop, and
/// few rules bind so many.
const NAMES_PER_STEP: usize = 8;

/// A bound name, and those that are bound around it.
pub(in super::super) struct Scope<'s> {
    pub slot: u16,
    /// The error of a binding matters only where its name is read.
    pub value: Result<&'s Value, &'s EvalError>,
    pub outer: Bound<'s>,
}

/// What is bound at a place; nothing outside of all loops.
pub(in super::super) type Bound<'s> = Option<&'s Scope<'s>>;

/// The value of the name with this slot. Lowering gives slots only to what is bound around their
/// use, so there is one. `None` if the way to it takes more than is left of the budget.
#[inline]
pub(super) fn find<'s>(
    scope: Bound<'s>,
    slot: u16,
    budget: &Budget,
) -> Option<Result<&'s Value, &'s EvalError>> {
    let mut at = scope;
    let mut passed = 0;
    while let Some(bound) = at {
        if bound.slot == slot {
            return budget.take(passed / NAMES_PER_STEP).then_some(bound.value);
        }
        at = bound.outer;
        passed += 1;
    }
    Some(Ok(&Value::Null))
}
