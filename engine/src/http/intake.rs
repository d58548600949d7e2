//! What comes in: deliveries of registries and scanners, and operators' events.
//!
//! A delivery is answered for its durability only. What is wrong with its content becomes a record;
//! a registry that got an error for it would stop sending, or send it for ever.

use std::{error::Error, sync::Arc, time::Duration};

use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{
        Path, Query as Parameters, RawQuery, State,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::LengthLimitError;
use serde::Deserialize;
use serde_json::{Value, json};
use weir_schema::Received;

use super::{Backend, Delivery, Problem, operators, server::App, webhook};
use crate::{
    adapters::{from_binary, mark_source_only},
    aside,
    causes::find,
    identifiers,
    structured::{from_structured, is_structured},
};

/// Events in one request of an operator.
const MOST_EVENTS: usize = 10_000;
/// Headers of the connection rather than of the delivery.
const CONNECTION_HEADERS: [&str; 10] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
];
/// Words in the name of a header that may hold a secret, which must not get into the log.
const SECRET_WORDS: [&str; 6] = ["auth", "cookie", "token", "secret", "password", "api-key"];

/// How long a body may take: whoever sends a byte now and then keeps a connection from others.
const WHOLE_BODY: Duration = Duration::from_secs(60);

/// Parameters of a delivery. Unknown ones are left alone: registries add their own.
#[derive(Debug, Deserialize)]
pub(super) struct IntakeParameters {
    source: Option<String>,
}

/// `POST /v1/intake/{adapter}`.
pub(super) async fn deliver<B: Backend>(
    State(app): State<Arc<App<B>>>,
    adapter: Result<Path<String>, PathRejection>,
    parameters: Result<Parameters<IntakeParameters>, QueryRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Path(adapter) = adapter.map_err(|_| {
        Problem::bad_request(
            "what follows `/v1/intake/` is no text: an adapter's name is percent-encoded in UTF-8",
        )
    })?;
    let address = Address {
        adapter: Some(adapter),
        parameters,
        query,
    };
    deliver_for(&app, address, &headers, body).await
}

/// `POST /v1/intake`: the adapter is recognised by the content.
pub(super) async fn deliver_any<B: Backend>(
    State(app): State<Arc<App<B>>>,
    parameters: Result<Parameters<IntakeParameters>, QueryRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let address = Address {
        adapter: None,
        parameters,
        query,
    };
    deliver_for(&app, address, &headers, body).await
}

/// `OPTIONS /v1/intake`: whether a sender of CloudEvents is welcome.
pub(super) async fn may_send(headers: HeaderMap) -> Response {
    webhook::cloudevents_handshake(&headers)
}

/// What the address of a delivery says.
struct Address {
    adapter: Option<String>,
    parameters: Result<Parameters<IntakeParameters>, QueryRejection>,
    query: Option<String>,
}

async fn deliver_for<B: Backend>(
    app: &App<B>,
    address: Address,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Address {
        adapter,
        parameters,
        query,
    } = address;
    let source = parameters
        .ok()
        .and_then(|parameters| parameters.0.source)
        // No name is no other source: its proof would not be asked for.
        .filter(|source| !source.is_empty())
        .or_else(|| adapter.clone())
        .unwrap_or_else(|| "unknown".into());
    // A source's own proof stands in for the token; a good token (an operator's) for the proof.
    let proved = app.proofs.of(&source).is_some();
    let by_token = app.admission.check_token(headers);
    if !proved {
        app.admission.check(headers, true)?;
    }
    let query = query.unwrap_or_default();
    // A proof that is no signature of the body is judged before memory is taken for one.
    let is_signature = app.proofs.signs_bodies(&source);
    if proved && !by_token && !is_signature {
        app.proofs.check(&source, headers, &query, &[])?;
    }
    let body = read_body(body, app.max_body_bytes).await?;
    if proved && !by_token && is_signature {
        app.proofs.check(&source, headers, &query, &body)?;
    }
    if let Some(answer) = webhook::event_grid_validation(headers, &body) {
        return Ok(answer);
    }
    let mut headers = content_headers(headers);
    headers.retain(|(name, _)| !app.proofs.is_secret(name));
    let source_only = !by_token && (proved || !app.admission.is_open());
    if source_only {
        mark_source_only(&mut headers);
    }
    let may_waive = source_only.then(|| app.backend.may_waive(&source));
    let delivery = Delivery {
        adapter,
        source,
        headers,
        body,
    };
    let accepted = app.backend.intake(delivery).await?;
    let mut answer = answer("sequence", accepted.sequence.into(), accepted.repeated);
    if let Some(may_waive) = may_waive {
        answer["source_only"] = json!({ "may_waive": may_waive });
    }
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// What is answered to who sent something: where it is, and whether all of it came before.
fn answer(place: &str, at: Value, repeated: bool) -> Value {
    let mut answer = json!({ place: at });
    if repeated {
        answer["repeated"] = true.into();
    }
    answer
}

/// `POST /v1/events`: CloudEvents of operators, one or a batch, structured or binary.
pub(super) async fn publish<B: Backend>(
    State(app): State<Arc<App<B>>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let body = read_body(body, app.max_body_bytes).await?;
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    // A batch is told from a single event by its form, whatever of the three it is called.
    match content_type.as_str() {
        "application/cloudevents+json"
        | "application/cloudevents-batch+json"
        | "application/json" => {}
        other => {
            return Err(Problem::bad_request(format!(
                "`content-type` is `{other}`, expected `application/cloudevents+json`, `application/cloudevents-batch+json` or `application/json`"
            )));
        }
    }
    let read = aside::read(body.len(), move || said(&headers, &body)).await;
    let (events, single) =
        read.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))??;
    let accepted = app.backend.publish(events).await?;
    let sequences: Vec<u64> = accepted.iter().map(|accepted| accepted.sequence).collect();
    let repeated = !accepted.is_empty() && accepted.iter().all(|accepted| accepted.repeated);
    Ok(Json(match (single, sequences.as_slice()) {
        (true, [sequence]) => answer("sequence", (*sequence).into(), repeated),
        _ => answer("sequences", sequences.into(), repeated),
    }))
}

