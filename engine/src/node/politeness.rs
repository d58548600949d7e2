//! What is not urgent takes what the rest leaves of the processors.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use thread_priority::{Error, ThreadPriority};

use super::BATCH;

/// How many inputs are on their way into the log. Where more than fill two batches are, what is not
/// urgent can wait: its priority alone does not see to it, for a processor that runs an idle thread
/// does not look for work that waits for another one.
#[derive(Debug, Clone, Default)]
pub(super) struct Backlog(Arc<AtomicUsize>);

/// Inputs on their way, until it is dropped.
#[derive(Debug)]
pub(super) struct OnTheirWay {
    backlog: Backlog,
    inputs: usize,
}

impl Backlog {
    pub(super) fn more(&self, inputs: usize) -> OnTheirWay {
        self.0.fetch_add(inputs, Ordering::Relaxed);
        let backlog = self.clone();
        OnTheirWay { backlog, inputs }
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 2 * BATCH
    }
}

impl Drop for OnTheirWay {
    fn drop(&mut self) {
        self.backlog.0.fetch_sub(self.inputs, Ordering::Relaxed);
    }
}

/// Has the calling thread run when no thread that takes in, decides or writes wants to. These wait
/// for the disk and for each other often enough that it gets on under every load that was measured.
/// Where the system refuses it runs beside them.
pub(super) fn yield_to_others() {
    if let Err(error) = be_idle() {
        tracing::debug!("the thread keeps its priority: {error}");
    }
}

/// The policy for idle threads. With the lowest priority of the usual one a processor that the thread
/// runs on would count as busy, and others would not be woken there.
#[cfg(target_os = "linux")]
fn be_idle() -> Result<(), Error> {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Min,
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle),
    )
}

#[cfg(not(target_os = "linux"))]
fn be_idle() -> Result<(), Error> {
    thread_priority::set_current_thread_priority(ThreadPriority::Min)
}

#[cfg(test)]
mod tests {
    use super::{BATCH, Backlog};

    #[test]
    fn what_a_registry_sends_now_and_then_is_no_backlog() {
        let backlog = Backlog::default();
        let few: Vec<_> = (0..100).map(|_| backlog.more(1)).collect();
        assert!(!backlog.is_there());
        let full = backlog.more(2 * BATCH);
        assert!(backlog.is_there());
        drop(few);
        assert!(!backlog.is_there());
        drop(full);
        assert!(!backlog.is_there());
    }
}
