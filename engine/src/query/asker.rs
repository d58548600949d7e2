//! Who asks, and may have gone: a question over a long log is not worked on for nobody.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use super::QueryError;

/// Whoever waits for an answer. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Asker(Arc<AtomicBool>);

impl Asker {
    /// It waits no longer: what is worked on for it ends soon.
    pub fn go(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// # Errors
    /// If it has gone.
    pub(super) fn waits(&self) -> Result<(), QueryError> {
        match self.0.load(Ordering::Relaxed) {
            true => Err(QueryError::Unavailable(
                "nobody waits for the answer".to_owned(),
            )),
            false => Ok(()),
        }
    }
}
