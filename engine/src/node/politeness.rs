//! What is not urgent takes what the rest leaves of the processors.

/// The least there is; still one part in seventy, so what is behind gets on under a load that never
/// ends.
const NICE: i32 = 19;

/// Has the calling thread run behind those that take in, decide and write. Where the system refuses
/// it runs beside them, as before.
pub(super) fn yield_to_others() {
    // Linux takes the priority of a process to be that of the thread that asks.
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!("the thread keeps its priority: {error}");
    }
}
