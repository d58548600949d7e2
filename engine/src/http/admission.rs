//! Who is let in, and where it is safe to listen.

use std::net::{IpAddr, SocketAddr};

use axum::http::{
    HeaderMap,
    header::{AUTHORIZATION, HOST, ORIGIN},
    uri::Authority,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq;

use super::{HttpConfig, HttpConfigError, Problem};
use crate::secret::Secret;

/// The rule of admission.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    token: Option<Secret>,
    intake_token: Option<Secret>,
}

/// Listening there would let anybody in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "refusing to listen at {address} without authentication: set `http.token` or `http.token_file`, or listen at 127.0.0.1"
)]
pub struct ListenError {
    address: SocketAddr,
}

/// Refuses addresses beyond loopback while no token is configured.
///
/// # Errors
/// Names the address and what to do.
pub fn check_listen(address: SocketAddr, admission: &Admission) -> Result<(), ListenError> {
    if address.ip().is_loopback() || admission.token.is_some() {
        return Ok(());
    }
    Err(ListenError { address })
}

impl Admission {
    /// The rule that a configuration asks for.
    ///
    /// # Errors
    /// A token cannot be read.
    pub fn new(config: &HttpConfig) -> Result<Self, HttpConfigError> {
        let (token, intake_token) = config.tokens()?;
        Ok(Self {
            token,
            intake_token,
        })
    }

    /// Judges a request by its headers; `intake` says that it is a delivery.
    pub(super) fn check(&self, headers: &HeaderMap, intake: bool) -> Result<(), Problem> {
        let open = match intake {
            true => self.is_open(),
            false => self.token.is_none(),
        };
        if open {
            return check_local(headers);
        }
        let tokens = [
            self.token.as_ref(),
            self.intake_token.as_ref().filter(|_| intake),
        ];
        match carries(headers, tokens.into_iter().flatten()) {
            true => Ok(()),
            false => Err(Problem::unauthorized()),
        }
    }

    /// Judges a request for a file of the page: these have no data, and where there is a token the
    /// page asks for it itself.
    pub(super) fn check_page(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match self.token {
            Some(_) => Ok(()),
            None => check_local(headers),
        }
    }

    /// Whether nothing is asked of a delivery, so that whoever is let in may say anything.
    pub(super) fn is_open(&self) -> bool {
        self.token.is_none() && self.intake_token.is_none()
    }

    /// Whether the request carries the token that opens everything.
    pub(super) fn check_token(&self, headers: &HeaderMap) -> bool {
        carries(headers, self.token.as_ref())
    }
}

/// Whether a request offers one of the tokens.
fn carries<'a>(headers: &HeaderMap, tokens: impl IntoIterator<Item = &'a Secret>) -> bool {
    let given = credentials(headers);
    tokens.into_iter().any(|token| {
        given
            .iter()
            .any(|given| given.as_bytes().ct_eq(token.reveal().as_bytes()).into())
    })
}

/// What a request offers as a token: the bearer token, the password of basic authentication, or the
/// whole header for registries that send what they are told.
fn credentials(headers: &HeaderMap) -> Vec<String> {
    let Some(value) = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
    else {
        return Vec::new();
    };
    let mut given = vec![value.trim().to_owned()];
    match value.trim().split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
            given.push(token.trim().to_owned());
        }
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("basic") => {
            let decoded = STANDARD.decode(token.trim()).unwrap_or_default();
            let decoded = String::from_utf8_lossy(&decoded).into_owned();
            given.extend(
                decoded
                    .split_once(':')
                    .map(|(_, password)| password.to_owned()),
            );
        }
        _ => {}
    }
    given
}

/// Without a token only programs of this machine may ask. A web page that a browser here has open
/// is not one of them: it gives itself away by its origin, or by a name that was bound to this
/// address (DNS rebinding).
fn check_local(headers: &HeaderMap) -> Result<(), Problem> {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| !is_loopback(host)) {
        return Err(Problem::forbidden(
            "without `http.token`, requests must address this server as localhost",
        ));
    }
    let origin = headers
        .get(ORIGIN)
        .map(|origin| origin.to_str().unwrap_or("null"));
    let same = |origin: &str| {
        let (_, authority) = origin.split_once("://").unwrap_or_default();
        Some(authority) == host
    };
    if origin.is_some_and(|origin| !same(origin)) {
        return Err(Problem::forbidden(
            "without `http.token`, requests of other web pages are refused",
        ));
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host().trim_matches(['[', ']']);
    name.eq_ignore_ascii_case("localhost")
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    fn admission(token: &str, intake_token: &str) -> Admission {
        let secret = |text: &str| (!text.is_empty()).then(|| Secret::new(text));
        Admission {
            token: secret(token),
            intake_token: secret(intake_token),
        }
    }

    #[test]
    fn without_a_token_only_loopback_is_listened_at() {
        let check = |address: &str, token: &str| {
            check_listen(address.parse().unwrap(), &admission(token, "")).is_ok()
        };
        assert!(check("127.0.0.1:1", "") && check("[::1]:1", ""));
        assert!(!check("0.0.0.0:1", "") && !check("[::]:1", "") && !check("10.0.0.1:1", ""));
        assert!(check("0.0.0.0:1", "t"));
    }

    #[test]
    fn an_intake_token_alone_does_not_open_the_rest() {
        let address = "0.0.0.0:1".parse().unwrap();
        assert!(check_listen(address, &admission("", "hook")).is_err());
    }

    #[test]
    fn tokens_are_taken_in_the_ways_registries_send_them() {
        let check = |value: &str, intake: bool| {
            admission("main", "hook")
                .check(&headers(&[("authorization", value)]), intake)
                .is_ok()
        };
        assert!(check("Bearer main", false) && check("Bearer main", true));
        assert!(check("bearer hook", true) && check("hook", true));
        // user:hook
        assert!(check("Basic dXNlcjpob29r", true));
        assert!(!check("Bearer hook", false));
        assert!(!check("Bearer ", true) && !check("Bearer mai", true) && !check("", true));
    }

    #[test]
    fn a_web_page_cannot_use_an_open_local_server() {
        let check =
            |pairs: &[(&'static str, &str)]| admission("", "").check(&headers(pairs), true).is_ok();
        assert!(check(&[("host", "127.0.0.1:8470")]) && check(&[("host", "localhost")]));
        assert!(check(&[("host", "[::1]:8470")]));
        assert!(check(&[
            ("host", "localhost:1"),
            ("origin", "http://localhost:1")
        ]));
        assert!(!check(&[("host", "evil.example:8470")]));
        assert!(!check(&[
            ("host", "localhost:1"),
            ("origin", "http://evil.example")
        ]));
        assert!(!check(&[("host", "localhost:1"), ("origin", "null")]));
    }
}
