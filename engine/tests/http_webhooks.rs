//! Webhooks at the real edge of a running daemon: who is let in, and the handshakes of senders.

mod support;

use std::fs;

use hmac::{Hmac, Mac as _};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use support::daemon::Daemon;

const SOURCES: &str = r#"
[sources.harbor.auth]
kind = "header"
name = "X-Harbor-Key"
value = "of harbor"

[sources.ghcr.auth]
kind = "github"
secret = "of github"

[sources.jfrog.auth]
kind = "jfrog"
secret = "of jfrog"

[sources.nexus.auth]
kind = "nexus"
secret = "of nexus"

[sources.zot.auth]
kind = "basic"
username = "zot"
password = "of zot"

[sources.hub.auth]
kind = "query"
name = "key"
value = "of hub"

[sources.lab.settings]
vex = true
"#;

const SECRETS: [&str; 6] = [
    "of harbor",
    "of github",
    "of jfrog",
    "of nexus",
    "of zot",
    "of hub",
];

/// A daemon with those sources.
struct Edge {
    daemon: Daemon,
    directory: tempfile::TempDir,
}

impl Edge {
    async fn start(http: &str) -> Self {
        let directory = tempfile::TempDir::new().unwrap();
        let daemon = Daemon::start(directory.path(), SOURCES, http).await;
        Self { daemon, directory }
    }

