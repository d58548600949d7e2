//! The HTTP edge over real sockets, with an engine that only remembers what it was told.

use std::{
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{oneshot, watch};
use weir_engine::{
    backtest::{Question, jobs::Standing},
    http::{Accepted, Backend, Delivery, HttpConfig, IntakeError, Server},
    query::{EventFilter, EventPage, Logged, Query, QueryError},
    secret::Secret,
};
use weir_schema::Received;

/// An engine that remembers deliveries and shows published events as its log.
#[derive(Clone)]
struct Fake {
    deliveries: Arc<Mutex<Vec<Delivery>>>,
    log: Arc<watch::Sender<Vec<Value>>>,
    down: Arc<Mutex<bool>>,
}

impl Fake {
    fn append(&self, event: Value) -> Accepted {
        self.log.send_modify(|log| log.push(event));
        Accepted {
            sequence: self.log.borrow().len() as u64,
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
        })
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
                json: serde_json::value::to_raw_value(event).unwrap(),
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
struct Running {
    url: String,
    client: Client,
    fake: Fake,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

async fn start(change: impl FnOnce(&mut HttpConfig)) -> Running {
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
    async fn get(&self, path: &str) -> Response {
        self.client
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap()
    }

    async fn post(
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

async fn problem(response: Response, status: u16, cause: &str) {
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

fn tick(id: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"{id}","source":"test","type":"weir.clock.ticked"}}"#)
}

#[tokio::test]
async fn a_delivery_is_handed_over_as_it_came() {
    let server = start(|_| {}).await;
    for (path, adapter, source) in [
        ("/v1/intake/harbor?source=eu&x=1", Some("harbor"), "eu"),
        ("/v1/intake/harbor", Some("harbor"), "harbor"),
        ("/v1/intake", None, "unknown"),
    ] {
        let response = server
            .post(path, "application/json", &b"\xff not json"[..])
            .await;
        assert_eq!(response.status(), StatusCode::ACCEPTED);
        let delivery = server.fake.deliveries.lock().unwrap().pop().unwrap();
        assert_eq!(delivery.adapter.as_deref(), adapter);
        assert_eq!(delivery.source, source);
        assert_eq!(&delivery.body[..], b"\xff not json");
        let content_type = ("content-type".to_owned(), "application/json".to_owned());
        assert!(delivery.headers.contains(&content_type));
    }
}

#[tokio::test]
async fn a_delivery_of_10_mb_is_taken_and_an_absurd_one_is_not() {
    let server = start(|_| {}).await;
    let response = server
        .post("/v1/intake/trivy", "application/json", vec![b' '; 10 << 20])
        .await;
    assert_eq!(response.status(), StatusCode::ACCEPTED);
    let response = server
        .post(
            "/v1/intake/trivy",
            "application/json",
            vec![b' '; (32 << 20) + 1],
        )
        .await;
    problem(response, 413, "larger than 33554432 bytes").await;
}

#[tokio::test]
async fn what_cannot_be_made_durable_is_to_be_sent_again() {
    let server = start(|_| {}).await;
    *server.fake.down.lock().unwrap() = true;
    let response = server
        .post("/v1/intake/harbor", "application/json", "{}")
        .await;
    assert_eq!(response.headers()["retry-after"], "7");
    problem(response, 503, "cannot make the delivery durable").await;
    problem(server.get("/readyz").await, 503, "no connection to NATS").await;
    assert_eq!(server.get("/healthz").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn events_of_operators_are_taken_one_many_or_binary() {
    let server = start(|_| {}).await;
    let kind = "application/cloudevents+json";
    let one: Value = server
        .post("/v1/events", kind, tick("1"))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(one, json!({"sequence": 1}));
    let body = format!("[{},{}]", tick("2"), tick("3"));
    let kind = "application/cloudevents-batch+json; charset=utf-8";
    let many: Value = server
        .post("/v1/events", kind, body)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(many, json!({"sequences": [2, 3]}));
    let mut request = server.client.post(format!("{}/v1/events", server.url));
    for (name, value) in [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "4"),
        ("ce-source", "/the%20test"),
        ("ce-type", "acme.thing"),
    ] {
        request = request.header(name, value);
    }
    let binary: Value = request
        .body(r#"{"a":1}"#)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(binary, json!({"sequence": 4}));
    let taken = server.fake.log.borrow()[3].clone();
    assert_eq!(taken["data"], json!({"a": 1}));
    // CloudEvents HTTP binding, 3.1.3.2: values are percent-encoded.
    assert_eq!(taken["source"], "/the test");
}

#[tokio::test]
async fn events_that_are_none_are_refused_whole() {
    let server = start(|_| {}).await;
    let kind = "application/json";
    problem(
        server.post("/v1/events", kind, "{").await,
        400,
        "not a CloudEvent",
    )
    .await;
    let body = format!("[{},{{}}]", tick("1"));
    problem(
        server.post("/v1/events", kind, body).await,
        400,
        "event 1 of the batch",
    )
    .await;
    problem(
        server.post("/v1/events", "text/plain", tick("1")).await,
        400,
        "`text/plain`",
    )
    .await;
    assert!(server.fake.log.borrow().is_empty());
}

#[tokio::test]
async fn conclusions_of_the_engine_cannot_be_sent() {
    let server = start(|_| {}).await;
    let body = r#"{"specversion":"1.0","id":"1","source":"s","type":"weir.promotion.completed",
        "data":{"promotion_id":"p","rule":"r",
        "source":{"repository":"a","tag":"1","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        "target":{"repository":"b","tag":"1"}}}"#;
    let response = server.post("/v1/events", "application/json", body).await;
    problem(response, 403, "nobody sends it").await;
}

#[tokio::test]
async fn events_come_in_pages() {
    let server = start(|_| {}).await;
    let body = format!("[{},{},{}]", tick("1"), tick("2"), tick("3"));
    server.post("/v1/events", "application/json", body).await;
    let page: Value = server.get("/v1/events?limit=2").await.json().await.unwrap();
    assert_eq!(
        (&page["next"], &page["through"]),
        (&"past-2".into(), &2.into())
    );
    assert_eq!(page["events"][1]["id"], "2");
    let path = "/v1/events?cursor=past-2&limit=2";
    let page: Value = server.get(path).await.json().await.unwrap();
    assert_eq!(page["events"][0]["id"], "3");
    let page: Value = server.get("/v1/events?after=2").await.json().await.unwrap();
    assert_eq!(
        (&page["next"], page["events"].as_array().unwrap().len()),
        (&Value::Null, 1)
    );
}

#[tokio::test]
async fn questions_that_make_no_sense_are_told_what_is_wrong() {
    let server = start(|_| {}).await;
    problem(server.get("/v1/events?limit=0").await, 400, "`limit` is 0").await;
    problem(
        server.get("/v1/events?repositry=a").await,
        400,
        "no parameter `repositry`; did you mean `repository`?",
    )
    .await;
    for (path, cause) in [
        ("/v1/events?after=x", "`after` is `x`"),
        (
            "/v1/events?seq=1",
            "there is no parameter `seq`; it takes `type`, `repository`, ",
        ),
        ("/v1/events?order=up", "`newest` or `oldest`"),
        ("/v1/events?follow=maybe", "`true` or `false`"),
        ("/v1/events?follow=true&order=newest", "goes forward"),
        (
            "/v1/overrides?soon=1d",
            "there is no parameter `soon`; it takes `expiring` or `at`",
        ),
        ("/v1/lineage", "the parameter `digest` is missing"),
    ] {
        problem(server.get(path).await, 400, cause).await;
    }
    problem(
        server.get("/v1/events?where=(").await,
        400,
        "1:2: unexpected end",
    )
    .await;
    problem(
        server.get("/v1/events?where=(&follow=true").await,
        400,
        "1:2",
    )
    .await;
    problem(
        server.get("/v1/why?tag=1").await,
        400,
        "the parameter `repository` is missing",
    )
    .await;
    problem(
        server.get("/v1/why?repository=gone&tag=1").await,
        404,
        "no such repository",
    )
    .await;
    problem(server.get("/v1/nothing").await, 404, "nothing here").await;
    problem(
        server.post("/v1/rules", "application/json", "").await,
        405,
        "method",
    )
    .await;
}

#[tokio::test]
async fn queries_reach_the_engine() {
    let server = start(|_| {}).await;
    for (path, expected) in [
        (
            "/v1/tags",
            "Tags { repository: None, at: None, part: Part { after: None, limit: Some(1000) } }",
        ),
        (
            "/v1/tags?repository=dev%2F*&at=7d&limit=2&after=dev%2Fweb:1",
            r#"Tags { repository: Some("dev/*"), at: Some("7d"), part: Part { after: Some("dev/web:1"), limit: Some(2) } }"#,
        ),
        (
            "/v1/repositories?after=dev%2Fweb",
            r#"Repositories(Part { after: Some("dev/web"), limit: Some(1000) })"#,
        ),
        ("/v1/rules", "Rules"),
        (
            "/v1/show?repository=a%2Fb&tag=1",
            r#"Show { repository: "a/b", tag: Some("1"), at: None }"#,
        ),
        (
            "/v1/why?repository=a&tag=1&rule=r&at=5",
            r#"Why { repository: "a", tag: "1", rule: Some("r"), at: Some("5") }"#,
        ),
        (
            "/v1/eval?expression=scan.high%20%3D%3D%200&repository=a&tag=1",
            r#"Eval { expression: "scan.high == 0", repository: "a", tag: "1", rule: None, at: None }"#,
        ),
        (
            "/v1/history?repository=a%2Fb&tag=1&at=5",
            r#"History { repository: "a/b", tag: "1", at: Some("5") }"#,
        ),
        (
            "/v1/lineage?digest=sha256:0123456789",
            r#"Lineage { digest: "sha256:0123456789", at: None }"#,
        ),
        (
            "/v1/impact?vulnerability=CVE-1&at=2026-08-21",
            r#"Impact { vulnerability: "CVE-1", at: Some("2026-08-21") }"#,
        ),
        (
            "/v1/overrides?expiring=14d",
            r#"Overrides { expiring: Some("14d"), at: None }"#,
        ),
        (
            "/v1/events?count=true&actor=me",
            "Count(EventFilter { after: 0",
        ),
        (
            "/v1/events?by=actor&type=a&type=b",
            "Groups { filter: EventFilter { after: 0",
        ),
        ("/v1/decisions?rule=r", "Decisions(EventFilter"),
        (
            "/v1/promotions?repository=a&repository=b%2F*&tag=1&digest=sha256:01234567&rule=r",
            r#"Promotions(PromotionFilter { repositories: ["a", "b/*"], tags: ["1"], digests: ["sha256:01234567"], rules: ["r"] })"#,
        ),
    ] {
        let answer: Value = server.get(path).await.json().await.unwrap();
        assert!(
            answer.as_str().unwrap().starts_with(expected),
            "{path}: {answer}"
        );
    }
}

#[tokio::test]
async fn what_an_answer_cannot_be_narrowed_by_is_refused_by_name() {
    let server = start(|_| {}).await;
    for (path, expected) in [
        (
            "/v1/promotions?verdict=block&rule=r&limit=3",
            "cannot be filtered by `verdict`, `limit`, only by `repository`",
        ),
        ("/v1/decisions?count=true&rule=r", "which `count` cannot"),
        (
            "/v1/decisions?by=actor&follow=true&type=tag.deleted",
            "which `by`, `follow`, `type` cannot",
        ),
        ("/v1/decisions?repositry=a", "did you mean `repository`?"),
    ] {
        problem(server.get(path).await, 400, expected).await;
    }
}

/// Reads server-sent events until there are `count` ids.
async fn followed(response: &mut Response, count: usize) -> Vec<String> {
    let mut text = String::new();
    let read = async {
        while text.matches("\n\n").count() < count {
            let chunk = response.chunk().await.unwrap().expect("more events");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
    };
    tokio::time::timeout(Duration::from_secs(10), read)
        .await
        .expect("events in time");
    let ids = text.lines().filter_map(|line| line.strip_prefix("id: "));
    ids.map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn events_are_followed_live_and_from_where_a_reader_was() {
    let server = start(|_| {}).await;
    let body = format!("[{},{}]", tick("1"), tick("2"));
    server.post("/v1/events", "application/json", body).await;
    let mut response = server.get("/v1/events?follow=true&after=1").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(followed(&mut response, 1).await, ["2"]);
    server
        .post("/v1/events", "application/json", tick("3"))
        .await;
    assert_eq!(followed(&mut response, 1).await, ["3"]);
    let url = format!("{}/v1/events?follow=true", server.url);
    let mut again = server
        .client
        .get(url)
        .header("last-event-id", "1")
        .send()
        .await
        .unwrap();
    assert_eq!(followed(&mut again, 2).await, ["2", "3"]);
}

#[tokio::test]
async fn the_end_of_the_server_ends_readers_that_follow() {
    let mut server = start(|_| {}).await;
    let mut response = server.get("/v1/events?follow=true").await;
    server.stop.take().unwrap().send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(5), async {
        while response.chunk().await.unwrap().is_some() {}
        server.task.await.unwrap();
    })
    .await
    .expect("the server ends soon");
}

#[tokio::test]
async fn with_a_token_nothing_but_health_is_open() {
    let server = start(|config| {
        config.token = Some(Secret::new("main"));
        config.intake_token = Some(Secret::new("hook"));
    })
    .await;
    assert_eq!(server.get("/healthz").await.status(), StatusCode::OK);
    assert_eq!(server.get("/readyz").await.status(), StatusCode::OK);
    for path in ["/v1/events", "/metrics", "/v1/rules", "/nothing"] {
        problem(server.get(path).await, 401, "a token is needed").await;
    }
    let refused = server
        .post("/v1/intake/harbor", "application/json", "{}")
        .await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(server.fake.deliveries.lock().unwrap().is_empty());
    let check = async |path: &str, token: &str, status: StatusCode| {
        let request = server.client.post(format!("{}{path}", server.url));
        let request = request
            .header("content-type", "application/json")
            .bearer_auth(token);
        assert_eq!(
            request.body(tick("1")).send().await.unwrap().status(),
            status,
            "{path} {token}"
        );
    };
    check("/v1/intake/harbor", "hook", StatusCode::ACCEPTED).await;
    check("/v1/intake/harbor", "main", StatusCode::ACCEPTED).await;
    check("/v1/events", "main", StatusCode::OK).await;
    check("/v1/events", "hook", StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn listening_for_others_without_a_token_is_refused() {
    let config = HttpConfig {
        listen: "0.0.0.0:0".into(),
        ..HttpConfig::default()
    };
    let error = Server::bind(&config).await.err().unwrap().to_string();
    assert!(error.contains("without authentication"), "{error}");
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let server = start(|_| {}).await;
    server.get("/v1/rules").await;
    server.get("/invented/by/a/caller").await;
    let text = server.get("/metrics").await.text().await.unwrap();
    for line in [
        r#"weir_http_requests_total{route="/v1/rules",status="200"} 1"#,
        r#"weir_http_requests_total{route="other",status="404"} 1"#,
        "weir_log_records 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{text}");
    }
}

#[tokio::test]
async fn all_that_is_described_is_there_and_takes_what_the_description_says() {
    let server = start(|_| {}).await;
    let description = server.get("/v1/openapi.json").await;
    let description: Value = description.json().await.unwrap();
    assert_eq!(description["openapi"], "3.1.0");
    let paths = description["paths"].as_object().unwrap();
    for (path, operations) in paths {
        let address = path.replace("{adapter}", "trivy").replace("{id}", "1");
        for (method, operation) in operations.as_object().unwrap() {
            let of_query = |parameter: &&Value| parameter["in"] == "query";
            let parameters = operation["parameters"].as_array().unwrap().iter();
            let parameters: Vec<&Value> = parameters.filter(of_query).collect();
            let ask = async |left_out: &str, more: &[(&str, &str)]| {
                let given = parameters.iter().filter(|one| one["name"] != left_out);
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                let query: Vec<(String, String)> = given
                    .map(|one| (text(&one["name"]), text(&one["example"])))
                    .chain(more.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())))
                    .collect();
                let method = method.to_uppercase().parse().unwrap();
                let url = format!("{}{address}", server.url);
                let url = reqwest::Url::parse_with_params(&url, &query).unwrap();
                let request = server.client.request(method, url);
                let response = request.body("{}").send().await.unwrap();
                let status = response.status().as_u16();
                (status, response.text().await.unwrap())
            };
            let (status, text) = ask("", &[]).await;
            assert!(status != 405, "{method} {path}");
            assert!(!text.contains("there is nothing here"), "{method} {path}");
            if method != "get" {
                continue;
            }
            assert!(status != 400, "{path}: {text}");
            for parameter in parameters.iter().filter(|one| one["required"] == true) {
                let name = parameter["name"].as_str().unwrap();
                assert_eq!(ask(name, &[]).await.0, 400, "{path} without {name}");
            }
            if path.starts_with("/v1/") && !parameters.is_empty() {
                let (status, text) = ask("", &[("invented", "1")]).await;
                assert_eq!(status, 400, "{path}: {text}");
            }
        }
    }
}

/// Whoever connects, says only this and waits, is cut off, however many there are.
async fn connections_end_and_leave_room(says: &[u8]) {
    let server = start(|_| {}).await;
    let address = server.url.trim_start_matches("http://").to_owned();
    let mut silent = Vec::new();
    for _ in 0..600 {
        let mut connection = tokio::net::TcpStream::connect(&address).await.unwrap();
        connection.write_all(says).await.unwrap();
        silent.push(connection);
    }
    // As long as a connection may be silent, and a little more.
    let patience = Duration::from_secs(50);
    let answer = tokio::time::timeout(patience, server.get("/healthz")).await;
    assert_eq!(answer.expect("there is no room").status(), 200);
    // It is told that it took too long, or just ended.
    let mut left = Vec::new();
    let read = tokio::time::timeout(patience, silent[0].read_to_end(&mut left)).await;
    assert!(read.is_ok(), "it is still open");
}

#[tokio::test]
async fn connections_that_say_nothing_end_and_leave_room_for_others() {
    connections_end_and_leave_room(b"").await;
}

#[tokio::test]
async fn connections_that_begin_a_request_end_and_leave_room_for_others() {
    let half = b"GET /v1/status HTTP/1.1\r\nhost: weir\r\nx-slow: ";
    connections_end_and_leave_room(half).await;
}

#[tokio::test]
async fn connections_that_want_http2_end_and_leave_room_for_others() {
    connections_end_and_leave_room(b"PRI * HT").await;
    connections_end_and_leave_room(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
}
