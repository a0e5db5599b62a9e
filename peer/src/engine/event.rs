//! The engine's whole interface: every fact that goes in and every order that comes out.

mod wire;

use std::sync::Arc;
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, Layout, PieceIndex};

use super::selection::Selection;

/// The driver's number for a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TorrentId(pub u32);

/// The driver's number for a remote identity; the same for every torrent and every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub u64);

/// The driver's word for whoever holds the addresses that a connection comes from: all of them have the same one,
/// whichever identity he gives himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HolderKey(pub u128);

/// The driver's number for one established wire stream: one peer, one torrent. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// How a candidate was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A tracker named it.
    Tracker,
    /// The DHT named it.
    Dht,
    /// Another peer named it.
    Pex,
    /// It was heard on the local network.
    Lan,
    /// It worked in an earlier session.
    Cache,
    /// The link or the command line named it.
    Link,
    /// It came to us.
    Incoming,
}

/// Who opened a wire stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// We did.
    Outbound,
    /// The remote did.
    Inbound,
}

/// What a node already has of a torrent and how it is laid out.
#[derive(Clone, Debug)]
pub struct Content {
    /// Pieces, blocks and sizes.
    pub layout: Arc<Layout>,
    /// Pieces on disk that were hash-checked.
    pub verified: Bitfield,
    /// Blocks on disk that belong to pieces not yet verified: they need not be asked for again unless
    /// the piece fails its check.
    pub stored: Vec<BlockRef>,
    /// What can be checked of it.
    pub proof: Proof,
    /// What is wanted of it.
    pub selection: Selection,
}

/// How small a part of the content can be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A piece; which block of a bad one is wrong nobody can say.
    Pieces,
    /// A block, by leaf hashes that other peers give with proof (BEP 52).
    Blocks,
}

/// What we take part in a torrent for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// To fetch what is missing and to serve what is verified.
    Fetch,
    /// To serve what is verified. Nothing is ever requested, whatever goes missing.
    Serve,
}

/// What the remote can do, from both handshakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerTraits {
    /// Both sides speak BEP 6.
    pub fast: bool,
    /// The longest request it answers, in bytes; 16 KiB unless it said otherwise.
    pub request_length: u32,
    /// How many requests it is willing to queue.
    pub request_queue: u32,
    /// It has everything, whatever it shows (BEP 21).
    pub upload_only: bool,
    /// Both sides tell each other of single verified blocks.
    pub blocks: bool,
}

/// The part of the wire's messages that the engine hears and speaks. Content bytes, metadata and
/// hashes never come here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMessage {
    /// BEP 3.
    Choke,
    /// BEP 3.
    Unchoke,
    /// BEP 3.
    Interested,
    /// BEP 3.
    NotInterested,
    /// BEP 3.
    Have(PieceIndex),
    /// BEP 3; of exactly as many bits as the torrent has pieces.
    Bitfield(Bitfield),
    /// BEP 6.
    HaveAll,
    /// BEP 6.
    HaveNone,
    /// BEP 3.
    Request(BlockRef),
    /// BEP 3.
    Cancel(BlockRef),
    /// BEP 6.
    Reject(BlockRef),
    /// BEP 6.
    Suggest(PieceIndex),
    /// BEP 6.
    AllowedFast(PieceIndex),
    /// Ours: of a piece that is not whole yet these blocks are verified.
    Blocks {
        /// The piece.
        piece: PieceIndex,
        /// As many bits as the piece has blocks of 16 KiB; at least one is set.
        blocks: Bitfield,
    },
}

/// How a hash check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The bytes on disk are the torrent's.
    Good,
    /// They are not.
    Bad,
}

