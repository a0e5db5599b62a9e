//! A bound on what waits in the muxer, so that the order decided is the order sent.
//!
//! The muxer takes eleven frames of every stream before it makes a writer wait, far more than a slow link sends
//! soon: a choke or a have would stand behind all of them. A gate counts what streams hand in and what comes out
//! below, and lets in only what the connection sends in a short time.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use futures::io::{AsyncRead, AsyncWrite};

use crate::net::pace::{Cover, Pace};

/// Content of the longest frame: four full TLS records, and below the size from which allocators go to the system
/// for each.
pub(super) const LONGEST_FRAME: usize = 64 << 10;
/// Content of the shortest frame of a bulk transfer: one TLS record, below which overhead counts.
const SHORTEST_FRAME: usize = 16 << 10;
/// What waits in the muxer lasts for many turns of the tasks above and below it; at least a frame that is being sent
/// and the next, at most about what the muxer would take without a gate.
const COVER: Cover =
    Cover { time: Duration::from_millis(40), least: 2 * SHORTEST_FRAME, most: 12 * LONGEST_FRAME };
/// Writes that are let in always: pings and questions must not wait behind bulk. The muxer bounds them itself.
const SMALL: usize = 1 << 10;
/// Bytes of a yamux header: version, type, two of flags, four of the stream, four of the body's length.
const HEADER: usize = 12;
/// The type of a frame with a body.
const DATA: u8 = 0;

/// The gate of one connection.
#[derive(Debug)]
pub(super) struct Gate {
    /// Content bytes in the muxer.
    held: AtomicUsize,
    /// Bytes from which on writers wait.
    limit: AtomicUsize,
    /// Whoever waits: at most one for each stream.
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    /// Nothing is inside.
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            held: AtomicUsize::new(0),
            limit: AtomicUsize::new(COVER.least),
            waiting: Mutex::default(),
        })
    }

    /// Lets everything in from now on: the muxer is gone and says so to whoever writes.
    pub(super) fn open(&self) {
        self.limit.store(usize::MAX, Ordering::Release);
        self.wake();
    }

    fn is_shut(&self) -> bool {
        self.held.load(Ordering::Acquire) >= self.limit.load(Ordering::Acquire)
    }

    fn poll_pass(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.is_shut() {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            waiting.push(cx.waker().clone());
        }
        // What came out between the two looks woke nobody.
        if self.is_shut() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn on_out(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::AcqRel);
        if !self.is_shut() {
            self.wake();
        }
    }

    fn wake(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// A stream above the muxer.
pub(super) struct Above<S> {
    inner: S,
    gate: Arc<Gate>,
}

impl<S> Above<S> {
    pub(super) fn new(inner: S, gate: Arc<Gate>) -> Self {
        Self { inner, gate }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Above<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Above<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if bytes.len() > SMALL {
            ready!(this.gate.poll_pass(cx));
        }
        let longest = (this.gate.limit.load(Ordering::Relaxed) / 2).clamp(SHORTEST_FRAME, LONGEST_FRAME);
        let frame = &bytes[..bytes.len().min(longest)];
        // Counted before it can come out below.
        this.gate.held.fetch_add(frame.len(), Ordering::AcqRel);
        let written = Pin::new(&mut this.inner).poll_write(cx, frame);
        let taken = if let Poll::Ready(Ok(taken)) = written { taken } else { 0 };
        this.gate.on_out(frame.len() - taken);
        written
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }
}

/// What is below the muxer: it sees frames come out.
pub(super) struct Below<S> {
    inner: S,
    gate: Arc<Gate>,
    frames: Frames,
    pace: Pace,
}

impl<S> Below<S> {
    pub(super) fn new(inner: S, gate: Arc<Gate>) -> Self {
        Self { inner, gate, frames: Frames::default(), pace: Pace::new(COVER, Instant::now()) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Below<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, out)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Below<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.inner).poll_write(cx, bytes))?;
        let content = this.frames.content_of(&bytes[..written]);
        if let Some(limit) = this.pace.on_left(Instant::now(), content) {
            this.gate.limit.store(limit, Ordering::Release);
        }
        if content > 0 {
            this.gate.on_out(content);
        }
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_close(cx)
    }
}

/// Tells content from headers in the muxer's output.
#[derive(Debug, Default)]
struct Frames {
    header: [u8; HEADER],
    /// Bytes of the header seen so far.
    seen: usize,
    /// Bytes of the body that follow.
    body: usize,
}

impl Frames {
    /// How many of the next bytes are content.
    fn content_of(&mut self, mut bytes: &[u8]) -> usize {
        let mut content = 0;
        while !bytes.is_empty() {
            if self.body > 0 {
                let part = self.body.min(bytes.len());
                content += part;
                self.body -= part;
                bytes = &bytes[part..];
                continue;
            }
            let part = (HEADER - self.seen).min(bytes.len());
            self.header[self.seen..self.seen + part].copy_from_slice(&bytes[..part]);
            self.seen += part;
            bytes = &bytes[part..];
            if self.seen == HEADER {
                self.seen = 0;
                let [_, kind, .., a, b, c, d] = self.header;
                self.body = if kind == DATA { u32::from_be_bytes([a, b, c, d]) as usize } else { 0 };
            }
        }
        content
    }
}

#[cfg(test)]
mod tests;
