//! What can be read: records as pages or followed live, and the engine's answers.

use std::{
    collections::{BTreeSet, VecDeque},
    convert::Infallible,
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Query as Parameters, State, rejection::QueryRejection},
    http::{
        HeaderMap,
        header::{CONTENT_TYPE, LINK},
    },
    response::{
        IntoResponse, Response, Sse,
        sse::{Event as SseEvent, KeepAlive},
    },
    routing::get,
};
use futures_util::stream;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{Backend, Problem, connections, promotions, server::App};
use crate::query::{EventFilter, Logged, PAGE, Part, Query};

/// Records in a page at most; the command line asks a daemon for as many.
pub(crate) const LARGEST_PAGE: usize = 1000;
/// How often a silent stream of events shows that it is alive; below the idle limits of proxies.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Seconds after which who wants to follow may ask again.
const RETRY_FOLLOWING: u64 = 30;

type Asked<T> = Result<Parameters<T>, QueryRejection>;

/// What a question can reach.
pub(super) struct Reading<B> {
    pub(super) backend: Arc<B>,
    /// Becomes true when the server is to end, and with it what is followed.
    pub(super) stopped: watch::Receiver<bool>,
    /// Places for those who follow.
    pub(super) followers: Arc<Semaphore>,
}

/// Readers that may follow at a time, each with a connection that does not end: half of all that there
/// may be, so that deliveries and probes have the others.
pub(super) const MOST_FOLLOWERS: usize = connections::MOST / 2;

/// All questions that log and state answer, in a router with whatever state.
pub(super) fn questions<B: Backend, S>(reading: Reading<B>) -> Router<S> {
    Router::new()
        .route("/v1/events", get(events::<B>))
        .route("/v1/tags", get(tags::<B>))
        .route("/v1/repositories", get(repositories::<B>))
        .route("/v1/why", get(why::<B>))
        .route("/v1/eval", get(eval::<B>))
        .route("/v1/show", get(show::<B>))
        .route("/v1/history", get(history::<B>))
        .route("/v1/lineage", get(lineage::<B>))
        .route("/v1/impact", get(impact::<B>))
        .route("/v1/overrides", get(overrides::<B>))
        .route("/v1/decisions", get(decisions::<B>))
        .route("/v1/promotions", get(promotions::<B>))
        .route("/v1/rules", get(rules::<B>))
        .route("/v1/status", get(status::<B>))
        .with_state(Arc::new(reading))
}

/// The parameters of a question about events.
struct EventParameters {
    filter: EventFilter,
    follow: bool,
    count: bool,
    by: Option<String>,
}

impl EventParameters {
    /// Reads the parameters of an address: filters may come more than once.
    fn read(given: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut read = Self {
            filter: EventFilter {
                limit: PAGE,
                ..EventFilter::default()
            },
            follow: false,
            count: false,
            by: None,
        };
        let mut known: BTreeSet<String> = BTreeSet::new();
        for (name, value) in given {
            if !EventFilter::takes_several(&name) && !known.insert(name.clone()) {
                return Err(Problem::bad_request(format!(
                    "`{name}` is given twice, and takes one value"
                )));
            }
            match &*name {
                "follow" => read.follow = switch(&name, &value)?,
                "count" => read.count = switch(&name, &value)?,
                "by" => read.by = Some(value),
                _ => read
                    .filter
                    .set(&name, &value)
                    .map_err(Problem::bad_request)?,
            }
        }
        checked(read.filter.limit)?;
        let answers = [
            ("by", read.by.is_some()),
            ("count", read.count),
            ("follow", read.follow),
        ];
        let mut asked = answers.iter().filter(|(_, is_asked)| *is_asked);
        if let (Some((one, _)), Some((other, _))) = (asked.next(), asked.next()) {
            return Err(Problem::bad_request(format!(
                "`{one}` and `{other}` ask for different answers: leave one of them out"
            )));
        }
        let goes_elsewhere = ["order", "cursor", "before", "limit"];
        let elsewhere = goes_elsewhere
            .into_iter()
            .find(|name| known.contains(*name));
        if let Some(name) = elsewhere.filter(|_| read.follow) {
            return Err(Problem::bad_request(format!(
                "`follow` goes forward from `after` and does not end: leave out `{name}`"
            )));
        }
        Ok(read)
    }
}

/// Refuses a page of none, or of too many.
fn checked(limit: usize) -> Result<(), Problem> {
    if (1..=LARGEST_PAGE).contains(&limit) {
        return Ok(());
    }
    Err(Problem::bad_request(format!(
        "`limit` is {limit}, expected 1 to {LARGEST_PAGE}"
    )))
}

