//! Where a command finds its answers: a running daemon, or the data directory of a stopped one.

use std::{fs, path::PathBuf, time::Duration};

use clap::Args;
use serde_json::Value;
use weir_schema::Received;

use super::{CliError, on_one_line};
use crate::{
    backtest::Report,
    daemon::ADDRESS_FILE,
    http::Asked,
    log::{Log, index::Index, is_open},
    node::{Ledger, last_state, open_log_to_read},
    query::{self, EventFilter, Part, Query, QueryError, Undecided},
};

/// How often a daemon is asked how far it is.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// How much of a list a daemon is asked for at once.
const DAEMON_PAGE: usize = 1000;

/// Where the log is.
#[derive(Debug, Clone, Args)]
pub struct Directory {
    /// Data directory [env: WEIR_DATA] [default: weir-data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

impl Directory {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        let given = self.data.clone();
        let given = given.or_else(|| variable("WEIR_DATA").map(PathBuf::from));
        given.unwrap_or_else(|| PathBuf::from("weir-data"))
    }
}

/// Where the log is, or the daemon that has it: a daemon that runs on the directory is asked.
#[derive(Debug, Clone, Args)]
pub struct Access {
    /// Address of a running daemon, as `http://127.0.0.1:8470`; goes before --data
    /// [env: WEIR_SERVER, unless there is --data].
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// Token for it.
    #[arg(long, value_name = "TOKEN", env = "WEIR_TOKEN", hide_env_values = true)]
    token: Option<String>,
    #[command(flatten)]
    directory: Directory,
}

/// A variable of the environment that says something.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// An opened access.
pub enum Source {
    /// A daemon answers.
    Daemon(Daemon),
    /// The log of a stopped one answers.
    Log(Box<Stopped>),
}

/// The log of a stopped daemon, opened for reading.
pub struct Stopped {
    index: Index,
    /// Keeps the log locked.
    _log: Log,
}

