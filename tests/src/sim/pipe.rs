//! One direction of a link: what the driver still holds, what is in the socket's buffer, what is under way.
//!
//! Messages overtake the blocks that the driver holds; nothing overtakes what is in the socket's buffer.

use std::collections::VecDeque;

use samara_proto::layout::BlockRef;
use samara_proto::limits::BLOCK_LENGTH;

use super::agenda::Nanos;
use super::wire::{BLOCK_HEADER_BYTES, Talk};

/// Bytes written into the socket at once, and sent before another link has its turn.
pub const CHUNK_BYTES: u32 = BLOCK_LENGTH;

/// A block on its way; a bad one does not have the torrent's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parcel {
    /// Which.
    pub block: BlockRef,
    /// Whether its bytes are wrong.
    pub is_bad: bool,
}

/// What lies in the socket's buffer and travels.
#[derive(Clone, Debug)]
pub enum Chunk {
    /// A message and its weight.
    Message(Talk, u32),
    /// So many bytes of a block, or of handshakes, after which more follow.
    Part(u32),
    /// The last bytes of a block.
    Last(Parcel, u32),
}

impl Chunk {
    /// Bytes on the wire.
    pub fn bytes(&self) -> u32 {
        match self {
            Chunk::Message(_, bytes) | Chunk::Part(bytes) | Chunk::Last(_, bytes) => *bytes,
        }
    }
}

/// One direction of a link.
#[derive(Debug, Default)]
pub struct Pipe {
    messages: VecDeque<(Talk, u32)>,
    blocks: VecDeque<Parcel>,
    /// A block of which a part is in the socket already, and the bytes still to come.
    writing: Option<(Parcel, u32)>,
    /// All that is below the driver, in the order written: first what passes the receiver's downlink, by the
    /// moment when it has passed; then what is on its way there, by the moment its last byte comes; then what
    /// is in the socket's buffer. One queue, because memory touched is what a large world's time goes to.
    line: VecDeque<(Nanos, Chunk)>,
    landing: usize,
    flying: usize,
    /// How many of the last of the flying have no moment yet.
    fresh: usize,
    socket_bytes: u32,
    /// Bytes sent and not yet known to be taken.
    unacknowledged: u32,
    acknowledgements: VecDeque<(Nanos, u32)>,
    /// When the last of what is on its way arrives: what is sent later arrives no sooner.
    pub last_arrival: Nanos,
    /// It has its place among those that the uplink serves in turn.
    pub is_queued: bool,
    /// It could send but for its window, and nothing that will open it is settled yet.
    pub is_blocked: bool,
    /// The next acknowledgement is on the agenda.
    pub is_acknowledgement_planned: bool,
    /// Bytes that may be unacknowledged when a chunk is sent.
    pub window: u32,
}

impl Pipe {
    /// The driver was ordered to send a message; it goes into the socket if its buffer of `capacity` bytes has
    /// room.
    pub fn post(&mut self, message: Talk, bytes: u32, capacity: u32) {
        if self.socket_bytes < capacity && self.messages.is_empty() && self.writing.is_none() {
            self.put(Chunk::Message(message, bytes));
        } else {
            self.messages.push_back((message, bytes));
        }
    }

    /// The driver was ordered to send a block.
    pub fn post_block(&mut self, parcel: Parcel) {
        self.blocks.push_back(parcel);
    }

    /// Bytes that come before everything else: handshakes.
    pub fn preface(&mut self, bytes: u32) {
        self.put(Chunk::Part(bytes));
    }

    /// Blocks in the driver's hands.
    pub fn blocks_held(&self) -> usize {
        self.blocks.len() + usize::from(self.writing.is_some())
    }

    /// Messages in the driver's hands.
    pub fn messages_held(&self) -> usize {
        self.messages.len()
    }

    /// Moves from the driver into the socket what its buffer of `capacity` bytes takes; calls `written` for
    /// each block whose last byte is in.
    pub fn pump(&mut self, capacity: u32, mut written: impl FnMut(BlockRef)) {
        while self.socket_bytes < capacity {
            if let Some((parcel, left)) = self.writing.take() {
                let bytes = left.min(CHUNK_BYTES);
                if left > bytes {
                    self.writing = Some((parcel, left - bytes));
                    self.put(Chunk::Part(bytes));
                } else {
                    self.put(Chunk::Last(parcel, bytes));
                    written(parcel.block);
                }
            } else if let Some((message, bytes)) = self.messages.pop_front() {
                self.put(Chunk::Message(message, bytes));
            } else if let Some(parcel) = self.blocks.pop_front() {
                self.writing = Some((parcel, parcel.block.length + BLOCK_HEADER_BYTES));
            } else {
                return;
            }
        }
    }

    fn put(&mut self, chunk: Chunk) {
        self.socket_bytes += chunk.bytes();
        self.line.push_back((0, chunk));
    }

    /// Whether anything waits in the socket.
    pub fn has_something(&self) -> bool {
        self.line.len() > self.sent()
    }

    /// Whether its window lets it send at `now`.
    pub fn may_send(&mut self, now: Nanos) -> bool {
        while let Some(&(_, bytes)) = self.acknowledgements.front().filter(|(at, _)| *at <= now) {
            self.acknowledgements.pop_front();
            self.unacknowledged = self.unacknowledged.saturating_sub(bytes);
        }
        self.unacknowledged < self.window
    }

