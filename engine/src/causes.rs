//! What is said of an error that has causes.

use std::error::Error;

/// An error with its causes, on one line; a cause that is said already is not said again.
pub(crate) fn said(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
