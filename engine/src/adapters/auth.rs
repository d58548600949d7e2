//! Whether a webhook comes from whom it should: shared secrets and signatures, compared in constant
//! time.

use base64::Engine as _;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Deserializer, de::Error as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::secret::Secret;

/// How a source proves who it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum WebhookAuth {
    /// A header with a shared secret (Harbor's `Authorization`, distribution's own headers).
    Header {
        /// The header's name.
        name: String,
        /// Its whole value.
        #[serde(deserialize_with = "told")]
        value: Secret,
    },
    /// `Authorization: Bearer TOKEN`.
    Bearer {
        /// The token.
        #[serde(deserialize_with = "told")]
        token: Secret,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        #[serde(deserialize_with = "told")]
        password: Secret,
    },
    /// A parameter of the address, `?NAME=VALUE`: for senders that can be told an address and
    /// nothing else (Docker Hub, DTR, Quay). Proxies may log addresses: prefer the other kinds.
    Query {
        /// The parameter's name.
        name: String,
        /// Its value, percent-decoded.
        #[serde(deserialize_with = "told")]
        value: Secret,
    },
    /// GitHub: `X-Hub-Signature-256: sha256=` and the HMAC-SHA256 of the body.
    Github {
        /// The webhook's secret.
        #[serde(deserialize_with = "told")]
        secret: Secret,
    },
    /// JFrog: `X-JFrog-Event-Auth` is the HMAC-SHA256 of the body, or the secret itself.
    Jfrog {
        /// The webhook's secret.
        #[serde(deserialize_with = "told")]
        secret: Secret,
    },
    /// Nexus: `X-Nexus-Webhook-Signature` is the HMAC-SHA1 of the body.
    Nexus {
        /// The webhook's secret.
        #[serde(deserialize_with = "told")]
        secret: Secret,
    },
}

impl WebhookAuth {
    /// What is wrong with it, with the key; `operators` is the token of those who operate.
    pub(crate) fn problem(&self, operators: Option<&Secret>) -> Option<(&'static str, String)> {
        let (key, secret) = match self {
            Self::Header { value, .. } | Self::Query { value, .. } => ("value", value),
            Self::Bearer { token } => ("token", token),
            Self::Basic { password, .. } => ("password", password),
            Self::Github { secret } | Self::Jfrog { secret } | Self::Nexus { secret } => {
                ("secret", secret)
            }
        };
        if let Self::Header { name, .. } = self
            && name.parse::<axum::http::HeaderName>().is_err()
        {
            return Some(("name", format!("`{name}` is no name of a header")));
        }
        let is_operators = operators.is_some_and(|token| {
            let given = secret.reveal();
            let given = after_scheme(given, "bearer").unwrap_or(given);
            same(given.as_bytes(), token.reveal())
        });
        is_operators.then(|| {
            let problem = "it is `http.token` as well: whoever may send events could do everything; make another";
            (key, problem.to_owned())
        })
    }
}

/// A secret that is none lets everybody in.
fn told<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let secret = Secret::deserialize(deserializer)?;
    match secret.reveal().is_empty() {
        true => Err(D::Error::custom(
            "the secret is empty: anybody would have it",
        )),
        false => Ok(secret),
    }
}

/// Why a delivery is not believed. It never says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The header that carries the proof is not there.
    #[error("the header `{0}` is missing")]
    Missing(String),
    /// The header is not of the form that it has.
    #[error("the header `{0}` is not of the form that this kind of authentication has")]
    Form(String),
    /// The proof is wrong.
    #[error("the header `{0}` does not match the configured secret")]
    Mismatch(String),
    /// The parameter of the address is missing or wrong.
    #[error(
        "the parameter `{0}` of the address is missing or does not match the configured secret"
    )]
    Parameter(String),
}

/// Checks a delivery. `headers` have lower-case names; `query` is what stands after the `?` of the
/// address it was sent to; `body` is the body as it came.
///
/// # Errors
/// If the proof is missing, malformed or wrong. The delivery must then be refused with 401 and
/// nothing of it be used.
pub fn verify(
    auth: &WebhookAuth,
    headers: &[(String, String)],
    query: &str,
    body: &[u8],
) -> Result<(), AuthError> {
    let header = |name: &str| {
        super::header(headers, name).ok_or_else(|| AuthError::Missing(name.to_owned()))
    };
    let form = |name: &str| AuthError::Form(name.to_owned());
    let decide = |name: &str, equal: bool| match equal {
        true => Ok(()),
        false => Err(AuthError::Mismatch(name.to_owned())),
    };
    match auth {
        WebhookAuth::Header { name, value } => {
            let name = name.to_ascii_lowercase();
            decide(&name, same(header(&name)?.as_bytes(), value.reveal()))
        }
        WebhookAuth::Bearer { token } => {
            let given = after_scheme(header("authorization")?, "bearer");
            let given = given.ok_or_else(|| form("authorization"))?;
            decide("authorization", same(given.as_bytes(), token.reveal()))
        }
        WebhookAuth::Basic { username, password } => {
            let given = after_scheme(header("authorization")?, "basic");
            let given = given.ok_or_else(|| form("authorization"))?;
            let given = base64::engine::general_purpose::STANDARD
                .decode(given)
                .map_err(|_| form("authorization"))?;
            let expected = format!("{username}:{}", password.reveal());
            decide("authorization", same(&given, &expected))
        }
        WebhookAuth::Query { name, value } => {
            let mut given = query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .filter(|(given, _)| given == name)
                .map(|(_, value)| super::percent_decoded(&value.replace('+', " ")));
            match given.any(|given| same(given.as_bytes(), value.reveal())) {
                true => Ok(()),
                false => Err(AuthError::Parameter(name.clone())),
            }
        }
        WebhookAuth::Github { secret } => {
            let name = "x-hub-signature-256";
            let given = header(name)?
                .strip_prefix("sha256=")
                .ok_or_else(|| form(name))?;
            let given = hex(given).ok_or_else(|| form(name))?;
            decide(name, signed::<Hmac<Sha256>>(secret, body, &given))
        }
        WebhookAuth::Jfrog { secret } => {
            let name = "x-jfrog-event-auth";
            let given = header(name)?;
            let by_signature =
                hex(given).is_some_and(|given| signed::<Hmac<Sha256>>(secret, body, &given));
            decide(name, by_signature | same(given.as_bytes(), secret.reveal()))
        }
        WebhookAuth::Nexus { secret } => {
            let name = "x-nexus-webhook-signature";
            let given = hex(header(name)?).ok_or_else(|| form(name))?;
            decide(name, signed::<Hmac<Sha1>>(secret, body, &given))
        }
    }
}

