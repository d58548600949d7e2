//! Who is let in.

use reqwest::StatusCode;
use weir_engine::{
    http::{HttpConfig, Server},
    secret::Secret,
};

use crate::fake::{problem, start, tick};

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
