//! Connections of the web view: so many at a time, each with little patience.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::FAREWELL;
use super::site::{Pages, Site};

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// How long a client may take to send a request's head, and to send the next one.
const HEAD: Duration = Duration::from_secs(5);
/// How long a client may leave what it was sent unread.
const UNREAD: Duration = Duration::from_secs(10);
/// Longest head of a request.
const HEAD_BYTES: usize = 16 << 10;
/// Most headers in it.
const HEADERS: usize = 64;
/// What the kernel holds for a client that does not read: some documents, not more.
const SEND_BYTES: usize = 128 << 10;
/// Pause after the kernel refused a connection, as when the process has no file left.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `site` until `ended`; then its streams have their last event and everything closes.
pub(super) async fn serve(listener: TcpListener, site: Site, mut ended: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEADERS)
        // Nobody looks at metrics over a connection that stays.
        .keep_alive(site.pages == Pages::All);
    let (router, ticker) = site.open(ended.clone());
    let graceful = GracefulShutdown::new();
    let beat = tokio::spawn(ticker);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = ended.changed() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!("accepting an HTTP client: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        // One too many is closed at once: it may come again.
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { continue };
        limit(&stream);
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = connection.await {
                tracing::debug!("an HTTP client: {error}");
            }
        });
    }
    drop(listener);
    let _ = beat.await;
    let _ = timeout(FAREWELL, graceful.shutdown()).await;
}

/// Lets the kernel end a connection whose client does not read, and hold little for it.
fn limit(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let limits = [
        socket.set_tcp_user_timeout(Some(UNREAD)),
        socket.set_send_buffer_size(SEND_BYTES),
        socket.set_tcp_nodelay(true),
    ];
    for error in limits.into_iter().filter_map(Result::err) {
        tracing::debug!("limiting an HTTP client: {error}");
    }
}
