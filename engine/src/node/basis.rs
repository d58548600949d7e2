//! What decisions depend on besides the inputs: kept with the log, so that whoever folds it
//! later, with whatever configuration, comes to the same.

use serde::{Deserialize, Serialize};
use weir_rules::{Execution, Settings};

use super::LedgerError;
use crate::log::{Log, LogReader};

/// Where the log keeps how promotions are executed.
const EXECUTION: &str = "execution";

/// Where the log keeps the settings that it was begun with.
const SETTINGS: &str = "settings";

/// What decisions depend on besides the inputs.
#[derive(Debug, Clone)]
pub struct Basis {
    /// What is configured and not recorded.
    pub settings: Settings,
    /// What becomes of a promotion once it is decided.
    pub execution: Execution,
}

/// The settings as they are kept.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    bundle_repositories: Option<String>,
}

impl Basis {
    /// What the log keeps; of a log that keeps nothing yet, the defaults.
    ///
    /// # Errors
    /// If what it keeps cannot be read.
    pub fn of(reader: &LogReader) -> Result<Self, LedgerError> {
        let kept = Self::kept(reader)?;
        Ok(Self {
            settings: kept.settings.unwrap_or_default(),
            execution: kept.execution.unwrap_or(Execution::Commands),
        })
    }

    /// What the log keeps or, of a log without records, what is `wanted`.
    pub(super) fn agreed(reader: &LogReader, wanted: Self) -> Result<Self, LedgerError> {
        let kept = Self::kept(reader)?;
        let is_new = reader.head().next_seq == 1;
        let execution = match kept.execution {
            Some(execution) if !is_new => execution,
            _ => wanted.execution,
        };
        match kept.settings {
            Some(settings) if !is_new && bundles(&settings) != bundles(&wanted.settings) => {
                Err(LedgerError::OtherSettings {
                    kept: bundles(&settings).unwrap_or_default(),
                    wanted: bundles(&wanted.settings).unwrap_or_default(),
                })
            }
            _ => Ok(Self {
                execution,
                ..wanted
            }),
        }
    }

    /// Keeps it with the log, durably, if it is not kept already.
    pub(super) fn keep(&self, log: &mut Log) -> Result<(), LedgerError> {
        let execution: &[u8] = match self.execution {
            Execution::AtOnce => b"at-once",
            Execution::Commands => b"commands",
        };
        let settings = Kept {
            bundle_repositories: bundles(&self.settings),
        };
        let settings = weir_schema::canonical::to_string(&settings).into_bytes();
        let mut put = |name: &str, value: &[u8]| -> Result<(), LedgerError> {
            if log.reader().meta_get(name)?.as_deref() != Some(value) {
                log.meta_put(name, value)?;
            }
            Ok::<(), LedgerError>(())
        };
        put(EXECUTION, execution)?;
        put(SETTINGS, &settings)
    }

    fn kept(reader: &LogReader) -> Result<Found, LedgerError> {
        let execution = reader.meta_get(EXECUTION)?.map(|name| match &name[..] {
            b"at-once" => Execution::AtOnce,
            _ => Execution::Commands,
        });
        let settings = match reader.meta_get(SETTINGS)? {
            None => None,
            Some(bytes) => Some(read(&bytes).ok_or(LedgerError::UnknownSettings)?),
        };
        Ok(Found {
            execution,
            settings,
        })
    }
}

struct Found {
    execution: Option<Execution>,
    settings: Option<Settings>,
}

fn read(bytes: &[u8]) -> Option<Settings> {
    let kept: Kept = serde_json::from_slice(bytes).ok()?;
    let patterns = kept.bundle_repositories.map(|text| text.parse().ok());
    let bundle_repositories = match patterns {
        Some(patterns) => Some(patterns?),
        None => None,
    };
    Some(Settings {
        bundle_repositories,
    })
}

/// The patterns as text, in one order: whichever matches, the meaning is the same.
fn bundles(settings: &Settings) -> Option<String> {
    let patterns = settings.bundle_repositories.as_ref()?;
    let mut texts: Vec<String> = patterns
        .as_slice()
        .iter()
        .map(ToString::to_string)
        .collect();
    texts.sort();
    Some(texts.join(", "))
}
