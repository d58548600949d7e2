//! Configuration: one TOML file, every key documented, unknown keys refused.
//!
//! A flag wins over the environment (`WEIR_...`), the environment over the file, the file over
//! the defaults. Without any, `weir run` is one node with its log in `./weir-data`.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use weir_rules::{Settings, pattern::RepositoryPatterns};

use crate::{
    adapters::{AdapterSettings, WebhookAuth},
    http::HttpConfig,
    oci::RegistryConfig,
    stream::StreamConfig,
};

/// The configuration of a daemon.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Directory of the log. Made if it does not exist.
    pub data: PathBuf,
    /// Directory of rule files. Without one, the rules that were in force stay in force.
    pub rules: Option<PathBuf>,
    /// Where to listen, and who may speak.
    pub http: HttpConfig,
    /// JetStream as the order of all inputs. Without it: one node with its own clock.
    pub stream: Option<StreamConfig>,
    /// Host of the registry that repositories without a registry are in. Without it such
    /// repositories are never asked and never copied.
    pub default_registry: Option<String>,
    /// How to reach registries, by host.
    pub registries: BTreeMap<String, RegistryConfig>,
    /// How to read a source, by the name it is configured under at the registry or scanner.
    pub sources: BTreeMap<String, SourceConfig>,
    /// Repositories in which every index is an application: patterns, comma-separated.
    pub bundle_repositories: Option<String>,
    /// What becomes of decided promotions.
    pub promotions: PromotionsConfig,
    /// When registries are compared with the log.
    pub reconcile: ReconcileConfig,
    /// Whether scans are asked for.
    pub scans: ScansConfig,
}

/// When registries are compared with the log. They also are when a registry's notifications show
/// that it was started anew, and by `weir reconcile`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReconcileConfig {
    /// When the daemon starts: what happened while it was away is recorded then.
    pub at_start: bool,
    /// Every so many minutes, for registries that do not tell everything. Default: never.
    pub every_minutes: Option<u64>,
    /// The repositories that are compared: patterns, comma-separated. Default: all.
    pub repositories: Option<String>,
}

impl Default for ReconcileConfig {
    fn default() -> Self {
        Self {
            at_start: true,
            every_minutes: None,
            repositories: None,
        }
    }
}

/// Whether scans are asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScansConfig {
    /// Publish `weir.scan.requested` for each image without a scan, for `weir scan-worker`.
    pub request: bool,
}

/// One source of events.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SourceConfig {
    /// How its deliveries are read.
    pub settings: AdapterSettings,
    /// How its deliveries prove who sent them. Without it they are let in as the server lets in
    /// everybody.
    pub auth: Option<WebhookAuth>,
}

/// What becomes of decided promotions.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PromotionsConfig {
    /// Whether this node copies. If not, decisions are made and published and somebody else acts.
    pub execute: bool,
    /// How many copies run at once.
    pub concurrent: usize,
    /// How often a copy is tried before it is given up; it can be asked for by hand then.
    pub attempts: u32,
}

impl Default for PromotionsConfig {
    fn default() -> Self {
        Self {
            execute: true,
            concurrent: 4,
            attempts: 8,
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("weir-data"),
            rules: None,
            http: HttpConfig::default(),
            stream: None,
            default_registry: None,
            registries: BTreeMap::new(),
            sources: BTreeMap::new(),
            bundle_repositories: None,
            promotions: PromotionsConfig::default(),
            reconcile: ReconcileConfig::default(),
            scans: ScansConfig::default(),
        }
    }
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not of the form.
    #[error("{}: {problem}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Where and what.
        problem: String,
    },
    /// A pattern in it is none.
    #[error("`bundle_repositories`: {0}")]
    Bundles(String),
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, or has an unknown key or a wrong value: with line and column.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let config: Self = toml::from_str(&text).map_err(|error| ConfigError::Form {
            path: path.to_owned(),
            problem: error.to_string(),
        })?;
        config.settings()?;
        Ok(config)
    }

    /// What of it the core works with.
    ///
    /// # Errors
    /// If a pattern in it is none.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        let bundles = self
            .bundle_repositories
            .as_deref()
            .map(str::parse::<RepositoryPatterns>);
        let bundle_repositories = bundles
            .transpose()
            .map_err(|error| ConfigError::Bundles(error.to_string()))?;
        Ok(Settings {
            bundle_repositories,
        })
    }

    /// Whether a registry is configured, so that it may be asked.
    #[must_use]
    pub fn reaches(&self, repository: &weir_schema::RepositoryName) -> bool {
        let host = repository.registry().or(self.default_registry.as_deref());
        host.is_some_and(|host| {
            self.registries.contains_key(host) || Some(host) == self.default_registry.as_deref()
        })
    }
}
