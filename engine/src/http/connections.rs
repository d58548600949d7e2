//! Connections: how many there are, and how long one may take to say what it wants. Whoever connects
//! and says nothing takes a descriptor from the log.

use std::{io, pin::pin, sync::Arc, time::Duration};

use axum::Router;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto::Builder, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};

/// Connections at a time; more wait to be accepted. Half of the descriptors that a process usually has:
/// the log, the registries and NATS need some too.
pub(super) const MOST: usize = 512;

/// How long a connection may take to send the head of a request, and be idle before the next.
const HEAD: Duration = Duration::from_secs(30);

/// How long to wait before another is accepted where that fails, for want of descriptors perhaps.
const PAUSE: Duration = Duration::from_millis(500);

/// Answers what comes to `listener` until `end` completes, and returns once what was begun is done.
pub(super) async fn serve(listener: TcpListener, router: Router, end: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(MOST));
    let graceful = GracefulShutdown::new();
    // HTTP/2 would first be told by its opening bytes, which are waited for without a limit.
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD);
    let mut end = pin!(end);
    let mut was_full = false;
    loop {
        let is_full = places.available_permits() == 0;
        if is_full && !was_full {
            tracing::warn!("{MOST} connections are open: the next waits until one of them ends");
        }
        was_full = is_full;
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut end => break,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            // The other end was quicker to change its mind.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error, "a connection ended");
            }
            drop(place);
        });
    }
    graceful.shutdown().await;
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(
    tokio::net::TcpStream,
    Option<tokio::sync::OwnedSemaphorePermit>,
)> {
    // Nobody closes the semaphore.
    let place = Arc::clone(places).acquire_owned().await.ok();
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}
