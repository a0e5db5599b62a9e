//! The reading task of a link: blocks go to the disk, the rest to the node.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use libp2p::PeerId;
use samara_proto::infohash::Sha256Hash;
use samara_proto::layout::BlockRef;
use samara_proto::moment::Moment;
use samara_proto::wire::extension::{BlocksError, PexError};
use samara_proto::wire::message::{HashRequest, Message};
use thiserror::Error;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::framed::{Incoming, ReadError, WireReader};
use super::questions::{Heard, Purpose};
use super::serve::Server;
use super::{LinkClosed, LinkEvent, OUR_SAMARA_BLOCKS, OUR_SAMARA_PEX, Order, Shared};
use crate::disk::StoreError;
use crate::engine::event::PeerMessage;
use crate::net::discovery::pex::{self, Inbox, PexFlood, Told};

/// Silence after which a link is taken for dead; a keep-alive is due every two minutes (BEP 3).
const SILENCE: Duration = Duration::from_secs(240);
/// Answers to a remote that wait to be written: beyond them its stream is not read on.
const ANSWERS: usize = 8;
/// Unawaited blocks and hashes forgiven: those that crossed a cancel, a choke or a duplicate's arrival.
const UNEXPECTED_BLOCKS: u32 = 4096;

/// Why reading stopped.
#[derive(Debug, Error)]
enum End {
    #[error("the stream ended: {0}")]
    Read(#[from] ReadError),
    #[error("nothing heard for {} seconds", SILENCE.as_secs())]
    Silent,
    #[error("a bitfield of the wrong size")]
    Bitfield,
    #[error("too many blocks or hashes nobody asked for")]
    Unexpected,
    #[error("the torrent's files take no more: {0}")]
    Store(#[from] StoreError),
    #[error("the node is gone")]
    NodeGone,
    #[error("far too many messages about peers")]
    PexFlood,
    #[error(transparent)]
    Pex(#[from] PexError),
    #[error(transparent)]
    Blocks(#[from] BlocksError),
}

impl From<LinkClosed> for End {
    fn from(_: LinkClosed) -> Self {
        Self::NodeGone
    }
}

/// Reads until the stream ends, then says so.
pub(super) async fn run(
    mut reader: WireReader,
    shared: Arc<Shared>,
    orders: mpsc::Sender<Order>,
    mut server: Server,
) {
    let end = match read_all(&mut reader, &shared, &orders, &mut server).await {
        Ok(never) => match never {},
        Err(end) => end,
    };
    // If the node is gone nobody is left to be told.
    let _ = shared.report(LinkEvent::Ended(end.to_string())).await;
}

async fn read_all(
    reader: &mut WireReader,
    shared: &Shared,
    orders: &mpsc::Sender<Order>,
    server: &mut Server,
) -> Result<std::convert::Infallible, End> {
    let mut unexpected = 0;
    let answers = Arc::new(Semaphore::new(ANSWERS));
    let mut ear = Ear { since: Instant::now(), inbox: Inbox::new(Moment::ZERO) };
    let pieces = shared.metainfo.layout().piece_count();
    loop {
        let next = reader.next(&shared.limits, |block| shared.answered(block));
        match timeout(SILENCE, next).await.map_err(|_| End::Silent)?? {
            Incoming::Block(block, data) => {
                shared.traffic.content_in.fetch_add(u64::from(block.length), Ordering::Relaxed);
                shared.store.write_block(block, data).await?;
                shared.report(LinkEvent::BlockReceived(block)).await?;
            }
            Incoming::Unexpected(_) => {
                unexpected += 1;
                if unexpected > UNEXPECTED_BLOCKS {
                    return Err(End::Unexpected);
                }
            }
            Incoming::Message(Message::Extended { id: OUR_SAMARA_PEX, payload }) => {
                if let Some(remote) = shared.teller
                    && let Some(told) = ear.hear(&payload, remote)?
                {
                    shared.report(LinkEvent::Told(Box::new(told))).await?;
                }
            }
            Incoming::Message(Message::Extended { id: OUR_SAMARA_BLOCKS, payload })
                if shared.hears_blocks =>
            {
                let fact = PeerMessage::of_blocks(&payload, shared.metainfo.layout())?;
                shared.report(LinkEvent::Received(fact)).await?;
            }
            Incoming::Message(Message::Hashes { request, hashes }) => {
                if !hear_hashes(&request, &hashes, shared, orders).await? {
                    unexpected += 1;
                    if unexpected > UNEXPECTED_BLOCKS {
                        return Err(End::Unexpected);
                    }
                }
            }
            Incoming::Message(Message::HashReject(request)) => {
                let rejected = shared.questions().on_reject(&request);
                if let Some((purpose, block)) = rejected {
                    shared.report(no_leaves(purpose, block)).await?;
                }
            }
            Incoming::Message(message) => {
                if let Message::Reject(block) = message {
                    shared.answered(block);
                }
                if let Some(answer) = server.answer(&message, shared).await {
                    let permit = timeout(SILENCE, answers.clone().acquire_owned()).await;
                    let permit = permit.map_err(|_| End::Silent)?.expect("nobody closes it");
                    orders.send(Order::Answer(answer, permit)).await.map_err(|_| End::NodeGone)?;
                } else if let Some(fact) =
                    PeerMessage::from_wire(message, pieces).map_err(|_| End::Bitfield)?
                {
                    shared.report(LinkEvent::Received(fact)).await?;
                }
            }
        }
    }
}

/// Takes hashes that the remote gives; false if nobody asked for them. The stream is not read on while the disk
/// is: there is no more to judge than was asked for.
async fn hear_hashes(
    request: &HashRequest,
    hashes: &[Sha256Hash],
    shared: &Shared,
    orders: &mpsc::Sender<Order>,
) -> Result<bool, End> {
    let heard = shared.questions().on_hashes(request, hashes);
    let event = match heard {
        Heard::Unasked => return Ok(false),
        Heard::Next(range) => {
            let next = Order::Message(Message::HashRequest(range));
            orders.send(next).await.map_err(|_| End::NodeGone)?;
            return Ok(true);
        }
        Heard::False(purpose, block) => no_leaves(purpose, block),
        Heard::Leaves(Purpose::Keep, block, leaves) => match shared.store.keep_leaves(block.piece, leaves) {
            Ok(()) => LinkEvent::LeavesCame(block.piece),
            Err(error) => {
                tracing::debug!(%error, piece = block.piece.0, "leaf hashes are not kept");
                LinkEvent::NoLeaves(block.piece)
            }
        },
        Heard::Leaves(Purpose::Judge, block, leaves) => match shared.store.judge(block, leaves).await {
            Ok(bad) => LinkEvent::Judged(block, bad),
            Err(error) => {
                tracing::debug!(%error, piece = block.piece.0, "blocks could not be judged");
                LinkEvent::Unjudged(block)
            }
        },
    };
    shared.report(event).await?;
    Ok(true)
}

/// What it means that leaf hashes do not come.
fn no_leaves(purpose: Purpose, block: BlockRef) -> LinkEvent {
    match purpose {
        Purpose::Judge => LinkEvent::Unjudged(block),
        Purpose::Keep => LinkEvent::NoLeaves(block.piece),
    }
}

/// Hears of peers, no more often than is good.
struct Ear {
    since: Instant,
    inbox: Inbox,
}

impl Ear {
    fn hear(&mut self, payload: &[u8], remote: PeerId) -> Result<Option<Told>, End> {
        let now = Moment::ZERO + self.since.elapsed();
        match self.inbox.admit(now) {
            Ok(true) => Ok(Some(pex::read(payload, remote)?)),
            Ok(false) => Ok(None),
            Err(PexFlood) => Err(End::PexFlood),
        }
    }
}
