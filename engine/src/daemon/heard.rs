//! When each source was last heard of: whether a registry's webhook still works is seen by nothing
//! else. Kept beside the log, a few seconds behind.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use weir_schema::Timestamp;

use super::DaemonError;
use crate::log::LogReader;

/// Where the log keeps it.
pub(crate) const HEARD: &str = "sources-heard";

/// How often it is kept.
const EVERY: Duration = Duration::from_secs(10);

/// More sources than this are made up by somebody.
pub(crate) const MOST_SOURCES: usize = 1000;

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
