//! One registry's client: sends requests with login, limits and repetition. What the requests
//! mean is in the modules beside this one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use reqwest::{
    Method, RequestBuilder, Response, StatusCode, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use weir_schema::Tag;

use super::{
    answer::{self, Answer, Complaint},
    auth::{Auth, Scopes},
    config::RegistryConfig,
    endpoint::{Endpoint, is_loopback},
    error::{OciError, TlsFailure, from_transport, innermost},
    flow::Flow,
    lack::Lack,
    leads,
    limit::{Limits, Slot},
    tls,
    turns::{Turn, Turns},
};

/// How Weir introduces itself; its own pushes are recognised by it in a registry's events.
pub const USER_AGENT: &str = concat!("weir/", env!("CARGO_PKG_VERSION"));

/// How long a TCP or TLS connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unused connection is kept. Registries and the balancers before them close theirs
/// after a minute or so, and a request that meets the closing is lost and has to be sent again.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// A client of one registry. Cloning it is cheap, and the clones share connections, tokens and
/// limits.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    registry: String,
    config: RegistryConfig,
    http: reqwest::Client,
    /// For requests with a stream for a body: the library counts the time that the body takes as
    /// silence, so that this one does not count it at all.
    streaming: reqwest::Client,
    endpoint: Endpoint,
    auth: Auth,
    limits: Limits,
    /// How long an answer may take that is read whole.
    longest: Duration,
    lacks_referrers: Lack,
    turns: Turns,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.inner.registry).finish()
    }
}

/// How long a request may take.
#[derive(Debug, Clone, Copy)]
enum Patience {
    /// Its answer has come whole within this time, however it trickles.
    Whole(Duration),
    /// As long as its answer goes on to come.
    Pieces,
    /// As long as the caller lets it: a stream is sent.
    Sent,
}

/// One request, which may be sent several times.
pub(super) struct Call {
    /// What is being done, for messages: ``getting manifest `team/web@sha256:…` ``.
    pub what: String,
    pub method: Method,
    /// Below the registry's root, or a whole URL that the registry gave.
    pub path: String,
    pub scopes: Scopes,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

impl Call {
    pub fn new(what: String, method: Method, path: String, scopes: Scopes) -> Self {
        Self {
            what,
            method,
            path,
            scopes,
            headers: Vec::new(),
            body: Bytes::new(),
        }
    }

    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl Client {
    /// A client of the registry that repositories name `registry`. Nothing is sent yet.
    ///
    /// # Errors
    /// If `ca_file` cannot be read.
    pub fn new(registry: &str, config: &RegistryConfig) -> Result<Self, OciError> {
        let endpoint = Endpoint::new(registry, config);
        let tls = tls::client_config(registry, config)?;
        let builder = |redirects: Policy| {
            let builder = reqwest::Client::builder()
                .user_agent(USER_AGENT)
                .tls_backend_preconfigured(tls.clone())
                .redirect(redirects)
                .connect_timeout(CONNECT_TIMEOUT)
                .pool_idle_timeout(IDLE_TIMEOUT);
            match is_loopback(endpoint.host()) {
                true => builder.no_proxy(),
                false => builder,
            }
        };
        let built = |builder: reqwest::ClientBuilder| {
            builder.build().map_err(|error| {
                Box::new(TlsFailure::Handshake {
                    registry: registry.to_owned(),
                    reason: innermost(&error),
                })
            })
        };
        let http =
            |redirects: Policy| built(builder(redirects).read_timeout(config.idle_timeout()));
        Ok(Self {
            inner: Arc::new(Inner {
                registry: registry.to_owned(),
                config: config.clone(),
                streaming: built(builder(leads::redirects(config)))?,
                // The login goes in the body too, where no library takes it out on the way.
                auth: Auth::new(registry, config, http(Policy::none())?),
                http: http(leads::redirects(config))?,
                endpoint,
                limits: Limits::new(config),
                longest: config.longest_answer(),
                lacks_referrers: Lack::default(),
                turns: Turns::default(),
            }),
        })
    }

    /// The registry's name, as repositories carry it.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.inner.registry
    }

