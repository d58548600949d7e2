//! A token server as registries are pointed at: whoever logs in gets what he asks for, anybody
//! else may pull.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{registry::Access, tls::Authority};

pub struct TokenServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

struct Shared {
    signer: Authority,
    fetched: AtomicUsize,
}

impl TokenServer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            signer: Authority::new("token signer"),
            fetched: AtomicUsize::new(0),
        });
        let router = Router::new()
            .route("/token", get(token))
            .with_state(Arc::clone(&shared));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            shared,
            address,
            task,
        }
    }

    /// The setting of a registry that believes this server.
    pub fn access(&self) -> Access {
        Access::Token {
            realm: format!("http://{}/token", self.address),
            certificate: self.shared.signer.certificate(),
        }
    }

    /// How many tokens were handed out.
    pub fn fetched(&self) -> usize {
        self.shared.fetched.load(Ordering::SeqCst)
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn token(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let login = headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let known = format!("Basic {}", STANDARD.encode("dev:dev"));
    if login.is_some_and(|login| login != known) {
        let body =
            json!({"errors": [{"code": "UNAUTHORIZED", "message": "invalid username/password"}]});
        return (StatusCode::UNAUTHORIZED, Json(body)).into_response();
    }
    let query = reqwest::Url::parse(&format!("http://x/?{}", query.unwrap_or_default())).unwrap();
    let access: Vec<Value> = query
        .query_pairs()
        .filter(|(key, _)| key == "scope")
        .flat_map(|(_, value)| value.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .filter_map(|scope| {
            let mut parts = scope.splitn(3, ':').map(str::to_owned);
            let (kind, name, actions) = (parts.next()?, parts.next()?, parts.next()?);
            let actions: Vec<&str> = match login {
                Some(_) => actions.split(',').collect(),
                None => vec!["pull"],
            };
            Some(json!({"type": kind, "name": name, "actions": actions}))
        })
        .collect();
    shared.fetched.fetch_add(1, Ordering::SeqCst);
    Json(json!({"token": sign(&shared.signer, access), "expires_in": 300})).into_response()
}

fn sign(signer: &Authority, access: Vec<Value>) -> String {
    let pem = std::fs::read_to_string(signer.certificate()).unwrap();
    let certificate: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let now = chrono::Utc::now().timestamp();
    let header = json!({"alg": "RS256", "typ": "JWT", "x5c": [certificate]});
    let claims = json!({
        "iss": "test-issuer", "sub": "dev", "aud": "test-registry", "iat": now, "nbf": now - 10, "exp": now + 300,
        "jti": uuid::Uuid::new_v4().to_string(), "access": access,
    });
    let text = [header, claims]
        .map(|part| URL_SAFE_NO_PAD.encode(part.to_string()))
        .join(".");
    let mut openssl = Command::new("openssl")
        .args(["dgst", "-sha256", "-sign"])
        .arg(signer.key())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(openssl.stdin.as_mut().unwrap(), text.as_bytes()).unwrap();
    let signature = openssl.wait_with_output().unwrap().stdout;
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