/// A fact.
#[derive(Clone, Debug)]
pub enum Input {
    /// Take part in a torrent.
    AddTorrent {
        /// Its number from now on.
        torrent: TorrentId,
        /// What is there already.
        content: Content,
        /// What for.
        aim: Aim,
    },
    /// Leave a torrent; its links are disconnected and its candidates forgotten.
    RemoveTorrent {
        /// Which.
        torrent: TorrentId,
    },
    /// Somebody who may have the torrent can be dialled.
    Candidate {
        /// Of which torrent.
        torrent: TorrentId,
        /// Who.
        peer: PeerKey,
        /// How we know.
        source: Source,
    },
    /// A dial ended without a link.
    DialFailed {
        /// For which torrent it was made.
        torrent: TorrentId,
        /// Who was dialled.
        peer: PeerKey,
    },
    /// A dial ended at a peer that does not take part in the torrent, and that only chance had made a
    /// candidate: it is one no longer.
    Refused {
        /// For which torrent it was made.
        torrent: TorrentId,
        /// Who was dialled.
        peer: PeerKey,
    },
    /// A wire stream is up and both handshakes are done. Every link is reported once and ends with
    /// one `Disconnected`.
    Connected {
        /// Its torrent.
        torrent: TorrentId,
        /// The other end.
        peer: PeerKey,
        /// From whose address; `None` if it is this machine's own, or unknown.
        holder: Option<HolderKey>,
        /// The stream.
        link: LinkId,
        /// Who opened it.
        direction: Direction,
        /// What the other end can do.
        traits: PeerTraits,
    },
    /// A wire stream ended, for whatever reason, ours included.
    Disconnected {
        /// Which.
        link: LinkId,
    },
    /// A message came.
    Received {
        /// From whom.
        link: LinkId,
        /// What it says.
        message: PeerMessage,
    },
    /// The bytes of a block that we had requested from this link came and are queued for the disk,
    /// ahead of any check ordered later.
    BlockReceived {
        /// From whom.
        link: LinkId,
        /// Which, exactly as requested.
        block: BlockRef,
    },
    /// A block we were ordered to send has been handed to the transport.
    BlockSent {
        /// To whom.
        link: LinkId,
        /// Which.
        block: BlockRef,
    },
    /// A block we were ordered to send could not be read. The engine orders the reject, if the remote
    /// knows rejects.
    BlockUnreadable {
        /// For whom it was.
        link: LinkId,
        /// Which.
        block: BlockRef,
    },
    /// A hash check that was ordered is done.
    PieceChecked {
        /// Its torrent.
        torrent: TorrentId,
        /// Its piece.
        piece: PieceIndex,
        /// How it ended.
        verdict: Verdict,
    },
    /// A peer gave the leaf hashes that it was to be asked for, with proof, and what is on disk was held
    /// against them.
    Judged {
        /// Who gave them.
        link: LinkId,
        /// What was to be judged, exactly as ordered.
        block: BlockRef,
        /// The 16 KiB blocks of it that are wrong.
        bad: Vec<BlockRef>,
    },
    /// A peer gives no leaf hashes, or false ones, or what is on disk could not be read.
    Unjudged {
        /// Who was asked.
        link: LinkId,
        /// What was to be judged, exactly as ordered.
        block: BlockRef,
    },
    /// The leaf hashes of a piece that is begun came, with proof: its blocks can be checked one by one.
    LeavesCame {
        /// Its torrent.
        torrent: TorrentId,
        /// The piece.
        piece: PieceIndex,
    },
    /// A peer gives no leaf hashes of a piece, or false ones.
    NoLeaves {
        /// Who was asked.
        link: LinkId,
        /// The piece.
        piece: PieceIndex,
    },
    /// Blocks that were to be checked were held against their leaf hashes. What was found good is not written to
    /// any more.
    BlocksChecked {
        /// Its torrent.
        torrent: TorrentId,
        /// What was to be checked, exactly as ordered.
        block: BlockRef,
        /// The number of the order.
        order: u32,
        /// The 16 KiB blocks of it that are wrong.
        bad: Vec<BlockRef>,
    },
    /// A verified piece is no longer what it was: somebody changed the file under us.
    PieceLost {
        /// Its torrent.
        torrent: TorrentId,
        /// Its piece.
        piece: PieceIndex,
    },
    /// Something else is wanted of a torrent from now on.
    Select {
        /// Which.
        torrent: TorrentId,
        /// What is wanted.
        selection: Selection,
    },
    /// The deadline that was asked for has come.
    Wake,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Try to establish a link; answered by `Connected`, `DialFailed` or `Refused`.
    Dial {
        /// For which torrent.
        torrent: TorrentId,
        /// To whom.
        peer: PeerKey,
    },
    /// Send a message.
    Send {
        /// To whom.
        link: LinkId,
        /// What.
        message: PeerMessage,
    },
    /// Read a block that is verified, alone or with its piece, and send it; answered by `BlockSent`, `BlockUnreadable`,
    /// or the link's end.
    SendBlock {
        /// To whom.
        link: LinkId,
        /// Which.
        block: BlockRef,
    },
    /// Hash a piece whose blocks are all queued for the disk or on it; answered by `PieceChecked`.
    CheckPiece {
        /// Its torrent.
        torrent: TorrentId,
        /// Its piece.
        piece: PieceIndex,
    },
    /// Ask a peer for the leaf hashes of blocks of one piece, which are queued for the disk or on it, and hold
    /// those against them; answered by `Judged`, `Unjudged`, or the link's end, or not at all.
    Judge {
        /// Whom to ask.
        link: LinkId,
        /// One 16 KiB block, or a whole piece.
        block: BlockRef,
    },
    /// Ask a peer for the leaf hashes of a piece that is begun, to check its blocks one by one; answered by
    /// `LeavesCame`, `NoLeaves`, or the link's end, or not at all.
    FetchLeaves {
        /// Whom to ask.
        link: LinkId,
        /// The piece.
        piece: PieceIndex,
    },
    /// Hold blocks of a piece whose leaf hashes came, and which are queued for the disk or on it, against those;
    /// answered by `BlocksChecked`.
    CheckBlocks {
        /// Its torrent.
        torrent: TorrentId,
        /// Which: whole 16 KiB blocks of one piece.
        block: BlockRef,
        /// The number of this order.
        order: u32,
    },
    /// End a link; answered by `Disconnected`.
    Disconnect {
        /// Which.
        link: LinkId,
        /// Why.
        reason: DisconnectReason,
    },
    /// So many peers at one holder's addresses gave corrupt pieces that none from there is linked for a time.
    /// Nothing is to be done but to tell it; dials are better not made, see `Engine::has_banned`.
    HolderBanned {
        /// Whose addresses.
        holder: HolderKey,
        /// For how long.
        ban: Duration,
    },
    /// Every piece of the torrent that is wanted is verified. Said whenever the last one that is missing becomes
    /// so, or is wanted no more; not of what was complete when it was added.
    Completed {
        /// Which.
        torrent: TorrentId,
    },
}

/// Why a link is ended by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// The torrent was removed.
    TorrentRemoved,
    /// A second link to the same peer for the same torrent.
    Duplicate,
    /// Both ends have everything, or neither will ever need the other.
    NothingToTrade,
    /// No place left.
    TooManyLinks,
    /// It held requests for far too long while we waited for them.
    Stalled,
    /// The peer is ourselves, banned, or of a torrent that is gone.
    Unwelcome,
    /// It misbehaved.
    Offence(Offence),
    /// Several others at its address gave corrupt pieces.
    HolderBanned,
}

/// What a misbehaving peer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Offence {
    /// A piece index that the torrent does not have.
    PieceOutOfRange,
    /// A request that does not lie inside one piece, is empty or longer than agreed.
    BadRequest,
    /// A bitfield, have-all or have-none that was not the first message.
    LateBitfield,
    /// A message of BEP 6 without having agreed on it.
    FastNotAgreed,
    /// More requests queued than we said we would hold.
    RequestFlood,
    /// A piece made of its blocks alone failed the hash check, or one of its blocks is not what its leaf hash
    /// says.
    CorruptPiece,
    /// Control messages that change nothing, far more of them than any honest peer sends.
    MessageFlood,
}
