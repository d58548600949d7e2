//! Who copies when: so many at once, and one at a time to each target tag, or the later would find
//! there what it does not expect.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use weir_schema::TargetRef;

/// Whose turn it is at one target tag.
type Lane = Arc<AsyncMutex<()>>;

/// The turns of all copies of one executor.
pub(super) struct Lanes {
    pub(super) slots: Semaphore,
    targets: Mutex<BTreeMap<(String, String), Lane>>,
}

impl Lanes {
    /// So many copies at once, and at least one.
    pub(super) fn new(concurrent: usize) -> Self {
        Self {
            slots: Semaphore::new(concurrent.max(1)),
            targets: Mutex::default(),
        }
    }

    pub(super) fn to(&self, target: &TargetRef) -> Lane {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.retain(|_, lane| Arc::strong_count(lane) > 1);
        let key = (target.repository.clone(), target.tag.clone());
        Arc::clone(targets.entry(key).or_default())
    }
}
