//! `POST /v1/reconcile`: a look at the registries, for whoever asks.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Query as Parameters, State, rejection::QueryRejection},
};
use serde::Deserialize;
use serde_json::Value;

use super::{Backend, Problem, server::App};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReconcileParameters {
    confirm: bool,
}

/// Compares; records what is found only with `?confirm=true`.
pub(super) async fn reconcile<B: Backend>(
    State(app): State<Arc<App<B>>>,
    parameters: Result<Parameters<ReconcileParameters>, QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Parameters(parameters) = parameters.map_err(|rejection| Problem::parameters(&rejection))?;
    Ok(Json(app.backend.reconcile(parameters.confirm).await?))
}