/// A page of records, as text.
pub struct Page {
    /// The records.
    pub events: Vec<String>,
    /// The log was looked through up to and including this record.
    pub through: u64,
    /// The cursor of the next page.
    pub next: Option<String>,
    /// Records left out because `--where` errs for them.
    pub undecided: Option<Undecided>,
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
            None => {
                self.there_is_a_log()?;
                let log = open_log_to_read(&self.directory.path()).map_err(CliError::outside)?;
                let index = Index::open(log.reader());
                Ok(Source::Log(Box::new(Stopped { index, _log: log })))
            }
        }
    }

    /// Where the log is, for what reads it itself.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// The daemon that is named. A directory on the command line is what is meant, whatever a
    /// variable says.
    fn server(&self) -> Option<String> {
        let given = self.server.clone().filter(|server| !server.is_empty());
        given.or_else(|| match self.directory.data {
            Some(_) => None,
            None => variable("WEIR_SERVER"),
        })
    }

    fn daemon(&self) -> Result<Option<Daemon>, CliError> {
        // The note of a daemon that was killed, or one that was copied with the directory, may lead to
        // another daemon: only one that has this log open is asked.
        let noted = || {
            let data = self.directory.path();
            let noted = fs::read_to_string(data.join(ADDRESS_FILE)).ok()?;
            is_open(&data).then(|| noted.trim().to_owned())
        };
        let named = self.server();
        let Some(address) = named.clone().or_else(noted) else {
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
        match (&named, alive) {
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
            CliError::outside(format!(
                "no daemon runs on {}",
                self.directory.path().display()
            ))
            .hint("start it with `weir run`, or name it with --server")
        })
    }

    /// The daemon, for what is asked before it is told something: a log that is open here would be
    /// taken for one that a daemon has open.
    ///
    /// # Errors
    /// As [`Self::running`].
    pub fn open_running(&self) -> Result<Source, CliError> {
        self.running().map(Source::Daemon)
    }

    /// Opens the log of a stopped daemon for reading.
    ///
    /// # Errors
    /// If there is none, or it cannot be opened.
    pub fn log(&self) -> Result<Ledger, CliError> {
        self.there_is_a_log()?;
        Ledger::open_to_read(&self.directory.path()).map_err(CliError::outside)
    }

    fn there_is_a_log(&self) -> Result<(), CliError> {
        let data = self.directory.path();
        if data.exists() {
            return Ok(());
        }
        Err(CliError::outside(format!("there is no log in {}", data.display()))
            .hint("name the data directory with --data, a running daemon with --server, or start one with `weir run`"))
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
            Self::Log(stopped) => stopped.ask(query).map_err(refused),
        }
    }

    /// All tags, of the repositories that match if there is a pattern, as a list.
    ///
    /// # Errors
    /// As [`Source::ask`].
    pub fn tags(
        &mut self,
        repository: Option<&str>,
        at: Option<&str>,
    ) -> Result<Vec<Value>, CliError> {
        let mut all = Vec::new();
        // A daemon gives a page at a time, a log all there are.
        let mut part = Part {
            after: None,
            limit: matches!(self, Self::Daemon(_)).then_some(DAEMON_PAGE),
        };
        loop {
            let answer = self.ask(&Query::Tags {
                repository: repository.map(str::to_owned),
                at: at.map(str::to_owned),
                part: part.clone(),
            })?;
            let Value::Array(page) = answer else {
                return Ok(all);
            };
            let is_full = part.limit == Some(page.len());
            all.extend(page);
            match all.last() {
                Some(last) if is_full => {
                    let text = |name| last[name].as_str().unwrap_or_default();
                    part.after = Some(format!("{}:{}", text("repository"), text("tag")));
                }
                _ => return Ok(all),
            }
        }
    }

    /// A page of records.
    ///
    /// # Errors
    /// As [`Source::ask`].
    pub fn events(&mut self, filter: &EventFilter) -> Result<Page, CliError> {
        match self {
            Self::Daemon(daemon) => daemon.events(filter),
            Self::Log(stopped) => {
                let page = query::events(&stopped.index, filter).map_err(refused)?;
                let events = page.events.into_iter();
                Ok(Page {
                    events: events
                        .map(|event| Box::<str>::from(event.json).into())
                        .collect(),
                    through: page.through,
                    next: page.next,
                    undecided: page.undecided,
                })
            }
        }
    }
}

impl Stopped {
    fn ask(&self, query: &Query) -> Result<Value, QueryError> {
        let last = self.index.reader().head().next_seq - 1;
        let mut query = query.clone();
        // One tag as it is: what the log says of it is enough, and the log may be long.
        match &mut query {
            Query::Why { at, .. }
            | Query::Show {
                tag: Some(_), at, ..
            } => {
                at.get_or_insert_with(|| last.to_string());
            }
            _ => {}
        }
        let answer = query::of_log(&self.index, &query, &query::Asker::default());
        if let Some(answer) = answer.map_err(|error| self.with_help(&query, error))? {
            return Ok(answer);
        }
        let state = last_state(self.index.reader());
        let state = state.map_err(|error| QueryError::Unavailable(error.to_string()))?;
        let said = query::of_state(&state, self.index.reader(), &query);
        let said = said.map_err(|error| self.with_help(&query, error))?;
        query::complete(&self.index, &query, said)
    }

    fn with_help(&self, query: &Query, error: QueryError) -> QueryError {
        query::suggest(&self.index, query, error)
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

    /// A page of records.
    ///
    /// # Errors
    /// If the daemon refuses the filter or does not answer.
    pub fn events(&self, filter: &EventFilter) -> Result<Page, CliError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            events: Vec<Box<serde_json::value::RawValue>>,
            through: u64,
            next: Option<String>,
            undecided: Option<Undecided>,
        }
        let body = self.get_text(&format!("/v1/events?{}", parameters(filter)))?;
        let page: Answer = serde_json::from_slice(&body).map_err(CliError::outside)?;
        let events = page.events.into_iter();
        Ok(Page {
            events: events.map(|event| Box::<str>::from(event).into()).collect(),
            through: page.through,
            next: page.next,
            undecided: page.undecided,
        })
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
                    self.fetch(self.http.delete(&path))?;
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

