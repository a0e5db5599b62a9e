//! Connections that say nothing, and come back when they are closed.

use std::net::SocketAddr;
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Pause before a closed connection is opened again: with hundreds of them thousands a second, and this machine
/// has something left for those it is about.
const REOPEN: Duration = Duration::from_millis(100);

/// Silent connections; dropping it ends them.
pub struct Flood {
    _connections: JoinSet<()>,
}

impl Flood {
    /// Opens `count` connections to `target`, for as long as this lives; returns when each was open once.
    ///
    /// # Panics
    /// When one cannot be opened at first.
    pub async fn start(target: SocketAddr, count: usize) -> Self {
        let mut connections = JoinSet::new();
        for _ in 0..count {
            let first = TcpStream::connect(target).await.expect("somebody listens");
            connections.spawn(async move {
                let mut open = Some(first);
                loop {
                    if let Some(mut socket) = open.take() {
                        while matches!(socket.read(&mut [0; 1024]).await, Ok(1..)) {}
                    }
                    sleep(REOPEN).await;
                    open = TcpStream::connect(target).await.ok();
                }
            });
        }
        Self { _connections: connections }
    }
}

/// The TCP address among a node's addresses.
///
/// # Panics
/// When there is none.
pub fn tcp_address(addresses: &[Multiaddr]) -> SocketAddr {
    let found = addresses.iter().find_map(|address| {
        let mut parts = address.iter();
        match (parts.next(), parts.next()) {
            (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) => Some(SocketAddr::from((ip, port))),
            _ => None,
        }
    });
    found.expect("the node listens on TCP")
}
