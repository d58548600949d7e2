//! `/v1/backtests`: what other rules would have decided on the daemon's log.
//!
//! A backtest takes as long as the log is; it is started, looked at, and fetched when it has ended.

use std::sync::Arc;

use axum::{
    Json,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use weir_schema::{RuleFile, Timestamp, objects};

use super::{Backend, Problem, intake::read_body, server::App};
use crate::backtest::{LISTED, Question, jobs::Standing};

/// What is asked, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The new rules.
    pub rules: Vec<RuleFile>,
    /// The old rules; without them, what was in force as recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<Vec<RuleFile>>,
    /// Count and list only what happened from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Count and list only what happened before then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// List at most so many differences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl From<Asked> for Question {
    fn from(asked: Asked) -> Self {
        Self {
            new: asked.rules,
            old: asked.against,
            since: asked.since,
            until: asked.until,
            limit: asked.limit.unwrap_or(LISTED),
            jobs: None,
        }
    }
}

/// `POST /v1/backtests`: starts one.
pub(super) async fn start<B: Backend>(
    State(app): State<Arc<App<B>>>,
    body: Body,
) -> Result<Response, Problem> {
    let body = read_body(body, app.max_body_bytes).await?;
    let asked: Asked = objects::from_slice(&body)
        .map_err(|error| Problem::bad_request(format!("the body is no question: {error}")))?;
    let id = app.backend.start_backtest(asked.into()).await?;
    let answer = json!({"id": id, "state": "running"});
    let location = [(LOCATION, format!("/v1/backtests/{id}"))];
    Ok((StatusCode::ACCEPTED, location, Json(answer)).into_response())
}

/// `GET /v1/backtests/{id}`: how far it is, or what it came to.
pub(super) async fn look<B: Backend>(
    State(app): State<Arc<App<B>>>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<Json<Value>, Problem> {
    let id = number(id)?;
    let standing = app.backend.backtest(id).ok_or_else(|| unknown(id))?;
    Ok(Json(match standing {
        Standing::Running { done, of } => {
            json!({"id": id, "state": "running", "done": done, "of": of})
        }
        Standing::Done(report) => json!({"id": id, "state": "done", "report": *report}),
        Standing::Failed(problem) => json!({"id": id, "state": "failed", "problem": problem}),
    }))
}

/// `DELETE /v1/backtests/{id}`: ends and forgets it.
pub(super) async fn end<B: Backend>(
    State(app): State<Arc<App<B>>>,
    id: Result<Path<u64>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let id = number(id)?;
    if app.backend.end_backtest(id).await {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(unknown(id))
    }
}

/// The number of a backtest in an address.
fn number(id: Result<Path<u64>, PathRejection>) -> Result<u64, Problem> {
    let Path(id) = id.map_err(|_| {
        Problem::bad_request(
            "what follows `/v1/backtests/` is no number: a backtest has the `id` that starting it gave",
        )
    })?;
    Ok(id)
}

fn unknown(id: u64) -> Problem {
    Problem::not_found(format!("there is no backtest {id}, or not any more"))
}
