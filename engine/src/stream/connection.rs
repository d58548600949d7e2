//! The connection to the NATS servers: one client that reconnects by itself, for good.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_nats::{
    Auth, AuthError, ClientError, ConnectErrorKind, ConnectOptions, Event, ServerError, jetstream,
};
use tokio::{sync::watch, time::Instant};

use super::{
    Denial, StreamConfig, StreamConfigError,
    config::{Credentials, without_login},
    permissions::Denied,
};
use crate::backoff::doubled;

/// How long one request to JetStream may take before it counts as lost and is repeated.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// The first pause between two attempts to connect.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Publishes that may wait for their acknowledgement at once.
const MOST_UNACKNOWLEDGED: usize = 4096;

/// A connection that survives its servers' restarts. Clones share it.
#[derive(Clone)]
pub struct Connection {
    pub(super) client: async_nats::Client,
    pub(super) jetstream: jetstream::Context,
    /// Counts how often the connection was made: whoever holds server-side state (a consumer)
    /// makes it anew when this changes.
    pub(super) made: watch::Receiver<u64>,
    pub(super) config: Arc<StreamConfig>,
    denied: Denied,
    refused: Refused,
}

/// Why the server does not let this node in, as far as the last attempt to connect told. Clones share it.
#[derive(Clone, Default)]
struct Refused(Arc<Mutex<Option<String>>>);

impl Refused {
    fn get(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Takes in what the last attempt told; what is new is said.
    fn set(&self, why: Option<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &why
            && known.as_ref() != Some(why)
        {
            tracing::error!("{why}");
        }
        *known = why;
    }
}

/// What a server says to wrong credentials, for people.
const REFUSED: &str = "NATS refuses the credentials: put right `stream.user` and `password`, `token`, `nkey_file` or `creds_file`, or the server's users; a `password_file` or `token_file` is read again at each attempt";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] StreamConfigError),
    /// The server refuses the credentials: waiting would not help.
    #[error(
        "NATS at {urls} refuses the credentials: check `stream.user`, `token`, `nkey_file` or `creds_file`"
    )]
    Refused {
        /// The servers tried.
        urls: String,
        /// What the client says.
        source: async_nats::ConnectError,
    },
    /// TLS cannot be set up or the server's certificate is not trusted.
    #[error("no TLS with NATS at {urls}: {source}; {remedy}")]
    Tls {
        /// The servers tried.
        urls: String,
        /// What to do.
        remedy: &'static str,
        /// What the client says.
        source: async_nats::ConnectError,
    },
    /// No server answers.
    #[error(
        "no NATS server answers at {urls} within {waited:?}: {source}; check `stream.urls`, or start `nats-server -js`"
    )]
    Unreachable {
        /// The servers tried.
        urls: String,
        /// For how long.
        waited: Duration,
        /// What the client says.
        source: async_nats::ConnectError,
    },
    /// A server answers that has no JetStream.
    #[error(
        "the NATS server at {urls} has no JetStream: start it with `-js`, or enable `jetstream` for this account"
    )]
    NoJetStream {
        /// The servers tried.
        urls: String,
    },
}

