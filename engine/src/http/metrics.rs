//! Counters of the HTTP edge, in Prometheus text form.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Requests by route and status, and the time they took.
#[derive(Debug, Default)]
pub struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), Requests>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Requests {
    count: u64,
    taken: Duration,
}

impl Metrics {
    /// Counts a request that was answered.
    pub(super) fn answered(&self, route: &'static str, status: u16, taken: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = requests.entry((route, status)).or_default();
        entry.count += 1;
        entry.taken += taken;
    }

    /// All counters as text.
    #[must_use]
    pub fn render(&self) -> String {
        let requests = self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut text = String::from(
            "# HELP weir_http_requests_total Requests answered.\n# TYPE weir_http_requests_total counter\n",
        );
        // Writing into a string cannot fail.
        for ((route, status), entry) in &requests {
            let _ = writeln!(
                text,
                "weir_http_requests_total{{route=\"{route}\",status=\"{status}\"}} {}",
                entry.count
            );
        }
        text.push_str("# HELP weir_http_request_seconds_total Time spent on requests.\n# TYPE weir_http_request_seconds_total counter\n");
        for ((route, status), entry) in &requests {
            let _ = writeln!(
                text,
                "weir_http_request_seconds_total{{route=\"{route}\",status=\"{status}\"}} {}",
                entry.taken.as_secs_f64()
            );
        }
        text
    }
}
