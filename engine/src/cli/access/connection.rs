//! Requests to a daemon and its answers, or why there are none.

use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::{
    cli::{CliError, on_one_line},
    http::TOKEN_NEEDED,
};

/// How long a daemon may take to be reached.
const LONGEST_CONNECT: Duration = Duration::from_secs(5);

/// The way to a daemon.
pub(super) struct Connection {
    address: String,
    token: Option<String>,
    runtime: tokio::runtime::Runtime,
    http: Client,
}

/// An answer, and who gave it.
pub(super) struct Answer {
    url: String,
    status: StatusCode,
    pub(super) body: Bytes,
}

impl Connection {
    /// Makes ready for requests; nothing is sent.
    pub(super) fn to(address: &str, token: Option<String>) -> Result<Self, CliError> {
        crate::oci::install_crypto_provider();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::outside)?;
        let http = Client::builder()
            .connect_timeout(LONGEST_CONNECT)
            .build()
            .map_err(CliError::outside)?;
        Ok(Self {
            address: address.trim_end_matches('/').to_owned(),
            token,
            runtime,
            http,
        })
    }

    /// Whether there is an answer, whatever it says. The token is not shown for it.
    pub(super) fn answers(&self, path: &str) -> bool {
        self.runtime.block_on(self.get(path).send()).is_ok()
    }

    pub(super) fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    pub(super) fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    pub(super) fn delete(&self, path: &str) -> RequestBuilder {
        self.request(Method::DELETE, path)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.address))
    }

    /// The JSON that a request is answered with if it succeeds.
    pub(super) fn send(&self, request: RequestBuilder) -> Result<Value, CliError> {
        let answer = self.fetch(request)?;
        serde_json::from_slice(&answer.body).map_err(|_| no_daemon(&answer))
    }

    /// What a request is answered with if it succeeds.
    pub(super) fn fetch(&self, request: RequestBuilder) -> Result<Answer, CliError> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = self.runtime.block_on(async {
            let response = request.send().await?;
            let (status, url) = (response.status(), response.url().to_string());
            let body = response.bytes().await?;
            Ok::<_, reqwest::Error>(Answer { url, status, body })
        });
        let answer = answer.map_err(|error| {
            CliError::outside(format!("{} does not answer: {error}", self.address))
        })?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        let problem: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        let detail = problem["detail"].as_str().or(problem["title"].as_str());
        let Some(detail) = detail.map(str::to_owned) else {
            return Err(no_daemon(&answer));
        };
        if detail == TOKEN_NEEDED {
            let problem = match &self.token {
                Some(_) => "takes another token than this one",
                None => "asks for a token",
            };
            let problem = format!("the daemon at {} {problem}", self.address);
            return Err(CliError::usage(problem).hint("give it with --token or in WEIR_TOKEN"));
        }
        Err(if answer.status.is_client_error() {
            CliError::usage(detail)
        } else {
            CliError::outside(detail)
        })
    }
}

/// What to say of an answer that no daemon gives: a proxy's page, or another server's word, is none,
/// and not even an empty one.
fn no_daemon(answer: &Answer) -> CliError {
    /// Enough to see what came.
    const SHOWN: usize = 60;
    let text = String::from_utf8_lossy(&answer.body);
    let text = on_one_line(text.trim());
    let came = match text.chars().nth(SHOWN) {
        _ if text.is_empty() => "nothing".to_owned(),
        None => format!("`{text}`"),
        Some(_) => format!("`{}…`", text.chars().take(SHOWN).collect::<String>()),
    };
    let Answer { url, status, .. } = answer;
    let (status, expected) = match status.is_success() {
        true => (String::new(), "JSON"),
        false => (format!("{status}, "), "with a problem and its detail"),
    };
    let problem = format!("{url} answers with {status}{came} where a daemon answers {expected}");
    CliError::outside(problem).hint(
        "look into what stands before the daemon there, a proxy or a login page, or name the daemon itself with `--server`",
    )
}
