//! How one registry is reached: the table `[registries."NAME"]` of the configuration file.

use std::{
    num::{NonZeroU32, NonZeroU64},
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;

use super::{credentials, tls::authorities};
use crate::secret::Secret;

/// One registry, as configured. The table's key is the name that repositories carry
/// (`[registries."registry.example:5000"]`); everything in it may be left out.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegistryConfig {
    /// `host[:port]` to connect to, where it is not the registry's name:
    /// `registry-1.docker.io` for `docker.io`, or a mirror.
    pub host: Option<String>,
    /// For tests and closed networks, on purpose: certificates are not verified, and if the
    /// registry does not speak TLS at all, plain HTTP is used. Without it there is never plain
    /// HTTP, not even on `localhost`.
    pub insecure: bool,
    /// PEM file of certificate authorities trusted for this registry besides the system's.
    pub ca_file: Option<PathBuf>,
    /// Login name; goes with `password`.
    pub username: Option<String>,
    /// Password or access token of `username`.
    pub password: Option<Secret>,
    /// A bearer token sent as it is with every request, for registries that hand one out
    /// themselves. Not to be given together with `username`.
    pub token: Option<Secret>,
    /// Docker's `config.json` or containers' `auth.json` to take the login from, instead of
    /// looking in the usual places.
    pub credentials_file: Option<PathBuf>,
    /// Whether logins made with `docker`, `podman` or `skopeo` are looked up in their usual
    /// places when nothing above gives one.
    pub find_credentials: bool,
    /// Most requests to this registry at a time.
    pub max_concurrent: NonZeroU32,
    /// Most requests to this registry in a second; without it there is no limit but the registry's.
    pub requests_per_second: Option<NonZeroU32>,
    /// How often one request is tried before its promotion fails and is scheduled again.
    pub max_attempts: NonZeroU32,
    /// Longest pause between two tries. A registry that asks for a longer one (`Retry-After`)
    /// fails the request at once, and the promotion is scheduled for when it asked, an hour from
    /// then at the latest.
    pub max_backoff_seconds: u64,
    /// How long a registry may be silent, in the middle of an answer too, before it counts as
    /// unreachable. A manifest, a page of a list and whatever else is read whole has twice as long
    /// from its request to its last byte, and a list with all its pages twenty times.
    pub idle_timeout_seconds: NonZeroU64,
}

impl RegistryConfig {
    /// Checks what the types cannot say: that a login is whole, that `host` is no address of a page,
    /// and that `credentials_file` and `ca_file` can be read, if they will be.
    ///
    /// # Errors
    /// The key that is wrong, and what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), (&'static str, String)> {
        match (&self.username, &self.password, &self.token) {
            (Some(_), None, None) => Err((
                "username",
                "there is no `password` beside it: give both, or neither".to_owned(),
            )),
            (None, Some(_), None) => Err((
                "password",
                "there is no `username` beside it: give both, or neither".to_owned(),
            )),
            (None, None, _) | (Some(_), Some(_), None) => Ok(()),
            (_, _, Some(_)) => Err((
                "token",
                "there is a login beside it: give either `username` and `password`, or `token`"
                    .to_owned(),
            )),
        }?;
        if let Some(host) = self.host.as_ref().filter(|host| host.contains('/')) {
            let problem = format!(
                "`{host}` is no `host[:port]`: leave out scheme and path (plain HTTP is `insecure = true`)"
            );
            return Err(("host", problem));
        }
        if let Some(path) = &self.credentials_file
            && self.username.is_none()
            && self.token.is_none()
        {
            credentials::check(path).map_err(|reason| {
                let problem = format!(
                    "cannot read `{}`: {reason}; name Docker's `config.json` or containers' `auth.json`",
                    path.display()
                );
                ("credentials_file", problem)
            })?;
        }
        match &self.ca_file {
            Some(path) if !self.insecure => authorities(path).map(drop).map_err(|reason| {
                let problem = format!(
                    "cannot read `{}`: {reason}; name a file with certificates in PEM form",
                    path.display()
                );
                ("ca_file", problem)
            }),
            _ => Ok(()),
        }
    }

    /// How long the registry may be silent.
    pub(super) fn idle_timeout(&self) -> Duration {
        Duration::from_secs(self.idle_timeout_seconds.get().min(LONGEST_IDLE_SECONDS))
    }

    /// How long an answer may take that is read whole.
    pub(super) fn longest_answer(&self) -> Duration {
        self.idle_timeout() * 2
    }
}

/// A day: who wants no limit gets this one.
const LONGEST_IDLE_SECONDS: u64 = 86_400;

impl Default for RegistryConfig {
    fn default() -> Self {
        Self {
            host: None,
            insecure: false,
            ca_file: None,
            username: None,
            password: None,
            token: None,
            credentials_file: None,
            find_credentials: true,
            // Enough to hide latency, few enough that no registry takes it for abuse.
            max_concurrent: NonZeroU32::new(8).unwrap_or(NonZeroU32::MIN),
            requests_per_second: None,
            max_attempts: NonZeroU32::new(5).unwrap_or(NonZeroU32::MIN),
            max_backoff_seconds: 10,
            idle_timeout_seconds: NonZeroU64::new(60).unwrap_or(NonZeroU64::MIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_is_a_registry_with_every_default() {
        let config: RegistryConfig = toml::from_str("").unwrap();
        assert!(!config.insecure && config.find_credentials && config.ca_file.is_none());
        assert_eq!(config.max_concurrent.get(), 8);
    }

    #[test]
    fn half_a_login_and_a_file_without_certificates_are_refused_by_key() {
        let check = |text: &str, key: &str, cause: &str| {
            let config: RegistryConfig = toml::from_str(text).unwrap();
            let (wrong, problem) = config.check().unwrap_err();
            assert_eq!(wrong, key, "{text}");
            assert!(problem.contains(cause), "{text}: {problem}");
        };
        check("username = 'ci'", "username", "no `password` beside it");
        check("password = 'p'", "password", "no `username` beside it");
        check("username = 'ci'\ntoken = 't'", "token", "a login beside it");
        check(
            "ca_file = '/nonexistent/ca.pem'",
            "ca_file",
            "cannot read `/nonexistent/ca.pem`: No such file",
        );
        check(
            "ca_file = '/'",
            "ca_file",
            "cannot read `/`: Is a directory",
        );
        check("ca_file = '/dev/null'", "ca_file", "no PEM certificate");
        check(
            "host = 'http://mirror.example'",
            "host",
            "leave out scheme and path",
        );
        let unused: RegistryConfig =
            toml::from_str("ca_file = '/nonexistent'\ninsecure = true").unwrap();
        assert_eq!(unused.check(), Ok(()));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = toml::from_str::<RegistryConfig>("insecre = true")
            .unwrap_err()
            .to_string();
        assert!(error.contains("insecre"), "{error}");
    }

    #[test]
    fn a_password_is_not_printed() {
        let config: RegistryConfig =
            toml::from_str("username = \"ci\"\npassword = \"hunter2\"\ntoken = \"t0ken\"").unwrap();
        let text = format!("{config:?}");
        assert!(
            !text.contains("hunter2") && !text.contains("t0ken"),
            "{text}"
        );
    }
}
