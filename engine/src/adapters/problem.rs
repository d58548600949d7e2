//! Why a delivery, or a part of one, cannot be read.

/// Why a delivery cannot be read: always with the place in the payload.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem {
    /// The bytes are no JSON text.
    #[error("no JSON: {0}")]
    Json(String),
    /// It is JSON, and something in it is of the wrong kind.
    #[error("not of the form that it should have: {0}")]
    Form(String),
    /// A field that is needed is absent, null or empty.
    #[error("`{path}` is missing")]
    Missing {
        /// Where it should be, as `a.b[2].c`.
        path: String,
    },
    /// A field has a value that it cannot have.
    #[error("`{path}`: {cause}")]
    Field {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The payload reads well and does not say what is needed.
    #[error("{0}")]
    Meaning(String),
}

impl Problem {
    /// A [`Problem::Field`].
    pub(super) fn field(path: impl Into<String>, cause: impl ToString) -> Self {
        Self::Field {
            path: path.into(),
            cause: cause.to_string(),
        }
    }

    /// A [`Problem::Meaning`].
    pub(super) fn meaning(text: impl Into<String>) -> Self {
        Self::Meaning(text.into())
    }
}
