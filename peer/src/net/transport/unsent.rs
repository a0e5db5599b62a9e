//! Bounds what waits unsent in the kernel, so that the order decided is the order sent.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::io::{AsyncRead, AsyncWrite};
use libp2p::tcp::tokio::TcpStream;

use crate::net::pace::{Cover, Pace};

/// Bytes that the kernel holds beyond those that are under way (`TCP_NOTSENT_LOWAT`). Without a bound it takes
/// all that fits into the send buffer, megabytes, and a choke or a have waits behind them for seconds. It asks for
/// more when half of this is left, so that a busy machine has 10 ms to answer; what the path itself holds is not
/// counted, however long it is.
const COVER: Cover = Cover { time: Duration::from_millis(20), least: 32 << 10, most: 1 << 20 };

/// A TCP connection, dialled or accepted, that takes only what is sent soon, where the system knows how.
pub(super) struct Bounded {
    socket: TcpStream,
    pace: Pace,
    unsent: usize,
}

impl Bounded {
    pub(super) fn new(socket: TcpStream) -> Self {
        set_unsent(&socket, COVER.least);
        Self { socket, pace: Pace::new(COVER, Instant::now()), unsent: COVER.least }
    }

    fn on_written(&mut self, bytes: usize) {
        let Some(unsent) = self.pace.on_left(Instant::now(), bytes) else { return };
        // Small changes are not worth a system call.
        if unsent.abs_diff(self.unsent) > self.unsent / 4 {
            set_unsent(&self.socket, unsent);
            self.unsent = unsent;
        }
    }
}

fn set_unsent(socket: &TcpStream, bytes: usize) {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        if let Err(error) = socket2::SockRef::from(&socket.0).set_tcp_notsent_lowat(bytes) {
            // The transfer works all the same, only less promptly.
            tracing::debug!(%error, "the kernel's unsent bytes are not bounded");
        }
    }
    // The crate of socket options has none for other systems.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (socket, bytes);
}

impl AsyncRead for Bounded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_read(cx, out)
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.socket).poll_write(cx, bytes))?;
        this.on_written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_close(cx)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use libp2p::core::Endpoint;
    use libp2p::core::transport::{Boxed, DialOpts, ListenerId, PortUse, Transport, TransportEvent};
    use libp2p::tcp;
    use socket2::SockRef;
    use std::future::poll_fn;

    use super::super::bound_tcp::BoundTcp;
    use super::*;
    use crate::net::bind::Binding;

    async fn check<T>(make: impl Fn() -> T)
    where
        T: Transport<Output = TcpStream, Error = io::Error> + Send + Unpin + 'static,
        T::Dial: Send,
        T::ListenerUpgrade: Send,
    {
        let [mut listener, mut dialler] =
            [(); 2].map(|()| make().map(|socket, _| Bounded::new(socket)).boxed());
        let any = "/ip4/127.0.0.1/tcp/0".parse().expect("an address");
        listener.listen_on(ListenerId::next(), any).expect("a free port");
        let at = next(&mut listener).await.into_new_address().expect("it says where first");
        let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::Reuse };
        let dial = dialler.dial(at, options).expect("an address of TCP");
        let accept = async { next(&mut listener).await.into_incoming().expect("somebody comes").0.await };
        let (dialled, accepted) = futures::join!(dial, accept);
        for Bounded { socket, .. } in [dialled.expect("dialled"), accepted.expect("accepted")] {
            let unsent = SockRef::from(&socket.0).tcp_notsent_lowat().expect("Linux knows it");
            assert_eq!(unsent as usize, COVER.least);
        }
    }

    type Event = TransportEvent<<Boxed<Bounded> as Transport>::ListenerUpgrade, io::Error>;

    async fn next(transport: &mut Boxed<Bounded>) -> Event {
        let event = poll_fn(|cx| Pin::new(&mut *transport).poll(cx));
        tokio::time::timeout(Duration::from_secs(10), event).await.expect("an event")
    }

    #[tokio::test]
    async fn dialled_and_accepted_sockets_are_bounded_with_and_without_a_bind() {
        check(|| tcp::tokio::Transport::new(tcp::Config::default())).await;
        check(|| BoundTcp::new(Binding::find([127, 0, 0, 1].into()).expect("every machine has loopback")))
            .await;
    }
}
