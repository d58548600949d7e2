//! Requests to a daemon and its answers, or why there are none.

use std::{error::Error, io, time::Duration};

use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, StatusCode, Url, header::HeaderValue};
use serde_json::Value;

use crate::{
    causes::{find, said},
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
        check_address(address)?;
        if let Some(token) = &token {
            check_token(token)?;
        }
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

    /// Asks for any answer, whatever it says. The token is not shown for it.
    pub(super) fn knock(&self, path: &str) -> Result<(), NoAnswer> {
        let answer = self.runtime.block_on(self.get(path).send());
        answer.map(drop).map_err(|error| NoAnswer {
            nobody_listens: find(&error, refused).is_some(),
            why: said(&error.without_url()),
        })
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
            let why = said(&error.without_url());
            CliError::outside(format!("{} does not answer: {why}", self.address))
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

/// Why nobody answers.
pub(super) struct NoAnswer {
    pub(super) why: String,
    /// The machine is there, and nothing listens at the port.
    pub(super) nobody_listens: bool,
}

fn refused(cause: &(dyn Error + 'static)) -> Option<()> {
    let io = cause.downcast_ref::<io::Error>()?;
    (io.kind() == io::ErrorKind::ConnectionRefused).then_some(())
}

/// Refuses what is no address of a daemon.
fn check_address(address: &str) -> Result<(), CliError> {
    let url = Url::parse(address).ok();
    match url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
        true => Ok(()),
        false => Err(CliError::usage(format!(
            "`{}` is not the address of a daemon",
            on_one_line(address)
        ))
        .hint("give it with its scheme, as in `http://127.0.0.1:8080`")),
    }
}

/// Refuses a token that no header can hold.
fn check_token(token: &str) -> Result<(), CliError> {
    match HeaderValue::from_str(token) {
        Ok(_) => Ok(()),
        Err(_) => Err(
            CliError::usage("the token has a line break, or another character that none has")
                .hint("look at --token and WEIR_TOKEN: a token is one line of plain letters, digits and signs"),
        ),
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
