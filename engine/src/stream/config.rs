//! The `[stream]` table of the configuration: which NATS server, which stream, how long it keeps.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{
    oci::{authorities, check_key},
    secret::Secret,
};

/// Where the inputs flow. Without this table the engine runs embedded, on its own intake.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StreamConfig {
    /// Servers of the cluster, as `nats://host:4222` or `tls://host:4222`; any one is enough to
    /// find the others.
    pub urls: Vec<String>,
    /// User name; goes with `password` or `password_file`.
    pub user: Option<String>,
    /// Password of `user`.
    pub password: Option<Secret>,
    /// File that holds the password of `user`.
    pub password_file: Option<PathBuf>,
    /// Authentication token, instead of a user.
    pub token: Option<Secret>,
    /// File that holds the authentication token.
    pub token_file: Option<PathBuf>,
    /// File that holds an NKey seed (`SU...`), instead of a user.
    pub nkey_file: Option<PathBuf>,
    /// Credentials file (JWT and NKey) as `nsc` writes it, instead of a user.
    pub creds_file: Option<PathBuf>,
    /// Certificates (PEM) of the authorities to trust besides the system's. Setting it requires TLS.
    pub ca_file: Option<PathBuf>,
    /// Client certificate (PEM); goes with `key_file`.
    pub cert_file: Option<PathBuf>,
    /// Key (PEM) of `cert_file`.
    pub key_file: Option<PathBuf>,
    /// Name of the stream of inputs. It is created if it is missing.
    pub stream: String,
    /// First part of the subjects of inputs: `<subjects>.intake.>` and `<subjects>.events.>`.
    pub subjects: String,
    /// Copies that a cluster keeps of streams created here; 3 for a cluster of three.
    pub replicas: usize,
    /// Seconds after which a stream created here drops inputs; 0 keeps them. A node whose log ends
    /// before the first input that is left cannot go on: keep them longer than the longest outage,
    /// and keep all of them if nodes are to be added without a copy of a log.
    pub max_age_seconds: u64,
    /// Bytes at which a stream created here refuses further inputs; 0 sets no limit.
    pub max_bytes: u64,
    /// Seconds within which a repeated publish is recognised by its id. At least the time for which
    /// producers retry.
    pub duplicate_window_seconds: u64,
    /// Seconds to wait for a first connection before giving up.
    pub connect_wait_seconds: u64,
    /// Seconds for which a publish is retried before its sender is told that it is not durable.
    pub publish_wait_seconds: u64,
    /// Address of the server's monitoring port, as `http://127.0.0.1:8222`. With it Weir can tell,
    /// and warns, if the server does not sync what it acknowledges.
    pub monitoring_url: Option<String>,
    /// Goes on although the stream no longer holds inputs up to and including this sequence, or has
    /// others there than were read. Set it to the figure that the error names once the loss is
    /// understood.
    pub accept_loss_through: u64,
    /// Goes on with a stream that replaced the one in the log: the time of its creation, as the
    /// error names it. Reading starts at its first input.
    pub accept_stream_created: Option<String>,
    /// Whether questions are answered over NATS, as the service `weir`, on
    /// `<outputs.subjects>.query.<question>`. Whoever may publish there can read all of the log.
    pub queries: bool,
    /// The stream of outputs.
    pub outputs: OutputsConfig,
    /// The lease that decides which node acts.
    pub lease: LeaseConfig,
}

/// The `[stream.outputs]` table: decisions and promotions for others to read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OutputsConfig {
    /// Whether outputs are published.
    pub enabled: bool,
    /// Name of the stream of outputs. It is created if it is missing.
    pub stream: String,
    /// First part of the subjects of outputs: `<subjects>.events.<type>`.
    pub subjects: String,
    /// Seconds after which a stream created here drops outputs; 0 keeps them.
    pub max_age_seconds: u64,
    /// Bytes at which a stream created here drops its oldest outputs; 0 sets no limit.
    pub max_bytes: u64,
}

/// The `[stream.lease]` table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaseConfig {
    /// Key-value bucket of the lease. It is created if it is missing.
    pub bucket: String,
    /// Seconds after which a node that is gone is replaced. At least 3.
    pub ttl_seconds: u64,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self {
            urls: vec!["nats://127.0.0.1:4222".into()],
            user: None,
            password: None,
            password_file: None,
            token: None,
            token_file: None,
            nkey_file: None,
            creds_file: None,
            ca_file: None,
            cert_file: None,
            key_file: None,
            stream: "WEIR".into(),
            subjects: "registry".into(),
            replicas: 1,
            max_age_seconds: 0,
            max_bytes: 0,
            duplicate_window_seconds: 120,
            connect_wait_seconds: 30,
            publish_wait_seconds: 10,
            monitoring_url: None,
            accept_loss_through: 0,
            accept_stream_created: None,
            queries: true,
            outputs: OutputsConfig::default(),
            lease: LeaseConfig::default(),
        }
    }
}

impl Default for OutputsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            stream: "WEIR_EVENTS".into(),
            subjects: "weir".into(),
            max_age_seconds: 30 * 24 * 3600,
            max_bytes: 0,
        }
    }
}

