//! What the HTTP edge needs: the daemon's side of it.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::Semaphore;
use tracing::Instrument as _;
use weir_rules::State;
use weir_schema::Received;

use super::{
    DaemonError, Shared, default_registry, executor::reach, intake, oversized, reconcile, status,
    trace,
};
use crate::{
    adapters::{self, SOURCE_ONLY_HEADER},
    backtest::{Question, jobs::Standing},
    http::{self, Accepted, Delivery, IntakeError},
    node::Archiving,
    query::{self, Asker, EventFilter, EventPage, Query, QueryError},
    status as standing,
    stream::{Escort, PublishError, Publisher, Refusal, Speaker},
};

/// The daemon as the HTTP edge sees it. Clones share its turns.
#[derive(Clone)]
pub(crate) struct Backend {
    shared: Arc<Shared>,
    /// For questions that the log answers: more at a time would only take the processors, and the
    /// memory, from each other and from the node.
    turns: Arc<Semaphore>,
    /// For a copy of the whole state, which has the size of the state: one at a time.
    copies: Arc<Semaphore>,
    /// For deliveries: each is held in memory until it is durable, also when its sender has gone.
    deliveries: Arc<Semaphore>,
}

/// Deliveries at a time.
const DELIVERIES: usize = 512;

/// Questions to the log at a time.
const TURNS: usize = 16;

impl Backend {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            turns: Arc::new(Semaphore::new(TURNS)),
            copies: Arc::new(Semaphore::new(1)),
            deliveries: Arc::new(Semaphore::new(DELIVERIES)),
        }
    }

    /// Adds to each promotion of a list what this node knows of it besides: how its copy fares, or
    /// what it waits for.
    fn complete_promotions(&self, promotions: &mut Value) {
        self.shared.running.complete(promotions);
        reach::complete(&self.shared, promotions);
    }
}

/// Lets whoever asks go once its request is dropped.
struct Goes(Asker);

impl Drop for Goes {
    fn drop(&mut self) {
        self.0.go();
    }
}

/// Runs what reads the log for a while on a thread of its own.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| QueryError::Unavailable(error.to_string()))?
}

/// Runs what reads the log for a while once one of `turns` is free. The turn goes with the work, which
/// outlives whoever asked and went away.
async fn in_turn<T: Send + 'static>(
    turns: &Arc<Semaphore>,
    work: impl FnOnce() -> Result<T, QueryError> + Send + 'static,
) -> Result<T, QueryError> {
    let turn = Arc::clone(turns).acquire_owned().await;
    let work = move || {
        let done = work();
        drop(turn);
        done
    };
    aside(work).await
}

/// Who speaks in a delivery: an operator where it says what a source may not, and proves that it may.
async fn speaker(
    shared: &Arc<Shared>,
    source: &str,
    delivery: &Delivery,
) -> Result<Speaker, IntakeError> {
    let mut headers = delivery.headers.iter();
    if headers.any(|(name, _)| name == SOURCE_ONLY_HEADER) {
        return Ok(Speaker::Source);
    }
    let (shared, source, delivery) = (Arc::clone(shared), source.to_owned(), delivery.clone());
    let asked = tokio::task::spawn_blocking(move || {
        let raw = intake::Raw {
            adapter: delivery.adapter.as_deref(),
            source: &source,
            delivery_id: "",
            headers: &delivery.headers,
            body: &delivery.body,
        };
        let settings = shared.reads.now().of(&source);
        adapters::is_of_operators(&intake::delivery(&raw, &settings))
    });
    Ok(match asked.await.map_err(unavailable)? {
        true => Speaker::Operator,
        false => Speaker::Source,
    })
}

fn unavailable(error: impl ToString) -> IntakeError {
    IntakeError::Unavailable {
        problem: error.to_string(),
        retry_after_seconds: 5,
    }
}

/// Why operators' events are not durable: whoever sends one that can never be is not to try again.
fn not_said(error: DaemonError) -> IntakeError {
    match error.downcast_ref::<PublishError>() {
        Some(error @ PublishError::TooLarge { .. }) => IntakeError::TooLarge(error.to_string()),
        _ => unavailable(error),
    }
}

