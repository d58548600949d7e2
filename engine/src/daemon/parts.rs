//! What runs beside the node, from the start of a daemon to its end.

use std::{fs, sync::Arc};

use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinHandle, JoinSet},
    time::timeout,
};

use super::{
    ADDRESS_FILE, DaemonError, Shared, backend::Backend, checkpoints, feed, leader, outputs,
    questions, rules, taking,
};
use crate::{
    http::{GRACE, Server},
    log::StreamPosition,
    node::Order,
};

/// The parts of a running daemon.
pub(super) struct Parts {
    all: JoinSet<Result<(), DaemonError>>,
    /// What a node does that leads.
    leading: JoinHandle<Result<(), DaemonError>>,
    leading_ended: bool,
    server: JoinHandle<()>,
    /// Tells them to end.
    end: watch::Sender<bool>,
}

impl Parts {
    /// Starts them all; the log was read from the stream up to `position`.
    ///
    /// # Errors
    /// The rules cannot be read or are refused, or where the daemon is reached cannot be noted.
    pub(super) async fn start(
        shared: &Arc<Shared>,
        ordered: mpsc::UnboundedReceiver<Order>,
        position: Option<StreamPosition>,
        server: Server,
    ) -> Result<Self, DaemonError> {
        let seen = rules::seen(&shared.config).await?;
        let mut all = JoinSet::new();
        let (end, ended) = watch::channel(false);
        let this = Arc::clone(shared);
        all.spawn(async move { pass_on(&this, ordered).await });
        let (this, to) = (Arc::clone(shared), shared.stream.clone());
        all.spawn(async move { checkpoints::run(&this, to).await });
        let backend = Backend::new(Arc::clone(shared));
        if shared.stream.is_some() {
            follow_stream(&mut all, shared, position, &ended);
        } else {
            rules::activate_at_start(shared).await?;
        }
        let (this, of, stop) = (Arc::clone(shared), shared.stream.clone(), ended.clone());
        let leading = tokio::spawn(async move { leader::run(&this, of, stop).await });
        let this = Arc::clone(shared);
        all.spawn(async move { rules::run(&this, seen).await });
        let note = shared.config.data.join(ADDRESS_FILE);
        fs::write(note, format!("{}\n", shared.address))?;
        let settings = shared.config.stream.as_ref();
        let queries = settings.is_some_and(|settings| settings.queries);
        if let Some(stream) = shared.stream.clone().filter(|_| queries) {
            let backend = backend.clone();
            all.spawn(async move { questions::run(&stream, backend).await });
        }
        let mut serving = ended;
        let server = tokio::spawn(server.serve(backend, async move {
            // The sender lives as long as the daemon.
            let _ = serving.wait_for(|ended| *ended).await;
        }));
        Ok(Self {
            all,
            leading,
            leading_ended: false,
            server,
            end,
        })
    }

    /// Returns once one of them ends by itself, with why.
    pub(super) async fn ended_early(&mut self) -> Result<(), DaemonError> {
        tokio::select! {
            Some(part) = self.all.join_next() => ended_early(part),
            led = &mut self.leading => {
                self.leading_ended = true;
                ended_early(led)
            }
        }
    }

    /// Ends them. Acts end first, then the server with what it was asked last.
    pub(super) async fn end(mut self) {
        self.end.send_replace(true);
        if !self.leading_ended && timeout(GRACE, &mut self.leading).await.is_err() {
            self.leading.abort();
        }
        // It ends by itself, with its requests or after the same time without them.
        let _ = self.server.await;
        self.all.shutdown().await;
    }
}

/// Starts what only a daemon with a stream has.
fn follow_stream(
    all: &mut JoinSet<Result<(), DaemonError>>,
    shared: &Arc<Shared>,
    position: Option<StreamPosition>,
    ended: &watch::Receiver<bool>,
) {
    if let Some(stream) = &shared.stream {
        let (this, from, stop) = (Arc::clone(shared), Arc::clone(stream), ended.clone());
        all.spawn(async move { feed::run(&this, &from, position, stop).await });
        let (this, of) = (Arc::clone(shared), Arc::clone(stream));
        all.spawn(async move { outputs::follow(&this, &of).await });
    }
    if let Some(publisher) = shared.publisher.clone() {
        all.spawn(async move { taking::run(&publisher).await });
    }
}

/// Passes orders on to whoever carries them out at the moment.
async fn pass_on(
    shared: &Shared,
    mut orders: mpsc::UnboundedReceiver<Order>,
) -> Result<(), DaemonError> {
    while let Some(order) = orders.recv().await {
        shared.executor.send(order);
    }
    // The node has ended, which is said by others.
    std::future::pending().await
}

/// What the end of something that is not to end means.
pub(super) fn ended_early(
    part: Result<Result<(), DaemonError>, JoinError>,
) -> Result<(), DaemonError> {
    match part {
        Ok(Ok(())) => Err("a part of the daemon ended".into()),
        Ok(Err(error)) => Err(error),
        Err(error) => Err(error.into()),
    }
}
