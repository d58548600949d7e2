//! Errors as RFC 9457 problem details.

use axum::{
    extract::rejection::QueryRejection,
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::IntakeError;
use crate::query::QueryError;

/// What is told who sends no token, or another. The command line says it in its own words.
pub(crate) const TOKEN_NEEDED: &str = "a token is needed: send `Authorization: Bearer <token>`";

/// What went wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// The kind of problem, in words.
    pub title: &'static str,
    /// This problem: place, cause, remedy.
    pub detail: String,
    /// Seconds after which to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status: status.as_u16(),
            title: status.canonical_reason().unwrap_or("problem"),
            detail: detail.into(),
            retry_after: None,
        }
    }

    /// The request cannot be understood.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// The request did not come whole.
    pub(super) fn timeout(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, detail)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, TOKEN_NEEDED)
    }

    /// Parameters of the address that cannot be read. The words are serde's, who speaks of fields.
    pub(super) fn parameters(rejection: &QueryRejection) -> Self {
        let text = rejection.body_text();
        let said = text.split_once(": ").map_or(&*text, |(_, said)| said);
        let missing = said.strip_prefix("missing field ");
        let unknown = said.split_once("unknown field ");
        Self::bad_request(match (missing, unknown) {
            (Some(name), _) => format!("the parameter {name} is missing"),
            (None, Some((_, rest))) => {
                let rest = rest.replace(", there are no fields", "; this address takes none");
                let rest = rest.replace(", expected one of ", "; it takes ");
                format!(
                    "there is no parameter {}",
                    rest.replace(", expected ", "; it takes ")
                )
            }
            (None, None) => format!("a parameter cannot be read: {said}"),
        })
    }

    /// A delivery that does not prove who sent it.
    pub(super) fn unproved(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
    }

    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "not with this method")
    }

    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    pub(super) fn unavailable(detail: impl Into<String>, retry_after: u64) -> Self {
        Self {
            retry_after: Some(retry_after),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        }
    }
}

impl From<IntakeError> for Problem {
    fn from(error: IntakeError) -> Self {
        match &error {
            IntakeError::Unavailable {
                retry_after_seconds,
                ..
            } => Self::unavailable(error.to_string(), *retry_after_seconds),
            IntakeError::Refused(_) => Self::bad_request(error.to_string()),
            IntakeError::TooLarge(_) => Self::too_large(error.to_string()),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NotFound(detail) | QueryError::NoTag(detail) => Self::not_found(detail),
            QueryError::Invalid(detail) => Self::bad_request(detail),
            QueryError::Unavailable(detail) => Self::unavailable(detail, 1),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
