//! A running daemon: what it can be asked, and told.

use std::time::Duration;

use serde_json::Value;
use weir_schema::Received;

use super::{
    Page, address,
    connection::{Connection, NoAnswer},
};
use crate::{
    backtest::Report,
    cli::CliError,
    http::Asked,
    query::{EventFilter, Undecided},
};

/// How often a daemon is asked how far it is.
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// A running daemon.
pub struct Daemon {
    connection: Connection,
}

impl Daemon {
    /// The daemon at an address, which may not be there.
    ///
    /// # Errors
    /// If that is no address, the token no token, or this process cannot make connections.
    pub(super) fn at(address: &str, token: Option<String>) -> Result<Self, CliError> {
        let connection = Connection::to(address, token)?;
        Ok(Self { connection })
    }

    /// Asks for any answer, whatever it says.
    pub(super) fn knock(&self) -> Result<(), NoAnswer> {
        self.connection.knock("/healthz")
    }

    /// What it answers to a path with its parameters.
    ///
    /// # Errors
    /// If the daemon refuses it or does not answer.
    pub(super) fn get(&self, path: &str) -> Result<Value, CliError> {
        self.connection.send(self.connection.get(path))
    }

    /// Publishes events; returns their sequences once they are durable.
    ///
    /// # Errors
    /// If the daemon refuses them or does not answer.
    pub fn publish(&self, events: &[Received]) -> Result<Value, CliError> {
        let bodies: Vec<&str> = events.iter().map(|event| event.json.as_str()).collect();
        let body = format!("[{}]", bodies.join(","));
        let request = self
            .connection
            .post("/v1/events")
            .header("content-type", "application/cloudevents-batch+json")
            .body(body);
        self.connection.send(request)
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
        let path = format!("/v1/events?{}", address::parameters(filter));
        let answer = self.connection.fetch(self.connection.get(&path))?;
        let page: Answer = serde_json::from_slice(&answer.body).map_err(CliError::outside)?;
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
        let mut path = "/v1/intake".to_owned();
        if let Some(adapter) = adapter {
            path.push('/');
            path.push_str(adapter);
        }
        if let Some(source) = source {
            path.push('?');
            path.push_str(&address::encode([("source", source)].into_iter()));
        }
        let mut request = self.connection.post(&path).body(body);
        if !headers.iter().any(|(name, _)| name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(name, value);
        }
        self.connection.send(request)
    }

    /// Compares registries with the log; records what is found if `confirm`.
    ///
    /// # Errors
    /// If the daemon cannot.
    pub fn reconcile(&self, confirm: bool) -> Result<Value, CliError> {
        let path = format!("/v1/reconcile?confirm={confirm}");
        self.connection.send(self.connection.post(&path))
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
        let connection = &self.connection;
        let started = connection.send(connection.post("/v1/backtests").json(asked))?;
        let path = format!("/v1/backtests/{}", started["id"]);
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        loop {
            let mut answer = self.get(&path)?;
            match answer["state"].as_str() {
                Some("running") => {
                    progress(number(&answer["done"]), number(&answer["of"]));
                    std::thread::sleep(BETWEEN_LOOKS);
                }
                Some("done") => {
                    connection.fetch(connection.delete(&path))?;
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
}
