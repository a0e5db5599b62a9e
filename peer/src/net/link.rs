//! One wire stream from its handshakes to its end: a reading task and a writing task.
//!
//! Content bytes pass between stream and disk here and go no further up; everything else that a
//! remote says is turned into facts for the node.

mod framed;
mod leaves;
mod questions;
mod reader;
mod serve;
mod setup;
mod trace;
mod writer;

pub use framed::{Incoming, ReadError, WireReader, WireWriter};
pub(crate) use serve::{OUR_SAMARA_BLOCKS, OUR_SAMARA_PEX, OUR_UT_METADATA};
pub use setup::{Established, Hosted, Identity, REQUEST_QUEUE, SetupError, greet, respond};

use std::collections::BTreeSet;
use std::num::NonZeroU8;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use libp2p::PeerId;
use questions::{Purpose, Question, Questions};
use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::metainfo::Metainfo;
use samara_proto::wire::codec::FrameLimits;
use samara_proto::wire::extension::{PexMessage, SAMARA_PEX};
use samara_proto::wire::message::Message;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tracing::Instrument;

use crate::disk::Store;
use crate::engine::event::{LinkId, PeerMessage};
use crate::net::discovery::pex::Told;

/// Orders a writing task may have queued; a remote that does not read is cut off when it is full.
const WRITER_QUEUE: usize = 8192;

/// What a link reports to the node.
#[derive(Debug)]
pub enum LinkEvent {
    /// A message for the engine.
    Received(PeerMessage),
    /// A requested block came and is queued for the disk.
    BlockReceived(BlockRef),
    /// A block was handed to the transport.
    BlockSent(BlockRef),
    /// A block could not be read from the disk; its request was rejected.
    BlockUnreadable(BlockRef),
    /// Blocks on disk were held against leaf hashes that the remote gave; which of them are wrong.
    Judged(BlockRef, Vec<BlockRef>),
    /// The remote gives no leaf hashes for these blocks, or the disk could not be read.
    Unjudged(BlockRef),
    /// The remote gave the leaf hashes of a piece that is begun; they are kept.
    LeavesCame(PieceIndex),
    /// The remote gives no leaf hashes of this piece.
    NoLeaves(PieceIndex),
    /// It told of peers.
    Told(Box<Told>),
    /// The stream ended; nothing follows.
    Ended(String),
}

/// An order to the writing task.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send a message.
    Message(Message),
    /// Send what a remote asked for besides content; the permit is given back when it is written.
    Answer(Message, OwnedSemaphorePermit),
    /// Read a block and send it.
    Block(BlockRef),
}

/// What the tasks of a link share.
pub(crate) struct Shared {
    pub(crate) id: LinkId,
    pub(crate) metainfo: Arc<Metainfo>,
    pub(crate) store: Store,
    pub(crate) limits: FrameLimits,
    /// The other end, if it may tell us of peers.
    pub(crate) teller: Option<PeerId>,
    /// Both ends tell of single verified blocks.
    pub(crate) hears_blocks: bool,
    pub(crate) events: mpsc::Sender<(LinkId, LinkEvent)>,
    /// Requests sent and not yet answered: only their bytes are let through to the disk.
    pub(crate) awaited: Mutex<BTreeSet<BlockRef>>,
    /// Leaf hashes asked for and not given yet.
    questions: Mutex<Questions>,
    pub(crate) traffic: Traffic,
}

/// Bytes moved on one link, protocol overhead included.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Content bytes received.
    pub content_in: AtomicU64,
    /// Content bytes sent.
    pub content_out: AtomicU64,
    /// Other bytes received.
    pub control_in: AtomicU64,
    /// Other bytes sent.
    pub control_out: AtomicU64,
}

impl Shared {
    async fn report(&self, event: LinkEvent) -> Result<(), LinkClosed> {
        self.events.send((self.id, event)).await.map_err(|_| LinkClosed)
    }

    fn questions(&self) -> MutexGuard<'_, Questions> {
        self.questions.lock().expect("no holder panics")
    }

    fn expect(&self, block: BlockRef) {
        self.awaited.lock().expect("no holder panics").insert(block);
    }

    /// Whether `block` was awaited; it is not any longer.
    fn answered(&self, block: BlockRef) -> bool {
        self.awaited.lock().expect("no holder panics").remove(&block)
    }
}

/// The node is gone; the link has nobody to talk to.
#[derive(Debug)]
pub(crate) struct LinkClosed;

/// The node's end of a running link. Dropping it ends both tasks.
pub struct Link {
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    /// Both ends know hash requests.
    v2: bool,
    /// Where the remote wants to hear of peers, if both ends do.
    pex: Option<NonZeroU8>,
    /// Where the remote wants to hear of single blocks, if both ends do.
    blocks: Option<NonZeroU8>,
    tasks: [JoinHandle<()>; 2],
}

/// The remote reads too slowly for what we have to say.
#[derive(Debug)]
pub struct Overflow;

