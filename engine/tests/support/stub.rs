//! A registry that answers as the test says, for what no real one does on request.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request as HttpRequest,
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
};
use tokio::task::JoinHandle;

/// A request, as far as tests ask for it.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub path: String,
    pub authorization: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    pause: Duration,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            pause: Duration::ZERO,
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    pub fn after(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }
}

/// The registry; it ends when it is dropped.
pub struct Stub {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Request>>,
    /// Requests under way, and the most there were.
    running: Mutex<(usize, usize)>,
}

impl Stub {
    pub async fn start(reply: impl Fn(&Request) -> Reply + Clone + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let router = Router::new().fallback({
            let shared = Arc::clone(&shared);
            move |request: HttpRequest| {
                let (shared, reply) = (Arc::clone(&shared), reply.clone());
                async move { answer(&shared, request, reply).await }
            }
        });
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            shared,
            task,
        }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The requests so far, but for those that find out about TLS.
    pub fn seen(&self) -> Vec<Request> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The most requests that were under way at a time.
    pub fn most_at_a_time(&self) -> usize {
        self.shared.running.lock().unwrap().1
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    shared: &Shared,
    request: HttpRequest,
    reply: impl Fn(&Request) -> Reply,
) -> Response {
    let header = request
        .headers()
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let request = Request {
        method: request.method().to_string(),
        path: request
            .uri()
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default(),
        authorization: header.map(str::to_owned),
    };
    let reply = reply(&request);
    shared.seen.lock().unwrap().push(request);
    {
        let mut running = shared.running.lock().unwrap();
        running.0 += 1;
        running.1 = running.1.max(running.0);
    }
    tokio::time::sleep(reply.pause).await;
    shared.running.lock().unwrap().0 -= 1;
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap();
    for (name, value) in reply.headers {
        let name: HeaderName = name.parse().unwrap();
        response
            .headers_mut()
            .append(name, HeaderValue::from_str(&value).unwrap());
    }
    response
}
