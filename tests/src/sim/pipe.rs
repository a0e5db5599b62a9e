//! One direction of a link: what the driver still holds, what is in the socket's buffer, what is under way.
//!
//! Messages overtake the blocks that the driver holds; nothing overtakes what is in the socket's buffer.

use std::collections::VecDeque;

use samara_peer::engine::event::PeerMessage;
use samara_proto::layout::BlockRef;
use samara_proto::limits::BLOCK_LENGTH;

use super::agenda::Nanos;
use super::wire::BLOCK_HEADER_BYTES;

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
    Message(PeerMessage, u32),
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
    messages: VecDeque<(PeerMessage, u32)>,
    blocks: VecDeque<Parcel>,
    /// A block of which a part is in the socket already, and the bytes still to come.
    writing: Option<(Parcel, u32)>,
    socket: VecDeque<Chunk>,
    socket_bytes: u32,
    /// Bytes sent and not yet known to be taken.
    unacknowledged: u32,
    acknowledgements: VecDeque<(Nanos, u32)>,
    /// What has left the uplink, by the moment its last byte comes; the first `landing` of them by the moment
    /// when they have passed the receiver's downlink.
    flight: VecDeque<(Nanos, Chunk)>,
    landing: usize,
    /// When the last of `flight` arrives: what is sent later arrives no sooner.
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
    pub fn post(&mut self, message: PeerMessage, bytes: u32, capacity: u32) {
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
        self.socket.push_back(Chunk::Part(bytes));
        self.socket_bytes += bytes;
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
        self.socket.push_back(chunk);
    }

    /// Whether anything waits in the socket.
    pub fn has_something(&self) -> bool {
        !self.socket.is_empty()
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
    pub fn take(&mut self, most: u32) -> Option<Chunk> {
        let chunk = match self.socket.front_mut()? {
            Chunk::Part(bytes) | Chunk::Last(_, bytes) if *bytes > most => {
                *bytes -= most;
                Chunk::Part(most)
            }
            _ => self.socket.pop_front()?,
        };
        self.socket_bytes -= chunk.bytes();
        // Messages are too small for the window to matter.
        if !matches!(chunk, Chunk::Message(..)) {
            self.unacknowledged += chunk.bytes();
        }
        Some(chunk)
    }

    /// Whether everything that was sent is known to be taken.
    pub fn is_quiet(&self) -> bool {
        self.unacknowledged == 0
    }

    /// What was taken goes on its way.
    pub fn send(&mut self, chunk: Chunk) {
        self.flight.push_back((Nanos::MAX, chunk));
    }

    /// All that was sent just now arrives at `at`.
    pub fn schedule(&mut self, at: Nanos) {
        let sent = self.flight.iter_mut().rev().take_while(|(known, _)| *known == Nanos::MAX);
        sent.for_each(|(unknown, _)| *unknown = at);
        self.last_arrival = at;
    }

    /// Bytes that have come to the downlink by `now` and do not pass it yet.
    pub fn arrived_bytes(&self, now: Nanos) -> u32 {
        let arrived = self.flight.iter().skip(self.landing).take_while(|(at, _)| *at <= now);
        arrived.map(|(_, chunk)| chunk.bytes()).sum()
    }

    /// What has come to the downlink by `now` will have passed it at `passed`.
    pub fn land(&mut self, now: Nanos, passed: Nanos) {
        while let Some((at, _)) = self.flight.get_mut(self.landing).filter(|(at, _)| *at <= now) {
            *at = passed;
            self.landing += 1;
        }
    }

    /// The next that has passed the downlink by `now`.
    pub fn pop_landed(&mut self, now: Nanos) -> Option<Chunk> {
        if self.landing == 0 || self.flight.front().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        self.landing -= 1;
        self.flight.pop_front().map(|(_, chunk)| chunk)
    }

    /// When the last of what passes the downlink has passed.
    pub fn last_landing(&self) -> Option<Nanos> {
        self.landing.checked_sub(1).map(|last| self.flight[last].0)
    }

    /// The sender is gone: what has not left it never will.
    pub fn abandon(&mut self) {
        self.messages.clear();
        self.blocks.clear();
        self.writing = None;
        self.socket.clear();
        self.socket_bytes = 0;
    }

    /// Nobody listens any more; the bytes that were on their way.
    pub fn discard(&mut self) -> u64 {
        let lost = self.flight.iter().map(|(_, chunk)| u64::from(chunk.bytes())).sum();
        self.flight = VecDeque::new();
        self.landing = 0;
        self.acknowledgements = VecDeque::new();
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        pipe.post(PeerMessage::Choke, 5, CHUNK_BYTES);
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
