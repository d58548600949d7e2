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

/// The first line of an exported log.
#[derive(Serialize, Deserialize)]
struct Header {
    /// The version of the form.
    weir_log: u32,
    execution: String,
    settings: Kept,
}

/// The version of the form of exported logs.
const EXPORT_VERSION: u32 = 1;

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
        put(EXECUTION, name(self.execution).as_bytes())?;
        put(SETTINGS, &settings)
    }

    /// The first line of the log's export.
    pub(super) fn header(reader: &LogReader) -> Result<String, LedgerError> {
        let basis = Self::of(reader)?;
        let header = Header {
            weir_log: EXPORT_VERSION,
            execution: name(basis.execution).to_owned(),
            settings: Kept {
                bundle_repositories: bundles(&basis.settings),
            },
        };
        Ok(weir_schema::canonical::to_string(&header))
    }

    /// What the first line of an export says, or why it is none.
    pub(crate) fn from_header(line: &[u8]) -> Result<Self, String> {
        let header: Header = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if header.weir_log != EXPORT_VERSION {
            return Err(format!(
                "it has version {}, this version of weir reads {EXPORT_VERSION}",
                header.weir_log
            ));
        }
        let execution = named(header.execution.as_bytes());
        let settings = header.settings.settings();
        execution
            .zip(settings)
            .map(|(execution, settings)| Self {
                settings,
                execution,
            })
            .ok_or_else(|| "its settings are unknown".to_owned())
    }

    fn kept(reader: &LogReader) -> Result<Found, LedgerError> {
        let execution = match reader.meta_get(EXECUTION)? {
            None => None,
            Some(bytes) => Some(named(&bytes).ok_or(LedgerError::UnknownSettings)?),
        };
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

impl Kept {
    fn settings(&self) -> Option<Settings> {
        let bundle_repositories = match &self.bundle_repositories {
            Some(text) => Some(text.parse().ok()?),
            None => None,
        };
        Some(Settings {
            bundle_repositories,
        })
    }
}

fn read(bytes: &[u8]) -> Option<Settings> {
    serde_json::from_slice::<Kept>(bytes).ok()?.settings()
}

fn name(execution: Execution) -> &'static str {
    match execution {
        Execution::AtOnce => "at-once",
        Execution::Commands => "commands",
    }
}

fn named(name: &[u8]) -> Option<Execution> {
    match name {
        b"at-once" => Some(Execution::AtOnce),
        b"commands" => Some(Execution::Commands),
        _ => None,
    }
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
