//! Lookups in their order, a few of each registry at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Job;

/// Lookups of one registry at a time.
const OF_ONE_REGISTRY: usize = 4;

/// Lookups that wait for their turn, and those under way. What is in it already is not added again.
#[derive(Debug, Default)]
pub(super) struct Queue {
    open: BTreeSet<Job>,
    waiting: BTreeMap<String, VecDeque<(Job, u32)>>,
    /// How many of each registry are under way.
    under_way: BTreeMap<String, usize>,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn add(&mut self, job: Job, tries: u32) {
        if self.open.insert(job.clone()) {
            let registry = registry(&job).to_owned();
            let waiting = self.waiting.entry(registry).or_default();
            waiting.push_back((job, tries));
        }
    }

    /// The next that may begin, of the registry with the fewest under way.
    pub(super) fn begin(&mut self) -> Option<(Job, u32)> {
        let busy = |registry: &String| self.under_way.get(registry).copied().unwrap_or(0);
        let registries = self.waiting.keys().filter(|at| busy(at) < OF_ONE_REGISTRY);
        let registry = registries.min_by_key(|at| busy(at))?.clone();
        let waiting = self.waiting.get_mut(&registry)?;
        let next = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&registry);
        }
        *self.under_way.entry(registry).or_default() += 1;
        next
    }

    pub(super) fn end(&mut self, job: &Job) {
        self.open.remove(job);
        let registry = registry(job);
        if let Some(under_way) = self.under_way.get_mut(registry) {
            *under_way = under_way.saturating_sub(1);
            if *under_way == 0 {
                self.under_way.remove(registry);
            }
        }
    }
}

/// The registry that a lookup asks; empty for the one that repositories without a host are in.
fn registry(job: &Job) -> &str {
    job.repository.registry().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use weir_schema::Digest;

    use super::*;

    fn job(text: &str) -> Job {
        Job {
            repository: text.parse().unwrap(),
            digest: Digest::of(text.as_bytes()),
        }
    }

    /// The repositories of the lookups that begin when `added` are.
    fn check(added: &[&str], expected: &[&str]) -> Queue {
        let mut queue = Queue::default();
        for text in added {
            queue.add(job(text), 0);
        }
        let begun = std::iter::from_fn(|| queue.begin());
        let begun: Vec<String> = begun.map(|(job, _)| job.repository.to_string()).collect();
        assert_eq!(begun, expected);
        queue
    }

    #[test]
    fn a_registry_with_much_to_look_up_leaves_room_for_others() {
        let mut queue = check(
            &["r.io/1", "r.io/2", "r.io/3", "r.io/4", "r.io/5", "s.io/1"],
            &["r.io/1", "s.io/1", "r.io/2", "r.io/3", "r.io/4"],
        );
        assert_eq!((queue.begin(), queue.len()), (None, 6));
        queue.end(&job("r.io/2"));
        assert_eq!(queue.begin(), Some((job("r.io/5"), 0)));
    }

    #[test]
    fn what_is_looked_up_already_is_not_looked_up_beside_it() {
        let mut queue = check(&["r.io/1", "r.io/1"], &["r.io/1"]);
        queue.add(job("r.io/1"), 0);
        assert_eq!(queue.begin(), None);
        queue.end(&job("r.io/1"));
        queue.add(job("r.io/1"), 1);
        assert_eq!(queue.begin(), Some((job("r.io/1"), 1)));
    }
}