/// Makes a delivery durable: in the stream or, where there is none, on record.
async fn take(shared: Arc<Shared>, delivery: Delivery) -> Result<Accepted, IntakeError> {
    let shared = &shared;
    let source = delivery.source.clone();
    let trace = trace::of(&delivery.headers);
    let span = tracing::info_span!("delivery", %trace, source);
    if let Some(publisher) = &shared.publisher {
        let adapter = delivery.adapter.as_deref().unwrap_or("auto");
        let escort = Escort {
            trace: Some(trace.to_string()),
            ..Escort::default()
        };
        let speaker = speaker(shared, &source, &delivery).await?;
        let (headers, body) = (&delivery.headers, delivery.body.clone());
        let sent = publisher
            .publish_delivery(adapter, &source, speaker, headers, body, &escort)
            .instrument(span.clone())
            .await;
        let accepted = match sent {
            // Whether it came before shows when it is read.
            Ok(ack) => Accepted {
                sequence: ack.sequence,
                repeated: false,
            },
            Err(PublishError::TooLarge { limit, .. }) => {
                oversized::take(shared, &source, &delivery, &limit, &trace)
                    .instrument(span.clone())
                    .await?
            }
            Err(error) => return Err(unavailable(error)),
        };
        let sequence = accepted.sequence;
        span.in_scope(|| tracing::info!(adapter, sequence, "accepted"));
        return Ok(accepted);
    }
    shared.heard.note(&source, chrono::Utc::now().into());
    let id = uuid::Uuid::new_v4().to_string();
    let decoded = intake::decode_aside(shared, &source, id, &delivery)
        .instrument(span.clone())
        .await
        .map_err(unavailable)?;
    let events = intake::events(shared, &source, decoded)
        .instrument(span.clone())
        .await
        .map_err(unavailable)?;
    if events.is_empty() {
        return Ok(Accepted {
            sequence: shared.node.reader().head().next_seq - 1,
            repeated: false,
        });
    }
    let recorded = shared.record(events, Some(trace)).await;
    let accepted = Accepted::all(&recorded.map_err(unavailable)?);
    let Accepted { sequence, repeated } = accepted;
    span.in_scope(|| tracing::info!(record = sequence, repeated, "accepted"));
    Ok(accepted)
}

impl http::Backend for Backend {
    async fn intake(&self, delivery: Delivery) -> Result<Accepted, IntakeError> {
        let place = Arc::clone(&self.deliveries).try_acquire_owned();
        let place = place.map_err(|_| unavailable(format!("{DELIVERIES} are taken already")))?;
        // Whoever hangs up while a registry is asked has delivered all the same.
        let shared = Arc::clone(&self.shared);
        let taken = tokio::spawn(async move {
            let taken = take(shared, delivery).await;
            drop(place);
            taken
        });
        let taken = taken.await.map_err(DaemonError::from);
        taken.map_err(unavailable)?
    }

    fn may_waive(&self, source: &str) -> bool {
        self.shared.reads.now().of(source).vex
    }

    async fn publish(&self, events: Vec<Received>) -> Result<Vec<Accepted>, IntakeError> {
        if let Some(host) = &self.shared.config.default_registry {
            let mut events = events.iter();
            if let Some(why) = events.find_map(|event| default_registry::named_in(event, host)) {
                return Err(IntakeError::Refused(why));
            }
        }
        let trace = trace::new();
        for event in events.iter().filter(|_| self.shared.publisher.is_none()) {
            let now = chrono::Utc::now().into();
            self.shared.heard.note(&event.event.source, now);
        }
        let kinds: Vec<&str> = events.iter().map(|event| event.event.body.kind()).collect();
        tracing::info!(%trace, events = kinds.join(" "), "said");
        let said = self.shared.submit(events, Some(trace)).await;
        said.map_err(not_said)
    }

    async fn events(&self, filter: &EventFilter) -> Result<EventPage, QueryError> {
        let (index, filter) = (self.shared.node.index().clone(), filter.clone());
        in_turn(&self.turns, move || query::events(&index, &filter)).await
    }

