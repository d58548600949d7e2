//! What is asked: in pages, live, narrowed, counted and described.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;

use crate::fake::{problem, start, tick};

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
        ("/v1/events?follow=true&before=5", "leave out `before`"),
        (
            "/v1/events?count=true&where=a&where=b",
            "`where` is given twice, and takes one value",
        ),
        ("/v1/events?by=actor&by=type", "`by` is given twice"),
        (
            "/v1/events?count=true&by=actor",
            "`by` and `count` ask for different answers",
        ),
        (
            "/v1/events?count=true&follow=true",
            "`count` and `follow` ask for different answers",
        ),
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
async fn a_path_that_cannot_be_read_is_told_as_all_else_is() {
    let server = start(|_| {}).await;
    for id in ["abc", "-1", "99999999999999999999"] {
        let answer = server.get(&format!("/v1/backtests/{id}")).await;
        problem(answer, 400, "is no number").await;
    }
    let answer = server
        .post("/v1/intake/%ff", "application/json", "{}")
        .await;
    problem(answer, 400, "is no text").await;
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
async fn readers_that_follow_leave_room_for_deliveries_and_probes() {
    let server = start(|_| {}).await;
    let follow = async || server.get("/v1/events?follow=true").await;
    let mut followers = Vec::new();
    for _ in 0..256 {
        let follower = follow().await;
        assert_eq!(follower.status(), 200);
        followers.push(follower);
    }
    let refused = follow().await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let why = refused.text().await.unwrap();
    assert!(why.contains("256 readers follow already"), "{why}");
    assert_eq!(server.get("/healthz").await.status(), 200);

    followers.pop();
    let again = async {
        while follow().await.status() != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(10), again).await;
    in_time.expect("a place is free again");
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
