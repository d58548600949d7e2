//! Repository names, read as Docker reads them: `[registry/]path`.

use std::{fmt, str::FromStr, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::digest::{clip, parse_str};

/// A repository: a path, after a registry's host where it is not in the default registry.
///
/// The first part is a registry if there is another part and it has a `.` or a `:` or is
/// `localhost` (Docker's reference grammar); everything else is in the default registry.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct RepositoryName(Arc<str>);

/// Why a text is no repository name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryNameError {
    /// A part of the path is not what registries accept.
    #[error(
        "`{name}` is no repository: the part `{part}` is not lower-case letters and digits, separated by `.`, `_`, `__` or `-`"
    )]
    Part {
        /// The whole name.
        name: String,
        /// The part at fault; empty for two slashes in a row.
        part: String,
    },
    /// The part before the first slash looks like a registry and is none.
    #[error("`{name}` is no repository: `{host}` is no registry host")]
    Host {
        /// The whole name.
        name: String,
        /// What stands where the registry would.
        host: String,
    },
    /// The name is longer than registries accept.
    #[error("`{name}` is no repository: longer than {LONGEST} characters")]
    Length {
        /// The start of the name.
        name: String,
    },
}

/// What CNCF distribution accepts in all (`NameTotalLengthMax`).
const LONGEST: usize = 255;

impl RepositoryName {
    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The whole name, to be kept without a copy.
    #[must_use]
    pub fn shared(&self) -> &Arc<str> {
        &self.0
    }

    /// The registry's host, if the name has one.
    #[must_use]
    pub fn registry(&self) -> Option<&str> {
        split(&self.0).0
    }

    /// The name within its registry.
    #[must_use]
    pub fn path(&self) -> &str {
        split(&self.0).1
    }

    /// The path without its last part; empty if it has one part.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.path()
            .rsplit_once('/')
            .map_or("", |(namespace, _)| namespace)
    }

    /// The last part of the path.
    #[must_use]
    pub fn last_part(&self) -> &str {
        self.path()
            .rsplit_once('/')
            .map_or(self.path(), |(_, last)| last)
    }

    /// The same repository as it is known where `registry` is the default: without that host, unless
    /// its path begins like one (`docker.io/library/alpine`, as caches are called) and would be read
    /// as in another registry.
    #[must_use]
    pub fn known_where_default(self, registry: &str) -> Self {
        match within_default(&self.0, registry) {
            // What follows the host of a legal name is one.
            Some(path) => path.parse().unwrap_or(self),
            None => self,
        }
    }

    /// The same repository within `registry`, unless the name has a registry already.
    ///
    /// # Errors
    /// If `registry` is no host.
    pub fn in_registry(&self, registry: &str) -> Result<Self, RepositoryNameError> {
        match self.registry() {
            Some(_) => Ok(self.clone()),
            None => format!("{registry}/{}", self.0).parse(),
        }
    }
}

/// What follows the host of the default registry in a name or a pattern of names that has it and does
/// without.
#[must_use]
pub fn within_default<'a>(name: &'a str, registry: &str) -> Option<&'a str> {
    let within = name.strip_prefix(registry)?.strip_prefix('/')?;
    split(within).0.is_none().then_some(within)
}

/// The host of the registry that a name begins with, if it does. The name may be none that a registry
/// would take.
#[must_use]
pub fn registry_in(name: &str) -> Option<&str> {
    split(name).0
}

fn split(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first), rest)
        }
        _ => (None, name),
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, the path component of the distribution specification.
fn is_part(part: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    if !bytes.first().is_some_and(alphanumeric) || !bytes.last().is_some_and(alphanumeric) {
        return false;
    }
    bytes.split(alphanumeric).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-')
    })
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        // An IPv6 address in brackets.
        Some((address, rest)) => {
            let hex = !address.is_empty()
                && address
                    .bytes()
                    .all(|byte| byte.is_ascii_hexdigit() || byte == b':');
            return hex && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
        }
        None => host
            .split_once(':')
            .map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
}

impl FromStr for RepositoryName {
    type Err = RepositoryNameError;

    fn from_str(name: &str) -> Result<Self, RepositoryNameError> {
        if name.len() > LONGEST {
            return Err(RepositoryNameError::Length { name: clip(name) });
        }
        let (registry, path) = split(name);
        if let Some(host) = registry
            && !is_host(host)
        {
            return Err(RepositoryNameError::Host {
                name: clip(name),
                host: clip(host),
            });
        }
        match path.split('/').find(|part| !is_part(part)) {
            Some(part) => Err(RepositoryNameError::Part {
                name: clip(name),
                part: clip(part),
            }),
            None => Ok(Self(name.into())),
        }
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RepositoryName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_str(deserializer)
    }
}

impl JsonSchema for RepositoryName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RepositoryName".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "maxLength": 255,
            "description": "[registry/]path, read as Docker reads it"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, registry: Option<&str>, namespace: &str, last: &str) {
        let repository: RepositoryName = name.parse().unwrap();
        assert_eq!(repository.registry(), registry, "{name}");
        assert_eq!(repository.namespace(), namespace, "{name}");
        assert_eq!(repository.last_part(), last, "{name}");
    }

    #[test]
    fn the_first_part_is_a_registry_as_docker_reads_it() {
        check("team/web", None, "team", "web");
        check("web", None, "", "web");
        check("foo.bar", None, "", "foo.bar");
        check("localhost/web", Some("localhost"), "", "web");
        check(
            "registry.example:5000/a/b/c",
            Some("registry.example:5000"),
            "a/b",
            "c",
        );
        check("127.0.0.1:5000/web", Some("127.0.0.1:5000"), "", "web");
        check("[::1]:5000/web", Some("[::1]:5000"), "", "web");
        check("a__b/c--d/e.f", None, "a__b/c--d", "e.f");
    }

    #[test]
    fn what_no_registry_would_accept_is_refused() {
        for name in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "Team/web",
            "team/../etc",
            "..",
            "a/.b",
            "a/b.",
            "a/b..c",
            "a/b___c",
            "te am/web",
            "host:port/web",
            "-a.b/web",
            "web:1.0",
            "ü",
            &"a".repeat(256),
        ] {
            assert!(name.parse::<RepositoryName>().is_err(), "{name:?}");
        }
    }
}
