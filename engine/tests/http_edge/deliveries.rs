//! What registries and operators send: taken as it came, or refused whole.

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::fake::{problem, start, tick};

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
async fn what_has_fields_is_no_array_of_their_values() {
    let server = start(|_| {}).await;
    let kind = "application/json";
    for body in [
        r#"[["1.0","i1","/s","acme.x"]]"#,
        r#"[{"specversion":"1.0","id":"i1","source":"/s","type":"weir.hold.released","data":["h","ann"]}]"#,
    ] {
        let response = server.post("/v1/events", kind, body).await;
        problem(response, 400, "invalid type: sequence").await;
    }
    for body in [r#"[[["a.cel","true"]]]"#, r#"{"rules":[["a.cel","true"]]}"#] {
        let response = server.post("/v1/backtests", kind, body).await;
        problem(response, 400, "invalid type: sequence").await;
    }
    assert!(server.fake.log.borrow().is_empty());
}

#[tokio::test]
async fn an_event_in_binary_mode_says_each_thing_once() {
    let server = start(|_| {}).await;
    let send = async |more: (&str, &[u8]), body: &str| {
        let mut request = server.client.post(format!("{}/v1/events", server.url));
        for (name, value) in [
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", "1"),
            ("ce-source", "s"),
            ("ce-type", "weir.tag.deleted"),
        ] {
            request = request.header(name, value);
        }
        let request = request.header(more.0, more.1).body(body.to_owned());
        request.send().await.unwrap()
    };
    let data = r#"{"repository":"a","tag":"1"}"#;
    for (more, body, told) in [
        (("ce-id", &b"2"[..]), data, "`ce-id` comes twice"),
        (("ce-type", b"acme.x"), data, "`ce-type` comes twice"),
        (("ce-subject", b"\xc3\xa9"), data, "`ce-subject`: not ASCII"),
        (("ce-subject", b"\xe9"), data, "`ce-subject`: not ASCII"),
        (("ce-subject", b"a%+5b"), data, "`ce-subject`: a `%` is not"),
        (
            ("x-other", b""),
            r#"{"repository":"a","tag":"1","tag":"2"}"#,
            "duplicate field `tag`",
        ),
    ] {
        problem(send(more, body).await, 400, told).await;
    }
    assert!(server.fake.log.borrow().is_empty());
    assert_eq!(send(("ce-subject", b"a"), data).await.status(), 200);
}

#[tokio::test]
async fn the_content_type_of_structured_mode_counts_more_than_headers_of_binary_mode() {
    let server = start(|_| {}).await;
    let request = server.client.post(format!("{}/v1/events", server.url));
    let request = request
        .header("content-type", "application/cloudevents+json")
        .header("ce-specversion", "1.0")
        .header("ce-id", "other")
        .header("ce-source", "other")
        .header("ce-type", "acme.other");
    assert_eq!(request.body(tick("1")).send().await.unwrap().status(), 200);
    let taken = server.fake.log.borrow()[0].clone();
    assert_eq!(taken["type"], "weir.clock.ticked");
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
