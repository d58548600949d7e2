//! Where a command finds its answers: a running daemon, or the data directory of a stopped one.

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use serde_json::Value;
use weir_schema::Received;

use super::CliError;
use crate::{
    backtest::Report,
    daemon::ADDRESS_FILE,
    http::{Asked, EventFilter, Query, QueryError},
    node::Ledger,
    query,
};

/// How often a daemon is asked how far it is.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Where the log is, or the daemon that has it.
#[derive(Debug, Clone, Args)]
pub struct Access {
    /// Address of a running daemon, as `http://127.0.0.1:8470`.
    #[arg(long, value_name = "URL", env = "WEIR_SERVER")]
    server: Option<String>,
    /// Token for it.
    #[arg(long, value_name = "TOKEN", env = "WEIR_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Data directory; a daemon that runs on it is asked instead.
    #[arg(
        long,
        value_name = "DIR",
        env = "WEIR_DATA",
        default_value = "weir-data"
    )]
    data: PathBuf,
}

/// An opened access.
pub enum Source {
    /// A daemon answers.
    Daemon(Daemon),
    /// The log of a stopped one answers.
    Log(Box<Ledger>),
}

/// A running daemon.
pub struct Daemon {
    address: String,
    token: Option<String>,
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
}

impl Access {
    /// Finds the daemon, or opens the log.
    ///
    /// # Errors
    /// If there is neither.
    pub fn open(&self) -> Result<Source, CliError> {
        match self.daemon()? {
            Some(daemon) => Ok(Source::Daemon(daemon)),
            None => self.log().map(|ledger| Source::Log(Box::new(ledger))),
        }
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> &PathBuf {
        &self.data
    }

    fn daemon(&self) -> Result<Option<Daemon>, CliError> {
        let noted = fs::read_to_string(self.data.join(ADDRESS_FILE)).ok();
        let Some(address) = self
            .server
            .clone()
            .or(noted.map(|text| text.trim().to_owned()))
        else {
            return Ok(None);
        };
        crate::oci::install_crypto_provider();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(CliError::outside)?;
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .build()
            .map_err(CliError::outside)?;
        let daemon = Daemon {
            address: address.trim_end_matches('/').to_owned(),
            token: self.token.clone(),
            runtime,
            http,
        };
        let alive = daemon
            .runtime
            .block_on(
                daemon
                    .http
                    .get(format!("{}/healthz", daemon.address))
                    .send(),
            )
            .is_ok();
        match (&self.server, alive) {
            (_, true) => Ok(Some(daemon)),
            (Some(server), false) => Err(CliError::outside(format!("no daemon answers at {server}"))
                .hint("start it with `weir run`, or leave out --server to read the data directory of a stopped one")),
            // A daemon that was killed leaves its note behind.
            (None, false) => Ok(None),
        }
    }

    /// The daemon, where one runs.
    ///
    /// # Errors
    /// If one was named and does not answer.
    pub fn if_running(&self) -> Result<Option<Daemon>, CliError> {
        self.daemon()
    }

    /// The daemon, where only a running one will do.
    ///
    /// # Errors
    /// If none runs.
    pub fn running(&self) -> Result<Daemon, CliError> {
        self.daemon()?.ok_or_else(|| {
            CliError::outside(format!("no daemon runs on {}", self.data.display()))
                .hint("start it with `weir run`, or name it with --server")
        })
    }

    /// Opens the log of a stopped daemon for reading.
    ///
    /// # Errors
    /// If there is none, or it cannot be opened.
    pub fn log(&self) -> Result<Ledger, CliError> {
        if !self.data.exists() {
            return Err(CliError::outside(format!("there is no log in {}", self.data.display()))
                .hint("name the data directory with --data, a running daemon with --server, or start one with `weir run`"));
        }
        Ledger::open_to_read(&self.data).map_err(CliError::outside)
    }
}

impl Source {
    /// Asks a question.
    ///
    /// # Errors
    /// With exit code 2 for what makes no sense or does not exist, 3 for what failed outside.
    pub fn ask(&mut self, query: &Query) -> Result<Value, CliError> {
        match self {
            Self::Daemon(daemon) => daemon.get(&path(query)),
            Self::Log(ledger) => {
                query::answer(ledger.state(), &ledger.reader(), query).map_err(refused)
            }
        }
    }

    /// A page of records: the records, how far the log was looked through, and whether more wait.
    ///
    /// # Errors
    /// As [`Source::ask`].
    pub fn events(&mut self, filter: &EventFilter) -> Result<(Vec<Value>, u64, bool), CliError> {
        match self {
            Self::Daemon(daemon) => {
                let page = daemon.get(&format!("/v1/events?{}", parameters(filter)))?;
                let events = page["events"].as_array().cloned().unwrap_or_default();
                let through = page["through"].as_u64().unwrap_or(filter.after);
                Ok((events, through, !page["next"].is_null()))
            }
            Self::Log(ledger) => {
                let page = query::events(&ledger.reader(), filter).map_err(refused)?;
                Ok((
                    page.events.into_iter().map(|(_, event)| event).collect(),
                    page.through,
                    page.more,
                ))
            }
        }
    }
}

fn refused(error: QueryError) -> CliError {
    match error {
        QueryError::NotFound(_) | QueryError::Invalid(_) => CliError::usage(error),
        QueryError::Unavailable(_) => CliError::outside(error),
    }
}

impl Daemon {
    /// Publishes events; returns their sequences once they are durable.
    ///
    /// # Errors
    /// If the daemon refuses them or does not answer.
    pub fn publish(&self, events: &[Received]) -> Result<Value, CliError> {
        let bodies: Vec<&str> = events.iter().map(|event| event.json.as_str()).collect();
        let body = format!("[{}]", bodies.join(","));
        let request = self
            .http
            .post(format!("{}/v1/events", self.address))
            .header("content-type", "application/cloudevents-batch+json")
            .body(body);
        self.send(request)
    }

