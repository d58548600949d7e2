//! The server: routes, admission and counting for every request, and a graceful end.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, watch},
};

use super::{
    Admission, Backend, HttpConfig, HttpConfigError, ListenError, Metrics, Problem, backtests,
    check_listen, connections, intake, openapi, page,
    read::{self, MOST_FOLLOWERS, Reading},
    reconcile, webhook,
};
use crate::adapters::WebhookAuth;

/// How long requests that run at the end may take to finish: with what follows it is less than the
/// ten seconds after which `docker stop` kills.
pub(crate) const GRACE: Duration = Duration::from_secs(5);

/// What requests can reach, beside questions.
pub(super) struct App<B> {
    pub(super) backend: Arc<B>,
    pub(super) metrics: Metrics,
    pub(super) max_body_bytes: usize,
    pub(super) admission: Admission,
    pub(super) proofs: webhook::Proofs,
}

/// Why the server cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] HttpConfigError),
    /// It would let anybody in.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The address cannot be listened at.
    #[error("cannot listen at `{listen}`: set `http.listen` to another address or port")]
    Bind {
        /// The address.
        listen: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// A server that listens.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    admission: Admission,
    proofs: webhook::Proofs,
    max_body_bytes: usize,
}

impl Server {
    /// Listens, without answering yet.
    ///
    /// # Errors
    /// The address is taken, or open to others without a token.
    pub async fn bind(config: &HttpConfig) -> Result<Self, ServeError> {
        let (admission, addresses) = Self::check(config).await?;
        let failed = bind_failed(config);
        let listener = TcpListener::bind(addresses.as_slice())
            .await
            .map_err(&failed)?;
        let address = listener.local_addr().map_err(&failed)?;
        Ok(Self {
            listener,
            address,
            admission,
            proofs: webhook::Proofs::default(),
            max_body_bytes: config.max_body_bytes,
        })
    }

    /// Judges, before anything is begun, every address that the configured name stands for; gives
    /// them with whom to let in.
    ///
    /// # Errors
    /// The name is unknown, or an address is open to others without a token.
    pub async fn check(config: &HttpConfig) -> Result<(Admission, Vec<SocketAddr>), ServeError> {
        let admission = Admission::new(config)?;
        let addresses: Vec<SocketAddr> = tokio::net::lookup_host(&config.listen)
            .await
            .map_err(bind_failed(config))?
            .collect();
        for address in &addresses {
            check_listen(*address, &admission)?;
        }
        Ok((admission, addresses))
    }

    /// Asks the deliveries of these sources, by name, for a proof of who sent them.
    #[must_use]
    pub fn with_proofs(mut self, of_sources: BTreeMap<String, WebhookAuth>) -> Self {
        self.proofs = webhook::Proofs::new(of_sources);
        self
    }

    /// Where it listens; tells the port if the configuration left it open.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop` completes, then lets running ones finish for a while.
    pub async fn serve(self, backend: impl Backend, stop: impl Future<Output = ()> + Send) {
        let (stop_now, stopped) = watch::channel(false);
        let mut end = stopped.clone();
        let backend = Arc::new(backend);
        let reading = Reading {
            backend: Arc::clone(&backend),
            stopped,
            followers: Arc::new(Semaphore::new(MOST_FOLLOWERS)),
        };
        let app = Arc::new(App {
            backend,
            metrics: Metrics::default(),
            max_body_bytes: self.max_body_bytes,
            admission: self.admission,
            proofs: self.proofs,
        });
        tracing::info!(address = %self.address, "listening");
        let ended = async move {
            // The sender lives until this function returns.
            let _ = end.wait_for(|stopped| *stopped).await;
        };
        let serve = connections::serve(self.listener, router(app, reading), ended);
        let mut serve = std::pin::pin!(serve);
        tokio::select! {
            () = &mut serve => return,
            () = stop => {}
        }
        stop_now.send_replace(true);
        if tokio::time::timeout(GRACE, serve).await.is_err() {
            tracing::warn!("requests still run after {GRACE:?}; ending without them");
        }
    }
}

fn bind_failed(config: &HttpConfig) -> impl Fn(std::io::Error) -> ServeError {
    |source| ServeError::Bind {
        listen: config.listen.clone(),
        source,
    }
}

fn router<B: Backend>(app: Arc<App<B>>, reading: Reading<B>) -> Router {
    Router::new()
        .route(
            "/v1/intake",
            post(intake::deliver_any::<B>).options(intake::may_send),
        )
        .route(
            "/v1/intake/{adapter}",
            post(intake::deliver::<B>).options(intake::may_send),
        )
        .route("/v1/events", post(intake::publish::<B>))
        .merge(read::questions(reading))
        .route("/v1/reconcile", post(reconcile::reconcile::<B>))
        .route("/v1/backtests", post(backtests::start::<B>))
        .route(
            "/v1/backtests/{id}",
            get(backtests::look::<B>).delete(backtests::end::<B>),
        )
        .route("/v1/openapi.json", get(openapi::openapi))
        .route("/healthz", get(read::healthz))
        .route("/readyz", get(read::readyz::<B>))
        .route("/metrics", get(read::metrics::<B>))
        .merge(page::files())
        .fallback(async || Problem::not_found("there is nothing here"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(from_fn_with_state(Arc::clone(&app), admit_and_count::<B>))
        .with_state(app)
}

async fn admit_and_count<B: Backend>(
    State(app): State<Arc<App<B>>>,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let route = route(request.uri().path());
    let admitted = match route {
        // Who delivers is judged with the delivery, since a source may have a proof of its own.
        "/healthz" | "/readyz" | "/v1/intake" => Ok(()),
        "/" | "/page" => app.admission.check_page(request.headers()),
        _ => app.admission.check(request.headers(), false),
    };
    let response = match admitted {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    app.metrics
        .answered(route, response.status().as_u16(), start.elapsed());
    response
}

/// The route of a path, from a closed set: what callers invent must not fill the counters.
fn route(path: &str) -> &'static str {
    if path == "/" {
        return "/";
    }
    for route in ["/v1/intake", "/v1/backtests", "/page"] {
        let below = path.strip_prefix(route);
        if below.is_some_and(|below| below.is_empty() || below.starts_with('/')) {
            return route;
        }
    }
    let mut known = openapi::OPERATIONS.iter().map(|operation| operation.path);
    known.find(|route| *route == path).unwrap_or("other")
}
