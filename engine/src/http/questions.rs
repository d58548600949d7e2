//! Questions that do not come over HTTP: `GET /v1/NAME`, asked by its name, with its parameters as a
//! JSON object. They are answered by the same handlers, so an answer is the same whichever way it is
//! asked for.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use bytes::Bytes;
use reqwest::Url;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

use super::{
    Backend, Problem, openapi,
    read::{self, Reading},
};

/// Where questions are below.
const ROOT: &str = "/v1/";

/// Answers questions. Whoever may ask is for the caller to know: here everybody is answered.
#[derive(Debug, Clone)]
pub struct Questions {
    router: Router,
}

impl Questions {
    /// Questions to the engine.
    pub fn new(backend: impl Backend) -> Self {
        let reading = Reading {
            backend: Arc::new(backend),
            // Nothing is followed here, which is all that would have to be ended.
            stopped: watch::channel(false).1,
            followers: Arc::new(Semaphore::new(0)),
        };
        Self {
            router: read::questions(reading),
        }
    }

    /// The names of all that can be asked, each with what it asks for.
    pub fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        openapi::questions()
    }

    /// The answer as JSON. `parameters` is a JSON object, or nothing; a list gives a parameter more
    /// than once. An answer of more than `most` bytes is none.
    ///
    /// # Errors
    /// As over HTTP: there is no such question, it makes no sense, or cannot be answered now.
    pub async fn ask(&self, name: &str, parameters: &[u8], most: usize) -> Result<Bytes, Problem> {
        let address = address(name, parameters)?;
        let asked = Request::get(address)
            .body(Body::empty())
            .map_err(|error| Problem::bad_request(error.to_string()))?;
        let Ok(answer) = self.router.clone().oneshot(asked).await;
        let status = answer.status();
        let body = to_bytes(answer.into_body(), most).await.map_err(|_| {
            Problem::too_large(format!(
                "the answer has more than {most} bytes, which is what the server takes: ask for less with `limit`, or over HTTP"
            ))
        })?;
        match status {
            StatusCode::OK => Ok(body),
            StatusCode::NOT_FOUND if body.is_empty() => Err(unknown(name)),
            _ => Err(Problem::new(status, detail(&body))),
        }
    }
}

fn unknown(name: &str) -> Problem {
    let names: Vec<&str> = Questions::all().map(|(name, _)| name).collect();
    Problem::not_found(format!(
        "there is no question `{name}`; there are {}",
        names.join(", ")
    ))
}

/// What a problem says, out of its JSON.
fn detail(body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    problem["detail"].as_str().unwrap_or_default().to_owned()
}

/// The path and query of a question.
fn address(name: &str, parameters: &[u8]) -> Result<String, Problem> {
    let parameters: Map<String, Value> = match parameters.trim_ascii() {
        [] => Map::new(),
        given => serde_json::from_slice(given).map_err(|error| {
            Problem::bad_request(format!(
                "parameters are a JSON object, as {{\"repository\": \"dev/shop\"}}: {error}"
            ))
        })?,
    };
    if parameters.contains_key("follow") {
        return Err(Problem::bad_request(
            "`follow` is for HTTP: over NATS, subscribe to the outputs",
        ));
    }
    let mut address = Url::parse("http://weir/")
        .and_then(|root| root.join(ROOT)?.join(name))
        .map_err(|_| unknown(name))?;
    for (parameter, value) in &parameters {
        let values = match value {
            Value::Array(several) => several.as_slice(),
            one => std::slice::from_ref(one),
        };
        for value in values {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Bool(_) | Value::Number(_) => value.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    return Err(Problem::bad_request(format!(
                        "`{parameter}` is {value}, expected a text, a number, or a list of them"
                    )));
                }
            };
            address.query_pairs_mut().append_pair(parameter, &text);
        }
    }
    let query = address
        .query()
        .map_or(String::new(), |query| format!("?{query}"));
    Ok(format!("{}{query}", address.path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, parameters: &str) -> Result<String, String> {
        address(name, parameters.as_bytes()).map_err(|problem| problem.detail)
    }

    #[test]
    fn parameters_are_those_of_the_address() {
        for (parameters, query) in [
            ("", ""),
            (" {} ", ""),
            (
                r#"{"repository": "dev/a&b", "limit": 5}"#,
                "?limit=5&repository=dev%2Fa%26b",
            ),
            (
                r#"{"type": ["tag.deleted", "image.pushed"]}"#,
                "?type=tag.deleted&type=image.pushed",
            ),
            (r#"{"at": null, "count": true}"#, "?count=true"),
        ] {
            assert_eq!(
                asked("events", parameters),
                Ok(format!("/v1/events{query}"))
            );
        }
    }

    #[test]
    fn what_are_no_parameters_is_told() {
        for (parameters, told) in [
            ("[]", "parameters are a JSON object"),
            ("{", "parameters are a JSON object"),
            (
                r#"{"at": {"seq": 1}}"#,
                "`at` is {\"seq\":1}, expected a text",
            ),
            (r#"{"follow": true}"#, "`follow` is for HTTP"),
        ] {
            let problem = asked("events", parameters).unwrap_err();
            assert!(problem.starts_with(told), "{problem}");
        }
    }

    #[test]
    fn every_question_is_a_route_and_nothing_else_is() {
        let names: Vec<&str> = Questions::all().map(|(name, _)| name).collect();
        assert!(
            names.contains(&"why") && names.contains(&"events"),
            "{names:?}"
        );
        for other in [
            "backtests",
            "intake",
            "openapi.json",
            "reconcile",
            "backtests/{id}",
        ] {
            assert!(!names.contains(&other), "{names:?}");
        }
    }
}
