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
}

/// The values of the variables of an environment.
pub trait Facts {
    /// The value of the variable at `index` of the declaration. It is asked for wherever the
    /// variable is named: keep what is costly to make.
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>>;
}

/// A fact that exists but cannot be read, such as the findings of a scan that gave only counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FactError {
    /// Why, for the person who wrote the rule.
    pub message: String,
}
