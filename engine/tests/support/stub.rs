//! A registry that answers as the test says, for what no real one does on request.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request as HttpRequest,
    http::{HeaderName, HeaderValue, StatusCode},
    response::Response,
    serve::Listener,
};
use futures_util::{StreamExt as _, stream};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// A request, as far as tests ask for it.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub path: String,
    pub authorization: Option<String>,
    /// What it was reached at: `127.0.0.1:PORT`.
    pub host: String,
}

impl Request {
    fn of(request: &HttpRequest) -> Self {
        let header = |name: &str| {
            let value = request.headers().get(name);
            value.and_then(|value| Some(value.to_str().ok()?.to_owned()))
        };
        Self {
            method: request.method().to_string(),
            path: request
                .uri()
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default(),
            authorization: header("authorization"),
            host: header("host").unwrap_or_default(),
        }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    pause: Duration,
    /// The pause after each byte of the body.
    trickle: Option<Duration>,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            pause: Duration::ZERO,
            trickle: None,
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

    /// Sends the body byte by byte, with a pause after each.
    pub fn trickling(mut self, pause: Duration) -> Self {
        self.trickle = Some(pause);
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
        Self::at(listener().await, reply)
    }

    /// Has what `find` finds, and nothing else.
    pub async fn serving(
        find: impl Fn(&str) -> Option<Vec<u8>> + Clone + Send + Sync + 'static,
    ) -> Self {
        Self::start(move |request| match find(&request.path) {
            Some(found) => Reply::status(200).body(found),
            None => Reply::status(404),
        })
        .await
    }

    /// As [`Self::start`], over TLS with certificate and key.
    pub async fn start_tls(
        (certificate, key): (PathBuf, PathBuf),
        reply: impl Fn(&Request) -> Reply + Clone + Send + Sync + 'static,
    ) -> Self {
        let chain = CertificateDer::pem_file_iter(certificate).unwrap();
        let chain = chain.map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key);
        let tls = Tls {
            tcp: listener().await,
            acceptor: TlsAcceptor::from(Arc::new(config.unwrap())),
        };
        Self::at(tls, reply)
    }

    fn at<L: Listener<Addr = SocketAddr>>(
        listener: L,
        reply: impl Fn(&Request) -> Reply + Clone + Send + Sync + 'static,
    ) -> Self {
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

    pub fn port(&self) -> u16 {
        self.address.port()
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

async fn listener() -> TcpListener {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    listener.unwrap()
}

struct Tls {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            // Who finds out whether this is TLS hangs up at once.
            if let Ok((stream, from)) = self.tcp.accept().await
                && let Ok(stream) = self.acceptor.accept(stream).await
            {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.tcp.local_addr()
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
    let request = Request::of(&request);
    let reply = reply(&request);
    shared.seen.lock().unwrap().push(request);
    {
        let mut running = shared.running.lock().unwrap();
        running.0 += 1;
        running.1 = running.1.max(running.0);
    }
    tokio::time::sleep(reply.pause).await;
    shared.running.lock().unwrap().0 -= 1;
    let body = match reply.trickle {
        None => Body::from(reply.body),
        Some(pause) => {
            let bytes = stream::iter(reply.body).then(move |byte| async move {
                tokio::time::sleep(pause).await;
                Ok::<_, std::convert::Infallible>(vec![byte])
            });
            Body::from_stream(bytes)
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(reply.status).unwrap();
    for (name, value) in reply.headers {
        let name: HeaderName = name.parse().unwrap();
        response
            .headers_mut()
            .append(name, HeaderValue::from_str(&value).unwrap());
    }
    response
}