/// Why a block is not judged.
#[derive(Debug)]
pub enum NotAsked {
    /// The remote cannot be asked about it.
    Unknown,
    /// The queue is full: end the link.
    Overflow,
}

impl Link {
    /// Starts both tasks on an established stream with `peer`. If `exchanges_peers`, which is never to be for
    /// a private torrent, the ends may tell each other of peers. Their events go to `events`; the last one is
    /// [`LinkEvent::Ended`].
    pub fn start(
        id: LinkId,
        peer: PeerId,
        established: Established,
        torrent: (Arc<Metainfo>, Store),
        exchanges_peers: bool,
        events: mpsc::Sender<(LinkId, LinkEvent)>,
    ) -> Self {
        let (metainfo, store) = torrent;
        let (orders, queue) = mpsc::channel(WRITER_QUEUE);
        let Established { reader, writer, limits, remote, v2, blocks, .. } = established;
        let serve = serve::Server::new(&remote, &metainfo);
        let exchanges_peers = exchanges_peers && !metainfo.is_private();
        let shared = Arc::new(Shared {
            id,
            metainfo,
            store,
            limits,
            teller: exchanges_peers.then_some(peer),
            hears_blocks: blocks.is_some(),
            events,
            awaited: Mutex::default(),
            questions: Mutex::default(),
            traffic: Traffic::default(),
        });
        let span = tracing::trace_span!("link", id = id.0, %peer);
        let reading = reader::run(reader, shared.clone(), orders.clone(), serve).instrument(span.clone());
        let writing = writer::run(writer, shared.clone(), queue).instrument(span);
        let tasks = [tokio::spawn(reading), tokio::spawn(writing)];
        let pex = remote.id_of(SAMARA_PEX).filter(|_| exchanges_peers);
        Self { shared, orders, v2, pex, blocks, tasks }
    }

    /// Whether both ends tell and hear of peers.
    pub fn exchanges_peers(&self) -> bool {
        self.pex.is_some()
    }

    /// Tells of peers, if the remote wants to hear of them.
    ///
    /// # Errors
    /// The queue is full: end the link.
    pub fn tell(&self, message: &PexMessage) -> Result<(), Overflow> {
        match self.pex {
            Some(id) => self.send(Message::Extended { id: id.get(), payload: message.encode() }),
            None => Ok(()),
        }
    }

    /// Queues a message of the engine's, if the remote wants to hear it.
    ///
    /// # Errors
    /// The queue is full: end the link.
    pub fn say(&self, message: PeerMessage) -> Result<(), Overflow> {
        message.into_wire(self.blocks).map_or(Ok(()), |message| self.send(message))
    }

    /// Queues a message; a request is awaited from now on.
    ///
    /// # Errors
    /// The queue is full: end the link.
    pub fn send(&self, message: Message) -> Result<(), Overflow> {
        if let Message::Request(block) = message {
            self.shared.expect(block);
        }
        self.orders.try_send(Order::Message(message)).map_err(|_| Overflow)
    }

    /// Queues a block to be read and sent.
    ///
    /// # Errors
    /// The queue is full: end the link.
    pub fn send_block(&self, block: BlockRef) -> Result<(), Overflow> {
        self.orders.try_send(Order::Block(block)).map_err(|_| Overflow)
    }

    /// Asks for the leaf hashes of blocks of one piece, to hold what is on disk against them. Answered by
    /// [`LinkEvent::Judged`] or [`LinkEvent::Unjudged`], or never.
    ///
    /// # Errors
    /// If it cannot be asked, or the queue is full.
    pub fn judge(&self, block: BlockRef) -> Result<(), NotAsked> {
        self.ask(Purpose::Judge, block)
    }

    /// Asks for the leaf hashes of a piece, to be kept while it comes. Answered by [`LinkEvent::LeavesCame`] or
    /// [`LinkEvent::NoLeaves`], or never.
    ///
    /// # Errors
    /// If it cannot be asked, or the queue is full.
    pub fn fetch_leaves(&self, piece: PieceIndex) -> Result<(), NotAsked> {
        let length = self.shared.metainfo.layout().piece_size(piece);
        self.ask(Purpose::Keep, BlockRef { piece, begin: 0, length })
    }

    fn ask(&self, purpose: Purpose, block: BlockRef) -> Result<(), NotAsked> {
        let question = Question::about(purpose, block, &self.shared.metainfo).filter(|_| self.v2);
        let question = question.ok_or(NotAsked::Unknown)?;
        let request = question.next().ok_or(NotAsked::Unknown)?;
        self.shared.questions().push(question);
        self.send(Message::HashRequest(request)).map_err(|Overflow| NotAsked::Overflow)
    }

    /// Content bytes received and sent so far.
    pub fn content(&self) -> (u64, u64) {
        let traffic = &self.shared.traffic;
        (traffic.content_in.load(Ordering::Relaxed), traffic.content_out.load(Ordering::Relaxed))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
