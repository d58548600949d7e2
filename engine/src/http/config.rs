//! The `[http]` table of the configuration: where to listen and whom to let in.

use std::path::PathBuf;

use axum::http::HeaderValue;
use serde::Deserialize;

use crate::secret::Secret;

/// Where the HTTP edge listens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port to listen at. Beyond loopback a token is required.
    pub listen: String,
    /// Token that every request but health checks must carry, as `Authorization: Bearer <token>`.
    pub token: Option<Secret>,
    /// File that holds the token.
    pub token_file: Option<PathBuf>,
    /// Token that deliveries to `/v1/intake` may carry instead: it lets a registry in and nothing
    /// else. As a bearer token, as the password of basic authentication, or as the whole value of
    /// `Authorization`, whichever the registry can send.
    pub intake_token: Option<Secret>,
    /// File that holds the intake token.
    pub intake_token_file: Option<PathBuf>,
    /// Bytes of the largest body taken.
    pub max_body_bytes: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8470".into(),
            token: None,
            token_file: None,
            intake_token: None,
            intake_token_file: None,
            max_body_bytes: 32 << 20,
        }
    }
}

/// Why an `[http]` table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HttpConfigError {
    /// The secret is given twice.
    #[error("`http.{key}` and `http.{key}_file` are both set: keep one of the two")]
    Twice {
        /// The key.
        key: &'static str,
    },
    /// A token that nobody has to guess.
    #[error("`http.{key}` is empty")]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// A token that no client can send.
    #[error(
        "`http.{key}` has a line break, or another character that no header holds: no client could send it"
    )]
    Unsendable {
        /// The key.
        key: &'static str,
    },
    /// Registries would have the token of those who operate.
    #[error(
        "`http.intake_token` is `http.token` as well: whoever may send events could do everything; make another for registries and scanners"
    )]
    Same,
    /// A file that a key names cannot be read.
    #[error("`http.{key}_file`: cannot read `{}`: {source}", path.display())]
    File {
        /// The key, without `_file`.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl HttpConfig {
    /// Checks the form of the address; whether it can be listened at is found out there. And that
    /// there may be bodies at all.
    ///
    /// # Errors
    /// What was expected.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.max_body_bytes == 0 {
            return Err("`http.max_body_bytes` is 0, expected what the largest delivery has: 33554432 if not said".to_owned());
        }
        let port = self
            .listen
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty());
        match port.map(|(_, port)| port.parse::<u16>()) {
            Some(Ok(_)) => Ok(()),
            _ => Err(format!(
                "`http.listen` is `{}`, expected an address and a port as 127.0.0.1:8470",
                self.listen
            )),
        }
    }

    /// The token and the intake token, read from their files where files are named.
    ///
    /// # Errors
    /// Names the key that cannot be used.
    pub fn tokens(&self) -> Result<(Option<Secret>, Option<Secret>), HttpConfigError> {
        let token = secret("token", self.token.as_ref(), self.token_file.as_ref())?;
        let intake_token = secret(
            "intake_token",
            self.intake_token.as_ref(),
            self.intake_token_file.as_ref(),
        )?;
        let texts = [&token, &intake_token].map(|one| one.as_ref().map(Secret::reveal));
        match texts[0].is_some() && texts[0] == texts[1] {
            true => Err(HttpConfigError::Same),
            false => Ok((token, intake_token)),
        }
    }
}

fn secret(
    key: &'static str,
    text: Option<&Secret>,
    file: Option<&PathBuf>,
) -> Result<Option<Secret>, HttpConfigError> {
    let secret = match (text, file) {
        (Some(_), Some(_)) => return Err(HttpConfigError::Twice { key }),
        (Some(text), None) => text.clone(),
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Secret::new(&text),
            Err(source) => {
                let path = path.clone();
                return Err(HttpConfigError::File { key, path, source });
            }
        },
        (None, None) => return Ok(None),
    };
    if secret.reveal().is_empty() {
        return Err(HttpConfigError::Empty { key });
    }
    if HeaderValue::from_str(secret.reveal()).is_err() {
        return Err(HttpConfigError::Unsendable { key });
    }
    Ok(Some(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_used_is_named() {
        let check = |text: &str, cause: &str| {
            let config: Result<HttpConfig, _> = toml::from_str(text);
            let error = match config {
                Ok(config) => config.tokens().unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            assert!(error.contains(cause), "{text}: {error}");
        };
        check("lisen = ''", "unknown field `lisen`");
        check("token = ''", "`http.token` is empty");
        check("token = 'a'\ntoken_file = 'b'", "keep one of the two");
        check(
            "token = 'a'\nintake_token = 'a'",
            "`http.intake_token` is `http.token` as well",
        );
        check(
            "intake_token_file = '/nonexistent/token'",
            "cannot read `/nonexistent/token`: No such file",
        );
        check("token = \"two\\nlines\"", "`http.token` has a line break");
    }
}
