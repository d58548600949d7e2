//! What is not urgent takes what the rest leaves of the processors.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use thread_priority::{Error, ThreadPriority};

use super::BATCH;

/// A backlog is over once there was none for so long: while one is worked off, the inputs on their way
/// are few for a moment now and then.
const CALM: Duration = Duration::from_millis(200);

/// Whether inputs wait to get into the log. Where more than fill two batches are on their way, what is
/// not urgent can wait: its priority alone does not see to it, for a processor that runs an idle thread
/// does not look for work that waits for another one.
#[derive(Debug, Clone)]
pub(super) struct Backlog(Arc<Waiting>);

#[derive(Debug)]
struct Waiting {
    inputs: AtomicUsize,
    begun: Instant,
    /// Milliseconds after `begun` up to which there is a backlog in any case.
    not_over_before: AtomicU64,
}

/// Inputs on their way, until it is dropped.
#[derive(Debug)]
pub(super) struct OnTheirWay {
    backlog: Backlog,
    inputs: usize,
}

impl Default for Backlog {
    fn default() -> Self {
        Self(Arc::new(Waiting {
            inputs: AtomicUsize::new(0),
            begun: Instant::now(),
            not_over_before: AtomicU64::new(0),
        }))
    }
}

impl Backlog {
    pub(super) fn more(&self, inputs: usize) -> OnTheirWay {
        let before = self.0.inputs.fetch_add(inputs, Ordering::Relaxed);
        if before + inputs > 2 * BATCH {
            let over = self.0.milliseconds() + CALM.as_millis() as u64;
            self.0.not_over_before.store(over, Ordering::Relaxed);
        }
        let backlog = self.clone();
        OnTheirWay { backlog, inputs }
    }

    pub(super) fn is_there(&self) -> bool {
        self.0.inputs.load(Ordering::Relaxed) > 2 * BATCH
            || self.0.milliseconds() < self.0.not_over_before.load(Ordering::Relaxed)
    }
}

impl Waiting {
    fn milliseconds(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }
}

impl Drop for OnTheirWay {
    fn drop(&mut self) {
        let waiting = &self.backlog.0.inputs;
        waiting.fetch_sub(self.inputs, Ordering::Relaxed);
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
    use super::{BATCH, Backlog, CALM};

    #[test]
    fn what_a_registry_sends_now_and_then_is_no_backlog() {
        let backlog = Backlog::default();
        let few: Vec<_> = (0..100).map(|_| backlog.more(1)).collect();
        assert!(!backlog.is_there());
        let full = backlog.more(2 * BATCH);
        assert!(backlog.is_there());
        drop(few);
        drop(full);
        assert!(
            backlog.is_there(),
            "few may be on their way for a moment only"
        );
        std::thread::sleep(CALM);
        assert!(!backlog.is_there());
        let _few = backlog.more(2 * BATCH);
        assert!(!backlog.is_there());
    }
}