/// Whether both are equal, in a time that tells neither their contents nor their lengths.
fn same(given: &[u8], expected: &str) -> bool {
    let given = Sha256::digest(given);
    let expected = Sha256::digest(expected.as_bytes());
    given.ct_eq(&expected).into()
}

fn signed<M: Mac + hmac::digest::KeyInit>(secret: &Secret, body: &[u8], given: &[u8]) -> bool {
    let key = secret.reveal().as_bytes();
    // HMAC takes keys of any length.
    let Ok(mac) = <M as Mac>::new_from_slice(key) else {
        return false;
    };
    mac.chain_update(body).verify_slice(given).is_ok()
}

/// What stands after the scheme's name, which has no case (RFC 9110, section 11.1).
fn after_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (given, rest) = value.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim().as_bytes();
    if digits.is_empty() || !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let bytes = digits.chunks_exact(2).map(|pair| match pair {
        [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
        _ => None,
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"Hello, World!";

    fn auth(toml: &str) -> WebhookAuth {
        toml::from_str(toml).unwrap()
    }

    fn check(auth: &WebhookAuth, header: &str, good: &str) {
        let with = |value: &str| verify(auth, &[(header.to_owned(), value.to_owned())], "", BODY);
        assert_eq!(with(good), Ok(()));
        assert_eq!(
            verify(auth, &[], "", BODY),
            Err(AuthError::Missing(header.into()))
        );
        assert!(with("").is_err());
        assert!(with(&format!("{good}0")).is_err());
        assert!(with(&good.replace(['a', '7'], "b")).is_err());
        let body = verify(auth, &[(header.to_owned(), good.to_owned())], "", b"other");
        let signs = !matches!(
            auth,
            WebhookAuth::Header { .. } | WebhookAuth::Bearer { .. } | WebhookAuth::Basic { .. }
        );
        assert_eq!(body.is_err(), signs, "{auth:?}");
    }

    #[test]
    fn the_right_proof_is_believed_and_no_other() {
        check(
            &auth("kind = 'header'\nname = 'X-Token'\nvalue = 'al7pha'"),
            "x-token",
            "al7pha",
        );
        check(
            &auth("kind = 'bearer'\ntoken = 'al7pha'"),
            "authorization",
            "bearer al7pha",
        );
        check(
            &auth("kind = 'basic'\nusername = 'ann'\npassword = 'x'"),
            "authorization",
            "Basic YW5uOng=",
        );
        // GitHub's documented example: the secret and the signature of "Hello, World!".
        check(
            &auth("kind = 'github'\nsecret = \"It's a Secret to Everybody\""),
            "x-hub-signature-256",
            "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        );
        check(
            &auth("kind = 'jfrog'\nsecret = \"It's a Secret to Everybody\""),
            "x-jfrog-event-auth",
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        );
        // Computed with `openssl dgst -sha1 -hmac key`.
        check(
            &auth("kind = 'nexus'\nsecret = 'key'"),
            "x-nexus-webhook-signature",
            "b688f6f2602474b86713f193726755f0095edc8b",
        );
    }

    #[test]
    fn an_empty_secret_is_refused() {
        for toml in [
            "kind = 'header'\nname = 'X-Key'\nvalue = ''",
            "kind = 'bearer'\ntoken = ''",
            "kind = 'basic'\nusername = 'a'\npassword = ''",
            "kind = 'query'\nname = 'key'\nvalue = ''",
            "kind = 'github'\nsecret = ''",
        ] {
            let refused = toml::from_str::<WebhookAuth>(toml).unwrap_err();
            assert!(
                refused.to_string().contains("the secret is empty"),
                "{refused}"
            );
        }
    }

    #[test]
    fn jfrog_may_send_the_bare_secret() {
        let auth = auth("kind = 'jfrog'\nsecret = 'abc'");
        let headers = [("x-jfrog-event-auth".to_owned(), "abc".to_owned())];
        assert_eq!(verify(&auth, &headers, "", BODY), Ok(()));
    }

    #[test]
    fn a_parameter_of_the_address_may_be_the_proof() {
        let auth = auth("kind = 'query'\nname = 'key'\nvalue = 'a b/c'");
        assert_eq!(verify(&auth, &[], "source=hub&key=a+b%2Fc", BODY), Ok(()));
        for wrong in ["", "key=", "key=a+b", "kez=a+b%2Fc"] {
            let error = Err(AuthError::Parameter("key".into()));
            assert_eq!(verify(&auth, &[], wrong, BODY), error, "{wrong}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", auth("kind = 'bearer'\ntoken = 'al7pha'")).contains("al7pha"));
    }
}
