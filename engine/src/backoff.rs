//! How long to wait before something that failed is tried again.

use std::time::Duration;

/// `first`, doubled so many `times`, and no longer than `longest`.
pub(crate) fn doubled(first: Duration, times: u32, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(times).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

/// A random part of `up_to`: what failed together shall not come back together.
pub(crate) fn jitter(up_to: Duration) -> Duration {
    // Sixteen random bits are fine enough for a pause, and `uuid` has them.
    let [high, low, ..] = *uuid::Uuid::new_v4().as_bytes();
    up_to.mul_f64(f64::from(u16::from_be_bytes([high, low])) / f64::from(u16::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_the_longest() {
        let check = |times, expected| {
            let (first, longest) = (Duration::from_secs(5), Duration::from_secs(300));
            assert_eq!(doubled(first, times, longest).as_secs(), expected);
        };
        check(0, 5);
        check(1, 10);
        check(5, 160);
        check(6, 300);
        check(u32::MAX, 300);
    }
}
