//! Where a registry is reached, and whether by TLS or, where that is allowed, plain HTTP.

use std::net::IpAddr;

use reqwest::Url;
use tokio::sync::OnceCell;

use super::{
    config::RegistryConfig,
    error::{OciError, TlsFailure, from_transport},
};

/// The address of one registry. The scheme is found out at the first request where `insecure`
/// leaves it open.
pub(super) struct Endpoint {
    registry: String,
    host: String,
    insecure: bool,
    base: OnceCell<Url>,
}

/// Whether `host` (without a port) is this machine.
pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

impl Endpoint {
    pub fn new(registry: &str, config: &RegistryConfig) -> Self {
        let host = config.host.as_deref().unwrap_or(match registry {
            // Docker's name for its registry is not where that registry is.
            "docker.io" => "registry-1.docker.io",
            other => other,
        });
        Self {
            registry: registry.to_owned(),
            host: host.to_owned(),
            insecure: config.insecure,
            base: OnceCell::new(),
        }
    }

    /// The host, with its port where one is given.
    pub fn authority(&self) -> &str {
        &self.host
    }

    /// The host without its port, for messages about certificates.
    pub fn host(&self) -> &str {
        match self.host.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
            _ => &self.host,
        }
    }

    /// The root of the registry. With `insecure`, TLS is tried first, and plain HTTP if the
    /// other side turns out not to speak it.
    pub async fn base(&self, http: &reqwest::Client) -> Result<&Url, OciError> {
        self.base
            .get_or_try_init(|| async {
                let secure = self.url("https")?;
                if !self.insecure {
                    return Ok(secure);
                }
                let what = "finding out whether it speaks TLS";
                let ping = |url: &Url| http.get(format!("{url}v2/")).send();
                let Err(over_tls) = ping(&secure).await else { return Ok(secure) };
                let over_tls = from_transport(&self.registry, self.host(), what, &over_tls);
                let plain = self.url("http")?;
                match ping(&plain).await {
                    Ok(_) => Ok(plain),
                    // Nothing answers at all: the first error is the one about the registry.
                    Err(_) if !matches!(&over_tls, OciError::Tls(failure) if matches!(**failure, TlsFailure::NotTls { .. })) => {
                        Err(over_tls)
                    }
                    Err(error) => Err(from_transport(&self.registry, self.host(), what, &error)),
                }
            })
            .await
    }

    fn url(&self, scheme: &str) -> Result<Url, OciError> {
        Url::parse(&format!("{scheme}://{}/", self.host)).map_err(|error| OciError::Protocol {
            registry: self.registry.clone(),
            what: format!("connecting to `{}`", self.host),
            reason: error.to_string(),
        })
    }
}
