//! Slow work at a torrent's beginning, off the loop: metainfo from peers, checking what is on disk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use libp2p::Stream;
use samara_proto::infohash::InfoHashes;
use samara_proto::metainfo::Metainfo;
use tokio::sync::{Semaphore, mpsc};

use super::Work;
use crate::choice::Chosen;
use crate::disk::{Access, DiskPool, Found, OpenError, Store, StoreEvent, StoreOptions, write_whole};
use crate::engine::event::{PeerKey, TorrentId};
use crate::handle::{Role, TorrentEvent};
use crate::net::link::{Identity, greet};
use crate::net::metadata::{FetchError, fetch_info, fetch_layers};

/// What opening a torrent's files needs.
pub(super) struct Opening {
    pub(super) torrent: TorrentId,
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) chosen: Arc<Chosen>,
    pub(super) root: PathBuf,
    pub(super) role: Role,
    pub(super) state_dir: Option<PathBuf>,
    pub(super) pool: DiskPool,
    pub(super) store_events: mpsc::Sender<(TorrentId, StoreEvent)>,
    pub(super) events: mpsc::Sender<TorrentEvent>,
}

/// A torrent's files, opened and checked.
pub(crate) struct Opened {
    pub(super) metainfo: Arc<Metainfo>,
    pub(super) chosen: Arc<Chosen>,
    pub(super) store: Store,
    pub(super) found: Found,
}

impl Opening {
    /// Opens and checks the files, then tells the loop.
    pub(super) async fn run(self, work: mpsc::Sender<Work>) {
        let (torrent, metainfo) = (self.torrent, self.metainfo.clone());
        let done = match self.open().await {
            Err(OpenError::HashesUnknown { .. }) => Work::LayersMissing { torrent, metainfo },
            result => Work::Opened { torrent, result: Box::new(result) },
        };
        // Fails only when the node is gone.
        let _ = work.send(done).await;
    }

    async fn open(self) -> Result<Opened, OpenError> {
        let Self { torrent, metainfo, chosen, root, role, state_dir, pool, store_events, events: news } =
            self;
        let access = match role {
            Role::Seed => Access::ReadOnly,
            Role::Get => Access::ReadWrite,
        };
        // Bounded by the checks ordered, and one change a second for each file; see `StoreOptions`.
        let (events, mut receiver) = mpsc::unbounded_channel();
        let (of, wanted) = (metainfo.clone(), chosen.clone());
        let options = StoreOptions { metainfo: of, root, access, chosen: wanted, state_dir, pool, events };
        let progress = move |done, total| {
            // Figures give way to news.
            if news.capacity() > news.max_capacity() / 2 {
                let _ = news.try_send(TorrentEvent::Checking { done, total });
            }
        };
        let (store, found) = Store::open(options, progress).await?;
        tokio::spawn(async move {
            while let Some(event) = receiver.recv().await {
                if store_events.send((torrent, event)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Opened { metainfo, chosen, store, found })
    }
}

/// What a peer gave, or why not.
pub(crate) struct Fetched {
    pub(super) torrent: TorrentId,
    pub(super) peer: PeerKey,
    pub(super) result: Result<Box<Metainfo>, FetchError>,
}

/// What a peer is asked for: everything, or the piece layers of `partial`.
pub(super) struct Question {
    pub(super) torrent: TorrentId,
    pub(super) peer: PeerKey,
    pub(super) names: InfoHashes,
    pub(super) partial: Option<Metainfo>,
    /// See [`Fetching`](super::torrent::Fetching).
    pub(super) large: Arc<Semaphore>,
}

impl Question {
    /// Asks on a stream of ours.
    pub(super) async fn ask(self, stream: Stream, identity: Identity) -> Fetched {
        let Self { torrent, peer, names, partial, large } = self;
        let result = async {
            let name = names.wire().next().expect("a torrent has a name");
            let mut link = greet(stream, identity, name, None).await.map_err(FetchError::Setup)?;
            let metainfo = match partial {
                Some(metainfo) => metainfo,
                None => fetch_info(&mut link, &names, &large).await?,
            };
            fetch_layers(&mut link, &metainfo).await?;
            Ok(Box::new(metainfo))
        }
        .await;
        Fetched { torrent, peer, result }
    }
}

/// Metainfo kept from an earlier session, if it is there and is what the link names.
pub(super) fn saved_metainfo(path: &Path, names: &InfoHashes) -> Option<Arc<Metainfo>> {
    let bytes = std::fs::read(path).ok()?;
    let metainfo = Metainfo::from_bytes(&bytes).ok()?;
    metainfo.is_named_by(names).then(|| Arc::new(metainfo))
}

/// Keeps metainfo for a later session, each file written whole or not at all, beside the loop.
pub(super) fn save_metainfo(files: Vec<PathBuf>, metainfo: Arc<Metainfo>) {
    tokio::task::spawn_blocking(move || {
        let bytes = metainfo.to_bytes();
        for file in files {
            if let Err(error) = write_whole(&file, &bytes) {
                tracing::warn!(%error, file = %file.display(), "metainfo could not be saved for next time");
            }
        }
    });
}
