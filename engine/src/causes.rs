//! What is said of an error that has causes, and what is among them.

use std::{error::Error, io};

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

/// The first cause that `look` accepts. An `io::Error` hides what it wraps from `source`, so it
/// is opened.
pub(crate) fn find<T>(
    error: &(dyn Error + 'static),
    look: impl Fn(&(dyn Error + 'static)) -> Option<T> + Copy,
) -> Option<T> {
    if let Some(found) = look(error) {
        return Some(found);
    }
    let inner = error
        .downcast_ref::<io::Error>()
        .and_then(io::Error::get_ref)
        .map(|inner| inner as &(dyn Error + 'static));
    inner
        .or_else(|| error.source())
        .and_then(|cause| find(cause, look))
}
