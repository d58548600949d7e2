//! What is not urgent takes what the rest leaves of the processors.

use thread_priority::{Error, ThreadPriority};

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
