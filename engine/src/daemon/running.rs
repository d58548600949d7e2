//! Copies under way, as people ask for them: how far they are, what went wrong last, and when they
//! are tried again. Nothing here is remembered; the log says what was decided and how it ended.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use weir_schema::Timestamp;

use crate::copy::{OnProgress, Progress};

/// What is known of one copy.
#[derive(Debug, Clone, Default)]
struct Copy {
    attempt: u32,
    progress: Progress,
    error: Option<String>,
    retry_at: Option<Timestamp>,
}

/// The copies under way, by their promotions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Running(Arc<Mutex<BTreeMap<String, Copy>>>);

impl Running {
    fn change(&self, promotion: &str, change: impl FnOnce(&mut Copy)) {
        let mut copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(copies.entry(promotion.to_owned()).or_default());
    }

    /// A try begins; what it calls with each of its steps.
    pub(crate) fn tries(&self, promotion: &str, attempt: u32) -> OnProgress {
        self.change(promotion, |copy| {
            copy.attempt = attempt;
            copy.retry_at = None;
        });
        let (running, promotion) = (self.clone(), promotion.to_owned());
        Arc::new(move |progress| running.change(&promotion, |copy| copy.progress = progress))
    }

    /// A try failed and there will be another.
    pub(crate) fn waits(&self, promotion: &str, error: String, retry_at: Timestamp) {
        self.change(promotion, |copy| {
            copy.error = Some(error);
            copy.retry_at = Some(retry_at);
        });
    }

    /// It is over, one way or the other.
    pub(crate) fn ends(&self, promotion: &str) {
        let mut copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        copies.remove(promotion);
    }

    /// Adds to each promotion of a list what is known of its copy.
    pub(crate) fn complete(&self, promotions: &mut Value) {
        let copies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for promotion in promotions.as_array_mut().into_iter().flatten() {
            let copy = promotion["promotion_id"].as_str();
            let Some(copy) = copy.and_then(|id| copies.get(id)) else {
                continue;
            };
            let Progress {
                manifests,
                manifests_done,
                manifests_stored: _,
                blobs_mounted,
                blobs_moved,
                bytes_moved,
            } = copy.progress;
            promotion["copy"] = json!({
                "attempt": copy.attempt,
                "manifests": manifests,
                "manifests_done": manifests_done,
                "blobs_mounted": blobs_mounted,
                "blobs_moved": blobs_moved,
                "bytes_moved": bytes_moved,
                "error": copy.error,
                "retry_at": copy.retry_at,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_shown_with_its_progress_its_last_error_and_its_next_try_until_it_ends() {
        let running = Running::default();
        let shown = || {
            let mut list = json!([{"promotion_id": "p"}, {"promotion_id": "other"}]);
            running.complete(&mut list);
            assert_eq!(list[1]["copy"], Value::Null);
            list[0]["copy"].clone()
        };
        let on_progress = running.tries("p", 1);
        on_progress(Progress {
            manifests: 5,
            manifests_done: 2,
            ..Progress::default()
        });
        assert_eq!(shown()["manifests_done"], 2);
        let at: Timestamp = "2026-08-21T10:00:00Z".parse().unwrap();
        running.waits("p", "cut".into(), at);
        assert_eq!(
            (&shown()["error"], &shown()["retry_at"]),
            (&json!("cut"), &json!(at))
        );
        let _again = running.tries("p", 2);
        assert_eq!(
            (&shown()["attempt"], &shown()["retry_at"]),
            (&json!(2), &Value::Null)
        );
        running.ends("p");
        assert_eq!(shown(), Value::Null);
    }
}
