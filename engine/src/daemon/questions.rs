//! Questions over NATS, answered as they are over HTTP. Every node answers, so that there are answers
//! as long as one of them runs; each as far as it has read.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{DaemonError, backend::Backend};
use crate::{
    http::Questions,
    stream::{Service, Stream},
};

/// Questions under way at a time; more wait with the client. Of those to the log, the backend takes
/// fewer.
const AT_ONCE: usize = 64;

/// Answers until the daemon ends.
pub(crate) async fn run(stream: &Stream, backend: Backend) -> Result<(), DaemonError> {
    let questions = Questions::new(backend);
    let mut service = Service::start(stream, Questions::all()).await?;
    let most = stream.connection().max_payload();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    while let Some(asked) = service.next().await {
        let place = Arc::clone(&places).acquire_owned().await?;
        let questions = questions.clone();
        tokio::spawn(async move {
            let answer = questions.ask(asked.name(), asked.parameters(), most).await;
            let answer = answer.map_err(|problem| (problem.status, problem.detail));
            if let Err(error) = asked.answer(answer).await {
                tracing::debug!("{error}");
            }
            drop(place);
        });
    }
    Err("the client of NATS ended".into())
}
