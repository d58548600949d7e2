//! Webhooks before they are deliveries: who sent one, by the proof that its source is configured to
//! give, and the handshakes with which senders ask whether they are welcome.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::Problem;
use crate::adapters::{WebhookAuth, verify};

/// How each source proves who it is. A source that is not here is let in as the server lets in
/// everybody.
#[derive(Debug, Clone, Default)]
pub(super) struct Proofs(BTreeMap<String, WebhookAuth>);

impl Proofs {
    pub(super) fn new(of: BTreeMap<String, WebhookAuth>) -> Self {
        Self(of)
    }

    /// What the source has to prove, if anything.
    pub(super) fn of(&self, source: &str) -> Option<&WebhookAuth> {
        self.0.get(source)
    }

    /// Whether the proof of a source is over the body.
    pub(super) fn signs_bodies(&self, source: &str) -> bool {
        match self.of(source) {
            Some(
                WebhookAuth::Github { .. } | WebhookAuth::Jfrog { .. } | WebhookAuth::Nexus { .. },
            ) => true,
            Some(
                WebhookAuth::Header { .. }
                | WebhookAuth::Bearer { .. }
                | WebhookAuth::Basic { .. }
                | WebhookAuth::Query { .. },
            )
            | None => false,
        }
    }

    /// Judges a delivery by its headers, the query of its address and its body, as it came.
    pub(super) fn check(
        &self,
        source: &str,
        headers: &HeaderMap,
        query: &str,
        body: &[u8],
    ) -> Result<(), Problem> {
        let Some(auth) = self.of(source) else {
            return Ok(());
        };
        let headers: Vec<(String, String)> = headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        verify(auth, &headers, query, body).map_err(|error| {
            tracing::warn!(source, %error, "a delivery was refused");
            Problem::unproved(format!(
                "source `{source}`: {error}; what it must send is in [sources.\"{source}\".auth]"
            ))
        })
    }

    /// Whether a header carries the secret of some source, so that it must not get into the log.
    pub(super) fn is_secret(&self, header: &str) -> bool {
        self.0.values().any(|auth| match auth {
            WebhookAuth::Header { name, .. } => name.eq_ignore_ascii_case(header),
            _ => false,
        })
    }
}

/// The answer to Event Grid's question whether this address wants its events: the code that it
/// sent. `None` if `body` is no such question.
pub(super) fn event_grid_validation(headers: &HeaderMap, body: &[u8]) -> Option<Response> {
    let kind = headers.get("aeg-event-type")?.to_str().ok()?;
    if !kind.eq_ignore_ascii_case("SubscriptionValidation") {
        return None;
    }
    let events: Value = serde_json::from_slice(body).ok()?;
    let event = events.get(0).unwrap_or(&events);
    let code = event.get("data")?.get("validationCode")?.as_str()?;
    // Any other status, 202 among them, is a refusal to Event Grid.
    Some((StatusCode::OK, Json(json!({ "validationResponse": code }))).into_response())
}

/// The answer to the question of CloudEvents senders whether they may send here (CloudEvents 1.0,
/// "HTTP 1.1 Web Hooks", section 4). What they send is judged when it comes.
pub(super) fn cloudevents_handshake(headers: &HeaderMap) -> Response {
    let mut response = StatusCode::OK.into_response();
    let answer = response.headers_mut();
    answer.insert("allow", HeaderValue::from_static("POST, OPTIONS"));
    if let Some(origin) = headers.get("webhook-request-origin") {
        answer.insert(
            HeaderName::from_static("webhook-allowed-origin"),
            origin.clone(),
        );
        if headers.contains_key("webhook-request-rate") {
            let any = HeaderValue::from_static("*");
            answer.insert(HeaderName::from_static("webhook-allowed-rate"), any);
        }
    }
    response
}
