//! Names that loops and bindings bind, from the inside out.

use super::super::value::Value;
use super::EvalError;

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
/// use, so there is one.
#[inline]
pub(super) fn find<'s>(scope: Bound<'s>, slot: u16) -> Result<&'s Value, &'s EvalError> {
    let mut at = scope;
    while let Some(bound) = at {
        if bound.slot == slot {
            return bound.value;
        }
        at = bound.outer;
    }
    Ok(&Value::Null)
}
