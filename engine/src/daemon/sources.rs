//! How sources are read: what `default_registry` and `[sources.NAME.settings]` say.
//!
//! What a delivery means depends on them, and all nodes of a stream must come to the same log. So
//! whoever leads says in the stream how it reads, with the first thing that it says, and from there on
//! every node reads so, whatever its own configuration says.

use std::{collections::BTreeMap, sync::Arc};

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

/// How this node reads sources at the moment.
pub(crate) struct InForce {
    configured: Arc<SourceSettings>,
    now: watch::Sender<Arc<SourceSettings>>,
}

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
        let in_force = Self {
            configured,
            now: watch::Sender::new(now),
        };
        in_force.tell();
        Ok(in_force)
    }

    /// What is in force.
    pub(crate) fn now(&self) -> Arc<SourceSettings> {
        Arc::clone(&self.now.borrow())
    }

    /// What this node puts in force when it leads.
    pub(crate) fn configured(&self) -> &SourceSettings {
        &self.configured
    }

    /// Puts in force what was said in the stream.
    pub(crate) fn set(&self, settings: Arc<SourceSettings>) {
        if *self.now.borrow() != settings {
            self.now.send_replace(settings);
            self.tell();
        }
    }

    fn tell(&self) {
        if *self.now.borrow() != self.configured {
            tracing::warn!(
                "`default_registry` or `[sources]` of this node's configuration are not what is in force: the node that leads has put others in force, and this one reads deliveries by those"
            );
        }
    }
}
