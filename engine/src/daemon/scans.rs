//! Asks for scans: each leaf of a tag that has no scan is asked for once, in the log and so in the
//! stream, where scan workers take it. Nobody is asked to scan what refers to an image.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use weir_rules::State;
use weir_schema::{Body, Digest, Received, RepositoryName, ScanRequested};

use super::{DaemonError, Shared, leader::Acting, own_event};
use crate::{
    log::index::Index,
    query::{self, EventFilter},
};

/// How long after a change is looked for what it left to be scanned: the manifests of an
/// application come one by one.
const LOOK: Duration = Duration::from_secs(1);

/// For how many times as long as a look took there is none: the node does nothing else meanwhile.
const REST: u32 = 10;

/// The type of the events that ask.
const KIND: &str = "weir.scan.requested";

/// Asks, as configured, until this node acts no longer.
pub(crate) async fn run(acting: &Acting) -> Result<(), DaemonError> {
    let shared = &acting.shared;
    // Whoever leads asks, also where it leaves copying to somebody else: nobody else would.
    if !shared.config.scans.request {
        return std::future::pending().await;
    }
    // Of what still lacks a scan, what was asked for.
    let mut asked = BTreeSet::new();
    let (mut seen, mut pause) = (0, LOOK);
    loop {
        let head = shared.node.reader().head().next_seq;
        if head != seen {
            seen = head;
            let look = |state: &State| {
                let begun = Instant::now();
                (state.unscanned(), begun.elapsed())
            };
            let (unscanned, took) = shared.node.ask(look).await?;
            pause = LOOK.max(took.saturating_mul(REST));
            let mut open = BTreeMap::new();
            for (repository, leaf) in unscanned {
                if shared.config.reaches(&repository) {
                    open.entry(leaf).or_insert(repository);
                }
            }
            asked.retain(|leaf| open.contains_key(leaf));
            open.retain(|leaf, _| asked.insert(leaf.clone()));
            let events = requests(shared, open).await?;
            if !events.is_empty() {
                acting.say(events, &None).await?;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// What asks for these leaves, without those that were ever asked for, as the log knows.
async fn requests(
    shared: &Arc<Shared>,
    leaves: BTreeMap<Digest, RepositoryName>,
) -> Result<Vec<Received>, DaemonError> {
    let shared = Arc::clone(shared);
    let look_up = move || {
        let mut events = Vec::new();
        for (leaf, repository) in leaves {
            if !was_asked(shared.node.index(), &leaf)? {
                events.push(request(&shared, repository, leaf));
            }
        }
        Ok(events)
    };
    tokio::task::spawn_blocking(look_up).await?
}

fn was_asked(index: &Index, leaf: &Digest) -> Result<bool, DaemonError> {
    let filter = EventFilter {
        limit: 1,
        kinds: vec![KIND.into()],
        digests: vec![leaf.to_string()],
        ..EventFilter::default()
    };
    let page = query::events(index, &filter).map_err(|error| error.to_string())?;
    Ok(!page.events.is_empty())
}

fn request(shared: &Shared, repository: RepositoryName, digest: Digest) -> Received {
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
