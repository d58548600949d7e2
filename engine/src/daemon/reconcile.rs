//! Reconciling as part of the daemon: at start, when a registry has restarted (events that it held
//! are lost then), from time to time, and when somebody asks.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use weir_rules::pattern::RepositoryPatterns;
use weir_schema::{Digest, Event, Record};

use super::{DaemonError, Shared, leader::Acting, own_event};
use crate::backoff::doubled;
use crate::reconcile::{Emptied, Known, Report, Told, survey};

/// How long a registry that came up again has to get ready before it is asked.
const SETTLE: Duration = Duration::from_secs(2);

/// How long registries are left alone after a look at them, whoever asks for the next.
const CALM: Duration = Duration::from_secs(5);

/// How long after a registry did not answer it is asked again.
const FIRST_PAUSE: Duration = Duration::from_secs(5);

/// The longest, if it goes on not answering.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

/// How the identifiers of events begin that say what was found.
const FOUND: &str = "reconciled-";

/// Whether an event says what was found at a registry, of which nobody knows when it came there.
pub(crate) fn is_found(event: &Event) -> bool {
    event.source == Event::OWN_SOURCE && event.id.starts_with(FOUND)
}

/// Reconciles as configured until this node acts no longer; `first` says that the daemon starts.
pub(crate) async fn run(acting: &Acting, first: bool) -> Result<(), DaemonError> {
    let shared = &acting.shared;
    let config = &shared.config.reconcile;
    // Whoever leads looks, also where it leaves copying to somebody else: nobody else records what it
    // finds.
    if hosts(shared).is_empty() {
        return std::future::pending().await;
    }
    let mut due = config.at_start && first;
    let mut failures = 0;
    loop {
        if due {
            let again = match once(shared, Some(acting), true).await {
                Ok(report) => {
                    tell(&report);
                    report.again
                }
                Err(error) => {
                    tracing::error!(%error, "what was found could not be recorded");
                    true
                }
            };
            failures = if again { failures + 1 } else { 0 };
        }
        let calm = tokio::time::Instant::now() + if due { CALM } else { Duration::ZERO };
        let every = config
            .every_minutes
            .map(|minutes| Duration::from_secs(minutes.get().saturating_mul(60)));
        tokio::select! {
            () = shared.restarted.notified() => {
                tokio::time::sleep(SETTLE).await;
                tokio::time::sleep_until(calm).await;
            }
            () = after(every) => {}
            // A registry that is away is asked again until it answers.
            () = after((failures > 0).then(|| pause(failures))) => {}
        }
        due = true;
    }
}

/// How long after a registry did not answer `failures` times it is asked again.
fn pause(failures: u32) -> Duration {
    doubled(FIRST_PAUSE, failures.saturating_sub(1), LONGEST_PAUSE)
}

async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait.max(Duration::from_secs(1))).await,
        None => std::future::pending().await,
    }
}

fn tell(report: &Report) {
    for drift in &report.drift {
        tracing::warn!("{drift}: recorded, no event had told of it");
    }
    for problem in &report.problems {
        tracing::warn!("not reconciled: {problem}");
    }
    if report.tags == 0 && !report.problems.is_empty() {
        return;
    }
    tracing::info!(
        tags = report.tags,
        manifests = report.manifests,
        drift = report.drift.len(),
        not_asked = report.problems.len(),
        "reconciled"
    );
}

/// Looks once; with `confirm`, what was found becomes events: said by the node that acts, or by
/// whoever asked for it.
pub(crate) async fn once(
    shared: &Shared,
    acting: Option<&Acting>,
    confirm: bool,
) -> Result<Report, DaemonError> {
    let known = shared.node.ask(Known::of).await?;
    let only = shared.config.reconcile.repositories.as_deref();
    let only = only.map(str::parse::<RepositoryPatterns>).transpose();
    let only = only.map_err(|error| format!("`reconcile.repositories`: {error}"))?;
    let default = shared.config.default_registry.as_deref();
    let hosts = hosts(shared);
    // What nobody asked for, nobody looks at before it is recorded.
    let emptied = match acting {
        Some(_) => Emptied::Doubted,
        None => Emptied::Believed,
    };
    let clients = &shared.clients;
    let mut report = survey(clients, &hosts, default, only.as_ref(), &known, emptied).await;
    if confirm && !report.drift.is_empty() {
        let now = shared.node.ask(Known::of).await?;
        let told = told(shared, known.seq, now.seq).await?;
        report
            .drift
            .retain(|drift| drift.holds(&known, &now, &told));
        let events = report.drift.iter().map(|drift| {
            // The same drift may come again; at the same place in the log it is the same.
            let key = Digest::of(format!("{}\n{drift}", now.seq).as_bytes()).hex();
            own_event(format!("{FOUND}{key}"), drift.event())
        });
        let events = events.collect();
        match acting {
            // The next look is to know of it.
            Some(acting) => acting.say_and_read(events, &None).await?,
            None => shared.submit(events, None).await.map(drop)?,
        }
    }
    Ok(report)
}

/// What pushes were recorded after `before`, up to `last`.
async fn told(shared: &Shared, before: u64, last: u64) -> Result<Told, DaemonError> {
    let reader = shared.node.reader().clone();
    let read = move || {
        let mut told = Told::default();
        for row in reader.range(before + 1, Some(last + 1)) {
            let (_, record) = row.map_err(|error| error.to_string())?;
            let record = Record::decode(&record).map_err(|error| error.to_string())?;
            told.note(record.event.body);
        }
        Ok(told)
    };
    tokio::task::spawn_blocking(read).await?
}

/// The registries that may be asked.
fn hosts(shared: &Shared) -> BTreeSet<String> {
    let config = &shared.config;
    let named = config.registries.keys().cloned();
    named.chain(config.default_registry.clone()).collect()
}

/// Reconciles soon, since a source says that something happened and not what.
pub(crate) fn soon(shared: &Shared, source: &str, reason: &str) {
    tracing::info!(source, reason, "reconciling");
    shared.restarted.notify_one();
}

/// Notes which run of a registry sent a delivery; one that was not heard of has begun anew, and what
/// the one before had not sent is lost.
pub(crate) fn note_instance(shared: &Shared, source: &str, body: &[u8]) {
    if let Some(instance) = instance(body)
        && shared.instances.note(source, &instance)
    {
        tracing::info!(source, "the registry was started anew: reconciling");
        shared.restarted.notify_one();
    }
}

/// `source.instanceID` of distribution's notifications.
fn instance(body: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Envelope {
        events: Vec<Event>,
    }
    #[derive(serde::Deserialize)]
    struct Event {
        source: Source,
    }
    #[derive(serde::Deserialize)]
    struct Source {
        #[serde(rename = "instanceID")]
        instance: String,
    }
    let envelope: Envelope = serde_json::from_slice(body).ok()?;
    Some(envelope.events.into_iter().next()?.source.instance)
}

/// What was found, for whoever asked.
pub(crate) fn answer(report: &Report, confirmed: bool) -> Value {
    json!({
        "drift": report.drift,
        "problems": report.problems,
        "tags": report.tags,
        "manifests": report.manifests,
        "confirmed": confirmed,
    })
}
