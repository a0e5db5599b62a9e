//! A stream that reads ahead and gathers writes, so that encryption above it needs few system calls.
//!
//! TLS asks the socket for 4 KiB at a time and hands down every record by itself; behind this adapter
//! both become a few large calls.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::io::{AsyncRead, AsyncWrite};

/// Bytes asked of the socket at once.
const READ_AHEAD: usize = 128 << 10;
/// Bytes gathered before the socket gets them without being asked to flush.
const GATHERED: usize = 128 << 10;

/// The adapter around `S`.
pub(super) struct Buffered<S> {
    inner: S,
    read: Box<[u8]>,
    start: usize,
    end: usize,
    /// Gathered bytes; those before `written` have left.
    gathered: Vec<u8>,
    written: usize,
    /// The socket took no more at the last try: until it does nothing further is gathered, which would only
    /// wait here.
    is_full: bool,
}

impl<S> Buffered<S> {
    pub(super) fn new(inner: S) -> Self {
        Self {
            inner,
            read: Box::default(),
            start: 0,
            end: 0,
            gathered: Vec::new(),
            written: 0,
            is_full: false,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Buffered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut [u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.start == this.end {
            if out.len() >= READ_AHEAD {
                return Pin::new(&mut this.inner).poll_read(cx, out);
            }
            if this.read.is_empty() {
                this.read = vec![0; READ_AHEAD].into();
            }
            this.start = 0;
            this.end = 0;
            this.end = ready!(Pin::new(&mut this.inner).poll_read(cx, &mut this.read))?;
        }
        let taken = out.len().min(this.end - this.start);
        out[..taken].copy_from_slice(&this.read[this.start..this.start + taken]);
        this.start += taken;
        Poll::Ready(Ok(taken))
    }
}

impl<S: AsyncWrite + Unpin> Buffered<S> {
    /// Hands everything gathered to the socket.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.gathered.len() {
            let rest = &self.gathered[self.written..];
            let taken = Pin::new(&mut self.inner).poll_write(cx, rest);
            self.is_full = taken.is_pending();
            match ready!(taken)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.written += count,
            }
        }
        self.gathered.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Buffered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.is_full || this.gathered.len() >= GATHERED {
            ready!(this.poll_drain(cx))?;
        }
        let taken = bytes.len().min(GATHERED);
        this.gathered.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(cx))?;
        Pin::new(&mut this.inner).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::{AsyncReadExt, AsyncWriteExt, Cursor};

    use super::*;

    #[test]
    fn nothing_is_written_before_a_flush_and_everything_after() {
        let mut stream = Buffered::new(Cursor::new(Vec::new()));
        block_on(stream.write_all(b"header")).expect("gathering cannot fail");
        block_on(stream.write_all(b"body")).expect("gathering cannot fail");
        assert!(stream.inner.get_ref().is_empty());
        block_on(stream.flush()).expect("memory takes it");
        assert_eq!(stream.inner.get_ref(), b"headerbody");
    }

    /// A socket that takes some bytes and then no more.
    struct Full(usize);

    impl AsyncWrite for Full {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(std::mem::take(&mut self.get_mut().0));
            if taken > 0 { Poll::Ready(Ok(taken)) } else { Poll::Pending }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn nothing_more_is_gathered_while_the_socket_is_full() {
        let mut stream = Buffered::new(Full(1000));
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut stream).poll_write(cx, &[0; 1500]).is_ready());
        assert!(Pin::new(&mut stream).poll_flush(cx).is_pending());
        assert!(Pin::new(&mut stream).poll_write(cx, &[0; 10]).is_pending());
        stream.inner.0 = 1000;
        assert!(Pin::new(&mut stream).poll_write(cx, &[0; 10]).is_ready());
    }

    #[test]
    fn long_writes_arrive_whole_and_in_order() {
        let bytes: Vec<u8> = (0..1_000_000u32).map(|n| n as u8).collect();
        let mut stream = Buffered::new(Cursor::new(Vec::new()));
        block_on(stream.write_all(&bytes)).expect("memory takes it");
        block_on(stream.close()).expect("memory takes it");
        assert_eq!(stream.inner.get_ref(), &bytes);
    }

    #[test]
    fn small_reads_see_every_byte() {
        let bytes: Vec<u8> = (0..300_000u32).map(|n| (n * 7) as u8).collect();
        let mut stream = Buffered::new(Cursor::new(bytes.clone()));
        let mut seen = Vec::new();
        block_on(async {
            let mut part = [0; 4096];
            loop {
                match stream.read(&mut part).await.expect("memory gives it") {
                    0 => break,
                    count => seen.extend_from_slice(&part[..count]),
                }
            }
        });
        assert_eq!(seen, bytes);
    }
}
