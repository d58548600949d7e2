//! How sources are read: what `default_registry` and `[sources.NAME.settings]` say.
//!
//! What a delivery means depends on them, and all nodes of a stream must come to the same log. So
//! whoever leads says in the stream how it reads, with the first thing that it says, and from there on
//! every node reads so, whatever its own configuration says. A delivery that waits for a registry's
//! answer is read again as it was read at its place in the stream, whoever leads by then.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::DaemonError;
use crate::{
    adapters::AdapterSettings,
    config::Config,
    log::{LogReader, MAX_VALUE_BYTES},
};

/// Where the log keeps how sources are read.
pub(crate) const READ_BY: &str = "sources";

/// Where it keeps how they were read before, for as long as a delivery from then is open.
const READ_BEFORE: &str = "sources-before";

/// Bytes of what travels: NATS keeps 64 KiB of headers with a message, and others are beside it.
const LONGEST_SAID: usize = 60 << 10;

/// How sources are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SourceSettings {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default_registry: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    sources: BTreeMap<String, AdapterSettings>,
}

impl SourceSettings {
    /// What a node's configuration says.
    pub(crate) fn configured(config: &Config) -> Self {
        let sources = config.sources.iter();
        Self {
            default_registry: config.default_registry.clone(),
            sources: sources
                .map(|(name, source)| (name.clone(), source.settings.clone()))
                .collect(),
        }
    }

    /// How one source is read.
    pub(crate) fn of(&self, source: &str) -> AdapterSettings {
        let settings = self.sources.get(source).cloned().unwrap_or_default();
        match settings.default_registry {
            Some(_) => settings,
            None => AdapterSettings {
                default_registry: self.default_registry.clone(),
                ..settings
            },
        }
    }

    /// Refuses what could not be said in the stream: a node that may say nothing else before it would
    /// never lead.
    ///
    /// # Errors
    /// How long it is, and the remedy.
    pub(crate) fn check(&self) -> Result<(), String> {
        let bytes = self.text().len();
        match bytes > LONGEST_SAID {
            true => Err(format!(
                "`sources`: the names and settings of all sources are {bytes} bytes as JSON, and the nodes of a stream can tell each other {LONGEST_SAID} at most: leave out sources that send nothing, or let some send under one name"
            )),
            false => Ok(()),
        }
    }

    /// Whether a log can keep it. What is said in the stream may leave out what is as usual, and is
    /// longer here.
    pub(crate) fn fits_in_log(&self) -> bool {
        self.text().len() <= MAX_VALUE_BYTES
    }

    /// As it travels and is kept.
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// How this node reads sources at the moment, and how what is still open was read.
pub(crate) struct InForce {
    configured: Arc<SourceSettings>,
    now: watch::Sender<Arc<SourceSettings>>,
    before: Mutex<Vec<Before>>,
}

/// How deliveries were read before a place in the stream, and after that of the one before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    sequence: u64,
    /// `None` if the log had no room for it.
    settings: Option<Arc<SourceSettings>>,
}

/// What is said in the stream at a place: how deliveries behind it are read.
pub(crate) type FromHere = (u64, Arc<SourceSettings>);

impl InForce {
    /// Without a stream what is configured; else what was said in it last, as the log keeps it, if
    /// anything was.
    ///
    /// # Errors
    /// The log cannot be read, or a newer version of Weir wrote what it keeps.
    pub(crate) fn of(config: &Config, reader: &LogReader) -> Result<Self, DaemonError> {
        let configured = Arc::new(SourceSettings::configured(config));
        let kept = match &config.stream {
            Some(_) => reader.meta_get(READ_BY)?,
            None => None,
        };
        let now = match kept {
            Some(kept) => Arc::new(serde_json::from_slice(&kept)?),
            None => Arc::clone(&configured),
        };
        let before = match reader.meta_get(READ_BEFORE)? {
            Some(kept) => serde_json::from_slice(&kept)?,
            None => Vec::new(),
        };
        let in_force = Self {
            configured,
            now: watch::Sender::new(now),
            before: Mutex::new(before),
        };
        in_force.tell();
        Ok(in_force)
    }

    /// What is in force.
    pub(crate) fn now(&self) -> Arc<SourceSettings> {
        Arc::clone(&self.now.borrow())
    }

    /// What was in force at a place of the stream of which a delivery is open; `None` if that is no
    /// longer known.
    pub(crate) fn at(&self, sequence: u64) -> Option<Arc<SourceSettings>> {
        let before = self.before();
        match before.iter().find(|before| sequence < before.sequence) {
            Some(before) => before.settings.clone(),
            None => Some(self.now()),
        }
    }

    /// What this node puts in force when it leads.
    pub(crate) fn configured(&self) -> &SourceSettings {
        &self.configured
    }

