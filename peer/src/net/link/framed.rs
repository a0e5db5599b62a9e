//! Frames on a stream: read with one large buffer, refused after their first five bytes if too long.

use std::io;

use bytes::Bytes;
use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use libp2p::Stream;
use samara_proto::layout::BlockRef;
use samara_proto::wire::codec::{CodecError, FrameLimits, PieceHeader, check_head, frame_length};
use samara_proto::wire::message::{Message, id};
use thiserror::Error;

use super::trace;

/// Bytes asked of the transport at once: four full frames of the muxer.
const READ_BUFFER: usize = 256 << 10;
/// A body is allocated in steps of this many bytes, as its bytes come.
const ALLOCATION_STEP: usize = 1 << 20;

/// What came off the stream.
#[derive(Debug)]
pub enum Incoming {
    /// Anything but a block.
    Message(Message),
    /// A block that was awaited.
    Block(BlockRef, Bytes),
    /// A block nobody awaited; its bytes were skipped.
    Unexpected(BlockRef),
}

/// A stream could not be read on.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The transport failed or ended.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The remote broke the protocol.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// The reading half of a wire stream.
pub struct WireReader<R = ReadHalf<Stream>> {
    io: R,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl<R: AsyncRead + Unpin> WireReader<R> {
    /// Reads from `io`, from its first byte.
    pub fn new(io: R) -> Self {
        Self { io, buffer: vec![0; READ_BUFFER].into(), start: 0, end: 0 }
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// The stream failed, or ended before them.
    pub async fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.copy_to(&mut bytes).await?;
        Ok(bytes)
    }

    /// The next frame. `awaits` says whether a block is wanted; others are read over.
    ///
    /// # Errors
    /// The stream failed or ended, or what it carries is not a frame within `limits`.
    pub async fn next(
        &mut self,
        limits: &FrameLimits,
        awaits: impl FnOnce(BlockRef) -> bool,
    ) -> Result<Incoming, ReadError> {
        let length = frame_length(self.array().await?, limits)?;
        if length == 0 {
            trace::received(&Message::KeepAlive);
            return Ok(Incoming::Message(Message::KeepAlive));
        }
        let [kind] = self.array().await?;
        check_head(length, kind, limits)?;
        if kind == id::PIECE {
            return self.block(length, awaits).await;
        }
        let mut body = vec![kind];
        self.append(&mut body, length as usize - 1).await?;
        let message = Message::decode(&body, limits)?;
        trace::received(&message);
        Ok(Incoming::Message(message))
    }

    async fn block(
        &mut self,
        length: u32,
        awaits: impl FnOnce(BlockRef) -> bool,
    ) -> Result<Incoming, ReadError> {
        let header = PieceHeader::decode(&self.array().await?, length)?;
        let block = BlockRef { piece: header.piece, begin: header.begin, length: header.length };
        if !awaits(block) {
            self.skip(block.length as usize).await?;
            trace::block_received(block);
            return Ok(Incoming::Unexpected(block));
        }
        let mut data = Vec::new();
        self.append(&mut data, block.length as usize).await?;
        trace::block_received(block);
        Ok(Incoming::Block(block, Bytes::from(data)))
    }

    async fn copy_to(&mut self, mut out: &mut [u8]) -> io::Result<()> {
        while !out.is_empty() {
            let ready = self.ready().await?;
            let taken = ready.len().min(out.len());
            out[..taken].copy_from_slice(&ready[..taken]);
            out = &mut out[taken..];
            self.start += taken;
        }
        Ok(())
    }

    async fn append(&mut self, out: &mut Vec<u8>, mut missing: usize) -> io::Result<()> {
        while missing > 0 {
            if out.capacity() == out.len() {
                out.reserve_exact(missing.min(ALLOCATION_STEP));
            }
            let room = (out.capacity() - out.len()).min(missing);
            let ready = self.ready().await?;
            let taken = ready.len().min(room);
            out.extend_from_slice(&ready[..taken]);
            self.start += taken;
            missing -= taken;
        }
        Ok(())
    }

    async fn skip(&mut self, mut length: usize) -> io::Result<()> {
        while length > 0 {
            let taken = self.ready().await?.len().min(length);
            self.start += taken;
            length -= taken;
        }
        Ok(())
    }

    /// Unread bytes, at least one.
    async fn ready(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            self.start = 0;
            self.end = self.io.read(&mut self.buffer).await?;
            if self.end == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }
}

/// The writing half of a wire stream: gathers frames and hands them over in large slices.
pub struct WireWriter<W = WriteHalf<Stream>> {
    io: W,
    pending: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> WireWriter<W> {
    /// Writes to `io`.
    pub fn new(io: W) -> Self {
        Self { io, pending: Vec::new() }
    }

    /// Appends raw bytes: a handshake.
    pub fn push_bytes(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Appends a message.
    pub fn push(&mut self, message: &Message) {
        trace::written(message);
        message.encode(&mut self.pending);
    }

    /// Appends a block.
    pub fn push_block(&mut self, block: BlockRef, data: &[u8]) {
        trace::block_written(block);
        let header = PieceHeader { piece: block.piece, begin: block.begin, length: block.length };
        self.pending.extend_from_slice(&header.encode());
        self.pending.extend_from_slice(data);
    }

    /// Bytes gathered and not handed over yet.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Hands everything over, without waiting until it has left.
    ///
    /// # Errors
    /// The stream failed.
    pub async fn write(&mut self) -> io::Result<()> {
        self.io.write_all(&self.pending).await?;
        self.pending.clear();
        Ok(())
    }

    /// Hands everything over and waits until the transport has sent it on.
    ///
    /// # Errors
    /// The stream failed.
    pub async fn flush(&mut self) -> io::Result<()> {
        self.write().await?;
        self.io.flush().await
    }

    /// Flushes and closes the stream in this direction.
    ///
    /// # Errors
    /// The stream failed.
    pub async fn close(&mut self) -> io::Result<()> {
        self.flush().await?;
        self.io.close().await
    }
}
