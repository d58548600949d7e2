//! Lookups that are to be tried again, each at its time and once, however often it was asked for.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::Job;

/// Lookups by when they are due.
#[derive(Debug, Default)]
pub(super) struct Later {
    due: BTreeSet<(Instant, Job)>,
    /// When each is due, and how often it was tried.
    jobs: BTreeMap<Job, (Instant, u32)>,
}

impl Later {
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    /// When the first of them is due.
    pub(super) fn first_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    pub(super) fn add(&mut self, job: Job, due: Instant, tries: u32) {
        self.remove(&job);
        self.due.insert((due, job.clone()));
        self.jobs.insert(job, (due, tries));
    }

    /// Forgets a lookup, as one that is asked for anew.
    pub(super) fn remove(&mut self, job: &Job) {
        if let Some((due, _)) = self.jobs.remove(job) {
            self.due.remove(&(due, job.clone()));
        }
    }

    /// Takes the first, with how often it was tried.
    pub(super) fn pop_first(&mut self) -> Option<(Job, u32)> {
        let (_, job) = self.due.pop_first()?;
        let (_, tries) = self.jobs.remove(&job)?;
        Some((job, tries))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use weir_schema::Digest;

    use super::*;

    fn job(text: &str) -> Job {
        Job {
            repository: "r.io/a".parse().unwrap(),
            digest: Digest::of(text.as_bytes()),
        }
    }

    #[test]
    fn what_fails_again_and_again_is_tried_again_once() {
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut later = Later::default();
        later.add(job("a"), at(1), 1);
        later.add(job("b"), at(2), 1);
        later.add(job("a"), at(3), 2);
        assert_eq!((later.len(), later.first_due()), (2, Some(at(2))));
        assert_eq!(later.pop_first(), Some((job("b"), 1)));
        assert_eq!(later.pop_first(), Some((job("a"), 2)));
        assert_eq!((later.pop_first(), later.first_due()), (None, None));
    }

    #[test]
    fn what_is_asked_for_anew_no_longer_waits() {
        let mut later = Later::default();
        later.add(job("a"), Instant::now(), 9);
        later.remove(&job("a"));
        later.remove(&job("b"));
        assert_eq!((later.len(), later.pop_first()), (0, None));
    }
}