    /// Puts in force what was said in the stream, and lets go of what nothing is read by any more:
    /// all before the `first_open` delivery. Returns what is to be kept of it, under which names.
    pub(crate) fn change(
        &self,
        said: Vec<FromHere>,
        first_open: Option<u64>,
    ) -> Vec<(&'static str, Vec<u8>)> {
        let mut notes = Vec::new();
        let mut before = self.before();
        let known = before.len();
        let is_said = !said.is_empty();
        for (sequence, settings) in said {
            let ended = self.now();
            if ended != settings {
                before.push(Before {
                    sequence,
                    settings: Some(ended),
                });
                self.now.send_replace(settings);
                self.tell();
            }
        }
        let changed = before.len() > known;
        before.retain(|before| first_open.is_some_and(|first| first < before.sequence));
        if is_said {
            notes.push((READ_BY, self.now().text().into_bytes()));
        }
        if changed || before.len() < known {
            notes.push((READ_BEFORE, kept(&mut before)));
        }
        notes
    }

    /// Lets go of how was read what is open: none of it will be read again. Returns what is to be kept,
    /// under which name.
    pub(crate) fn leave_behind(&self) -> (&'static str, Vec<u8>) {
        let mut before = self.before();
        before.clear();
        (READ_BEFORE, kept(&mut before))
    }

    fn before(&self) -> MutexGuard<'_, Vec<Before>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        if *self.now.borrow() != self.configured {
            tracing::warn!(
                "`default_registry` or `[sources]` of this node's configuration are not what is in force: the node that leads has put others in force, and this one reads deliveries by those"
            );
        }
    }
}

/// All as they are kept. Of the oldest, for which a value of the log has no room, only where they
/// ended.
fn kept(all: &mut Vec<Before>) -> Vec<u8> {
    loop {
        // Texts are written without fail.
        let kept = serde_json::to_vec(all).unwrap_or_default();
        if kept.len() <= MAX_VALUE_BYTES {
            return kept;
        }
        let Some(oldest) = all.iter_mut().find(|one| one.settings.is_some()) else {
            // Places alone, thousands of them.
            all.remove(0);
            continue;
        };
        tracing::error!(
            before = oldest.sequence,
            "how sources were read is more than the log keeps: what waits for a registry's answer from before this place in the stream will be rejected, have it sent again"
        );
        oldest.settings = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(registry: &str) -> Arc<SourceSettings> {
        Arc::new(SourceSettings {
            default_registry: Some(registry.into()),
            ..SourceSettings::default()
        })
    }

    fn started(now: &str, before: Vec<Before>) -> InForce {
        InForce {
            configured: reading(now),
            now: watch::Sender::new(reading(now)),
            before: Mutex::new(before),
        }
    }

    /// The notes' names after what was said, given the first delivery that is open.
    fn change(of: &InForce, said: &[(u64, &str)], first_open: Option<u64>) -> Vec<&'static str> {
        let said = said.iter().map(|(at, name)| (*at, reading(name)));
        let notes = of.change(said.collect(), first_open);
        notes.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn what_is_open_is_read_as_it_was_at_its_place() {
        let of = started("a.io", Vec::new());
        assert_eq!(change(&of, &[(5, "a.io")], Some(3)), [READ_BY]);
        assert_eq!(
            change(&of, &[(10, "b.io"), (20, "c.io")], Some(3)),
            [READ_BY, READ_BEFORE]
        );
        for (sequence, registry) in [(3, "a.io"), (9, "a.io"), (11, "b.io"), (21, "c.io")] {
            assert_eq!(of.at(sequence), Some(reading(registry)), "{sequence}");
        }
        assert_eq!(change(&of, &[], Some(3)), [""; 0]);
        assert_eq!(change(&of, &[], Some(11)), [READ_BEFORE]);
        assert_eq!(of.before().len(), 1);
        assert_eq!(of.at(11), Some(reading("b.io")));
        assert_eq!(change(&of, &[], None), [READ_BEFORE]);
        assert_eq!(of.before().len(), 0);
        // What is at the places of another stream is read by what was said in that.
        assert_eq!(
            change(&of, &[(30, "d.io")], Some(22)),
            [READ_BY, READ_BEFORE]
        );
        assert_eq!(of.leave_behind(), (READ_BEFORE, b"[]".to_vec()));
        assert_eq!(of.at(3), Some(reading("d.io")));
    }

    #[test]
    fn what_the_log_has_no_room_for_is_known_to_be_unknown() {
        let long = "a".repeat(60_000);
        let of = started(&long, Vec::new());
        let other = "b".repeat(60_000);
        let said = vec![(10, reading(&other)), (20, reading("c.io"))];
        let notes = of.change(said, Some(1));
        let (_, kept) = notes.last().unwrap();
        assert!(kept.len() <= MAX_VALUE_BYTES);
        let restarted = started("c.io", serde_json::from_slice(kept).unwrap());
        for of in [of, restarted] {
            assert_eq!(of.at(1), None);
            assert_eq!(of.at(11), Some(reading(&other)));
            assert_eq!(of.at(21), Some(reading("c.io")));
        }
    }
}
