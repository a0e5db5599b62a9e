//! Fetches from one peer what a link or an incomplete metainfo lacks: the info dictionary (BEP 9) and
//! the piece layers of v2 files (BEP 52).

use std::collections::BTreeMap;
use std::time::Duration;

use samara_proto::infohash::{InfoHashes, Sha1Hash, Sha256Hash};
use samara_proto::limits::INFO_BYTES;
use samara_proto::metainfo::{Metainfo, MetainfoError};
use samara_proto::wire::extension::{
    MetadataError, MetadataMessage, UT_METADATA, metadata_pieces, metadata_range,
};
use samara_proto::wire::message::{HashRequest, Message};
use sha1::{Digest, Sha1};
use sha2::Sha256;
use thiserror::Error;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::link::{Established, Incoming, OUR_UT_METADATA, ReadError, SetupError};

/// Metadata pieces asked for at once.
const WINDOW: u32 = 16;
/// Without a useful answer for so long the peer is given up.
const PATIENCE: Duration = Duration::from_secs(15);

/// How long it may take to get piece layers that checking can do without: a peer that has them has them at once.
const WISH: Duration = Duration::from_secs(2);

/// An info dictionary longer than this is fetched from one peer at a time: all but one may be lies.
const LARGE: u32 = 4 << 20;
/// Bytes a second below which a peer is given up for another.
const SLOWEST: u32 = 16 << 10;

/// A peer did not give what was asked of it.
#[derive(Debug, Error)]
pub enum FetchError {
    /// It does not have the metadata itself.
    #[error("it does not have the metadata")]
    Unavailable,
    /// It refuses.
    #[error("it refuses to give it")]
    Rejected,
    /// It says nothing useful for too long.
    #[error("no answer within {} seconds", PATIENCE.as_secs())]
    Silent,
    /// What it gave is not what was asked for.
    #[error("what it gave does not match the torrent's hash")]
    Mismatch,
    /// What it gave has the right hash, and is not a torrent that can be shared safely.
    #[error("the torrent cannot be used: {0}")]
    Metainfo(#[from] MetainfoError),
    /// It did not shake hands.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The stream failed.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl FetchError {
    /// Whether no other peer can do better: the hash names something unusable.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Metainfo(_))
    }

    /// Whether the peer does not take part in the torrent.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Setup(error) if error.is_refusal())
    }
}

/// Fetches the info dictionary called `wanted`.
///
/// # Errors
/// See [`FetchError`]. Whatever the peer sends costs at most one info dictionary of memory.
pub async fn fetch_info(
    link: &mut Established,
    wanted: &InfoHashes,
    large: &Semaphore,
) -> Result<Metainfo, FetchError> {
    let size = link.remote.metadata_size.ok_or(FetchError::Unavailable)?;
    let id = link.remote.id_of(UT_METADATA).ok_or(FetchError::Unavailable)?.get();
    if size == 0 || size as usize > INFO_BYTES {
        return Err(FetchError::Mismatch);
    }
    let _turn = match size {
        0..=LARGE => None,
        _ => Some(large.acquire().await.expect("nobody closes it")),
    };
    let allowed = PATIENCE + Duration::from_secs(u64::from(size / SLOWEST));
    let info = timeout(allowed, receive_info(link, id, size)).await.map_err(|_| FetchError::Silent)??;
    match Metainfo::from_info(&info) {
        Ok(metainfo) if metainfo.is_named_by(wanted) => Ok(metainfo),
        Ok(_) => Err(FetchError::Mismatch),
        Err(error) if names(wanted, &info) => Err(error.into()),
        Err(_) => Err(FetchError::Mismatch),
    }
}

