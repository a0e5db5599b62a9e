//! yamux with large frames and a bounded receive window; on the wire it is plain `/yamux/1.0.0`.
//!
//! The ready-made wrapper exposes neither knob: frames of 16 KiB cost four times the bookkeeping, and
//! its window lets one connection hold a gibibyte.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready as try_ready};

use futures::io::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use yamux::{Connection, ConnectionError, Mode};

use super::gate::{Above, Below, Gate, LONGEST_FRAME};

/// Streams on one connection: one for each shared torrent and a few for libp2p itself.
const STREAMS: usize = 64;
/// Bytes a remote may have under way to us on one connection: 80 ms at a gigabyte a second, 5 s at
/// 100 Mbit/s. At least 256 KiB for each stream, or yamux panics.
const RECEIVE_WINDOW: usize = 24 << 20;
/// Inbound streams waiting to be taken up; further ones are reset.
const WAITING_STREAMS: usize = 64;

/// Negotiates yamux.
#[derive(Clone, Copy, Debug)]
pub(super) struct Yamux;

impl Yamux {
    fn start<S: AsyncRead + AsyncWrite + Unpin>(socket: S, mode: Mode) -> Muxer<S> {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(STREAMS);
        config.set_max_connection_receive_window(Some(RECEIVE_WINDOW));
        config.set_split_send_size(LONGEST_FRAME);
        let gate = Gate::new();
        let below = Below::new(socket, gate.clone());
        let connection = Connection::new(below, config, mode);
        Muxer { connection, gate, waiting: VecDeque::new(), waker: None }
    }
}

impl UpgradeInfo for Yamux {
    type Info = &'static str;
    type InfoIter = std::iter::Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        std::iter::once("/yamux/1.0.0")
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> InboundConnectionUpgrade<S> for Yamux {
    type Output = Muxer<S>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<S>>>;

    fn upgrade_inbound(self, socket: S, _: Self::Info) -> Self::Future {
        ready(Ok(Self::start(socket, Mode::Server)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> OutboundConnectionUpgrade<S> for Yamux {
    type Output = Muxer<S>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<S>>>;

    fn upgrade_outbound(self, socket: S, _: Self::Info) -> Self::Future {
        ready(Ok(Self::start(socket, Mode::Client)))
    }
}

/// One stream of a connection.
type Substream = Above<yamux::Stream>;

/// A multiplexed connection.
pub(super) struct Muxer<S> {
    connection: Connection<Below<S>>,
    gate: Arc<Gate>,
    /// Streams that came up while the connection was driven for others' sake.
    waiting: VecDeque<Substream>,
    waker: Option<Waker>,
}

impl<S> Muxer<S> {
    fn gated(&self, stream: yamux::Stream) -> Substream {
        Above::new(stream, self.gate.clone())
    }
}

/// Nothing comes out any more.
impl<S> Drop for Muxer<S> {
    fn drop(&mut self) {
        self.gate.open();
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Muxer<S> {
    /// Drives all streams; yamux has no other way than to ask for the next inbound one.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Substream, ConnectionError>> {
        let next = self.connection.poll_next_inbound(cx);
        next.map(|next| next.unwrap_or(Err(ConnectionError::Closed)).map(|stream| self.gated(stream)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> StreamMuxer for Muxer<S> {
    type Substream = Substream;
    type Error = ConnectionError;

    fn poll_inbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Substream, ConnectionError>> {
        let this = self.get_mut();
        if let Some(stream) = this.waiting.pop_front() {
            return Poll::Ready(Ok(stream));
        }
        let next = this.poll_next(cx);
        if next.is_pending() {
            this.waker = Some(cx.waker().clone());
        }
        next
    }

    fn poll_outbound(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Substream, ConnectionError>> {
        let this = self.get_mut();
        this.connection.poll_new_outbound(cx).map_ok(|stream| this.gated(stream))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        self.get_mut().connection.poll_close(cx)
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, ConnectionError>> {
        let this = self.get_mut();
        let stream = try_ready!(this.poll_next(cx))?;
        if this.waiting.len() < WAITING_STREAMS {
            this.waiting.push_back(stream);
            if let Some(waker) = this.waker.take() {
                waker.wake();
            }
        }
        // There may be more to do; others get their turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