impl Connection {
    /// Connects, trying again for `connect_wait_seconds` while no server answers.
    ///
    /// # Errors
    /// At once for what waiting does not mend (configuration, credentials, certificates).
    pub async fn open(config: &StreamConfig) -> Result<Self, ConnectError> {
        config.check()?;
        let (made_in, made) = watch::channel(0);
        let denied = Denied::new(config);
        let refused = Refused::default();
        let options = options(config, made_in, denied.clone(), refused.clone()).await?;
        let urls: Vec<String> = config.urls.iter().map(|url| without_login(url)).collect();
        let urls = urls.join(", ");
        let patience = Duration::from_secs(config.connect_wait_seconds);
        let start = Instant::now();
        let mut attempt = 0;
        let client = loop {
            let source = match options.clone().connect(config.urls.clone()).await {
                Ok(client) => break client,
                Err(error) => error,
            };
            if let Some(remedy) = tls_remedy(&source, config) {
                return Err(ConnectError::Tls {
                    urls,
                    remedy,
                    source,
                });
            }
            match source.kind() {
                ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                    return Err(ConnectError::Refused { urls, source });
                }
                ConnectErrorKind::ServerParse => {
                    return Err(StreamConfigError::Value {
                        key: "urls",
                        problem: format!("`{urls}`: expected `nats://host:port`"),
                    }
                    .into());
                }
                _ => {}
            }
            let pause = pause(attempt);
            if start.elapsed() + pause > patience {
                let waited = start.elapsed();
                return Err(ConnectError::Unreachable {
                    urls,
                    waited,
                    source,
                });
            }
            tracing::warn!(%urls, error = %source, "no NATS server answers; trying again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        };
        let info = client.server_info();
        if !info.jetstream && info.domain.is_none() {
            return Err(ConnectError::NoJetStream { urls });
        }
        let jetstream = jetstream::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .ack_timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(MOST_UNACKNOWLEDGED)
            .backpressure_on_inflight(true)
            .build(client.clone());
        tracing::info!(server = %info.server_name, version = %info.version, "connected to NATS");
        Ok(Self {
            client,
            jetstream,
            made,
            config: Arc::new(config.clone()),
            denied,
            refused,
        })
    }

    /// Version of the server at the other end.
    #[must_use]
    pub fn server_version(&self) -> String {
        self.client.server_info().version
    }

    /// Whether the connection stands right now.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Why the server does not let this node in, with what to do, if it said so last.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        self.refused.get()
    }

    /// Returns once the connection stands.
    pub async fn connected(&self) {
        while !self.is_connected() {
            tokio::time::sleep(pause(0)).await;
        }
    }

    /// What the server does not permit on the connection that stands, as far as it was tried.
    #[must_use]
    pub fn denied(&self) -> Vec<Denial> {
        self.denied.all()
    }

    /// What of it keeps this node from reading the stream.
    #[must_use]
    pub fn denied_to_read(&self) -> Vec<Denial> {
        self.denied.to_read()
    }

    /// The largest message, headers included, that the server takes.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.client.max_payload()
    }
}

/// The pause before attempt `attempt + 1`: doubles from [`FIRST_PAUSE`] up to [`LONGEST_PAUSE`].
pub(super) fn pause(attempt: usize) -> Duration {
    let times = u32::try_from(attempt).unwrap_or(u32::MAX);
    doubled(FIRST_PAUSE, times, LONGEST_PAUSE)
}

/// What to do about TLS that cannot be made, which waiting does not mend; `None` if it is something
/// else.
fn tls_remedy(error: &async_nats::ConnectError, config: &StreamConfig) -> Option<&'static str> {
    use rustls::{CertificateError as Fault, Error};
    let Some(cause) = tls_cause(error) else {
        return (error.kind() == ConnectErrorKind::Tls)
            .then_some("check `stream.ca_file`, `cert_file` and `key_file`");
    };
    Some(match cause {
        Error::InvalidCertificate(Fault::UnknownIssuer) if config.ca_file.is_some() => {
            "the file of `stream.ca_file` does not hold the authority of its certificate: add it there"
        }
        Error::InvalidCertificate(Fault::UnknownIssuer) => {
            "set `stream.ca_file` to the authority of its certificate"
        }
        Error::InvalidCertificate(
            Fault::NotValidForName | Fault::NotValidForNameContext { .. },
        ) => "write the server in `stream.urls` as its certificate names it",
        Error::InvalidCertificate(
            Fault::Expired
            | Fault::ExpiredContext { .. }
            | Fault::NotValidYet
            | Fault::NotValidYetContext { .. },
        ) => "renew the certificate of the server, and see to the clocks",
        Error::InvalidCertificate(_) => "give the server another certificate",
        Error::AlertReceived(_) => {
            "the server refuses this side: set `stream.cert_file` and `key_file` to a certificate that it trusts"
        }
        Error::InvalidMessage(_) => {
            "what answers there speaks no TLS: write `nats://` in `stream.urls`, or switch TLS on at the server"
        }
        _ => "see to the TLS settings of the server",
    })
}