async fn receive_info(link: &mut Established, id: u8, size: u32) -> Result<Vec<u8>, FetchError> {
    let pieces = metadata_pieces(size);
    let mut received: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
    let mut requested = 0;
    while received.len() < pieces as usize {
        while requested < pieces && requested - (received.len() as u32) < WINDOW {
            let request = MetadataMessage::Request { piece: requested };
            link.writer.push(&Message::Extended { id, payload: request.encode() });
            requested += 1;
        }
        link.writer.flush().await.map_err(ReadError::from)?;
        match next_metadata(link).await? {
            MetadataMessage::Data { piece, bytes, .. } if piece < requested => {
                if metadata_range(size, piece).is_none_or(|range| range.len() != bytes.len()) {
                    return Err(FetchError::Mismatch);
                }
                received.insert(piece, bytes);
            }
            MetadataMessage::Reject { .. } => return Err(FetchError::Rejected),
            _ => {}
        }
    }
    Ok(received.into_values().collect::<Vec<_>>().concat())
}

/// Whether `info` has the hashes that `wanted` names, whatever it says.
fn names(wanted: &InfoHashes, info: &[u8]) -> bool {
    let v1 = || Sha1Hash(Sha1::digest(info).into());
    let v2 = || Sha256Hash(Sha256::digest(info).into());
    wanted.v1().is_none_or(|hash| hash == v1()) && wanted.v2().is_none_or(|hash| hash == v2())
}

/// Fetches the piece layers that `metainfo` lacks. A hybrid needs none to check what it is given, as it has its
/// v1 hashes; with them single blocks can be checked, and proved to others, so it takes them if they come soon.
///
/// # Errors
/// See [`FetchError`].
pub async fn fetch_layers(link: &mut Established, metainfo: &Metainfo) -> Result<(), FetchError> {
    if metainfo.info_hashes().v1().is_none() {
        return fetch_each_layer(link, metainfo).await;
    }
    let wished_for = timeout(WISH, fetch_each_layer(link, metainfo)).await;
    if let Err(error) = wished_for.unwrap_or(Err(FetchError::Silent)) {
        tracing::debug!(%error, "a hybrid goes without its piece layers");
    }
    Ok(())
}

async fn fetch_each_layer(link: &mut Established, metainfo: &Metainfo) -> Result<(), FetchError> {
    let piece_length = metainfo.layout().piece_length();
    for file in metainfo.missing_piece_layers() {
        let entry = &metainfo.files()[file.0 as usize];
        let (size, Some(pieces_root)) = (entry.size, entry.pieces_root) else { continue };
        let mut layer = Vec::new();
        for request in HashRequest::of_piece_layer(pieces_root, size, piece_length) {
            link.writer.push(&Message::HashRequest(request));
            link.writer.flush().await.map_err(ReadError::from)?;
            let hashes = next_hashes(link, request).await?;
            let base = request.verify(size, &hashes).map_err(|_| FetchError::Mismatch)?;
            layer.extend_from_slice(base);
        }
        layer.truncate(size.div_ceil(u64::from(piece_length)) as usize);
        metainfo.add_piece_layer(file, layer)?;
    }
    Ok(())
}

async fn next_metadata(link: &mut Established) -> Result<MetadataMessage, FetchError> {
    answer(link, |message| match message {
        Message::Extended { id: OUR_UT_METADATA, payload } => {
            match MetadataMessage::decode(&payload) {
                // To be ignored (BEP 9).
                Err(MetadataError::UnknownKind(_)) => None,
                decoded => Some(decoded.map_err(|_| FetchError::Mismatch)),
            }
        }
        _ => None,
    })
    .await
}

async fn next_hashes(link: &mut Established, asked: HashRequest) -> Result<Vec<Sha256Hash>, FetchError> {
    answer(link, |message| match message {
        Message::Hashes { request, hashes } if request == asked => Some(Ok(hashes)),
        Message::HashReject(request) if request == asked => Some(Err(FetchError::Rejected)),
        _ => None,
    })
    .await
}

/// Reads until `select` recognises an answer; everything else a peer says meanwhile is passed over.
async fn answer<T>(
    link: &mut Established,
    select: impl Fn(Message) -> Option<Result<T, FetchError>>,
) -> Result<T, FetchError> {
    let reading = async {
        loop {
            if let Incoming::Message(message) = link.reader.next(&link.limits, |_| false).await?
                && let Some(found) = select(message)
            {
                return found;
            }
        }
    };
    timeout(PATIENCE, reading).await.map_err(|_| FetchError::Silent)?
}
