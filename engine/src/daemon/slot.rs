//! A place for whoever does a kind of work at the moment. What comes while nobody does is dropped:
//! whoever begins finds in state and log what is open.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc::UnboundedSender;

/// Where pieces of work are sent.
#[derive(Debug)]
pub(crate) struct Slot<T>(Mutex<Option<UnboundedSender<T>>>);

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Slot<T> {
    /// From now on work goes there. Look for what is open only afterwards.
    pub(crate) fn set(&self, worker: UnboundedSender<T>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(worker);
    }

    /// Hands a piece of work over, if somebody is there.
    pub(crate) fn send(&self, work: T) {
        let mut worker = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = &*worker
            && there.send(work).is_err()
        {
            *worker = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_goes_to_whoever_came_last_and_nowhere_when_it_is_gone() {
        let slot = Slot::default();
        slot.send(1);
        let (first, mut of_first) = tokio::sync::mpsc::unbounded_channel();
        slot.set(first);
        slot.send(2);
        let (second, mut of_second) = tokio::sync::mpsc::unbounded_channel();
        slot.set(second);
        slot.send(3);
        assert_eq!(
            (of_first.try_recv().ok(), of_first.try_recv().ok()),
            (Some(2), None)
        );
        assert_eq!(of_second.try_recv().ok(), Some(3));
        drop(of_second);
        slot.send(4);
    }
}