fn switch(name: &str, value: &str) -> Result<bool, Problem> {
    match value {
        "true" | "" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::bad_request(format!(
            "`{name}` is `{value}`, expected `true` or `false`"
        ))),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TagsParameters {
    repository: Option<String>,
    at: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RepositoriesParameters {
    after: Option<String>,
    limit: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryParameters {
    repository: String,
    tag: String,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineageParameters {
    digest: String,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ImpactParameters {
    vulnerability: String,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OverridesParameters {
    expiring: Option<String>,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WhyParameters {
    repository: String,
    tag: String,
    rule: Option<String>,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EvalParameters {
    expression: String,
    repository: String,
    tag: String,
    rule: Option<String>,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowParameters {
    repository: String,
    tag: Option<String>,
    at: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoParameters {}

fn parameters<T>(asked: Asked<T>) -> Result<T, Problem> {
    match asked {
        Ok(Parameters(parameters)) => Ok(parameters),
        Err(rejection) => Err(Problem::parameters(&rejection)),
    }
}

/// `GET /v1/events`: a page; with `count=true` how many there are, with `by=actor` how many of
/// each; with `follow=true` all from `after` on as server-sent events.
async fn events<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    headers: HeaderMap,
    asked: Asked<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let asked = EventParameters::read(parameters(asked)?)?;
    let mut filter = asked.filter;
    if let Some(by) = asked.by {
        return Ok(answer(&reading, Query::Groups { filter, by })
            .await?
            .into_response());
    }
    if asked.count {
        return Ok(answer(&reading, Query::Count(filter))
            .await?
            .into_response());
    }
    if asked.follow {
        // A browser that reconnects says what it saw last.
        if let Some(last) = headers.get("last-event-id") {
            filter.after = last
                .to_str()
                .ok()
                .and_then(|last| last.parse().ok())
                .ok_or_else(|| Problem::bad_request("`last-event-id` is no sequence"))?;
        }
        let place = Arc::clone(&reading.followers).try_acquire_owned();
        let place = place.map_err(|_| {
            tracing::warn!("{MOST_FOLLOWERS} readers follow: no more are taken");
            let why = format!("{MOST_FOLLOWERS} readers follow already: come back later");
            Problem::unavailable(why, RETRY_FOLLOWING)
        })?;
        return followed(reading, filter, place).await;
    }
    Ok(Json(reading.backend.events(&filter).await?).into_response())
}

/// Where a reader that follows stands.
struct Following<B> {
    reading: Arc<Reading<B>>,
    filter: EventFilter,
    ready: VecDeque<Logged>,
    _place: OwnedSemaphorePermit,
}

async fn followed<B: Backend>(
    reading: Arc<Reading<B>>,
    filter: EventFilter,
    place: OwnedSemaphorePermit,
) -> Result<Response, Problem> {
    // A question that makes no sense is told before the stream begins.
    let page = reading.backend.events(&filter).await?;
    let mut following = Following {
        reading,
        filter,
        ready: page.events.into(),
        _place: place,
    };
    following.filter.after = page.through.max(following.filter.after);
    let events = stream::unfold(following, async |mut following| {
        let event = following.next().await?;
        let sent = SseEvent::default()
            .id(event.seq.to_string())
            .data(event.json);
        Some((Ok::<_, Infallible>(sent), following))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

impl<B: Backend> Following<B> {
    /// The next record; `None` when the server stops or cannot go on.
    async fn next(&mut self) -> Option<Logged> {
        let mut stopped = self.reading.stopped.clone();
        loop {
            if let Some(next) = self.ready.pop_front() {
                return Some(next);
            }
            tokio::select! {
                _ = stopped.wait_for(|stopped| *stopped) => return None,
                () = self.reading.backend.appended(self.filter.after) => {}
            }
            match self.reading.backend.events(&self.filter).await {
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

async fn answer<B: Backend>(reading: &Reading<B>, query: Query) -> Result<Json<Value>, Problem> {
    Ok(Json(reading.backend.query(query).await?))
}

/// The part of a list that is asked for, never more than a page.
fn part(after: Option<String>, limit: Option<usize>) -> Result<Part, Problem> {
    let limit = limit.unwrap_or(LARGEST_PAGE);
    checked(limit)?;
    Ok(Part {
        after,
        limit: Some(limit),
    })
}

/// A page of a list. Where it is full a `Link` header leads to the next one (RFC 8288), as the
/// lists of registries have it: `path` with the parameters `asked`, behind the last of this page.
fn page(
    path: &str,
    asked: &[(&str, Option<&str>)],
    limit: Option<usize>,
    list: Value,
    name: impl Fn(&Value) -> String,
) -> Response {
    let all = list.as_array().map_or(&[][..], Vec::as_slice);
    let last = all.last().filter(|_| Some(all.len()) == limit).map(name);
    let next = last.and_then(|last| {
        let given = asked
            .iter()
            .filter_map(|(name, value)| Some((*name, (*value)?)));
        let mut address = Url::parse("http://weir/").ok()?.join(path).ok()?;
        let mut query = address.query_pairs_mut();
        query.extend_pairs(given);
        query.extend_pairs(limit.map(|limit| ("limit", limit.to_string())));
        query.append_pair("after", &last);
        drop(query);
        Some(format!("<{path}?{}>; rel=\"next\"", address.query()?))
    });
    match next {
        Some(next) => ([(LINK, next)], Json(list)).into_response(),
        None => Json(list).into_response(),
    }
}

/// `GET /v1/tags`.
async fn tags<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    asked: Asked<TagsParameters>,
) -> Result<Response, Problem> {
    let TagsParameters {
        repository,
        at,
        after,
        limit,
    } = parameters(asked)?;
    let part = part(after, limit)?;
    let limit = part.limit;
    let query = Query::Tags {
        repository: repository.clone(),
        at: at.clone(),
        part,
    };
    let list = reading.backend.query(query).await?;
    let asked = [("repository", repository.as_deref()), ("at", at.as_deref())];
    Ok(page("/v1/tags", &asked, limit, list, |tag| {
        let text = |name| tag[name].as_str().unwrap_or_default();
        format!("{}:{}", text("repository"), text("tag"))
    }))
}

/// `GET /v1/repositories`.
async fn repositories<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    asked: Asked<RepositoriesParameters>,
) -> Result<Response, Problem> {
    let RepositoriesParameters { after, limit } = parameters(asked)?;
    let part = part(after, limit)?;
    let limit = part.limit;
    let list = reading.backend.query(Query::Repositories(part)).await?;
    Ok(page("/v1/repositories", &[], limit, list, |name| {
        name.as_str().unwrap_or_default().to_owned()
    }))
}

/// `GET /v1/why`.
async fn why<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    asked: Asked<WhyParameters>,
) -> Result<Json<Value>, Problem> {
    let asked = parameters(asked)?;
    let query = Query::Why {
        repository: asked.repository,
        tag: asked.tag,
        rule: asked.rule,
        at: asked.at,
    };
    answer(&reading, query).await
}

/// `GET /v1/eval`.
async fn eval<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
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
    answer(&reading, query).await
}

/// `GET /v1/show`.
async fn show<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    asked: Asked<ShowParameters>,
) -> Result<Json<Value>, Problem> {
    let asked = parameters(asked)?;
    let query = Query::Show {
        repository: asked.repository,
        tag: asked.tag,
        at: asked.at,
    };
    answer(&reading, query).await
}

/// `GET /v1/history`.
async fn history<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    asked: Asked<HistoryParameters>,
) -> Result<Json<Value>, Problem> {
    let HistoryParameters {
        repository,
        tag,
        at,
    } = parameters(asked)?;
    let query = Query::History {
        repository,
        tag,
        at,
    };
    answer(&reading, query).await
}

/// `GET /v1/lineage`.
async fn lineage<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    asked: Asked<LineageParameters>,
) -> Result<Json<Value>, Problem> {
    let LineageParameters { digest, at } = parameters(asked)?;
    answer(&reading, Query::Lineage { digest, at }).await
}

/// `GET /v1/impact`.
async fn impact<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    asked: Asked<ImpactParameters>,
) -> Result<Json<Value>, Problem> {
    let ImpactParameters { vulnerability, at } = parameters(asked)?;
    answer(&reading, Query::Impact { vulnerability, at }).await
}

/// `GET /v1/overrides`.
async fn overrides<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    asked: Asked<OverridesParameters>,
) -> Result<Json<Value>, Problem> {
    let OverridesParameters { expiring, at } = parameters(asked)?;
    answer(&reading, Query::Overrides { expiring, at }).await
}

/// `GET /v1/decisions`.
async fn decisions<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    asked: Asked<Vec<(String, String)>>,
) -> Result<Json<Value>, Problem> {
    let given = parameters(asked)?;
    // They would ask for something else than a page of decisions.
    let is_other = |name: &str| matches!(name, "type" | "count" | "by" | "follow");
    let others = given.iter().filter(|(name, _)| is_other(name));
    let others: Vec<String> = others.map(|(name, _)| format!("`{name}`")).collect();
    if !others.is_empty() {
        return Err(Problem::bad_request(format!(
            "decisions come as pages, which {} cannot change: ask `/v1/events?type=decision.made`, which takes all that events take",
            others.join(", ")
        )));
    }
    let asked = EventParameters::read(given)?;
    answer(&reading, Query::Decisions(asked.filter)).await
}

/// `GET /v1/promotions`.
async fn promotions<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    asked: Asked<Vec<(String, String)>>,
) -> Result<Json<Value>, Problem> {
    let filter = promotions::filter(parameters(asked)?)?;
    answer(&reading, Query::Promotions(filter)).await
}

/// `GET /v1/rules`.
async fn rules<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    asked: Asked<NoParameters>,
) -> Result<Json<Value>, Problem> {
    parameters(asked)?;
    answer(&reading, Query::Rules).await
}

/// `GET /v1/status`.
async fn status<B: Backend>(
    State(reading): State<Arc<Reading<B>>>,
    asked: Asked<NoParameters>,
) -> Result<Json<Value>, Problem> {
    parameters(asked)?;
    answer(&reading, Query::Status).await
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
