//! The two handshakes at the start of a wire stream: BEP 3's and BEP 10's.

use std::io;
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

use futures::io::AsyncReadExt;
use libp2p::Stream;
use samara_proto::infohash::InfoHash;
use samara_proto::limits::REQUEST_LENGTH;
use samara_proto::metainfo::Metainfo;
use samara_proto::wire::codec::FrameLimits;
use samara_proto::wire::extension::{ExtensionError, ExtensionHandshake, SAMARA_BLOCKS};
use samara_proto::wire::handshake::{Handshake, HandshakeError, Reserved};
use samara_proto::wire::message::Message;
use thiserror::Error;

use super::framed::{Incoming, ReadError, WireReader, WireWriter};
use super::serve::{has_parts, our_extensions};
use crate::engine::event::PeerTraits;

/// For both handshakes together; a remote that takes longer is not going to be of use.
pub(super) const SETUP_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests we hold for one remote before we call it a flood.
pub const REQUEST_QUEUE: u32 = 1024;

/// What we say of ourselves in handshakes.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// The 20-byte id of BEP 20.
    pub peer_id: [u8; 20],
    /// Whether we tell and hear of other peers, if the torrent is not private.
    pub exchanges_peers: bool,
}

/// A torrent of ours, as far as a handshake tells of it.
#[derive(Clone, Debug)]
pub struct Hosted {
    /// The torrent.
    pub metainfo: Arc<Metainfo>,
    /// Whether we have all of it (BEP 21), even if we show it piece by piece.
    pub upload_only: bool,
}

/// A stream on which both handshakes are done.
pub struct Established {
    /// The name the swarm was called by.
    pub info_hash: InfoHash,
    /// Reads what follows the handshakes.
    pub reader: WireReader,
    /// Writes.
    pub writer: WireWriter,
    /// What frames may measure on this link.
    pub limits: FrameLimits,
    /// What the remote said of itself.
    pub remote: ExtensionHandshake,
    /// Whether both sides speak BEP 6.
    pub fast: bool,
    /// Whether both sides know hash requests (BEP 52).
    pub v2: bool,
    /// Where the remote wants to hear of single verified blocks, if both sides do.
    pub blocks: Option<NonZeroU8>,
}

impl Established {
    /// The remote's abilities as the engine wants to know them.
    pub fn traits(&self) -> PeerTraits {
        PeerTraits {
            fast: self.fast,
            request_length: self.remote.longest_request(),
            upload_only: self.remote.upload_only == Some(true),
            blocks: self.blocks.is_some(),
            request_queue: self.remote.reqq.unwrap_or(250).clamp(1, REQUEST_QUEUE),
        }
    }
}

/// A stream did not become a link.
#[derive(Debug, Error)]
pub enum SetupError {
    /// It took longer than `SETUP_TIMEOUT`.
    #[error("no handshake within {} seconds", SETUP_TIMEOUT.as_secs())]
    Timeout,
    /// The stream failed; most often the remote does not have the torrent and hung up.
    #[error("the stream ended during the handshake: {0}")]
    Io(#[from] io::Error),
    /// The first 68 bytes are no handshake.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// What follows cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The extension handshake cannot be read.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// The remote answered with another torrent's name, or asked for one we do not have.
    #[error("it speaks of a torrent that is not here")]
    UnknownTorrent,
    /// It does not speak BEP 10 or did not begin with its handshake.
    #[error("it did not send an extension handshake")]
    NoExtensions,
}

impl SetupError {
    /// Whether the remote heard us and does not take part in the torrent, as far as one can tell: it hangs up
    /// without a word then.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Io(_) | Self::UnknownTorrent)
    }
}

/// Shakes hands on a stream we opened, for the torrent called `info_hash`; `hosted` if its metainfo is known.
///
/// # Errors
/// See [`SetupError`].
pub async fn greet(
    stream: Stream,
    identity: Identity,
    info_hash: InfoHash,
    hosted: Option<Hosted>,
) -> Result<Established, SetupError> {
    within(async {
        let (mut reader, mut writer) = halves(stream);
        writer.push_bytes(&ours(identity, info_hash).encode());
        push_extensions(&mut writer, identity, hosted.as_ref());
        writer.flush().await?;
        let theirs = Handshake::decode(&reader.array().await?)?;
        let metainfo = hosted.map(|hosted| hosted.metainfo);
        let same = theirs.info_hash == info_hash
            || metainfo.as_ref().is_some_and(|known| known.info_hashes().answers_to(theirs.info_hash));
        if !same {
            return Err(SetupError::UnknownTorrent);
        }
        finish(reader, writer, theirs, metainfo.as_deref()).await
    })
    .await
}

/// Answers the handshakes on a stream a remote opened; `lookup` gives the torrent it asks for.
///
/// # Errors
/// See [`SetupError`].
pub async fn respond(
    stream: Stream,
    identity: Identity,
    lookup: impl FnOnce(InfoHash) -> Option<Hosted>,
) -> Result<Established, SetupError> {
    within(async {
        let (mut reader, mut writer) = halves(stream);
        let theirs = Handshake::decode(&reader.array().await?)?;
        let hosted = lookup(theirs.info_hash).ok_or(SetupError::UnknownTorrent)?;
        writer.push_bytes(&ours(identity, theirs.info_hash).encode());
        push_extensions(&mut writer, identity, Some(&hosted));
        writer.flush().await?;
        finish(reader, writer, theirs, Some(&hosted.metainfo)).await
    })
    .await
}

async fn within(
    setup: impl Future<Output = Result<Established, SetupError>>,
) -> Result<Established, SetupError> {
    tokio::time::timeout(SETUP_TIMEOUT, setup).await.map_err(|_| SetupError::Timeout)?
}

fn halves(stream: Stream) -> (WireReader, WireWriter) {
    let (read, write) = stream.split();
    (WireReader::new(read), WireWriter::new(write))
}

fn ours(identity: Identity, info_hash: InfoHash) -> Handshake {
    Handshake { info_hash, peer_id: identity.peer_id, reserved: Reserved::OURS }
}

fn push_extensions(writer: &mut WireWriter, identity: Identity, hosted: Option<&Hosted>) {
    let ours = our_extensions(hosted, identity.exchanges_peers);
    writer.push(&Message::Extended { id: 0, payload: ours.encode() });
}

async fn finish(
    mut reader: WireReader,
    writer: WireWriter,
    theirs: Handshake,
    metainfo: Option<&Metainfo>,
) -> Result<Established, SetupError> {
    let agreed = Reserved::OURS.and(theirs.reserved);
    if !agreed.extended() {
        return Err(SetupError::NoExtensions);
    }
    let limits = match metainfo {
        Some(known) => FrameLimits::for_torrent(known.layout().piece_count(), REQUEST_LENGTH),
        None => FrameLimits::before_metainfo(),
    };
    let remote = match reader.next(&limits, |_| false).await? {
        Incoming::Message(Message::Extended { id: 0, payload }) => ExtensionHandshake::decode(&payload)?,
        _ => return Err(SetupError::NoExtensions),
    };
    let hears_blocks = agreed.v2() && metainfo.is_some_and(has_parts);
    let blocks = remote.id_of(SAMARA_BLOCKS).filter(|_| hears_blocks);
    let (info_hash, fast, v2) = (theirs.info_hash, agreed.fast(), agreed.v2());
    Ok(Established { info_hash, reader, writer, limits, remote, fast, v2, blocks })
}
