//! The clients of all registries, by the name that repositories carry.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use weir_schema::RepositoryName;

use super::{client::Client, config::RegistryConfig, error::OciError};

/// One client for each registry, made when it is first needed. A registry that is not configured
/// has every default: TLS with the system's authorities, and the logins of this machine.
#[derive(Debug)]
pub struct Clients {
    default_registry: String,
    configs: BTreeMap<String, RegistryConfig>,
    made: Mutex<BTreeMap<String, Client>>,
}

impl Clients {
    /// Clients for `configs`, by registry. Repositories that name no registry are in
    /// `default_registry`.
    #[must_use]
    pub fn new(default_registry: &str, configs: BTreeMap<String, RegistryConfig>) -> Self {
        Self {
            default_registry: default_registry.to_owned(),
            configs,
            made: Mutex::new(BTreeMap::new()),
        }
    }

    /// The client of the registry that `repository` is in.
    ///
    /// # Errors
    /// If that registry's `ca_file` cannot be read.
    pub fn of(&self, repository: &RepositoryName) -> Result<Client, OciError> {
        self.get(repository.registry().unwrap_or(&self.default_registry))
    }

    /// The client of a registry.
    ///
    /// # Errors
    /// If its `ca_file` cannot be read.
    pub fn get(&self, registry: &str) -> Result<Client, OciError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(registry) {
            return Ok(client.clone());
        }
        let client = match self.configs.get(registry) {
            Some(config) => Client::new(registry, config)?,
            None => Client::new(registry, &RegistryConfig::default())?,
        };
        made.insert(registry.to_owned(), client.clone());
        Ok(client)
    }
}