    /// When its window, now full, will open a bit, if that is to be put on the agenda.
    pub fn plan_acknowledgement(&mut self) -> Option<Nanos> {
        if self.is_acknowledgement_planned {
            return None;
        }
        let next = self.acknowledgements.front().map(|&(at, _)| at);
        self.is_acknowledgement_planned = next.is_some();
        self.is_blocked = next.is_none();
        next
    }

    /// The receiver took `bytes`, of which the sender hears at `at`.
    pub fn acknowledge(&mut self, bytes: u32, at: Nanos) {
        self.acknowledgements.push_back((at, bytes));
    }

    /// The next chunk to be sent, or its first `most` bytes; it is under way from now on. Messages are not
    /// divided.
    pub fn take(&mut self, most: u32) -> Option<&Chunk> {
        let next = self.sent();
        let (_, chunk) = self.line.get_mut(next)?;
        if let Chunk::Part(bytes) | Chunk::Last(_, bytes) = chunk
            && *bytes > most
        {
            *bytes -= most;
            self.line.insert(next, (0, Chunk::Part(most)));
        }
        self.flying += 1;
        self.fresh += 1;
        let chunk = &self.line[next].1;
        self.socket_bytes -= chunk.bytes();
        // Messages are too small for the window to matter.
        if !matches!(chunk, Chunk::Message(..)) {
            self.unacknowledged += chunk.bytes();
        }
        Some(chunk)
    }

    /// How many of the line have left the sender.
    fn sent(&self) -> usize {
        self.landing + self.flying
    }

    /// Whether everything that was sent is known to be taken.
    pub fn is_quiet(&self) -> bool {
        self.unacknowledged == 0
    }

    /// All that was taken since the last time arrives at `at`.
    pub fn schedule(&mut self, at: Nanos) {
        let sent = self.sent();
        let fresh = std::mem::take(&mut self.fresh);
        self.line.range_mut(sent - fresh..sent).for_each(|(unknown, _)| *unknown = at);
        self.last_arrival = at;
    }

    /// Bytes that have come to the downlink by `now` and do not pass it yet.
    pub fn arrived_bytes(&self, now: Nanos) -> u32 {
        let flying = self.line.range(self.landing..self.sent());
        flying.take_while(|(at, _)| *at <= now).map(|(_, chunk)| chunk.bytes()).sum()
    }

    /// What has come to the downlink by `now` will have passed it at `passed`.
    pub fn land(&mut self, now: Nanos, passed: Nanos) {
        while self.flying > 0 && self.line[self.landing].0 <= now {
            self.line[self.landing].0 = passed;
            self.landing += 1;
            self.flying -= 1;
        }
    }

    /// The next that has passed the downlink by `now`.
    pub fn pop_landed(&mut self, now: Nanos) -> Option<Chunk> {
        if self.landing == 0 || self.line.front().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        self.landing -= 1;
        self.line.pop_front().map(|(_, chunk)| chunk)
    }

    /// When the last of what passes the downlink has passed.
    pub fn last_landing(&self) -> Option<Nanos> {
        self.landing.checked_sub(1).map(|last| self.line[last].0)
    }

    /// The sender is gone: what has not left it never will.
    pub fn abandon(&mut self) {
        self.messages.clear();
        self.blocks.clear();
        self.writing = None;
        self.line.truncate(self.sent());
        self.socket_bytes = 0;
    }

    /// Nobody listens any more; the bytes that were on their way.
    pub fn discard(&mut self) -> u64 {
        let lost = self.line.drain(..self.sent()).map(|(_, chunk)| u64::from(chunk.bytes())).sum();
        (self.landing, self.flying, self.fresh) = (0, 0, 0);
        if self.line.is_empty() {
            self.line = VecDeque::new();
        }
        self.acknowledgements = VecDeque::new();
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use samara_peer::engine::event::PeerMessage;
    use samara_proto::layout::PieceIndex;

    const BLOCK: BlockRef = BlockRef { piece: PieceIndex(1), begin: 0, length: 4 * CHUNK_BYTES };

    #[test]
    fn messages_overtake_blocks_that_the_driver_holds_but_not_the_socket() {
        let mut pipe = Pipe::default();
        let parcel = Parcel { block: BLOCK, is_bad: false };
        pipe.post_block(parcel);
        pipe.post_block(parcel);
        let mut written = 0;
        pipe.pump(CHUNK_BYTES, |_| written += 1);
        pipe.post(Talk::Message(PeerMessage::Choke), 5, CHUNK_BYTES);
        let mut seen = Vec::new();
        while pipe.has_something() || pipe.blocks_held() > 0 {
            match pipe.take(CHUNK_BYTES) {
                Some(Chunk::Message(..)) => seen.push("message"),
                Some(Chunk::Last(..)) => seen.push("block"),
                _ => {}
            }
            pipe.pump(CHUNK_BYTES, |_| written += 1);
        }
        assert_eq!(seen, ["block", "message", "block"]);
        assert_eq!(written, 2);
    }

    #[test]
    fn a_full_window_opens_when_the_receiver_is_heard() {
        let mut pipe = Pipe { window: CHUNK_BYTES, ..Pipe::default() };
        pipe.post_block(Parcel { block: BLOCK, is_bad: false });
        pipe.pump(u32::MAX, |_| {});
        pipe.take(CHUNK_BYTES);
        assert!(!pipe.may_send(10));
        pipe.acknowledge(CHUNK_BYTES, 20);
        assert!(!pipe.may_send(19));
        assert!(pipe.may_send(20));
    }
}
