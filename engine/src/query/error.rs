//! Why a question has no answer.

use crate::log::ReadError;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// What was asked for does not exist.
    #[error("{0}")]
    NotFound(String),
    /// The tag that was asked for is not there: another was perhaps meant.
    #[error("{0}")]
    NoTag(String),
    /// The question makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The engine cannot answer now.
    #[error("{0}")]
    Unavailable(String),
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> Self {
        Self::Unavailable(error.to_string())
    }
}