    async fn appended(&self, after: u64) {
        let mut committed = self.shared.node.reader().subscribe();
        // An ended log appends nothing; whoever follows it is ended by the server.
        if committed.wait_for(|next| *next > after + 1).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    async fn query(&self, query: Query) -> Result<Value, QueryError> {
        // What the log alone can answer does not keep the node from its work.
        let (index, asked) = (self.shared.node.index().clone(), query.clone());
        let asker = Asker::default();
        let _goes = Goes(asker.clone());
        let of_log = move || {
            let answer = query::of_log(&index, &asked, &asker);
            answer.map_err(|error| query::suggest(&index, &asked, error))
        };
        if let Some(answer) = in_turn(&self.turns, of_log).await? {
            return Ok(answer);
        }
        let stopped = |error: crate::node::Stopped| QueryError::Unavailable(error.to_string());
        let (reader, asked) = (self.shared.node.reader().clone(), query.clone());
        let node = &self.shared.node;
        // Of the whole state a copy is made in a tenth of the time that its digest takes.
        let said = if matches!(query, Query::Status) {
            // The turn goes with the copy, which outlives whoever asked and went away.
            let turn = Arc::clone(&self.copies).acquire_owned().await;
            let copy =
                move |state: &State| (standing::at_once(state, &reader), state.clone(), turn);
            let (said, state, turn) = node.ask(copy).await.map_err(stopped)?;
            let digested = move || {
                let said = standing::with_digest(said?, &state);
                drop((state, turn));
                Ok(said)
            };
            aside(digested).await?
        } else {
            let asked = node.ask(move |state| query::of_state(state, &reader, &asked));
            let said = asked.await.map_err(stopped)?;
            let (index, asked) = (self.shared.node.index().clone(), query.clone());
            let suggested = move || said.map_err(|error| query::suggest(&index, &asked, error));
            in_turn(&self.turns, suggested).await?
        };
        let (index, asked) = (self.shared.node.index().clone(), query.clone());
        let completed = move || query::complete(&index, &asked, said);
        let mut value = in_turn(&self.turns, completed).await?;
        match query {
            Query::Promotions(_) => self.complete_promotions(&mut value),
            Query::Why { .. } => {
                for one in value.as_array_mut().into_iter().flatten() {
                    self.complete_promotions(&mut one["promotions"]);
                }
            }
            Query::Status => status::complete(&self.shared, &mut value).await,
            Query::Rules => {
                if let Some(refused) = self.shared.refused_rules() {
                    value["refused"] = refused.into();
                }
            }
            _ => {}
        }
        Ok(value)
    }

    async fn reconcile(&self, confirm: bool) -> Result<Value, QueryError> {
        let found = reconcile::once(&self.shared, None, confirm).await;
        let report = found.map_err(|error| QueryError::Unavailable(error.to_string()))?;
        Ok(reconcile::answer(&report, confirm))
    }

    async fn start_backtest(&self, question: Question) -> Result<u64, QueryError> {
        question
            .check()
            .map_err(|error| QueryError::Invalid(error.to_string()))?;
        let reader = self.shared.node.reader().clone();
        let started = self.shared.backtests.start(reader, question);
        started.map_err(|busy| QueryError::Unavailable(busy.to_string()))
    }

    fn backtest(&self, id: u64) -> Option<Standing> {
        self.shared.backtests.get(id)
    }

    async fn end_backtest(&self, id: u64) -> bool {
        let shared = Arc::clone(&self.shared);
        let ended = tokio::task::spawn_blocking(move || shared.backtests.remove(id)).await;
        ended.unwrap_or(false)
    }

    async fn ready(&self) -> Result<(), String> {
        // Nothing can be made durable without it.
        if let Some(stream) = &self.shared.stream
            && !stream.connection().is_connected()
        {
            if let Some(refused) = stream.connection().refused() {
                return Err(format!("nothing can be made durable: {refused}"));
            }
            return Err("not connected to NATS: nothing can be made durable".to_owned());
        }
        let publisher = self.shared.publisher.as_ref();
        if let Some(Refusal { since, problem, .. }) = publisher.and_then(Publisher::refusal) {
            return Err(format!(
                "nothing can be made durable since {since}: {problem}"
            ));
        }
        if let Some(problem) = status::kept_from_reading(&self.shared).await {
            return Err(problem);
        }
        // What it would answer, and decide, is not what the others do.
        if let Some(difference) = self.shared.agreement.difference() {
            return Err(difference.to_string());
        }
        // What it takes now may follow other records than those that its archive holds.
        let trouble = self.shared.node.archive().and_then(Archiving::trouble);
        if let Some(trouble) = trouble.filter(|trouble| trouble.is_of_history) {
            return Err(trouble.told);
        }
        self.shared
            .node
            .ask(|_| ())
            .await
            .map_err(|error| error.to_string())
    }

    async fn metrics(&self) -> String {
        status::metrics(&self.shared).await
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;

    #[tokio::test]
    async fn whoever_goes_away_leaves_no_room_while_the_work_for_it_goes_on() {
        let turns = Arc::new(Semaphore::new(1));
        let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
        let (end, ends) = mpsc::channel::<()>();
        let long = in_turn(&turns, move || {
            let _told = begun.send(());
            let _told = ends.recv();
            Ok(())
        });
        tokio::select! {
            _ = long => panic!("it ended by itself"),
            _ = has_begun.recv() => {}
        }
        let mut another = std::pin::pin!(in_turn(&turns, || Ok("answered")));
        let early = tokio::time::timeout(Duration::from_millis(100), &mut another).await;
        assert!(early.is_err(), "it began beside the other");
        end.send(()).unwrap();
        assert_eq!(another.await.unwrap(), "answered");
    }
}
