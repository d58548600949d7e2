//! What is not urgent takes what the rest leaves of the processors.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use thread_priority::{Error, ThreadPriority};

/// How many batches of inputs are on their way into the log. Where one waits behind another, what is
/// not urgent can wait too: its priority alone does not see to it, for a processor that runs an idle
/// thread does not look for work that waits for another one.
#[derive(Debug, Clone, Default)]
pub(super) struct Backlog(Arc<AtomicUsize>);

/// A batch on its way, until it is dropped.
#[derive(Debug)]
pub(super) struct OnItsWay(Backlog);

impl Backlog {
    pub(super) fn one_more(&self) -> OnItsWay {
        self.0.fetch_add(1, Ordering::Relaxed);
        OnItsWay(self.clone())
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        (self.0).0.fetch_sub(1, Ordering::Relaxed);
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
    use super::Backlog;

    #[test]
    fn a_batch_alone_is_no_backlog() {
        let backlog = Backlog::default();
        let first = backlog.one_more();
        assert!(!backlog.is_there());
        let second = backlog.one_more();
        assert!(backlog.is_there());
        drop(first);
        assert!(!backlog.is_there());
        drop(second);
        assert!(!backlog.is_there());
    }
}
