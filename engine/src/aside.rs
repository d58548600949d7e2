//! Reading what came without keeping a worker of the runtime from the rest: what is long is read on a
//! thread of its own.

use tokio::task::{JoinError, spawn_blocking};

/// Bytes that are read on the spot. They take about a millisecond; to hand them to another thread and
/// back takes tens of microseconds, which is much for a few of them.
const SHORT: usize = 64 << 10;

/// Runs `work`, which reads that many `bytes`.
///
/// # Errors
/// If it panicked on a thread of its own.
pub(crate) async fn read<T: Send + 'static>(
    bytes: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    match bytes > SHORT {
        true => spawn_blocking(work).await,
        false => Ok(work()),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn what_is_long_is_read_on_a_thread_of_its_own() {
        let here = thread::current().id();
        let check = async |bytes, on_the_spot| {
            let there = read(bytes, || thread::current().id()).await.unwrap();
            assert_eq!(there == here, on_the_spot, "{bytes}");
        };
        check(0, true).await;
        check(SHORT, true).await;
        check(SHORT + 1, false).await;
    }
}
