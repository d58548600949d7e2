//! That a registry has no referrers API, as far as is known. Such a verdict ages: registries are
//! upgraded, and one 404 on the way to a registry is not its word for ever.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a registry is not asked for its referrers API again. That costs one request in so long
/// a time, and what only the API tells is missed no longer than that.
const HOLDS: Duration = Duration::from_secs(5 * 60);

/// What is known of a registry's lack.
#[derive(Debug, Default)]
pub(super) struct Lack(Mutex<Option<Instant>>);

impl Lack {
    /// Whether it was found at `now` or not long before.
    pub fn holds(&self, now: Instant) -> bool {
        let found = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.is_some_and(|found| now.saturating_duration_since(found) < HOLDS)
    }

    /// Notes that it was found at `now`; says whether for the first time.
    pub fn note(&self, now: Instant) -> bool {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        found.replace(now).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_is_told_once_and_is_looked_into_again_after_some_minutes() {
        let lack = Lack::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!lack.holds(start));
        assert!(lack.note(start));
        assert!(lack.holds(start) && lack.holds(after(299)));
        assert!(!lack.holds(after(300)));
        assert!(!lack.note(after(300)));
        assert!(lack.holds(after(599)) && !lack.holds(after(600)));
    }
}