/// The fault that TLS found, beneath what the client makes of it.
fn tls_cause(error: &async_nats::ConnectError) -> Option<&rustls::Error> {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        // An error of input and output does not count what it holds among its sources.
        let held = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        let found = match held {
            Some(held) => held.downcast_ref(),
            None => error.downcast_ref(),
        };
        if found.is_some() {
            return found;
        }
        cause = error.source();
    }
    None
}

async fn options(
    config: &StreamConfig,
    made: watch::Sender<u64>,
    denied: Denied,
    refused: Refused,
) -> Result<ConnectOptions, StreamConfigError> {
    let made = Arc::new(made);
    let credentials = config.credentials()?;
    let options = match credentials {
        Credentials::Password { .. } | Credentials::Token(_) => {
            let (config, refused) = (config.clone(), refused.clone());
            ConnectOptions::with_auth_callback(move |_| {
                let read = read_again(&config, &refused);
                async move { read }
            })
        }
        _ => ConnectOptions::new(),
    };
    let mut options = options
        .name("weir")
        .reconnect_delay_callback(pause)
        .event_callback(move |event| {
            let (made, denied, refused) = (Arc::clone(&made), denied.clone(), refused.clone());
            async move { on_event(&event, &made, &denied, &refused) }
        });
    options = match credentials {
        Credentials::None | Credentials::Password { .. } | Credentials::Token(_) => options,
        Credentials::Nkey(seed) => options.nkey(seed.reveal().to_owned()),
        Credentials::Creds(path) => {
            options
                .credentials_file(&path)
                .await
                .map_err(|source| StreamConfigError::File {
                    key: "creds_file",
                    path,
                    source,
                })?
        }
    };
    if let Some(path) = &config.ca_file {
        options = options
            .add_root_certificates(path.clone())
            .require_tls(true);
    }
    if let (Some(certificate), Some(key)) = (&config.cert_file, &config.key_file) {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

/// The credentials as their files have them at an attempt to connect: who renews them need not restart.
fn read_again(config: &StreamConfig, refused: &Refused) -> Result<Auth, AuthError> {
    let mut auth = Auth::new();
    match config.credentials() {
        Ok(Credentials::Password { user, password }) => {
            auth.username = Some(user);
            auth.password = Some(password.reveal().to_owned());
        }
        Ok(Credentials::Token(token)) => auth.token = Some(token.reveal().to_owned()),
        Ok(_) => {}
        Err(error) => {
            refused.set(Some(format!("no credentials for NATS: {error}")));
            return Err(AuthError::new(error.to_string()));
        }
    }
    Ok(auth)
}

fn on_event(event: &Event, made: &watch::Sender<u64>, denied: &Denied, refused: &Refused) {
    match event {
        Event::Connected => {
            refused.set(None);
            denied.begins_anew();
            made.send_modify(|count| *count += 1);
            tracing::debug!("connection to NATS made");
        }
        Event::Disconnected => tracing::warn!("connection to NATS lost; reconnecting"),
        Event::ServerError(ServerError::AuthorizationViolation) => {
            refused.set(Some(REFUSED.to_owned()));
        }
        Event::ClientError(ClientError::Other(said)) => on_failed_attempt(said, refused),
        Event::ServerError(ServerError::Other(said)) => denied.note(said),
        other => tracing::info!(event = %other, "NATS client"),
    }
}

/// Takes in that an attempt to connect again failed; of the cause the client gives no more than its kind.
fn on_failed_attempt(said: &str, refused: &Refused) {
    if *said == ConnectErrorKind::AuthorizationViolation.to_string() {
        refused.set(Some(REFUSED.to_owned()));
    } else if *said != ConnectErrorKind::Authentication.to_string() {
        refused.set(None);
        tracing::debug!(said, "no connection to NATS yet");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit() {
        assert_eq!(pause(0), Duration::from_millis(50));
        assert_eq!(pause(3), Duration::from_millis(400));
        assert_eq!(pause(usize::MAX), LONGEST_PAUSE);
    }
}
