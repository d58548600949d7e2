//! What can be read: records as pages or followed live, and the engine's answers.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Query as Parameters, State, rejection::QueryRejection},
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event as SseEvent, KeepAlive},
    },
};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Backend, EventFilter, Problem, Query, server::App};

/// Records in a page if the reader does not say.
const PAGE: usize = 100;
/// Records in a page at most.
const LARGEST_PAGE: usize = 1000;
/// How often a silent stream of events shows that it is alive; below the idle limits of proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Asked<T> = Result<Parameters<T>, QueryRejection>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct EventParameters {
    after: u64,
    limit: Option<usize>,
    follow: bool,
    #[serde(rename = "type")]
    kind: Option<String>,
    repository: Option<String>,
    tag: Option<String>,
    digest: Option<String>,
    actor: Option<String>,
    rule: Option<String>,
    since: Option<String>,
    until: Option<String>,
    #[serde(rename = "where")]
    expression: Option<String>,
}

impl EventParameters {
    fn filter(self) -> Result<EventFilter, Problem> {
        let limit = self.limit.unwrap_or(PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(Problem::bad_request(format!(
                "`limit` is {limit}, expected 1 to {LARGEST_PAGE}"
            )));
        }
        Ok(EventFilter {
            after: self.after,
            limit,
            kind: self.kind,
            repository: self.repository,
            tag: self.tag,
            digest: self.digest,
            actor: self.actor,
            rule: self.rule,
            since: self.since,
            until: self.until,
            expression: self.expression,
        })
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TagsParameters {
    repository: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhyParameters {
    repository: String,
    tag: String,
    rule: Option<String>,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EvalParameters {
    expression: String,
    repository: String,
    tag: String,
    rule: Option<String>,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ShowParameters {
    repository: String,
    tag: Option<String>,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NoParameters {}

fn parameters<T>(asked: Asked<T>) -> Result<T, Problem> {
    match asked {
        Ok(Parameters(parameters)) => Ok(parameters),
        Err(rejection) => Err(Problem::bad_request(rejection.body_text())),
    }
}

/// `GET /v1/events`: a page, or with `follow=true` all from `after` on as server-sent events.
pub(super) async fn events<B: Backend>(
    State(app): State<Arc<App<B>>>,
    headers: HeaderMap,
    asked: Asked<EventParameters>,
) -> Result<Response, Problem> {
    let asked = parameters(asked)?;
    let follow = asked.follow;
    let mut filter = asked.filter()?;
    if follow {
        // A browser that reconnects says what it saw last.
        if let Some(last) = headers.get("last-event-id") {
            filter.after = last
                .to_str()
                .ok()
                .and_then(|last| last.parse().ok())
                .ok_or_else(|| Problem::bad_request("`last-event-id` is no sequence"))?;
        }
        return followed(app, filter).await;
    }
    let page = app.backend.events(&filter).await?;
    let next = page.more.then_some(page.through);
    let events: Vec<Value> = page.events.into_iter().map(|(_, event)| event).collect();
    Ok(Json(json!({ "events": events, "through": page.through, "next": next })).into_response())
}

/// Where a reader that follows stands.
struct Following<B> {
    app: Arc<App<B>>,
    filter: EventFilter,
    ready: VecDeque<(u64, Value)>,
}

async fn followed<B: Backend>(app: Arc<App<B>>, filter: EventFilter) -> Result<Response, Problem> {
    // A question that makes no sense is told before the stream begins.
    let page = app.backend.events(&filter).await?;
    let mut following = Following {
        app,
        filter,
        ready: page.events.into(),
    };
    following.filter.after = page.through.max(following.filter.after);
    let events = stream::unfold(following, async |mut following| {
        let (seq, event) = following.next().await?;
        let sent = SseEvent::default()
            .id(seq.to_string())
            .data(event.to_string());
        Some((Ok::<_, Infallible>(sent), following))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

impl<B: Backend> Following<B> {
    /// The next record; `None` when the server stops or cannot go on.
    async fn next(&mut self) -> Option<(u64, Value)> {
        let mut stopped = self.app.stopped.clone();
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Some(next);
            }
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return None,
                () = self.app.backend.appended(self.filter.after) => {}
            }
            match self.app.backend.events(&self.filter).await {
                Ok(page) => {
                    self.filter.after = page.through.max(self.filter.after);
                    self.ready.extend(page.events);
                }
                Err(error) => {
                    // The reader reconnects with the last id it saw, and is told then.
                    tracing::warn!(%error, "cannot follow the events any further");
                    return None;
                }
            }
        }
    }
}

async fn answer<B: Backend>(app: &App<B>, query: Query) -> Result<Json<Value>, Problem> {
    Ok(Json(app.backend.query(query).await?))
}

/// `GET /v1/tags`.
pub(super) async fn tags<B: Backend>(
    State(app): State<Arc<App<B>>>,
    asked: Asked<TagsParameters>,
) -> Result<Json<Value>, Problem> {
    let TagsParameters { repository } = parameters(asked)?;
    answer(&app, Query::Tags { repository }).await
}

/// `GET /v1/repositories`.
pub(super) async fn repositories<B: Backend>(
    State(app): State<Arc<App<B>>>,
    asked: Asked<NoParameters>,
) -> Result<Json<Value>, Problem> {
    parameters(asked)?;
    answer(&app, Query::Repositories).await
}

/// `GET /v1/why`.
pub(super) async fn why<B: Backend>(
    State(app): State<Arc<App<B>>>,
    asked: Asked<WhyParameters>,
) -> Result<Json<Value>, Problem> {
    let asked = parameters(asked)?;
    let query = Query::Why {
        repository: asked.repository,
        tag: asked.tag,
        rule: asked.rule,
        at: asked.at,
    };
    answer(&app, query).await
}

/// `GET /v1/eval`.
pub(super) async fn eval<B: Backend>(
    State(app): State<Arc<App<B>>>,
    asked: Asked<EvalParameters>,
) -> Result<Json<Value>, Problem> {
    let asked = parameters(asked)?;
    let query = Query::Eval {
        expression: asked.expression,
        repository: asked.repository,
        tag: asked.tag,
        rule: asked.rule,
        at: asked.at,
    };
    answer(&app, query).await
}

/// `GET /v1/show`.
pub(super) async fn show<B: Backend>(
    State(app): State<Arc<App<B>>>,
    asked: Asked<ShowParameters>,
) -> Result<Json<Value>, Problem> {
    let asked = parameters(asked)?;
    let query = Query::Show {
        repository: asked.repository,
        tag: asked.tag,
        at: asked.at,
    };
    answer(&app, query).await
}

/// `GET /v1/decisions`.
pub(super) async fn decisions<B: Backend>(
    State(app): State<Arc<App<B>>>,
    asked: Asked<EventParameters>,
) -> Result<Json<Value>, Problem> {
    let filter = parameters(asked)?.filter()?;
    answer(&app, Query::Decisions(filter)).await
}

/// `GET /v1/promotions`.
pub(super) async fn promotions<B: Backend>(
    State(app): State<Arc<App<B>>>,
    asked: Asked<EventParameters>,
) -> Result<Json<Value>, Problem> {
    let filter = parameters(asked)?.filter()?;
    answer(&app, Query::Promotions(filter)).await
}

/// `GET /v1/rules`.
pub(super) async fn rules<B: Backend>(
    State(app): State<Arc<App<B>>>,
    asked: Asked<NoParameters>,
) -> Result<Json<Value>, Problem> {
    parameters(asked)?;
    answer(&app, Query::Rules).await
}

/// `GET /v1/status`.
pub(super) async fn status<B: Backend>(
    State(app): State<Arc<App<B>>>,
    asked: Asked<NoParameters>,
) -> Result<Json<Value>, Problem> {
    parameters(asked)?;
    answer(&app, Query::Status).await
}

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// `GET /readyz`: the engine serves.
pub(super) async fn readyz<B: Backend>(
    State(app): State<Arc<App<B>>>,
) -> Result<Json<Value>, Problem> {
    match app.backend.ready().await {
        Ok(()) => Ok(Json(json!({ "status": "ok" }))),
        Err(reason) => Err(Problem::unavailable(reason, 1)),
    }
}

/// `GET /metrics`.
pub(super) async fn metrics<B: Backend>(State(app): State<Arc<App<B>>>) -> Response {
    let text = app.metrics.render() + &app.backend.metrics().await;
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    ([(CONTENT_TYPE, content_type)], text).into_response()
}
