//! Asks for scans: each leaf of a tag that has no scan is asked for once, in the log and so in the
//! stream, where scan workers take it. Nobody is asked to scan what refers to an image.

use std::{collections::BTreeSet, time::Duration};

use weir_schema::{Body, Digest, RepositoryName, ScanRequested};

use super::{DaemonError, Shared, leader::Acting, own_event};
use crate::query::{self, EventFilter};

/// How long after a change is looked for what it left to be scanned: the manifests of an
/// application come one by one.
const LOOK: Duration = Duration::from_secs(1);

/// The type of the events that ask.
const KIND: &str = "weir.scan.requested";

/// Asks, as configured, until this node acts no longer.
pub(crate) async fn run(acting: &Acting) -> Result<(), DaemonError> {
    let shared = &acting.shared;
    // A node that leaves copying to others leaves asking to them too.
    if !shared.config.scans.request || !shared.config.promotions.execute {
        return std::future::pending().await;
    }
    let mut asked = asked(shared).await?;
    let mut seen = 0;
    loop {
        let head = shared.node.reader().head().next_seq;
        if head != seen {
            seen = head;
            let open = shared.node.ask(weir_rules::State::unscanned).await?;
            let mut events = Vec::new();
            for (repository, leaf) in open {
                if shared.config.reaches(&repository) && asked.insert(leaf.clone()) {
                    events.push(request(shared, repository, leaf));
                }
            }
            if !events.is_empty() {
                acting.say(events, &None).await?;
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn request(shared: &Shared, repository: RepositoryName, digest: Digest) -> weir_schema::Received {
    let host = shared
        .config
        .default_registry
        .as_deref()
        .unwrap_or_default();
    let whole = repository
        .in_registry(host)
        .unwrap_or_else(|_| repository.clone());
    let body = Body::ScanRequested(ScanRequested {
        reference: format!("{whole}@{digest}"),
        digest: digest.clone(),
        repository,
    });
    // Named for the leaf: whoever asks for it asks for the same.
    own_event(format!("scan-requested-{digest}"), body)
}

/// The leaves that were asked for before.
async fn asked(shared: &Shared) -> Result<BTreeSet<Digest>, DaemonError> {
    let index = shared.node.index().clone();
    let read = move || -> Result<BTreeSet<Digest>, DaemonError> {
        let mut asked = BTreeSet::new();
        let mut filter = EventFilter {
            limit: 1000,
            kinds: vec![KIND.into()],
            ..EventFilter::default()
        };
        loop {
            let page = query::events(&index, &filter).map_err(|error| error.to_string())?;
            for event in &page.events {
                let record: serde_json::Value = serde_json::from_str(event.json.get())?;
                let digest = record["event"]["data"]["digest"].as_str();
                asked.extend(digest.and_then(|digest| digest.parse().ok()));
            }
            if page.next.is_none() {
                return Ok(asked);
            }
            filter.cursor = page.next;
        }
    };
    tokio::task::spawn_blocking(read).await?
}
