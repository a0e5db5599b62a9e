//! Answers what a remote may ask of a torrent besides its content: metadata (BEP 9), hashes (BEP 52).

use std::collections::BTreeMap;
use std::num::NonZeroU8;
use std::sync::atomic::Ordering;
use std::time::Instant;

use samara_proto::infohash::Sha256Hash;
use samara_proto::layout::FileIndex;
use samara_proto::limits::{BLOCK_LENGTH, HASHES_PER_REQUEST, REQUEST_LENGTH};
use samara_proto::merkle;
use samara_proto::metainfo::Metainfo;
use samara_proto::wire::extension::{
    ExtensionHandshake, MetadataMessage, SAMARA_BLOCKS, SAMARA_PEX, UT_METADATA, metadata_range,
};
use samara_proto::wire::message::{HashRequest, Message};

use super::Shared;
use super::leaves::Leaves;
use super::setup::{Hosted, REQUEST_QUEUE};
use crate::engine::parts::BLOCKS_MIN;

/// The number under which we want to be sent `ut_metadata` messages.
pub(crate) const OUR_UT_METADATA: u8 = 1;
/// The number under which we want to be sent `samara_pex` messages.
pub(crate) const OUR_SAMARA_PEX: u8 = 2;
/// The number under which we want to be sent `samara_blocks` messages.
pub(crate) const OUR_SAMARA_BLOCKS: u8 = 3;
/// Metadata pieces given to one remote: the largest info dictionary four times over.
const METADATA_ANSWERS: u32 = 16 * 1024;

/// What we say of ourselves in the extension handshake. Peers of a private torrent, or of one that may be, are
/// not exchanged.
pub(crate) fn our_extensions(hosted: Option<&Hosted>, exchanges_peers: bool) -> ExtensionHandshake {
    let metainfo = hosted.map(|hosted| &hosted.metainfo);
    let mut ours = ExtensionHandshake {
        version: Some(concat!("Samara ", env!("CARGO_PKG_VERSION")).to_owned()),
        reqq: Some(REQUEST_QUEUE),
        request_length: Some(REQUEST_LENGTH),
        metadata_size: metainfo.and_then(|known| u32::try_from(known.info_bytes().len()).ok()),
        upload_only: hosted.is_some_and(|hosted| hosted.upload_only).then_some(true),
        ..ExtensionHandshake::default()
    };
    ours.m.insert(UT_METADATA.to_owned(), OUR_UT_METADATA);
    if exchanges_peers && metainfo.is_some_and(|known| !known.is_private()) {
        ours.m.insert(SAMARA_PEX.to_owned(), OUR_SAMARA_PEX);
    }
    if metainfo.is_some_and(|known| has_parts(known)) {
        ours.m.insert(SAMARA_BLOCKS.to_owned(), OUR_SAMARA_BLOCKS);
    }
    ours
}

/// Whether single blocks of a torrent can be checked, and are worth telling of.
pub(super) fn has_parts(metainfo: &Metainfo) -> bool {
    metainfo.info_hashes().v2().is_some() && metainfo.layout().piece_length() >= BLOCKS_MIN * BLOCK_LENGTH
}

/// Answers one remote.
pub(super) struct Server {
    /// The number under which the remote wants `ut_metadata`, if it wants it at all.
    ut_metadata: Option<NonZeroU8>,
    metadata_answers: u32,
    /// Requests for piece layers that are still answered: what is needed to fetch every layer four times over.
    hash_answers: u64,
    /// The v2 files by their roots; made for the first who asks.
    files: Option<BTreeMap<Sha256Hash, FileIndex>>,
    leaves: Leaves,
}

impl Server {
    /// For the remote that introduced itself with `remote`.
    pub(super) fn new(remote: &ExtensionHandshake, metainfo: &Metainfo) -> Self {
        let layout = metainfo.layout();
        let requests = u64::from(layout.file_count()) + u64::from(layout.piece_count() / HASHES_PER_REQUEST);
        Self {
            ut_metadata: remote.id_of(UT_METADATA),
            metadata_answers: 0,
            hash_answers: 4 * (requests + 1),
            files: None,
            leaves: Leaves::new(Instant::now()),
        }
    }

    /// The answer to `message`, if it is a question of this kind.
    pub(super) async fn answer(&mut self, message: &Message, shared: &Shared) -> Option<Message> {
        match message {
            Message::Extended { id: OUR_UT_METADATA, payload } => self.metadata(payload, &shared.metainfo),
            &Message::HashRequest(request) => Some(match self.hashes(&request, shared).await {
                Some(hashes) => Message::Hashes { request, hashes },
                None => Message::HashReject(request),
            }),
            _ => None,
        }
    }

    fn metadata(&mut self, payload: &[u8], metainfo: &Metainfo) -> Option<Message> {
        let id = self.ut_metadata?.get();
        let Ok(MetadataMessage::Request { piece }) = MetadataMessage::decode(payload) else {
            return None;
        };
        self.metadata_answers = self.metadata_answers.saturating_add(1);
        let info = metainfo.info_bytes();
        let total_size = u32::try_from(info.len()).expect("an info dictionary is capped far below 4 GiB");
        let answer = match metadata_range(total_size, piece) {
            Some(range) if self.metadata_answers <= METADATA_ANSWERS => {
                MetadataMessage::Data { piece, total_size, bytes: info[range].to_vec() }
            }
            _ => MetadataMessage::Reject { piece },
        };
        Some(Message::Extended { id, payload: answer.encode() })
    }

    async fn hashes(&mut self, request: &HashRequest, shared: &Shared) -> Option<Vec<Sha256Hash>> {
        let metainfo = &shared.metainfo;
        let files = self.files.get_or_insert_with(|| {
            let files = (0..metainfo.layout().file_count()).map(FileIndex);
            let root = |file: FileIndex| Some((metainfo.files()[file.0 as usize].pieces_root?, file));
            files.filter_map(root).collect()
        });
        let file = *files.get(&request.pieces_root)?;
        if request.base_layer < merkle::piece_height(metainfo.layout().piece_length()) {
            let given = shared.traffic.content_out.load(Ordering::Relaxed);
            return self.leaves.prove(request, file, metainfo, &shared.store, given).await;
        }
        self.hash_answers = self.hash_answers.checked_sub(1)?;
        metainfo.layer_tree(file)?.prove(request)
    }
}
