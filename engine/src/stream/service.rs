//! The NATS service `weir`: questions as messages, each answered by one of the nodes. `nats micro
//! info weir` lists what can be asked.

use std::{collections::HashMap, pin::pin};

use async_nats::service::{Request, ServiceExt as _, endpoint::Endpoint, error::Error};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream::SelectAll};

use super::Stream;

/// The service's name.
const NAME: &str = "weir";

/// Characters of the longest error: it travels as a header.
const LONGEST_ERROR: usize = 1000;

/// The service, as one node offers it. Dropped, it no longer does.
pub struct Service {
    asked: SelectAll<Endpoint>,
    running: Option<async_nats::service::Service>,
}

/// A question.
pub struct Asked {
    request: Request,
}

/// Questions cannot be answered over NATS.
#[derive(Debug, thiserror::Error)]
#[error("NATS service `{NAME}`: {0}")]
pub struct ServiceError(String);

impl Service {
    /// Offers to answer these questions, each with what it asks for.
    ///
    /// # Errors
    /// The client has ended.
    pub async fn start<'a>(
        stream: &Stream,
        questions: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ServiceError> {
        let failed = |error: async_nats::Error| ServiceError(error.to_string());
        let connection = stream.connection();
        let running = connection
            .client
            .service_builder()
            .description("What Weir recorded and decided, and why")
            .start(NAME, env!("CARGO_PKG_VERSION"))
            .await
            .map_err(failed)?;
        let group = running.group(format!("{}.query", connection.config.outputs.subjects));
        let mut asked = SelectAll::new();
        for (name, about) in questions {
            let about = HashMap::from([("description".to_owned(), about.to_owned())]);
            let endpoint = group.endpoint_builder().name(name).metadata(about);
            asked.push(endpoint.add(name).await.map_err(failed)?);
        }
        Ok(Self {
            asked,
            running: Some(running),
        })
    }

    /// The next question; `None` once the client has ended.
    pub async fn next(&mut self) -> Option<Asked> {
        let request = self.asked.next().await?;
        Some(Asked { request })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            // Nothing in it waits.
            let _ = pin!(running.stop()).now_or_never();
        }
    }
}

impl Asked {
    /// What is asked: the last part of the subject.
    #[must_use]
    pub fn name(&self) -> &str {
        let subject = self.request.message.subject.as_str();
        subject.rsplit('.').next().unwrap_or(subject)
    }

    /// The parameters, as they came.
    #[must_use]
    pub fn parameters(&self) -> &Bytes {
        &self.request.message.payload
    }

    /// Answers with a body, or with a status as HTTP has it and what went wrong.
    ///
    /// # Errors
    /// Nobody waits for the answer, or the client has ended.
    pub async fn answer(self, answer: Result<Bytes, (u16, String)>) -> Result<(), ServiceError> {
        let answer = answer.map_err(|(status, problem)| Error {
            status: header(&problem),
            code: status.into(),
        });
        let sent = self.request.respond(answer).await;
        sent.map_err(|error| ServiceError(error.to_string()))
    }
}

/// A text as a header may have it: in one line, and not too long.
fn header(text: &str) -> String {
    let line = text
        .chars()
        .map(|one| if one.is_control() { ' ' } else { one });
    line.take(LONGEST_ERROR).collect()
}
