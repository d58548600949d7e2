//! Which runs of a registry each source was heard of. A registry that is started anew has lost what
//! it had not told; the replicas of one behind a balancer only take turns.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};

use super::heard::MOST_SOURCES;

/// Runs of one source that are told apart: more replicas than a registry has. Beyond them the one
/// that was silent longest is forgotten.
const MOST: usize = 100;

/// The longest name of a run, in bytes, that is noted: distribution takes a UUID of 36.
const LONGEST: usize = 128;

/// The runs of each source, those heard of last at the end.
#[derive(Debug, Default)]
pub(crate) struct Instances(Mutex<BTreeMap<String, VecDeque<String>>>);

impl Instances {
    /// Notes that a source was heard of by this run. Says whether it is a new one of a source that was
    /// known by others: of the first run nothing can have been lost since this node started.
    pub(crate) fn note(&self, source: &str, instance: &str) -> bool {
        if instance.len() > LONGEST {
            return false;
        }
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !sources.contains_key(source) && sources.len() >= MOST_SOURCES {
            return false;
        }
        let runs = sources.entry(source.to_owned()).or_default();
        let known = runs.iter().position(|run| run == instance);
        if let Some(place) = known {
            runs.remove(place);
        } else if runs.len() >= MOST {
            runs.pop_front();
        }
        runs.push_back(instance.to_owned());
        known.is_none() && runs.len() > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runs that are taken for new of those heard of.
    fn new_of(heard: &[(&str, &str)]) -> Vec<String> {
        let instances = Instances::default();
        let new = heard
            .iter()
            .filter(|(source, run)| instances.note(source, run));
        new.map(|(source, run)| format!("{source} {run}")).collect()
    }

    #[test]
    fn a_run_is_new_once_however_replicas_take_turns() {
        let heard = ["a", "b", "a", "b", "b", "a", "c", "a", "b", "c"];
        let heard = heard.map(|run| ("dev", run));
        assert_eq!(new_of(&heard), ["dev b", "dev c"]);
    }

    #[test]
    fn sources_have_runs_of_their_own() {
        let heard = [("dev", "a"), ("prod", "b"), ("dev", "a"), ("prod", "a")];
        assert_eq!(new_of(&heard), ["prod a"]);
    }

    #[test]
    fn who_makes_up_runs_and_sources_fills_no_memory() {
        let instances = Instances::default();
        for number in 0..=MOST {
            instances.note("dev", &number.to_string());
        }
        // The first is forgotten, the last is not.
        assert!(!instances.note("dev", &MOST.to_string()));
        assert!(instances.note("dev", "0"));
        assert!(!instances.note("dev", &"x".repeat(LONGEST + 1)));
        for number in 0..=MOST_SOURCES {
            instances.note(&format!("source {number}"), "a");
        }
        let sources = instances.0.lock().unwrap();
        assert_eq!(sources.len(), MOST_SOURCES);
        assert_eq!(sources["dev"].len(), MOST);
    }
}
