//! Takes connections in: bounded in number, and rid of clients that hold them up.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;

/// The most headers of a request; more are answered with 431.
const MAX_HEADERS: usize = 64;
/// The most bytes of a request's head.
const MAX_HEAD_BYTES: usize = 64 * 1024;
/// How long to wait after a failure to accept, which is mostly a lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How connections are treated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerLimits {
    /// How many are open at a time; more wait in the system's queue.
    pub(crate) connections: usize,
    /// How long a client may take for a head, or keep an answer waiting.
    pub(crate) client_timeout: Duration,
    /// How long requests under way may take when the service stops.
    pub(crate) grace: Duration,
}

/// Serves until `closing` is set, then lets the requests under way end.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServerLimits,
    closing: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let builder = builder(limits);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let next = tokio::select! {
            next = next => next,
            () = closing.cancelled() => break,
        };
        let (place, stream) = match next {
            (place, Ok((stream, _))) => (place, stream),
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let io = TokioIo::new(Box::pin(impatient(stream, limits.client_timeout)));
        let service = TowerToHyperService::new(router.clone());
        let connection = builder.serve_connection(io, service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection has ended");
            }
            drop(place);
        });
    }
    drop(listener);
    if timeout(limits.grace, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests under way are cut off");
    }
}

/// Gives a connection up whose client doesn't take what is sent.
fn impatient(stream: TcpStream, time: Duration) -> TimeoutStream<TcpStream> {
    // Answers and events are small, and somebody waits for them.
    let _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(time));
    stream
}

/// HTTP/1 alone: whoever wants HTTP/2 has TLS too, and so a proxy in front. Telling the two apart
/// would also mean to wait for a first byte without an end.
fn builder(limits: ServerLimits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.client_timeout)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD_BYTES);
    builder
}
