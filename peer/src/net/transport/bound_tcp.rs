//! TCP for a node that stays on one address: no socket, listening or dialling, is without the address and
//! its interface. libp2p's own transport dials from an unbound socket when the listener's port is taken.

use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use libp2p::Multiaddr;
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, Transport, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use libp2p::tcp::tokio::TcpStream;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Sleep, sleep};

use super::{stays_on, why_off};
use crate::net::bind::{Binding, Sharing};

/// Pause after the system refused to accept, as when it is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Event = TransportEvent<Ready<io::Result<TcpStream>>, io::Error>;

/// The transport.
pub(super) struct BoundTcp {
    binding: Binding,
    /// As many as the user gave addresses, few.
    listeners: Vec<Listener>,
    /// Wakes the task that polls, for a listener that is new or closed.
    waker: Option<Waker>,
}

struct Listener {
    id: ListenerId,
    socket: TcpListener,
    address: SocketAddr,
    /// What is to be told before anything else.
    news: Option<News>,
    pause: Option<Pin<Box<Sleep>>>,
}

enum News {
    Listening,
    Closed,
}

impl BoundTcp {
    pub(super) fn new(binding: Binding) -> Self {
        Self { binding, listeners: Vec::new(), waker: None }
    }

    /// The address to listen on or dial that `address` names, if it is one for this transport.
    fn accept(&self, address: &Multiaddr) -> Result<SocketAddr, TransportError<io::Error>> {
        let unsupported = || TransportError::MultiaddrNotSupported(address.clone());
        let found = socket_address(address).ok_or_else(unsupported)?;
        if !stays_on(Some(self.binding.address()), address) {
            let reason = why_off(self.binding.address(), address);
            return Err(TransportError::Other(io::Error::other(reason)));
        }
        Ok(found)
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Transport for BoundTcp {
    type Output = TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<TcpStream>>;
    type Dial = BoxFuture<'static, io::Result<TcpStream>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        let wanted = self.accept(&address)?;
        if wanted.ip() != self.binding.address() {
            let reason = why_off(self.binding.address(), &address);
            return Err(TransportError::Other(io::Error::other(reason)));
        }
        let listening = || {
            let socket = self.binding.tcp_listener(wanted.port(), Sharing::Shared)?;
            let address = socket.local_addr()?;
            Ok((TcpListener::from_std(socket)?, address))
        };
        let (socket, address) = listening().map_err(TransportError::Other)?;
        self.listeners.push(Listener { id, socket, address, news: Some(News::Listening), pause: None });
        self.wake();
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let Some(listener) = self.listeners.iter_mut().find(|listener| listener.id == id) else {
            return false;
        };
        listener.news = Some(News::Closed);
        self.wake();
        true
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        options: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        let remote = self.accept(&address)?;
        if remote.port() == 0 || remote.ip().is_unspecified() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        let listens = self.listeners.iter().find(|listener| !matches!(listener.news, Some(News::Closed)));
        let port = listens.filter(|_| options.port_use == PortUse::Reuse).map(|found| found.address.port());
        let binding = self.binding.clone();
        Ok(async move {
            if let Some(port) = port {
                match connect(&binding, port, remote).await {
                    // There is a connection between these two ports already, or one that ended just now.
                    Err(error) if is_taken(&error) => {}
                    result => return result,
                }
            }
            connect(&binding, 0, remote).await
        }
        .boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Event> {
        let this = &mut *self;
        for index in 0..this.listeners.len() {
            let listener = &mut this.listeners[index];
            let Poll::Ready(event) = listener.poll(cx) else { continue };
            if matches!(event, TransportEvent::ListenerClosed { .. }) {
                this.listeners.swap_remove(index);
            } else {
                // The others have their turn before this one has it again.
                this.listeners[index..].rotate_left(1);
            }
            return Poll::Ready(event);
        }
        this.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Listener {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let listener_id = self.id;
        match self.news.take() {
            Some(News::Listening) => {
                let listen_addr = multiaddr(self.address);
                return Poll::Ready(TransportEvent::NewAddress { listener_id, listen_addr });
            }
            Some(News::Closed) => {
                return Poll::Ready(TransportEvent::ListenerClosed { listener_id, reason: Ok(()) });
            }
            None => {}
        }
        if let Some(pause) = &mut self.pause {
            if pause.poll_unpin(cx).is_pending() {
                return Poll::Pending;
            }
            self.pause = None;
        }
        match self.socket.poll_accept(cx) {
            Poll::Ready(Ok((stream, remote))) => Poll::Ready(TransportEvent::Incoming {
                listener_id,
                upgrade: ready(Ok(TcpStream(stream))),
                local_addr: multiaddr(self.address),
                send_back_addr: multiaddr(remote),
            }),
            Poll::Ready(Err(error)) => {
                self.pause = Some(Box::pin(sleep(ACCEPT_PAUSE)));
                Poll::Ready(TransportEvent::ListenerError { listener_id, error })
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Connects from `port` (0 for any) of the address and interface.
async fn connect(binding: &Binding, port: u16, remote: SocketAddr) -> io::Result<TcpStream> {
    let sharing = if port == 0 { Sharing::Alone } else { Sharing::Shared };
    let socket = binding.tcp_socket(port, sharing)?;
    TcpSocket::from_std_stream(socket.into()).connect(remote).await.map(TcpStream)
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable)
}

/// The IP address and port of a TCP address, which may end in `/p2p/…`.
fn socket_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => ip.into(),
        Protocol::Ip6(ip) => ip.into(),
        _ => return None,
    };
    let Protocol::Tcp(port) = parts.next()? else { return None };
    parts.all(|part| matches!(part, Protocol::P2p(_))).then(|| SocketAddr::new(ip, port))
}

fn multiaddr(address: SocketAddr) -> Multiaddr {
    Multiaddr::from(address.ip()).with(Protocol::Tcp(address.port()))
}

#[cfg(test)]
mod tests;
