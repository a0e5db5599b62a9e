//! The tracker over HTTP: connections in, answers out.

mod answer;
mod crowd;
mod descriptors;
mod page;
mod patience;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::config::HttpLimits;
use crate::device::Device;
use crate::service::Service;
pub(crate) use answer::libp2p_peer;
use crowd::{Crowd, Place};
use patience::Patience;

/// Bytes buffered of a request: the longest announce with generous headers. What is longer is refused.
const REQUEST_BYTES: usize = 16 * 1024;

/// Headers read of a request; browsers send about 20.
const HEADERS: usize = 64;

/// Connections the kernel may hold until they are accepted.
const BACKLOG: i32 = 1024;

/// Pause after the system refused to accept, as when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Listens on `address`; on `[::]` for IPv4 too. Also says where, for port 0.
pub(crate) fn listen(address: SocketAddr, device: &Device) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A restarted tracker gets its port back; on Windows the option would let others take it.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    device.keep(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves for ever. When the future is dropped, all its connections close.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>, limits: HttpLimits) {
    let most = descriptors::connections(limits.connections);
    let crowd = Crowd::new(limits.connections_per_ip);
    let mut connections = JoinSet::new();
    loop {
        while connections.len() >= most {
            connections.join_next().await;
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => match crowd.admit(client.ip()) {
                    Some(place) => {
                        connections.spawn(converse(stream, client, place, Arc::clone(&service), limits));
                    }
                    None => service.metrics.http_turned_away.add_one(),
                },
                Err(error) => {
                    warn!(%error, "cannot accept an HTTP connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection, until either side ends it.
async fn converse(
    stream: TcpStream,
    client: SocketAddr,
    _place: Place,
    service: Arc<Service>,
    limits: HttpLimits,
) {
    service.metrics.http_connections.add_one();
    let _open = Open(&service);
    // Answers are one write each: nothing is gained by waiting for more.
    let _ = stream.set_nodelay(true);
    let stream = Patience::new(stream, limits.answer_timeout());
    let respond = service_fn(|request: Request<Incoming>| {
        let response = answer::respond(&service, client.ip().to_canonical(), &request);
        async { Ok::<Response<_>, Infallible>(response) }
    });
    let result = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.request_timeout())
        .max_buf_size(REQUEST_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), respond)
        .await;
    if let Err(error) = result {
        if error.is_parse() {
            service.metrics.http.malformed.add_one();
        }
        debug!(%client, %error, "an HTTP connection ended early");
    }
}

/// Counts a connection for as long as it lives.
struct Open<'a>(&'a Service);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.metrics.http_connections.take_one();
    }
}
