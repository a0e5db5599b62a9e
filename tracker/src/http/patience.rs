//! A stream whose reader must not be slow: writes fail when the other side has not taken a whole answer
//! in time, however steadily it takes bits of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Each answer ends with a flush, and the next one is not begun before it: as hyper does.
pub(super) struct Patience<S> {
    stream: S,
    timeout: Duration,
    /// When patience ends; only looked at while a write waits.
    end: Pin<Box<Sleep>>,
    /// The answer being written has had to wait.
    is_waiting: bool,
}

impl<S> Patience<S> {
    pub(super) fn new(stream: S, timeout: Duration) -> Self {
        Self { stream, timeout, end: Box::pin(sleep(timeout)), is_waiting: false }
    }

    /// Passes a write's outcome on, unless its answer has waited for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            return outcome;
        }
        if !self.is_waiting {
            self.is_waiting = true;
            self.end.as_mut().reset(Instant::now() + self.timeout);
        }
        ready!(self.end.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.is_waiting = false;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// Bytes the other side need not read for them to be written.
    const BUFFER: usize = 16;

    /// Writes answers of that many bytes to somebody who reads a byte a second.
    async fn write(answers: &[usize]) -> io::Result<()> {
        let (ours, theirs) = duplex(BUFFER);
        let reader = tokio::spawn(read_slowly(theirs));
        let mut stream = Patience::new(ours, Duration::from_secs(30));
        for length in answers {
            stream.write_all(&vec![0; *length]).await?;
            stream.flush().await?;
        }
        reader.abort();
        Ok(())
    }

    async fn read_slowly(mut stream: DuplexStream) {
        while stream.read_u8().await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_read_bit_by_bit_may_not_take_longer_than_one_that_is_not_read() {
        let begin = Instant::now();
        assert_eq!(write(&[1000]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(begin.elapsed() <= Duration::from_secs(31), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn each_answer_has_its_own_time() {
        write(&[20; 10]).await.unwrap();
    }
}