/// The events of a body, and whether it is a single one.
fn said(headers: &HeaderMap, body: &Bytes) -> Result<(Vec<Received>, bool), Problem> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let is_binary = headers.contains_key("ce-specversion");
    Ok(if is_binary && !content_type.is_some_and(is_structured) {
        (vec![binary(headers, body)?], true)
    } else if body.trim_ascii_start().starts_with(b"[") {
        (batch(body)?, false)
    } else {
        (vec![event(body, "the event")?], true)
    })
}

fn batch(body: &Bytes) -> Result<Vec<Received>, Problem> {
    let items: Vec<Box<serde_json::value::RawValue>> = serde_json::from_slice(body)
        .map_err(|error| Problem::bad_request(format!("the batch is no JSON array: {error}")))?;
    if items.len() > MOST_EVENTS {
        return Err(Problem::too_large(format!(
            "{} events in one batch, at most {MOST_EVENTS}: send several batches",
            items.len()
        )));
    }
    let read = |(index, item): (usize, Box<serde_json::value::RawValue>)| {
        event(
            item.get().as_bytes(),
            &format!("event {index} of the batch"),
        )
    };
    items.into_iter().enumerate().map(read).collect()
}

fn event(json: &[u8], which: &str) -> Result<Received, Problem> {
    let received = from_structured(json)
        .map_err(|problem| Problem::bad_request(format!("{which}: {problem}")))?;
    admissible(received, which)
}

fn binary(headers: &HeaderMap, body: &[u8]) -> Result<Received, Problem> {
    let attributes = headers.iter().filter_map(|(name, value)| {
        let attribute = name.as_str().strip_prefix("ce-")?;
        Some((attribute, String::from_utf8_lossy(value.as_bytes())))
    });
    let attributes: Vec<_> = attributes.collect();
    let attributes = attributes.iter().map(|(name, value)| (*name, &**value));
    let received = from_binary(attributes, body)
        .map_err(|problem| Problem::bad_request(format!("the event: {problem}")))?;
    admissible(received, "the event")
}

fn admissible(received: Received, which: &str) -> Result<Received, Problem> {
    let body = &received.event.body;
    if body.is_for_weir_to_say() {
        return Err(Problem::forbidden(format!(
            "{which}: `{}` is what Weir concludes, nobody sends it",
            body.kind()
        )));
    }
    if let Some(problem) = operators::lacking(body).or_else(|| identifiers::too_long(body)) {
        return Err(Problem::bad_request(format!(
            "{which}: `data` of `{}`: {problem}",
            body.kind()
        )));
    }
    Ok(received)
}

pub(super) async fn read_body(body: Body, limit: usize) -> Result<Bytes, Problem> {
    let read = tokio::time::timeout(WHOLE_BODY, to_bytes(body, limit)).await;
    let read = read.map_err(|_| {
        Problem::timeout(format!(
            "the body did not come whole within {} s",
            WHOLE_BODY.as_secs()
        ))
    })?;
    read.map_err(|error| {
        // The one cause that is the sender's.
        let too_long = |cause: &(dyn Error + 'static)| cause.is::<LengthLimitError>().then_some(());
        if find(&error, too_long).is_some() {
            return Problem::too_large(format!(
                "the body is larger than {limit} bytes; `http.max_body_bytes` is the limit"
            ));
        }
        Problem::bad_request(format!("the body broke off: {error}"))
    })
}

/// The headers of a delivery, sorted by name.
fn content_headers(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut kept: Vec<(String, String)> = headers
        .iter()
        .filter(|(name, _)| {
            let name = name.as_str();
            !CONNECTION_HEADERS.contains(&name)
                && !SECRET_WORDS.iter().any(|word| name.contains(word))
        })
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    kept.sort();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_the_connection_are_left_out_of_a_delivery() {
        let headers: HeaderMap = [
            ("authorization", "Bearer s"),
            ("x-gitlab-token", "s"),
            ("cookie", "s"),
            ("host", "weir"),
            ("x-request-id", "7"),
            ("content-type", "application/json"),
        ]
        .into_iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
        assert_eq!(
            content_headers(&headers),
            [
                ("content-type".into(), "application/json".into()),
                ("x-request-id".to_owned(), "7".to_owned())
            ]
        );
    }
}