    /// The host that is connected to, with its port where one is given.
    pub(super) fn authority(&self) -> &str {
        self.inner.endpoint.authority()
    }

    /// How long an answer may take that is read whole: a manifest, a page of a list.
    pub(super) fn longest_answer(&self) -> Duration {
        self.inner.longest
    }

    /// Waits for one of the registry's concurrent places. The methods that take a [`Slot`] stream
    /// and leave it to the caller to hold one; all others take one themselves.
    pub async fn slot(&self) -> Slot {
        self.inner.limits.slot().await
    }

    /// Asks the registry for `/v2/`: it answers, TLS works and the login, if any, is right.
    ///
    /// # Errors
    /// As every request.
    pub async fn ping(&self) -> Result<(), OciError> {
        let call = Call::new(
            "asking for its version".into(),
            Method::GET,
            "v2/".into(),
            Vec::new(),
        );
        let answer = self.answer(&call, ERROR_LIMIT).await?;
        if answer.status.is_success() {
            Ok(())
        } else {
            Err(self.refusal(&call, &answer))
        }
    }

    /// Sends `call` until it is answered, and reads the answer, of which `limit` bytes may come.
    /// Only what may succeed later is tried again; a refusal is an answer. A registry that was given
    /// as long as one answer may take is not tried again either.
    pub(super) async fn answer(&self, call: &Call, limit: usize) -> Result<Answer, OciError> {
        let _slot = self.slot().await;
        let began = Instant::now();
        let mut retry = self.inner.limits.retry();
        loop {
            match self.answer_once(call, limit).await {
                Ok(answer) => return Ok(answer),
                Err(error) if began.elapsed() >= self.inner.longest => return Err(error),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// Like [`Self::answer`], but tried once: for requests that must not be repeated blindly, and
    /// for callers that hold a slot.
    pub(super) async fn answer_once(&self, call: &Call, limit: usize) -> Result<Answer, OciError> {
        let body = || Some(call.body.clone().into());
        let patience = Patience::Whole(self.inner.longest);
        let response = self.send(call, body, patience).await?;
        self.read(call, response, limit).await
    }

    /// Reads the answer to `call`, of which `limit` bytes may come.
    pub(super) async fn read(
        &self,
        call: &Call,
        response: Response,
        limit: usize,
    ) -> Result<Answer, OciError> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = answer::read(response, limit)
            .await
            .map_err(|failure| failure.into_oci(self.registry(), &call.what))?;
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// Sends `call` until it is answered, and returns with the body still to come. The caller
    /// holds a slot.
    pub(super) async fn stream(&self, call: &Call, _slot: &Slot) -> Result<Response, OciError> {
        let mut retry = self.inner.limits.retry();
        loop {
            let body = || Some(call.body.clone().into());
            match self.send(call, body, Patience::Pieces).await {
                Ok(response) => return Ok(response),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// Sends `call` once with `body` instead of its own, which tells `flow` how it goes on. A stream can
    /// be sent only once: if the registry wants another login first, that is made, and the error says
    /// to try again. The caller holds a slot.
    pub(super) async fn send_stream(
        &self,
        call: &Call,
        body: reqwest::Body,
        flow: &Flow,
        _slot: &Slot,
    ) -> Result<Answer, OciError> {
        let mut body = Some(body);
        let answered = async {
            let response = self.send(call, || body.take(), Patience::Sent).await?;
            self.read(call, response, ERROR_LIMIT).await
        };
        let idle = self.inner.config.idle_timeout();
        tokio::select! {
            answer = answered => answer,
            silent = flow.silence(idle, self.inner.longest) => Err(OciError::Connection {
                registry: self.registry().to_owned(),
                what: call.what.clone(),
                reason: format!("no answer in time: silent for {} s", silent.as_secs()),
            }),
        }
    }

    /// One try, and another if it is refused and there is another login by now. Overload and server
    /// errors are errors; every other status is for the caller to judge.
    async fn send(
        &self,
        call: &Call,
        mut body: impl FnMut() -> Option<reqwest::Body>,
        patience: Patience,
    ) -> Result<Response, OciError> {
        let auth = &self.inner.auth;
        let used = auth.known();
        match self.send_known(call, &mut body, patience).await {
            Err(OciError::Auth(failure)) if failure.is_of_login() => {
                if !auth.renew(used.as_ref()).await? {
                    return Err(OciError::Auth(failure));
                }
                self.send_known(call, &mut body, patience).await
            }
            ended => ended,
        }
    }

    /// One try with the login that is known, or two if the registry asks for one.
    async fn send_known(
        &self,
        call: &Call,
        body: &mut impl FnMut() -> Option<reqwest::Body>,
        patience: Patience,
    ) -> Result<Response, OciError> {
        let inner = &*self.inner;
        let url = self.url(call).await?;
        let home = inner.endpoint.base(&inner.http).await?.origin();
        let ours = url.origin() == home;
        // A login is shown to the registry alone, wherever it may have sent us.
        let mut login = None;
        // Why there is none, although the registry asked for one before: by now it may ask for
        // another kind, or at another token server, and says so to whoever comes without.
        let mut lacking = None;
        if ours {
            match inner.auth.header(&call.scopes).await {
                Ok(header) => login = header,
                Err(error) => lacking = Some(error),
            }
        }
        let mut challenged = false;
        loop {
            let Some(body) = body() else {
                return Err(OciError::Connection {
                    registry: self.registry().to_owned(),
                    what: call.what.clone(),
                    reason: "the login had to be renewed".to_owned(),
                });
            };
            inner.limits.pace().await;
            let request = self.request(call, &url, login.as_ref(), patience);
            let response = request.body(body).send().await.map_err(|error| {
                from_transport(self.registry(), inner.endpoint.host(), &call.what, &error)
            })?;
            // A login that was answered here would be sent to where the request began.
            let at_home = ours && response.url().origin() == home;
            // What anybody is answered may be less than what the login is for.
            if let Some(error) = lacking.take()
                && !(at_home && response.status() == StatusCode::UNAUTHORIZED)
            {
                return Err(error);
            }
            match response.status() {
                // Whoever the registry leads to may not ask for its login.
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if !at_home => {
                    return Err(self.refused_elsewhere(call, response).await);
                }
                StatusCode::UNAUTHORIZED if !challenged => {
                    challenged = true;
                    let headers = response.headers().clone();
                    // Read to the end, so that the connection can be used again.
                    let _refusal = answer::read(response, ERROR_LIMIT).await;
                    let (auth, sent) = (&inner.auth, login.as_ref());
                    let answer = auth.answer(&call.what, &headers, &call.scopes, sent);
                    login = Some(answer.await?);
                }
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    return Err(self.denied(call, response).await);
                }
                status if is_overload(status) => {
                    return Err(self.overloaded(call, response).await);
                }
                _ => return Ok(response),
            }
        }
    }

    fn request(
        &self,
        call: &Call,
        url: &Url,
        login: Option<&HeaderValue>,
        patience: Patience,
    ) -> RequestBuilder {
        let http = match patience {
            Patience::Whole(_) | Patience::Pieces => &self.inner.http,
            Patience::Sent => &self.inner.streaming,
        };
        let mut request = http.request(call.method.clone(), url.clone());
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        if let Some(login) = login {
            request = request.header(AUTHORIZATION, login);
        }
        if let Patience::Whole(longest) = patience {
            request = request.timeout(longest);
        }
        request
    }

    /// The error for an answer that refuses the login, with the reason that it gives.
    async fn denied(&self, call: &Call, response: Response) -> OciError {
        let (status, headers) = (response.status(), response.headers().clone());
        let complaint = complaint(response).await;
        let auth = &self.inner.auth;
        auth.denied(&call.what, status, &headers, &call.scopes, complaint)
            .await
    }

    /// The error for an answer of a host that the registry leads to, which refuses what it was sent for.
    /// What it is sent for is in its address, and that may be out of date: the registry gives another.
    async fn refused_elsewhere(&self, call: &Call, response: Response) -> OciError {
        let place = leads::shown(response.url());
        OciError::Unavailable {
            registry: self.registry().to_owned(),
            what: format!("{} at `{place}`, where it leads", call.what),
            status: response.status().as_u16(),
            retry_after: answer::retry_after(response.headers()),
            message: complaint(response).await.message,
        }
    }

    /// The error for an answer that may be another one later.
    async fn overloaded(&self, call: &Call, response: Response) -> OciError {
        OciError::Unavailable {
            registry: self.registry().to_owned(),
            what: call.what.clone(),
            status: response.status().as_u16(),
            retry_after: answer::retry_after(response.headers()),
            message: complaint(response).await.message,
        }
    }

    async fn url(&self, call: &Call) -> Result<Url, OciError> {
        let base = self.inner.endpoint.base(&self.inner.http).await?;
        let mut url = base.join(&call.path).map_err(|error| {
            // What follows may be secret.
            let path = call.path.split(['?', '#']).next().unwrap_or_default();
            let path = path.rsplit('@').next().unwrap_or_default();
            self.protocol(&call.what, format!("it leads on to `{path}`: {error}"))
        })?;
        // Behind a proxy that ends TLS, a registry may give its own addresses as plain HTTP.
        if url.scheme() == "http" && base.scheme() == "https" && url.host() == base.host() {
            // An error would mean that the base's own scheme is none.
            let _same = url.set_scheme("https");
        }
        leads::check(self.registry(), &self.inner.config, &call.what, &url)?;
        Ok(url)
    }

    /// The error for an answer that is not what was hoped for.
    pub(super) fn refusal(&self, call: &Call, answer: &Answer) -> OciError {
        let Complaint { codes, message } = Complaint::of(&answer.body);
        let (registry, what) = (self.registry().to_owned(), call.what.clone());
        if answer.status == StatusCode::NOT_FOUND {
            OciError::NotFound {
                registry,
                what,
                codes,
                message,
            }
        } else {
            OciError::Refused {
                registry,
                what,
                status: answer.status.as_u16(),
                codes,
                message,
            }
        }
    }

    pub(super) fn protocol(&self, what: &str, reason: impl Into<String>) -> OciError {
        OciError::Protocol {
            registry: self.registry().to_owned(),
            what: what.to_owned(),
            reason: reason.into(),
        }
    }

    /// Whether the registry was found to have no referrers API; it is not asked again so soon.
    pub(super) fn lacks_referrers(&self) -> bool {
        self.inner.lacks_referrers.holds(Instant::now())
    }

    /// Notes that somebody answered 404 for the referrers API as who does not know of it. An ingress
    /// whose registry restarts does not know `/v2/` either; then nothing is noted, and the error says
    /// to try again.
    pub(super) async fn note_lack_of_referrers(
        &self,
        what: &str,
        message: String,
    ) -> Result<(), OciError> {
        match self.ping().await {
            Err(OciError::NotFound { .. }) => {
                return Err(OciError::Unavailable {
                    registry: self.registry().to_owned(),
                    what: what.to_owned(),
                    status: StatusCode::NOT_FOUND.as_u16(),
                    message,
                    retry_after: None,
                });
            }
            Err(error) if error.is_retryable() => return Err(error),
            // A registry that lets nobody look at its root answers for itself all the same.
            Ok(()) | Err(_) => {}
        }
        if self.inner.lacks_referrers.note(Instant::now()) {
            tracing::info!(
                registry = self.registry(),
                "it has no referrers API: what refers to an image is found by its tags alone"
            );
        }
        Ok(())
    }

    /// Waits for a turn at a tag, and has it until it is dropped: for whoever reads what the tag
    /// holds, adds to it and writes it back, as others do who share this client. It keeps nobody
    /// from any request.
    pub async fn turn(&self, repository: &str, tag: &Tag) -> Turn {
        self.inner.turns.turn(repository, tag).await
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.inner.limits
    }
}

/// Error answers are small; of a larger one nothing is lost.
pub(super) const ERROR_LIMIT: usize = 256 << 10;

/// Whether the registry may answer otherwise if it is asked again later.
fn is_overload(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500..=599)
}

/// What an error answer says; nothing if it does not come whole.
async fn complaint(response: Response) -> Complaint {
    let text = answer::read(response, ERROR_LIMIT).await;
    Complaint::of(&text.unwrap_or_default())
}

/// A header of `headers` as text.
pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
