//! What only the running daemon knows of how it is.

use std::{fmt::Write as _, sync::atomic::Ordering, time::Duration};

use serde_json::{Value, json};

use super::Shared;
use crate::{
    query::{self, Asker, EventFilter},
    stream::Denial,
};

/// How long the stream is waited for, for an answer that is good to have.
const PATIENCE: Duration = Duration::from_secs(2);

/// Completes what log and state say.
pub(super) async fn complete(shared: &Shared, status: &mut Value) {
    let node = shared.config.node_name();
    status["running"] = true.into();
    status["node"] = node.as_str().into();
    status["started_at"] = json!(shared.started);
    status["address"] = shared.address.as_str().into();
    if let Some(refused) = shared.refused_rules() {
        status["rules"]["refused"] = refused.into();
    }
    if let Some(archive) = shared.node.archive() {
        status["archive"] = json!({
            "directory": archive.dir(),
            "problem": archive.trouble().map(|trouble| trouble.told),
        });
    }
    status["promotions"]["execute"] = shared.config.promotions.execute.into();
    status["lookups"]["manifests"] = shared.manifests_open.load(Ordering::Relaxed).into();
    status["lookups"]["deliveries"] = shared.lookups.len().into();
    status["sources"] = json!(shared.heard.last());
    status["lease"] = shared.standing.borrow().answer(&node);
    if let Some(stream) = &shared.stream {
        status["outputs"]["published_through"] = (*shared.published.borrow()).into();
        let position = *shared.read.borrow();
        let last = last_sequence(shared).await;
        status["stream"] = json!({
            "name": stream.name(),
            "created": stream.created(),
            "position": position,
            "last": last,
            "lag": last.map(|last| last.saturating_sub(position)),
            "connected": stream.connection().is_connected(),
            "refused": stream.connection().refused(),
            "denied": denied(&stream.connection().denied()),
            "unread": shared.unread().map(|obstacle| obstacle.to_string()),
        });
    } else {
        status["outputs"] = Value::Null;
    }
}

fn denied(denials: &[Denial]) -> Vec<String> {
    denials.iter().map(ToString::to_string).collect()
}

/// What keeps this node from reading what is in the stream: what is not permitted to it is told at once.
pub(super) async fn kept_from_reading(shared: &Shared) -> Option<String> {
    let denied = denied(&shared.stream.as_ref()?.connection().denied_to_read());
    let unread = shared.unread().map(|obstacle| obstacle.to_string());
    if denied.is_empty() {
        return unread;
    }
    let position = *shared.read.borrow();
    let waits = last_sequence(shared)
        .await
        .is_none_or(|last| last > position);
    (waits || unread.is_some()).then(|| {
        format!(
            "the stream is not read: NATS does not permit this node {}",
            denied.join(", ")
        )
    })
}

async fn last_sequence(shared: &Shared) -> Option<u64> {
    let stream = shared.stream.as_ref()?;
    let last = tokio::time::timeout(PATIENCE, stream.last_sequence()).await;
    last.ok()?.ok()
}

/// How many inputs were rejected since the log began; what the index has counted is not read again.
async fn rejected(shared: &Shared) -> Option<u64> {
    let index = shared.node.index().clone();
    let of_kind = EventFilter {
        kinds: vec!["weir.input.rejected".to_owned()],
        ..EventFilter::default()
    };
    let counted =
        tokio::task::spawn_blocking(move || query::count(&index, &of_kind, &Asker::default()).ok());
    counted.await.ok()?.map(|counted| counted.found)
}

/// The engine's own metrics, in Prometheus text form.
pub(super) async fn metrics(shared: &Shared) -> String {
    let mut metrics = Metrics::default();
    of_log(shared, &mut metrics).await;
    of_state(shared, &mut metrics).await;
    of_node(shared, &mut metrics);
    of_archive(shared, &mut metrics);
    of_stream(shared, &mut metrics).await;
    metrics.text
}