    /// Delivers a raw body to an adapter.
    ///
    /// # Errors
    /// If the daemon does not take it.
    pub fn deliver(
        &self,
        adapter: Option<&str>,
        source: Option<&str>,
        headers: &[(String, String)],
        body: Vec<u8>,
    ) -> Result<Value, CliError> {
        let mut address = format!("{}/v1/intake", self.address);
        if let Some(adapter) = adapter {
            address.push('/');
            address.push_str(adapter);
        }
        if let Some(source) = source {
            address.push('?');
            address.push_str(&encode([("source", source)].into_iter()));
        }
        let mut request = self.http.post(address).body(body);
        if !headers.iter().any(|(name, _)| name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.send(request)
    }

    /// Compares registries with the log; records what is found if `confirm`.
    ///
    /// # Errors
    /// If the daemon cannot.
    pub fn reconcile(&self, confirm: bool) -> Result<Value, CliError> {
        let address = format!("{}/v1/reconcile?confirm={confirm}", self.address);
        self.send(self.http.post(address))
    }

    /// Lets the daemon answer a backtest over its log. `progress` is told how much is folded.
    ///
    /// # Errors
    /// If the daemon refuses it, it fails, or the daemon does not answer.
    pub fn backtest(
        &self,
        asked: &Asked,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<Report, CliError> {
        let path = format!("{}/v1/backtests", self.address);
        let started = self.send(self.http.post(&path).json(asked))?;
        let path = format!("{path}/{}", started["id"]);
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        loop {
            let mut answer = self.send(self.http.get(&path))?;
            match answer["state"].as_str() {
                Some("running") => {
                    progress(number(&answer["done"]), number(&answer["of"]));
                    std::thread::sleep(BETWEEN_LOOKS);
                }
                Some("done") => {
                    self.send(self.http.delete(&path))?;
                    return serde_json::from_value(answer["report"].take()).map_err(|error| {
                        CliError::outside(format!("the daemon's answer: {error}"))
                    });
                }
                _ => {
                    let problem = answer["problem"].as_str().unwrap_or("no reason given");
                    return Err(CliError::outside(problem));
                }
            }
        }
    }

    fn get(&self, path: &str) -> Result<Value, CliError> {
        self.send(self.http.get(format!("{}{path}", self.address)))
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, CliError> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = self.runtime.block_on(async {
            let response = request.send().await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.bytes().await?))
        });
        let (status, body) = answer.map_err(|error| {
            CliError::outside(format!("{} does not answer: {error}", self.address))
        })?;
        let value: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(value);
        }
        let detail = value["detail"]
            .as_str()
            .or(value["title"].as_str())
            .unwrap_or("no reason given")
            .to_owned();
        Err(if status.is_client_error() {
            CliError::usage(detail)
        } else {
            CliError::outside(detail)
        })
    }
}

fn path(query: &Query) -> String {
    let with = |path: &str, pairs: &[(&str, Option<&str>)]| {
        let pairs = pairs
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)));
        format!("{path}?{}", encode(pairs))
    };
    match query {
        Query::Tags { repository } => with("/v1/tags", &[("repository", repository.as_deref())]),
        Query::Repositories => "/v1/repositories".to_owned(),
        Query::Why {
            repository,
            tag,
            rule,
            at,
        } => with(
            "/v1/why",
            &[
                ("repository", Some(repository)),
                ("tag", Some(tag)),
                ("rule", rule.as_deref()),
                ("at", at.as_deref()),
            ],
        ),
        Query::Eval {
            expression,
            repository,
            tag,
            rule,
            at,
        } => with(
            "/v1/eval",
            &[
                ("expression", Some(expression)),
                ("repository", Some(repository)),
                ("tag", Some(tag)),
                ("rule", rule.as_deref()),
                ("at", at.as_deref()),
            ],
        ),
        Query::Show {
            repository,
            tag,
            at,
        } => with(
            "/v1/show",
            &[
                ("repository", Some(repository)),
                ("tag", tag.as_deref()),
                ("at", at.as_deref()),
            ],
        ),
        Query::Decisions(filter) => format!("/v1/decisions?{}", parameters(filter)),
        Query::Promotions(filter) => format!("/v1/promotions?{}", parameters(filter)),
        Query::Rules => "/v1/rules".to_owned(),
        Query::Status => "/v1/status".to_owned(),
    }
}

fn parameters(filter: &EventFilter) -> String {
    let (after, limit) = (filter.after.to_string(), filter.limit.to_string());
    let pairs = [
        ("after", Some(after.as_str())),
        ("limit", (filter.limit > 0).then_some(limit.as_str())),
        ("type", filter.kind.as_deref()),
        ("repository", filter.repository.as_deref()),
        ("tag", filter.tag.as_deref()),
        ("digest", filter.digest.as_deref()),
        ("actor", filter.actor.as_deref()),
        ("rule", filter.rule.as_deref()),
        ("since", filter.since.as_deref()),
        ("until", filter.until.as_deref()),
        ("where", filter.expression.as_deref()),
    ];
    encode(
        pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    )
}

fn encode<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut url = reqwest::Url::parse("http://weir/").expect("a fixed address");
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}