    async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Response {
        let url = format!("{}{path}", self.daemon.url());
        let mut request = self.daemon.client().post(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(body.to_owned()).send().await.unwrap()
    }

    async fn status(&self, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
        self.post(path, headers, body).await.status().as_u16()
    }

    /// All records, as text.
    async fn records(&self) -> String {
        self.daemon.get("/v1/events?limit=1000").await.to_string()
    }
}

fn push(tag: &str) -> String {
    json!({"type": "PUSH_ARTIFACT", "occur_at": 1_755_770_400, "operator": "ann", "event_data": {
        "resources": [{"digest": format!("sha256:{}", "ab".repeat(32)), "tag": tag, "resource_url": "h/team/web"}],
        "repository": {"namespace": "team", "name": "web", "repo_full_name": "team/web"}}})
    .to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sha256_hmac(key: &str, body: &str) -> String {
    let mac = Hmac::<sha2::Sha256>::new_from_slice(key.as_bytes()).unwrap();
    hex(&mac.chain_update(body).finalize().into_bytes())
}

fn sha1_hmac(key: &str, body: &str) -> String {
    let mac = Hmac::<sha1::Sha1>::new_from_slice(key.as_bytes()).unwrap();
    hex(&mac.chain_update(body).finalize().into_bytes())
}

#[tokio::test]
async fn a_delivery_without_the_proof_of_its_source_is_refused_and_leaves_no_record() {
    let edge = Edge::start("").await;
    let body = push("forged");
    for (path, headers) in [
        ("/v1/intake/harbor", &[][..]),
        ("/v1/intake/harbor", &[("x-harbor-key", "of somebody else")]),
        ("/v1/intake?source=harbor", &[]),
        ("/v1/intake/harbor?source=", &[]),
        ("/v1/intake/distribution?source=harbor", &[]),
        (
            "/v1/intake/ghcr",
            &[(
                "x-hub-signature-256",
                &*format!("sha256={}", sha256_hmac("of github", "other")),
            )],
        ),
        ("/v1/intake/jfrog", &[("x-jfrog-event-auth", "00ff")]),
        (
            "/v1/intake/nexus",
            &[("x-nexus-webhook-signature", "no hex")],
        ),
        // zot:wrong
        ("/v1/intake/zot", &[("authorization", "Basic em90Ondyb25n")]),
        ("/v1/intake/dockerhub?source=hub&key=wrong", &[]),
    ] {
        let answer = edge.post(path, headers, &body).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{path}");
        assert_eq!(
            answer.headers()["content-type"],
            "application/problem+json",
            "{path}"
        );
        let problem: Value = answer.json().await.unwrap();
        let detail = problem["detail"].as_str().unwrap();
        assert!(
            detail.contains("[sources.") && SECRETS.iter().all(|secret| !detail.contains(secret)),
            "{detail}"
        );
    }
    assert!(!edge.records().await.contains("forged"));
}

#[tokio::test]
async fn a_delivery_with_the_proof_of_its_source_is_taken_and_the_secret_is_not_kept() {
    let edge = Edge::start("").await;
    let body = push("1.0");
    let github = format!("sha256={}", sha256_hmac("of github", &body));
    let jfrog = sha256_hmac("of jfrog", &body);
    let nexus = sha1_hmac("of nexus", &body);
    for (path, headers) in [
        ("/v1/intake/harbor", &[("X-Harbor-Key", "of harbor")][..]),
        ("/v1/intake/ghcr", &[("x-hub-signature-256", &*github)]),
        ("/v1/intake/jfrog", &[("x-jfrog-event-auth", &*jfrog)]),
        ("/v1/intake/jfrog", &[("x-jfrog-event-auth", "of jfrog")]),
        (
            "/v1/intake/nexus",
            &[("x-nexus-webhook-signature", &*nexus)],
        ),
        // zot:of zot
        (
            "/v1/intake/zot",
            &[("authorization", "Basic em90Om9mIHpvdA==")],
        ),
        ("/v1/intake/dockerhub?source=hub&key=of+hub", &[]),
        // A source without a proof is let in as everybody is.
        ("/v1/intake/dtr", &[]),
    ] {
        assert_eq!(edge.status(path, headers, &body).await, 202, "{path}");
    }
    let records = edge.records().await;
    assert!(
        records.contains("team/web") && SECRETS.iter().all(|secret| !records.contains(secret)),
        "{records}"
    );
    let kept = fs::read_dir(edge.directory.path().join("data")).unwrap();
    assert!(kept.count() > 0);
}

#[tokio::test]
async fn with_a_token_a_source_needs_its_own_proof_or_the_token_of_operators() {
    let edge = Edge::start("token = 'main'\nintake_token = 'hook'").await;
    let body = push("1.0");
    let check = async |path, headers: &[(&str, &str)]| edge.status(path, headers, &body).await;
    let (main, hook) = (
        ("authorization", "Bearer main"),
        ("authorization", "Bearer hook"),
    );
    assert_eq!(check("/v1/intake/harbor", &[hook]).await, 401);
    assert_eq!(check("/v1/intake/harbor", &[main]).await, 202);
    let proof = ("x-harbor-key", "of harbor");
    assert_eq!(check("/v1/intake/harbor", &[proof]).await, 202);
    assert_eq!(check("/v1/intake/dtr", &[proof]).await, 401);
    assert_eq!(check("/v1/intake/dtr", &[hook]).await, 202);
    assert_eq!(check("/v1/events", &[proof]).await, 401);
}

#[tokio::test]
async fn a_source_cannot_say_what_people_decide() {
    let edge = Edge::start("token = 'main'\nintake_token = 'hook'").await;
    let event = |kind: &str, data: Value| json!({"specversion": "1.0", "id": kind, "source": "s", "type": kind, "data": data});
    let image = json!({"repository": "dev/web", "digest": format!("sha256:{}", "ab".repeat(32)), "media_type": "application/vnd.oci.image.manifest.v1+json"});
    let pushed = event("weir.image.pushed", image);
    let rules = event("weir.rules.activated", json!({"files": []}));
    let waived = event(
        "weir.override.granted",
        json!({"override_id": "o", "vulnerability": "CVE-1", "reason": "r", "actor": "a"}),
    );
    let hook = ("authorization", "Bearer hook");
    let proof = ("x-harbor-key", "of harbor");
    let main = ("authorization", "Bearer main");
    let recorded = json!({"headers": {}, "body": waived.to_string()});
    let said = async |path: &str, who, body: &Value| {
        let taken = edge.status(path, &[who], &body.to_string()).await;
        assert_eq!(taken, 202, "{path} {body}");
    };
    // Said before Weir says it, it would count as what Weir said.
    let forged = json!({"specversion": "1.0", "id": "p7-completed", "source": "/weir", "type": "weir.scanner.updated", "data": {"scanner": {"name": "x", "db_updated_at": "2026-01-01T00:00:00Z"}}});
    said("/v1/intake/cloudevents", hook, &forged).await;
    for (path, who) in [
        ("/v1/intake/cloudevents", hook),
        ("/v1/intake", hook),
        ("/v1/intake/cloudevents?source=harbor", proof),
    ] {
        for body in [&rules, &waived, &recorded, &json!([pushed, waived])] {
            said(path, who, body).await;
        }
    }
    // A waiver is one in whatever form; a source may be trusted with it.
    let vex = json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "d", "author": "ann", "statements": [{"vulnerability": "CVE-2", "products": ["pkg:deb/debian/zlib@1"], "status": "fixed"}]});
    said("/v1/intake", hook, &vex).await;
    said("/v1/intake?source=lab", hook, &vex).await;
    said("/v1/intake/cloudevents", main, &waived).await;
    let url = format!("{}/v1/events?limit=1000&order=oldest", edge.daemon.url());
    let request = edge.daemon.client().get(url).bearer_auth("main");
    let page: Value = request.send().await.unwrap().json().await.unwrap();
    let events: Vec<&Value> = page["events"].as_array().unwrap().iter().collect();
    let kinds: Vec<&str> = events
        .iter()
        .map(|record| record["event"]["type"].as_str().unwrap())
        .collect();
    // A push that comes three times is one; rules and overrides were refused of each of three sources.
    let others: Vec<&&str> = kinds
        .iter()
        .filter(|kind| **kind != "weir.input.rejected")
        .collect();
    assert_eq!(
        others,
        [
            &"weir.image.pushed",
            &"weir.override.granted",
            &"weir.override.granted"
        ]
    );
    let reasons = events
        .iter()
        .filter_map(|record| record["event"]["data"]["reason"].as_str());
    let refused = reasons.filter(|reason| reason.contains("is for operators to say"));
    assert_eq!((refused.count(), kinds.len()), (6, 11), "{page}");
    assert_eq!(page.to_string().matches("Weir's own source").count(), 1);
    let text = page.to_string();
    assert_eq!(text.matches("or `vex = true` in the settings").count(), 1);
}