    fn get_text(&self, path: &str) -> Result<bytes::Bytes, CliError> {
        let answer = self.fetch(self.http.get(format!("{}{path}", self.address)))?;
        Ok(answer.body)
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Result<Value, CliError> {
        let answer = self.fetch(request)?;
        serde_json::from_slice(&answer.body).map_err(|_| no_daemon(&answer))
    }

    /// What a request is answered with if it succeeds.
    fn fetch(&self, request: reqwest::RequestBuilder) -> Result<Answer, CliError> {
        let request = match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let answer = self.runtime.block_on(async {
            let response = request.send().await?;
            let (status, url) = (response.status(), response.url().to_string());
            let body = response.bytes().await?;
            Ok::<_, reqwest::Error>((status, Answer { url, body }))
        });
        let (status, answer) = answer.map_err(|error| {
            CliError::outside(format!("{} does not answer: {error}", self.address))
        })?;
        if status.is_success() {
            return Ok(answer);
        }
        let value: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
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

/// An answer, and who gave it.
struct Answer {
    url: String,
    body: bytes::Bytes,
}

/// What to say of an answer that is not JSON: a proxy's page is no answer of a daemon, and not even
/// an empty one.
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
    let problem = format!(
        "{} answers with {came} where a daemon answers JSON",
        answer.url
    );
    CliError::outside(problem).hint(
        "look into what stands before the daemon there, a proxy or a login page, or name the daemon itself with `--server`",
    )
}

fn path(query: &Query) -> String {
    let with = |path: &str, pairs: &[(&str, Option<&str>)]| {
        let pairs = pairs
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)));
        format!("{path}?{}", encode(pairs))
    };
    match query {
        Query::Tags {
            repository,
            at,
            part,
        } => with(
            "/v1/tags",
            &[
                ("repository", repository.as_deref()),
                ("at", at.as_deref()),
                ("after", part.after.as_deref()),
                (
                    "limit",
                    part.limit.map(|limit| limit.to_string()).as_deref(),
                ),
            ],
        ),
        Query::Repositories(part) => with(
            "/v1/repositories",
            &[
                ("after", part.after.as_deref()),
                (
                    "limit",
                    part.limit.map(|limit| limit.to_string()).as_deref(),
                ),
            ],
        ),
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
        Query::History {
            repository,
            tag,
            at,
        } => with(
            "/v1/history",
            &[
                ("repository", Some(repository)),
                ("tag", Some(tag)),
                ("at", at.as_deref()),
            ],
        ),
        Query::Lineage { digest, at } => with(
            "/v1/lineage",
            &[("digest", Some(digest)), ("at", at.as_deref())],
        ),
        Query::Impact { vulnerability, at } => with(
            "/v1/impact",
            &[
                ("vulnerability", Some(vulnerability)),
                ("at", at.as_deref()),
            ],
        ),
        Query::Overrides { expiring, at } => with(
            "/v1/overrides",
            &[("expiring", expiring.as_deref()), ("at", at.as_deref())],
        ),
        Query::Count(filter) => format!("/v1/events?count=true&{}", parameters(filter)),
        Query::Groups { filter, by } => {
            format!(
                "{}&{}",
                with("/v1/events", &[("by", Some(by))]),
                parameters(filter)
            )
        }
        Query::Decisions(filter) => format!("/v1/decisions?{}", parameters(filter)),
        Query::Promotions(filter) => format!("/v1/promotions?{}", encode(filter.parameters())),
        Query::Rules => "/v1/rules".to_owned(),
        Query::Status => "/v1/status".to_owned(),
    }
}

fn parameters(filter: &EventFilter) -> String {
    let pairs = filter.parameters();
    encode(pairs.iter().map(|(name, value)| (*name, &**value)))
}

fn encode<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut url = reqwest::Url::parse("http://weir/").expect("a fixed address");
    url.query_pairs_mut().extend_pairs(pairs);
    url.query().unwrap_or_default().to_owned()
}