/// Metrics in Prometheus text form.
#[derive(Default)]
struct Metrics {
    text: String,
}

impl Metrics {
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.put("counter", name, help, value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.put("gauge", name, help, value);
    }

    fn put(&mut self, kind: &str, name: &str, help: &str, value: u64) {
        // Writing into a string cannot fail.
        let _ = write!(
            self.text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"
        );
    }
}

async fn of_log(shared: &Shared, metrics: &mut Metrics) {
    let records = shared.node.reader().head().next_seq - 1;
    metrics.counter("weir_records", "Records in the log.", records);
    metrics.counter(
        "weir_inputs_repeated",
        "Inputs that this node dropped since its start, as they came before by source and id.",
        shared.node.repeated(),
    );
    if let Some(rejected) = rejected(shared).await {
        metrics.counter(
            "weir_inputs_rejected",
            "Inputs that could not be read, by the log.",
            rejected,
        );
    }
}

/// Puts nothing if the node has ended.
async fn of_state(shared: &Shared, metrics: &mut Metrics) {
    let counted = shared.node.ask(|state| {
        let (open, failed) = state.promotions_open_and_failed();
        let oldest = state.oldest_open_promotion();
        (
            open,
            failed,
            state.holds().len(),
            state.violations(),
            oldest,
        )
    });
    let Ok((open, failed, holds, violations, oldest)) = counted.await else {
        return;
    };
    let now = chrono::Utc::now();
    let age = oldest.map_or(0, |at| (now - at.datetime()).num_seconds());
    metrics.gauge(
        "weir_promotions_oldest_open_seconds",
        "Age of the oldest promotion that is decided and not done; 0 without any.",
        u64::try_from(age).unwrap_or_default(),
    );
    for (name, help, value) in [
        (
            "weir_promotions_open",
            "Promotions decided and not done.",
            open,
        ),
        ("weir_promotions_failed", "Promotions given up.", failed),
        ("weir_holds", "Holds in force.", holds),
        (
            "weir_violations",
            "Target tags that hold what would not be promoted now.",
            violations,
        ),
    ] {
        metrics.gauge(name, help, value as u64);
    }
}

fn of_node(shared: &Shared, metrics: &mut Metrics) {
    let acts = shared.standing.borrow().acts();
    metrics.gauge("weir_acts", "1 on the node that acts.", acts.into());
    metrics.gauge(
        "weir_deliveries_open",
        "Deliveries that wait for a registry's answer.",
        shared.lookups.len() as u64,
    );
    metrics.gauge(
        "weir_manifests_open",
        "Manifests that wait to be looked up: for a registry, or for a login that it takes.",
        shared.manifests_open.load(Ordering::Relaxed) as u64,
    );
    metrics.gauge(
        "weir_rules_refused",
        "1 where the rules of the directory are not those in force, with the reason in the status.",
        shared.refused_rules().is_some().into(),
    );
}

fn of_archive(shared: &Shared, metrics: &mut Metrics) {
    let Some(archive) = shared.node.archive() else {
        return;
    };
    metrics.gauge(
        "weir_archive_failed",
        "1 where full segments of the log are not archived, with the reason in the status.",
        archive.trouble().is_some().into(),
    );
}

async fn of_stream(shared: &Shared, metrics: &mut Metrics) {
    let Some(stream) = &shared.stream else {
        return;
    };
    metrics.gauge(
        "weir_stream_connected",
        "1 while the node is connected to NATS.",
        stream.connection().is_connected().into(),
    );
    metrics.gauge(
        "weir_log_differs",
        "1 where the log is not that of the node that leads, with the record in the status.",
        shared.agreement.difference().is_some().into(),
    );
    let position = *shared.read.borrow();
    metrics.counter(
        "weir_stream_position",
        "The last message of the stream that is in the log.",
        position,
    );
    if let Some(last) = last_sequence(shared).await {
        metrics.gauge(
            "weir_stream_lag",
            "Messages of the stream that are not in the log.",
            last.saturating_sub(position),
        );
    }
}