impl Default for LeaseConfig {
    fn default() -> Self {
        Self {
            bucket: "weir-lease".into(),
            ttl_seconds: 15,
        }
    }
}

/// How to prove who connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credentials {
    None,
    Password { user: String, password: Secret },
    Token(Secret),
    Nkey(Secret),
    Creds(PathBuf),
}

/// Why a `[stream]` table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StreamConfigError {
    /// A value out of range or of the wrong form.
    #[error("`stream.{key}`: {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong and what is expected.
        problem: String,
    },
    /// More than one way to authenticate, or half of one.
    #[error("`stream`: {0}")]
    Credentials(&'static str),
    /// A file that a key names cannot be read.
    #[error("`stream.{key}`: cannot read `{}`: {source}", path.display())]
    File {
        /// The key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// The longest time for which a lease is held without a word.
const LONGEST_TTL_SECONDS: u64 = 3600;

impl StreamConfig {
    /// Checks what the types cannot say, and that the files of credentials and certificates can be read.
    ///
    /// # Errors
    /// Names the first key that is wrong.
    pub fn check(&self) -> Result<(), StreamConfigError> {
        let value = |key, problem: String| Err(StreamConfigError::Value { key, problem });
        if self.urls.is_empty() {
            return value("urls", "at least one server is needed".into());
        }
        if let Some(url) = self.urls.iter().find(|url| !is_server(url)) {
            return value(
                "urls",
                format!(
                    "`{}` is no NATS server: write `nats://host:4222` or `tls://host:4222`",
                    without_login(url)
                ),
            );
        }
        for (key, name) in [
            ("stream", &self.stream),
            ("outputs.stream", &self.outputs.stream),
        ] {
            if name.is_empty() || !name.chars().all(is_name_char) {
                return value(
                    key,
                    format!("`{name}` is no stream name: letters, digits, `-` and `_` only"),
                );
            }
        }
        for (key, subjects) in [
            ("subjects", &self.subjects),
            ("outputs.subjects", &self.outputs.subjects),
        ] {
            if !subjects
                .split('.')
                .all(|token| !token.is_empty() && token.chars().all(is_name_char))
            {
                return value(
                    key,
                    format!(
                        "`{subjects}` is no subject: parts of letters, digits, `-` and `_`, separated by `.`"
                    ),
                );
            }
        }
        let bucket = &self.lease.bucket;
        if bucket.is_empty() || !bucket.chars().all(is_name_char) {
            return value(
                "lease.bucket",
                format!("`{bucket}` is no bucket name: letters, digits, `-` and `_` only"),
            );
        }
        if self.lease.ttl_seconds < 3 {
            return value("lease.ttl_seconds", "at least 3 seconds".into());
        }
        if self.lease.ttl_seconds > LONGEST_TTL_SECONDS {
            return value(
                "lease.ttl_seconds",
                format!(
                    "at most {LONGEST_TTL_SECONDS} seconds: so long nobody acts when the node that leads dies"
                ),
            );
        }
        if !(1..=5).contains(&self.replicas) {
            return value("replicas", format!("{} is not 1 to 5", self.replicas));
        }
        for (key, seconds) in [
            ("duplicate_window_seconds", self.duplicate_window_seconds),
            ("publish_wait_seconds", self.publish_wait_seconds),
        ] {
            if seconds == 0 {
                return value(key, "at least 1 second".into());
            }
        }
        if self.max_age_seconds > 0 && self.max_age_seconds < self.duplicate_window_seconds {
            return value(
                "max_age_seconds",
                "shorter than `duplicate_window_seconds`".into(),
            );
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            return Err(StreamConfigError::Credentials(
                "`cert_file` and `key_file` go together",
            ));
        }
        self.check_tls_files()?;
        self.credentials().map(drop)
    }

    fn check_tls_files(&self) -> Result<(), StreamConfigError> {
        let certificates = |path: &Path| authorities(path).map(drop);
        type Check<'a> = &'a dyn Fn(&Path) -> Result<(), String>;
        let files: [(_, _, Check<'_>, _); 3] = [
            ("ca_file", &self.ca_file, &certificates, "certificates"),
            ("cert_file", &self.cert_file, &certificates, "certificates"),
            ("key_file", &self.key_file, &check_key, "a private key"),
        ];
        for (key, path, check, holds) in files {
            let Some(path) = path else {
                continue;
            };
            check(path).map_err(|reason| StreamConfigError::Value {
                key,
                problem: format!(
                    "cannot read `{}`: {reason}; name a file with {holds} in PEM form",
                    path.display()
                ),
            })?;
        }
        Ok(())
    }

    /// Reads the credentials, from their files where files are named.
    pub(super) fn credentials(&self) -> Result<Credentials, StreamConfigError> {
        let password = secret("password_file", &self.password, &self.password_file)?;
        let token = secret("token_file", &self.token, &self.token_file)?;
        let nkey = secret("nkey_file", &None, &self.nkey_file)?;
        let ways = [
            self.user.is_some() || password.is_some(),
            token.is_some(),
            nkey.is_some(),
            self.creds_file.is_some(),
        ];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return Err(StreamConfigError::Credentials(
                "more than one way to authenticate: keep one of `user`, `token`, `nkey_file`, `creds_file`",
            ));
        }
        Ok(
            match (&self.user, password, token, nkey, &self.creds_file) {
                (Some(user), Some(password), ..) => Credentials::Password {
                    user: user.clone(),
                    password,
                },
                (Some(_), None, ..) | (None, Some(_), ..) => {
                    return Err(StreamConfigError::Credentials(
                        "`user` and `password` (or `password_file`) go together",
                    ));
                }
                (.., Some(token), _, _) => Credentials::Token(token),
                (.., Some(seed), _) => Credentials::Nkey(seed),
                (.., Some(path)) => Credentials::Creds(path.clone()),
                _ => Credentials::None,
            },
        )
    }

    /// For how long a publish is retried.
    pub(super) fn publish_wait(&self) -> Duration {
        Duration::from_secs(self.publish_wait_seconds)
    }

    /// The subjects of inputs, both wildcards.
    pub(super) fn input_subjects(&self) -> Vec<String> {
        vec![
            format!("{}.intake.>", self.subjects),
            format!("{}.events.>", self.subjects),
        ]
    }

    /// The subjects of outputs, a wildcard.
    pub(super) fn output_subjects(&self) -> Vec<String> {
        vec![format!("{}.events.>", self.outputs.subjects)]
    }
}

/// Whether it is the address of a NATS server; without a scheme it is one of `nats`.
fn is_server(url: &str) -> bool {
    let parsed = url.parse::<async_nats::ServerAddr>();
    // Without WebSockets, `wss` would go unencrypted to whatever answers.
    parsed.is_ok_and(|server| !server.is_websocket() && !server.host().is_empty())
}

/// The address of a server, to be shown: it may have a user and a password in it, or a token.
pub(super) fn without_login(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    match rest.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://***@{host}"),
        None => url.to_owned(),
    }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

fn secret(
    key: &'static str,
    text: &Option<Secret>,
    file: &Option<PathBuf>,
) -> Result<Option<Secret>, StreamConfigError> {
    match (text, file) {
        (Some(_), Some(_)) => Err(StreamConfigError::Value {
            key,
            problem: "the secret itself is also given; keep one of the two".into(),
        }),
        (Some(text), None) => Ok(Some(text.clone())),
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(Secret::new(&text))),
            Err(source) => Err(StreamConfigError::File {
                key,
                path: path.clone(),
                source,
            }),
        },
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<StreamConfig, String> {
        let config: StreamConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn an_empty_table_is_a_local_server() {
        let config = parse("").unwrap();
        assert_eq!(config.stream, "WEIR");
        assert_eq!(
            config.input_subjects(),
            ["registry.intake.>", "registry.events.>"]
        );
        parse("urls = ['nats://a:4222', 'tls://b', 'c:4222', '[::1]:4222']").unwrap();
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let check = |text: &str, cause: &str| {
            let error = parse(text).unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
        };
        check("stram = 'A'", "unknown field `stram`");
        check("[lease]\nttl = 3", "unknown field `ttl`");
        check("urls = []", "at least one server");
        check(
            "urls = [\"ftp://me:hunter2@h\"]",
            "`ftp://***@h` is no NATS server",
        );
        check("urls = [\"me:p@ss@h h\"]", "`://***@h h` is no NATS server");
        check(
            "urls = ['nats://a:4222', 'http://b:4222']",
            "`stream.urls`: `http://b:4222` is no NATS server",
        );
        check("urls = ['wss://b']", "`wss://b` is no NATS server");
        check("urls = ['nats://']", "`nats://` is no NATS server");
        check("stream = 'A.B'", "`stream.stream`: `A.B` is no stream name");
        check("subjects = 'a.>'", "`a.>` is no subject");
        check("replicas = 7", "7 is not 1 to 5");
        check("lease = { ttl_seconds = 1 }", "at least 3 seconds");
        check("lease = { ttl_seconds = 3601 }", "at most 3600 seconds");
        check("user = 'a'", "go together");
        check(
            "user = 'a'\npassword = 'b'\ntoken = 'c'",
            "more than one way",
        );
        check("cert_file = 'a'", "go together");
        check(
            "ca_file = '/nonexistent/ca.pem'",
            "`stream.ca_file`: cannot read `/nonexistent/ca.pem`: No such file",
        );
        check(
            "ca_file = '/etc/passwd'",
            "cannot read `/etc/passwd`: it holds no PEM certificate; name a file with certificates",
        );
        check(
            "cert_file = '/nonexistent/a'\nkey_file = '/etc/passwd'",
            "`stream.cert_file`: cannot read `/nonexistent/a`",
        );
        check("token = 'a'\ntoken_file = 'b'", "keep one of the two");
        check(
            "nkey_file = '/nonexistent/seed'",
            "cannot read `/nonexistent/seed`",
        );
        check("max_age_seconds = 1", "shorter than");
    }

    #[test]
    fn f37_a_password_is_not_printed() {
        let config = parse("user = 'a'\npassword = 'hunter2'").unwrap();
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
