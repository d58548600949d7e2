//! An engine that only remembers what it was told, and the server in front of it.

use std::{
    future::Future,
    sync::{Arc, Mutex},
};

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::sync::{oneshot, watch};
use weir_engine::{
    backtest::{Question, jobs::Standing},
    http::{Accepted, Backend, Delivery, HttpConfig, IntakeError, Server},
    query::{EventFilter, EventPage, Logged, Query, QueryError},
};
use weir_schema::Received;

#[derive(Clone)]
pub struct Fake {
    pub deliveries: Arc<Mutex<Vec<Delivery>>>,
    pub log: Arc<watch::Sender<Vec<Value>>>,
    pub down: Arc<Mutex<bool>>,
}

impl Fake {
    pub fn append(&self, event: Value) -> Accepted {
        self.log.send_modify(|log| log.push(event));
        Accepted {
            sequence: self.log.borrow().len() as u64,
            repeated: false,
        }
    }
}

impl Backend for Fake {
    async fn intake(&self, delivery: Delivery) -> Result<Accepted, IntakeError> {
        if *self.down.lock().unwrap() {
            let problem = "no acknowledgement".into();
            return Err(IntakeError::Unavailable {
                problem,
                retry_after_seconds: 7,
            });
        }
        let mut deliveries = self.deliveries.lock().unwrap();
        deliveries.push(delivery);
        Ok(Accepted {
            sequence: deliveries.len() as u64,
            repeated: false,
        })
    }

    fn may_waive(&self, source: &str) -> bool {
        source == "vexed"
    }

    async fn publish(&self, events: Vec<Received>) -> Result<Vec<Accepted>, IntakeError> {
        let append = |event: Received| self.append(serde_json::from_str(&event.json).unwrap());
        Ok(events.into_iter().map(append).collect())
    }

    async fn events(&self, filter: &EventFilter) -> Result<EventPage, QueryError> {
        if filter.expression.as_deref() == Some("(") {
            return Err(QueryError::Invalid("1:2: unexpected end".into()));
        }
        let log = self.log.borrow();
        let after = match &filter.cursor {
            Some(cursor) => cursor.strip_prefix("past-").unwrap().parse().unwrap(),
            None => filter.after,
        };
        let events: Vec<Logged> = (1..)
            .zip(log.iter())
            .filter(|(seq, _)| *seq > after)
            .take(filter.limit)
            .map(|(seq, event)| Logged {
                seq,
                json: event.to_string(),
            })
            .collect();
        let through = events.last().map_or(after, |event| event.seq);
        Ok(EventPage {
            events,
            through,
            next: (through < log.len() as u64).then(|| format!("past-{through}")),
            undecided: None,
        })
    }

    fn appended(&self, after: u64) -> impl Future<Output = ()> + Send {
        let mut log = self.log.subscribe();
        async move {
            log.wait_for(|log| log.len() as u64 > after).await.unwrap();
        }
    }

    async fn query(&self, query: Query) -> Result<Value, QueryError> {
        match query {
            Query::Why { repository, .. } if repository == "gone" => {
                Err(QueryError::NotFound("no such repository: `gone`".into()))
            }
            query => Ok(json!(format!("{query:?}"))),
        }
    }

    async fn reconcile(&self, confirm: bool) -> Result<Value, QueryError> {
        let problem = format!("no registry can be asked (confirm: {confirm})");
        Err(QueryError::Unavailable(problem))
    }

    async fn start_backtest(&self, _: Question) -> Result<u64, QueryError> {
        Err(QueryError::Unavailable("there is no log".into()))
    }

    fn backtest(&self, _: u64) -> Option<Standing> {
        None
    }

    async fn end_backtest(&self, _: u64) -> bool {
        false
    }

    async fn ready(&self) -> Result<(), String> {
        match *self.down.lock().unwrap() {
            true => Err("no connection to NATS".into()),
            false => Ok(()),
        }
    }

    async fn metrics(&self) -> String {
        format!("weir_log_records {}\n", self.log.borrow().len())
    }
}

/// A server on a port of its own, ended when dropped.
pub struct Running {
    pub url: String,
    pub client: Client,
    pub fake: Fake,
    pub stop: Option<oneshot::Sender<()>>,
    pub task: tokio::task::JoinHandle<()>,
}

pub async fn start(change: impl FnOnce(&mut HttpConfig)) -> Running {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = HttpConfig {
        listen: "127.0.0.1:0".into(),
        ..HttpConfig::default()
    };
    change(&mut config);
    let server = Server::bind(&config).await.unwrap();
    let url = format!("http://{}", server.address());
    let fake = Fake {
        deliveries: Arc::default(),
        log: Arc::new(watch::Sender::new(Vec::new())),
        down: Arc::default(),
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let backend = fake.clone();
    let task = tokio::spawn(async move {
        let stopped = async { drop(stopped.await) };
        server.serve(backend, stopped).await;
    });
    Running {
        url,
        client: Client::new(),
        fake,
        stop: Some(stop),
        task,
    }
}

impl Running {
    pub async fn get(&self, path: &str) -> Response {
        self.client
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap()
    }

    pub async fn post(
        &self,
        path: &str,
        content_type: &str,
        body: impl Into<reqwest::Body>,
    ) -> Response {
        self.client
            .post(format!("{}{path}", self.url))
            .header("content-type", content_type)
            .body(body)
            .send()
            .await
            .unwrap()
    }
}

pub async fn problem(response: Response, status: u16, cause: &str) {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["status"], status);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains(cause), "{detail}");
}

pub fn tick(id: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"{id}","source":"test","type":"weir.clock.ticked"}}"#)
}
