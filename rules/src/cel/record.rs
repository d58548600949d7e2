//! How values reach an expression: variables by index, records by field index.
//!
//! Both are read lazily, so a fact that a rule does not name costs nothing.

use super::value::Value;
use std::fmt::Debug;

/// A value with declared fields, read one at a time, such as an image or a finding.
pub trait Record: Send + Sync + Debug {
    /// The name under which the environment declares it.
    fn type_name(&self) -> &'static str;

    /// The value of the field at `index` of the declaration; [`Value::Null`] says that the field
    /// is absent.
    fn field(&self, index: u16) -> Result<&Value, &FactError>;

    /// What the facts that gave the record know it by, if it holds no fields itself: then
    /// [`Facts::field`] reads them where they stand. A record can hold only what it owns, so facts
    /// that are borrowed would have to be copied into it, whether they are asked for or not.
    fn number(&self) -> Option<u64> {
        None
    }
}

/// The values of the variables of an environment.
pub trait Facts {
    /// The value of the variable at `index` of the declaration. It is asked for wherever the
    /// variable is named: keep what is costly to make.
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>>;

    /// The value of a field of the record of this type and [number](Record::number).
    fn field(
        &self,
        record: &'static str,
        number: u64,
        index: u16,
    ) -> Result<Value, Box<FactError>> {
        let message = format!("{record} {number} has no field {index}");
        Err(Box::new(FactError { message }))
    }
}

/// A fact that exists but cannot be read, such as the findings of a scan that gave only counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FactError {
    /// Why, for the person who wrote the rule.
    pub message: String,
}
