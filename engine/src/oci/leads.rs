//! Where a registry's answers may lead: redirects, the addresses of uploads, further pages, token
//! servers. Whoever can write an answer chooses them, so a registry that is reached by TLS never
//! leads to plain HTTP, and no address is shown with what may be secret in it.

use reqwest::{Url, redirect::Policy};

use super::{
    config::RegistryConfig,
    error::{OciError, TlsFailure},
};

/// More redirects than this in a row are a circle.
const MOST_REDIRECTS: usize = 10;

/// A redirect that is not followed, on its way through the HTTP library to the error message.
#[derive(Debug, Clone, thiserror::Error)]
#[error("redirected to plain HTTP at `{address}`")]
pub(super) struct LedToPlain {
    /// As [`shown`].
    pub address: String,
}

/// Which redirects of a registry are followed. A login is not among what is sent on to another
/// host: the HTTP library sees to that.
pub(super) fn redirects(config: &RegistryConfig) -> Policy {
    let insecure = config.insecure;
    Policy::custom(move |attempt| {
        if !insecure && attempt.url().scheme() != "https" {
            let address = shown(attempt.url());
            attempt.error(LedToPlain { address })
        } else if attempt.previous().len() > MOST_REDIRECTS {
            attempt.error("redirected again and again")
        } else {
            attempt.follow()
        }
    })
}

/// Refuses an address that a registry gave, if it is plain HTTP and that registry is not `insecure`.
pub(super) fn check(
    registry: &str,
    config: &RegistryConfig,
    what: &str,
    url: &Url,
) -> Result<(), OciError> {
    if config.insecure || url.scheme() == "https" {
        return Ok(());
    }
    Err(to_plain(registry, what, shown(url)))
}

pub(super) fn to_plain(registry: &str, what: &str, address: String) -> OciError {
    OciError::Tls(Box::new(TlsFailure::LedToPlain {
        registry: registry.to_owned(),
        what: what.to_owned(),
        address,
    }))
}

/// An address without what may be secret in it: a login, the query (signatures of storage
/// services, states of uploads), the fragment.
pub(super) fn shown(url: &Url) -> String {
    let port = url
        .port()
        .map_or_else(String::new, |port| format!(":{port}"));
    let host = url.host_str().unwrap_or_default();
    format!("{}://{host}{port}{}", url.scheme(), url.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_secrets() {
        let check = |address: &str, expected: &str| {
            assert_eq!(shown(&Url::parse(address).unwrap()), expected);
        };
        check("http://u:p@h:81/a/b?sig=s#f", "http://h:81/a/b");
        check("https://[::1]/v2/", "https://[::1]/v2/");
    }
}
