//! Configuration: one TOML file, every key documented, unknown keys refused.
//!
//! A flag wins over the environment (`WEIR_...`), the environment over the file, the file over
//! the defaults. Without any, `weir run` is one node with its log in `./weir-data`. A file with every
//! key is `engine/tests/config/weir.toml`.

mod load;

use std::{
    collections::BTreeMap,
    fs, io,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::PathBuf,
};

use serde::Deserialize;
use weir_rules::{Settings, pattern::RepositoryPatterns};
use weir_schema::RepositoryName;

use crate::{
    adapters::{AdapterSettings, WebhookAuth},
    daemon::sources::SourceSettings,
    http::HttpConfig,
    oci::RegistryConfig,
    stream::{StreamConfig, StreamConfigError},
};

/// The configuration of a daemon.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Directory of the log. Made if it does not exist.
    pub data: PathBuf,
    /// Name of this node, by which others and people know it. Default: the host's name.
    pub node: Option<String>,
    /// Directory for archive files: each full segment of 65,536 records is written there too, by
    /// the daemon, as plain files to repair the log from. Best on another disk.
    pub archive: Option<PathBuf>,
    /// Directory of rule files. Without one, the rules that were in force stay in force.
    pub rules: Option<PathBuf>,
    /// Where to listen, and who may speak.
    pub http: HttpConfig,
    /// JetStream as the order of all inputs. Without it: one node with its own clock.
    pub stream: Option<StreamConfig>,
    /// Whether a log that was read from a stream may go on without it, for good: it is another log
    /// than those of the other nodes then.
    pub without_stream: bool,
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
    pub every_minutes: Option<NonZeroU64>,
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
    /// Whether this node copies. If not, decisions are made and published and somebody else copies.
    pub execute: bool,
    /// How many copies run at once between two registries.
    pub concurrent: NonZeroUsize,
    /// How often a copy is tried before it is given up; it can be asked for by hand then.
    pub attempts: NonZeroU32,
}

impl Default for PromotionsConfig {
    fn default() -> Self {
        Self {
            execute: true,
            concurrent: NonZeroUsize::new(4).unwrap_or(NonZeroUsize::MIN),
            attempts: NonZeroU32::new(8).unwrap_or(NonZeroU32::MIN),
        }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data: PathBuf::from("weir-data"),
            node: None,
            archive: None,
            rules: None,
            http: HttpConfig::default(),
            stream: None,
            without_stream: false,
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
    /// A key that is unknown, or a value that cannot be one.
    #[error("{place}: {problem}")]
    Form {
        /// Where: file, line and column, or the variable or flag.
        place: String,
        /// What.
        problem: String,
    },
    /// A value of the right form that cannot be used.
    #[error("{place}: {source}")]
    Meaning {
        /// Where it was given: the file, the variable or the flag.
        place: String,
        /// What is wrong with it.
        source: Box<ConfigError>,
    },
    /// A pattern in it is none.
    #[error("`{key}`: {problem}")]
    Pattern {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A registry's host is none.
    #[error(
        "`{key}`: `{value}` is no host of a registry: write it as image names have it, such as `registry.example:5000`, without scheme and path"
    )]
    Host {
        /// The key.
        key: String,
        /// What stands there.
        value: String,
    },
    /// A registry's table cannot be used.
    #[error("`registries.\"{registry}\".{key}`: {problem}")]
    Registry {
        /// The registry.
        registry: String,
        /// The key of its table.
        key: &'static str,
        /// What is wrong with it, and the remedy.
        problem: String,
    },
    /// The `[http]` table cannot be used.
    #[error("{0}")]
    Http(String),
    /// The tables of sources cannot be used, or are more than the nodes of a stream can tell each other.
    #[error("{0}")]
    Sources(String),
    /// The `[stream]` table cannot be used.
    #[error(transparent)]
    Stream(#[from] StreamConfigError),
}

impl Config {
    /// Checks what the form of a value does not say.
    ///
    /// # Errors
    /// Names the first key that is wrong.
    fn check(&self) -> Result<(), ConfigError> {
        self.settings()?;
        patterns(
            "reconcile.repositories",
            self.reconcile.repositories.as_deref(),
        )?;
        self.check_registries()?;
        let tokens = self.http.tokens();
        let (token, _) = tokens.map_err(|error| ConfigError::Http(error.to_string()))?;
        for (name, source) in &self.sources {
            let auth = source.auth.as_ref();
            if let Some((key, problem)) = auth.and_then(|auth| auth.problem(token.as_ref())) {
                let problem = format!("`sources.{name}.auth.{key}`: {problem}");
                return Err(ConfigError::Sources(problem));
            }
        }
        self.http.check().map_err(ConfigError::Http)?;
        if let Some(stream) = &self.stream {
            stream.check()?;
            let sources = SourceSettings::configured(self);
            sources.check().map_err(ConfigError::Sources)?;
        }
        Ok(())
    }

    /// Checks that registries are named as image names have them, and what their tables name.
    fn check_registries(&self) -> Result<(), ConfigError> {
        host("default_registry", self.default_registry.as_deref())?;
        for (name, registry) in &self.registries {
            host("registries", Some(name))?;
            registry
                .check()
                .map_err(|(key, problem)| ConfigError::Registry {
                    registry: name.clone(),
                    key,
                    problem,
                })?;
        }
        for (name, SourceConfig { settings, .. }) in &self.sources {
            let key = |key: &str| format!("sources.{name}.{key}");
            host(&key("registry"), settings.registry.as_deref())?;
            host(
                &key("default_registry"),
                settings.default_registry.as_deref(),
            )?;
        }
        Ok(())
    }

    /// What of it the core works with.
    ///
    /// # Errors
    /// If a pattern in it is none.
    pub fn settings(&self) -> Result<Settings, ConfigError> {
        Ok(Settings {
            bundle_repositories: patterns(
                "bundle_repositories",
                self.bundle_repositories.as_deref(),
            )?,
        })
    }

    /// The name of this node.
    #[must_use]
    pub fn node_name(&self) -> String {
        let host = || {
            let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
            Some(name.trim().to_owned()).filter(|name| !name.is_empty())
        };
        self.node
            .clone()
            .or_else(host)
            .unwrap_or_else(|| "weir".to_owned())
    }

    /// Whether a registry is configured, so that it may be asked.
    #[must_use]
    pub fn reaches(&self, repository: &RepositoryName) -> bool {
        let host = repository.registry().or(self.default_registry.as_deref());
        host.is_some_and(|host| {
            self.registries.contains_key(host) || Some(host) == self.default_registry.as_deref()
        })
    }

    /// Whether no registry may be asked at all.
    #[must_use]
    pub fn reaches_none(&self) -> bool {
        self.registries.is_empty() && self.default_registry.is_none()
    }
}

/// Refuses what no image name can begin with.
fn host(key: &str, value: Option<&str>) -> Result<(), ConfigError> {
    let is_host = |host: &str| {
        let name: Result<RepositoryName, _> = format!("{host}/a").parse();
        name.is_ok_and(|name| name.registry() == Some(host))
    };
    match value {
        Some(value) if !is_host(value) => Err(ConfigError::Host {
            key: key.to_owned(),
            value: value.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn patterns(
    key: &'static str,
    text: Option<&str>,
) -> Result<Option<RepositoryPatterns>, ConfigError> {
    let parsed = text.map(str::parse::<RepositoryPatterns>).transpose();
    parsed.map_err(|error| ConfigError::Pattern {
        key,
        problem: error.to_string(),
    })
}
