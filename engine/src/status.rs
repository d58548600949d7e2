//! How the engine is: what its log and state say of themselves, for a running daemon and for the
//! data directory of a stopped one alike.

use serde_json::{Value, json};
use weir_rules::State;
use weir_schema::record::hex;

use crate::{
    daemon::{heard, lookups, outputs},
    log::LogReader,
    query::QueryError,
};

/// What log and state say. What only a running daemon knows is `null`, or as it was last kept.
pub(crate) fn of_log(state: &State, reader: &LogReader) -> Result<Value, QueryError> {
    Ok(with_digest(at_once(state, reader)?, state))
}

/// Adds the state's digest, which takes a second for every million records or so.
pub(crate) fn with_digest(mut status: Value, state: &State) -> Value {
    status["state_digest"] = state.state_digest().to_string().into();
    status
}

/// The same without the state's digest.
pub(crate) fn at_once(state: &State, reader: &LogReader) -> Result<Value, QueryError> {
    let unavailable = |error: &dyn std::error::Error| QueryError::Unavailable(error.to_string());
    let head = reader.head();
    let bytes = reader.size_on_disk().map_err(|error| unavailable(&error))?;
    let open = lookups::Lookups::of(reader).map_err(|error| unavailable(&*error))?;
    let published = outputs::published_through(reader).map_err(|error| unavailable(&error))?;
    let sources = heard::kept(reader).map_err(|error| unavailable(&*error))?;
    let (open_promotions, failed) = state.promotions_open_and_failed();
    let position = head.position.as_ref().map(|at| {
        json!({
            "name": at.stream,
            "created": at.created,
            "position": at.sequence,
            "last": null,
            "lag": null,
            "connected": false,
            "refused": null,
            "denied": [],
            "unread": null,
        })
    });
    Ok(json!({
        "running": false,
        "node": null,
        "version": env!("CARGO_PKG_VERSION"),
        "log": {
            "records": head.next_seq - 1,
            "hash": hex(&head.previous),
            "root": hex(&head.root),
            "last_recorded_at": head.last_recorded_at,
            "bytes": bytes,
        },
        "archive": null,
        "state_digest": null,
        "rules": {
            "count": state.rules().rules().len(),
            "rules_digest": format!("sha256:{}", hex(&state.rules().digest())),
            "refused": state.rules_refused(),
        },
        "stream": position,
        "lease": null,
        "promotions": {"open": open_promotions, "failed": failed},
        "holds": state.holds(),
        "violations": state.violations(),
        "lookups": {"deliveries": open.len(), "manifests": null},
        "outputs": head.position.as_ref().map(|_| json!({"published_through": published})),
        "sources": sources,
    }))
}