#[tokio::test]
async fn event_grid_gets_its_validation_code_back() {
    let edge = Edge::start("").await;
    let question = json!([{
        "id": "2d1781af", "topic": "/subscriptions/s", "subject": "",
        "data": {"validationCode": "512d38b6", "validationUrl": "https://rp.example/validate"},
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-08-21T10:00:00Z", "metadataVersion": "1", "dataVersion": "1"
    }])
    .to_string();
    let headers = [("aeg-event-type", "SubscriptionValidation")];
    let answer = edge.post("/v1/intake/acr", &headers, &question).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer, json!({"validationResponse": "512d38b6"}));
    // Somebody who cannot prove to be the source learns nothing.
    let refused = edge
        .status("/v1/intake/acr?source=hub", &headers, &question)
        .await;
    assert_eq!(refused, 401);
}

#[tokio::test]
async fn a_sender_of_cloudevents_hears_that_it_may_send() {
    let edge = Edge::start("token = 'main'").await;
    let address = format!("{}/v1/intake/acr", edge.daemon.url());
    let asked = edge
        .daemon
        .client()
        .request(reqwest::Method::OPTIONS, address)
        .header("WebHook-Request-Origin", "eventemitter.example.com")
        .header("WebHook-Request-Rate", "120")
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status(), StatusCode::OK);
    let header = |name: &str| asked.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("webhook-allowed-origin"), "eventemitter.example.com");
    assert_eq!(header("webhook-allowed-rate"), "*");
    assert!(header("allow").contains("POST"));
}
