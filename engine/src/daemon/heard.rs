//! When each source was last heard of: whether a registry's webhook still works is seen by nothing
//! else. Kept beside the log, a few seconds behind.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use weir_schema::Timestamp;

use super::DaemonError;
use crate::log::{LogReader, MAX_VALUE_BYTES};

/// Where the log keeps it.
pub(crate) const HEARD: &str = "sources-heard";

/// How often it is kept.
const EVERY: Duration = Duration::from_secs(10);

/// More sources than this are made up by somebody.
pub(crate) const MOST_SOURCES: usize = 1000;

/// Bytes of what is kept at most: it is one value of the log.
const MOST_BYTES: usize = MAX_VALUE_BYTES / 3 * 2;

/// The sources, by name.
#[derive(Debug)]
pub(crate) struct Heard(Mutex<Sources>);

#[derive(Debug)]
struct Sources {
    last: BTreeMap<String, Timestamp>,
    changed: bool,
    kept: Instant,
}

impl Heard {
    /// What was known when the node ended.
    pub(crate) fn of(reader: &LogReader) -> Result<Self, DaemonError> {
        Ok(Self(Mutex::new(Sources {
            last: kept(reader)?,
            changed: false,
            kept: Instant::now(),
        })))
    }

    /// Notes that a source was heard of. Events that say that they come from a configured source are
    /// of that source.
    pub(crate) fn note(&self, source: &str, at: Timestamp) {
        let mut sources = self.lock();
        let name = name(source);
        if let Some(last) = sources.last.get_mut(name) {
            *last = at.max(*last);
        } else if sources.last.len() < MOST_SOURCES {
            sources.last.insert(name.to_owned(), at);
            if written(&sources.last).1.len() > MOST_BYTES {
                sources.last.remove(name);
            }
        }
        sources.changed = true;
    }

    /// What is to be kept, if it is time to.
    pub(crate) fn due(&self) -> Option<(&'static str, Vec<u8>)> {
        let mut sources = self.lock();
        if !sources.changed || sources.kept.elapsed() < EVERY {
            return None;
        }
        sources.kept = Instant::now();
        sources.changed = false;
        Some(written(&sources.last))
    }

    /// What is to be kept at the end.
    pub(crate) fn all(&self) -> (&'static str, Vec<u8>) {
        written(&self.lock().last)
    }

    /// All of them.
    pub(crate) fn last(&self) -> BTreeMap<String, Timestamp> {
        self.lock().last.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sources> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a log keeps of it.
pub(crate) fn kept(reader: &LogReader) -> Result<BTreeMap<String, Timestamp>, DaemonError> {
    match reader.meta_get(HEARD)? {
        Some(kept) => Ok(serde_json::from_slice(&kept)?),
        None => Ok(BTreeMap::new()),
    }
}

fn written(last: &BTreeMap<String, Timestamp>) -> (&'static str, Vec<u8>) {
    // Texts and times are written without fail.
    (HEARD, serde_json::to_vec(last).unwrap_or_default())
}

fn name(source: &str) -> &str {
    ["/registries/", "/scanners/", "/intake/"]
        .iter()
        .find_map(|prefix| source.strip_prefix(prefix))
        .unwrap_or(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_with_long_names_are_kept_as_far_as_they_fit_into_the_log() {
        let heard = Heard(Mutex::new(Sources {
            last: BTreeMap::new(),
            changed: false,
            kept: Instant::now(),
        }));
        heard.note("/registries/harbor", Timestamp::EPOCH);
        for number in 0..MOST_SOURCES {
            heard.note(
                &format!("{number}{}", "\u{1}".repeat(200)),
                Timestamp::EPOCH,
            );
        }
        assert!(heard.all().1.len() <= MOST_BYTES);
        assert!(heard.last().len() > 40 && heard.last().contains_key("harbor"));
    }
}
