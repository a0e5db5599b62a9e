//! A torrent's life on the node: added, its metainfo fetched, its files checked, active, complete, left.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use libp2p::Stream;
use samara_proto::infohash::InfoHashes;
use samara_proto::metainfo::Metainfo;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::Instrument;

use super::autonomy::Sightings;
use super::dht::TorrentInDht;
use super::open::{self, Fetched, Opened, Opening, Question};
use super::peers::named_peer;
use super::remember::Remembered;
use super::retract::Retraction;
use super::select::Wishes;
use super::torrent::{Active, Fetching, Phase, Rates, TorrentState};
use super::unreached::Vain;
use super::{NodeLoop, Work};
use crate::disk::{OpenError, StoreError};
use crate::engine::event::{Aim, Content, Input, PeerKey, Proof, Source, TorrentId};
use crate::handle::{AddError, AddOptions, Role, Torrent, TorrentEvent, TorrentSource};
use crate::net::discovery::tracker::{Announcer, Completion, Figures, Tiers};
use crate::net::discovery::{Discovered, Voice};

/// News of a torrent waiting for the embedding program.
const EVENTS: usize = 256;
/// Peers asked for metainfo at once.
const ASKING: usize = 8;
/// First wait before a peer that could not give metainfo is asked again; doubled each time.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// A tracker that does not take our goodbye by then will find out by itself.
const GOODBYE: Duration = Duration::from_secs(2);

impl NodeLoop {
    pub(super) fn add(&mut self, source: TorrentSource, options: AddOptions) -> Result<Torrent, AddError> {
        let (names, metainfo, link) = match source {
            TorrentSource::Metainfo(metainfo) => (metainfo.info_hashes(), Some(metainfo), None),
            TorrentSource::Magnet(magnet) => {
                let mut files = self.torrent_files(&magnet.hashes);
                let saved = files.find_map(|file| open::saved_metainfo(&file, &magnet.hashes));
                (magnet.hashes, saved, Some(magnet))
            }
        };
        if self.torrents.values().any(|state| names.wire().any(|name| state.names.answers_to(name))) {
            return Err(AddError::Duplicate);
        }
        let mut named_trackers = options.trackers;
        let mut peers = options.peers;
        if let Some(magnet) = link {
            named_trackers.extend(magnet.trackers);
            peers.extend(magnet.peers.iter().filter_map(|address| address.parse().ok()));
        }
        let listed_trackers = metainfo.as_ref().map_or(&[][..], |metainfo| metainfo.trackers());
        let trackers = Tiers::groups(named_trackers, listed_trackers, &mut rand::rng());
        let torrent = TorrentId(u32::try_from(self.number()).map_err(|_| AddError::Duplicate)?);
        let (events, receiver) = mpsc::channel(EVENTS);
        let figures = Arc::new(Figures::default());
        figures.left.store(u64::MAX, Ordering::Relaxed);
        let state = TorrentState {
            names,
            root: options.root,
            choice: options.choice,
            wishes: Wishes::default(),
            role: options.role,
            trackers,
            events,
            phase: Phase::Failed,
            known: BTreeMap::new(),
            given: BTreeMap::new(),
            figures: figures.clone(),
            stop: watch::Sender::new(false),
            announcers: JoinSet::new(),
            announced: BTreeSet::new(),
            silent_trackers: BTreeMap::new(),
            unreached: BTreeSet::new(),
            vain: Vain::default(),
            parted: BTreeMap::new(),
            dht: TorrentInDht::default(),
            retraction: Retraction::default(),
            remembered: Remembered::default(),
            added: Instant::now(),
            rates: Rates::new(Instant::now()),
        };
        self.torrents.insert(torrent, state);
        match metainfo {
            Some(metainfo) => self.check(torrent, metainfo),
            None => self.fetch(torrent, None),
        }
        for address in peers {
            if let Some(peer) = named_peer(&address) {
                let (addresses, source) = (vec![address], Source::Link);
                let voice = Voice::default();
                self.on_discovered(Discovered { torrent, peer, addresses, source, voice });
            } else {
                self.warn(
                    torrent,
                    format!("{address} does not end in /p2p/<peer id>, so it cannot be dialled"),
                );
            }
        }
        self.recall_peers(torrent);
        self.tend_dht();
        Ok(Torrent { id: torrent, names, events: receiver, figures })
    }

    pub(super) fn fetch(&mut self, torrent: TorrentId, partial: Option<Metainfo>) {
        if partial.as_ref().is_some_and(Metainfo::is_private) {
            self.leave_dht(torrent);
        }
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        state.phase = Phase::Fetching(Box::new(Fetching::new(partial)));
        self.announce(torrent);
        self.ask_neighbours(torrent);
    }

    fn check(&mut self, torrent: TorrentId, metainfo: Arc<Metainfo>) {
        let names = metainfo.info_hashes();
        let is_twin = |(&id, state): (&TorrentId, &TorrentState)| {
            id != torrent && names.wire().any(|name| state.names.answers_to(name))
        };
        if self.torrents.iter().any(is_twin) {
            return self.fail(torrent, AddError::Duplicate.to_string());
        }
        if metainfo.is_private() {
            self.part_from_neighbours(torrent);
            self.leave_dht(torrent);
        }
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        state.names = names;
        state.tell(TorrentEvent::Metainfo(metainfo.clone()));
        let chosen = match state.choice.of(&metainfo) {
            Ok(chosen) => Arc::new(chosen),
            Err(error) => {
                state.phase = Phase::Checking { _opening: JoinSet::new() };
                return self.fail(torrent, error.to_string());
            }
        };
        let opening = Opening {
            torrent,
            metainfo,
            chosen,
            root: state.root.clone(),
            role: state.role,
            state_dir: self.config.state_dir.clone(),
            pool: self.pool.clone(),
            store_events: self.store_events.sender.clone(),
            events: state.events.clone(),
        };
        let mut task = JoinSet::new();
        task.spawn(opening.run(self.work.sender.clone()));
        state.phase = Phase::Checking { _opening: task };
    }

    pub(super) fn on_opened(&mut self, torrent: TorrentId, result: Result<Opened, OpenError>) {
        let Opened { metainfo, chosen, store, found } = match result {
            Ok(opened) => opened,
            Err(error) => return self.fail(torrent, error.to_string()),
        };
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        let layout = metainfo.layout().clone();
        let selection = chosen.selection(&layout);
        let bytes_total = chosen.bytes();
        let mut active = Active {
            metainfo: metainfo.clone(),
            chosen,
            store,
            bytes_done: 0,
            bytes_verified: 0,
            completed: false,
            since: Instant::now(),
        };
        found.verified.iter_ones().for_each(|piece| active.on_good(piece));
        let bytes_present = active.bytes_done;
        state.figures.left.store(active.bytes_left(), Ordering::Relaxed);
        state.phase = Phase::Active(active);
        for warning in found.warnings {
            state.tell(TorrentEvent::Warning(warning));
        }
        state.tell(TorrentEvent::Ready { bytes_present, bytes_total });
        self.list(torrent);
        let Some(state) = self.torrents.get(&torrent) else { return };
        let known: Vec<(PeerKey, Source)> =
            state.known.iter().map(|(&peer, sightings)| (peer, sightings.found_by())).collect();
        let role = state.role;
        self.announce(torrent);
        let aim = match role {
            Role::Seed => Aim::Serve,
            Role::Get => Aim::Fetch,
        };
        let proof = if metainfo.info_hashes().v2().is_some() { Proof::Blocks } else { Proof::Pieces };
        let content = Content { layout, verified: found.verified, stored: found.stored, proof, selection };
        self.drive(Input::AddTorrent { torrent, content, aim });
        if self.engine.is_finished(torrent) {
            self.on_completed(torrent);
        }
        self.tend_dht();
        self.tell_progress();
        for &(peer, source) in &known {
            self.drive(Input::Candidate { torrent, peer, source });
        }
        self.link_with_those_here(torrent, known.iter().map(|(peer, _)| *peer));
        self.tell_neighbours(torrent);
        self.ask_neighbours(torrent);
        self.select_what_waits(torrent);
    }

    /// Tells those who answer handshakes how a torrent stands.
    pub(super) fn list(&self, torrent: TorrentId) {
        let Some(state) = self.torrents.get(&torrent) else { return };
        let Some(active) = state.active() else { return };
        let mut directory = self.directory.write().expect("no holder panics");
        for name in state.names.wire() {
            directory.insert(name, (torrent, active.hosted()));
        }
    }

    /// Starts an announcer for each group of trackers and each name that has none yet.
    fn announce(&mut self, torrent: TorrentId) {
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        if !self.config.discovery.tracker {
            return;
        }
        for (group, trackers) in state.trackers.iter().enumerate() {
            for info_hash in state.names.wire() {
                if !state.announced.insert((group, info_hash)) {
                    continue;
                }
                let announcer = Announcer {
                    torrent,
                    info_hash,
                    trackers: trackers.clone(),
                    keypair: self.identity.keypair().clone(),
                    peer_id: self.handshake_id.peer_id,
                    addresses: self.addresses.subscribe(),
                    bind: self.config.bind,
                    figures: state.figures.clone(),
                    client: self.tracker_client.clone(),
                    events: self.tracker_events.sender.clone(),
                    stop: state.stop.subscribe(),
                    completion: Completion::default(),
                };
                state.announcers.spawn(announcer.run());
            }
        }
    }

    /// Asks known peers for metainfo that is still missing: those that are connected, and beside them a few of
    /// the others at a time.
    pub(super) fn ask_for_metainfo(&mut self) {
        let now = Instant::now();
        let mut due = Vec::new();
        for (&torrent, state) in &mut self.torrents {
            let Phase::Fetching(fetching) = &mut state.phase else { continue };
            let is_here = |peer: &PeerKey| {
                self.peers.id(*peer).is_some_and(|id| self.swarm.behaviour().wire.is_connected(&id))
            };
            let mut rooms = [ASKING; 2];
            for peer in &fetching.asking {
                let room = &mut rooms[usize::from(is_here(peer))];
                *room = room.saturating_sub(1);
            }
            for peer in order_of_asking(&state.known, &fetching.failed) {
                let may_ask = !fetching.asking.contains(&peer)
                    && fetching.failed.get(&peer).is_none_or(|(_, at)| *at <= now);
                let room = &mut rooms[usize::from(is_here(&peer))];
                if may_ask && *room > 0 {
                    *room -= 1;
                    fetching.asking.insert(peer);
                    due.push((torrent, peer));
                }
            }
        }
        for (torrent, peer) in due {
            if self.dial(torrent, peer).is_some() {
                self.on_not_asked(torrent, peer);
            }
        }
    }

    /// A peer could not be asked, or could not give what was asked.
    pub(super) fn on_not_asked(&mut self, torrent: TorrentId, peer: PeerKey) {
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        let Phase::Fetching(fetching) = &mut state.phase else { return };
        fetching.asking.remove(&peer);
        let (failures, again) = fetching.failed.entry(peer).or_insert((0, Instant::now()));
        *again = Instant::now() + ASK_AGAIN * (1 << (*failures).min(6));
        *failures += 1;
    }

    /// Asks on a stream of ours.
    pub(super) fn fetch_from(&mut self, torrent: TorrentId, peer: PeerKey, stream: Stream) {
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        let Phase::Fetching(fetching) = &mut state.phase else { return };
        let question = Question {
            torrent,
            peer,
            names: state.names,
            partial: fetching.partial.clone(),
            large: fetching.large.clone(),
        };
        let id = self.peers.id(peer).map(tracing::field::display);
        let ask =
            question.ask(stream, self.handshake_id).instrument(tracing::trace_span!("asking", peer = id));
        let work = self.work.sender.clone();
        fetching.tasks.spawn(async move {
            // Fails only when the node is gone.
            let _ = work.send(Work::Fetched(ask.await)).await;
        });
    }

    pub(super) fn on_fetched(&mut self, fetched: Fetched) {
        let Fetched { torrent, peer, result } = fetched;
        if !self.torrents.get(&torrent).is_some_and(|state| matches!(state.phase, Phase::Fetching(_))) {
            return;
        }
        match result {
            Ok(metainfo) => {
                let metainfo = Arc::new(*metainfo);
                let files = self.torrent_files(&metainfo.info_hashes()).collect();
                open::save_metainfo(files, metainfo.clone());
                self.check(torrent, metainfo);
            }
            Err(error) if error.is_final() => self.fail(torrent, error.to_string()),
            Err(error) if error.is_refusal() && self.is_mere_neighbour(torrent, peer) => {
                self.on_refused(torrent, peer);
            }
            Err(error) => {
                tracing::debug!(%error, "a peer could not give the metainfo");
                self.on_not_asked(torrent, peer);
            }
        }
    }

    /// Every piece that is wanted is verified: bring the files into their final state, then say so.
    pub(super) fn on_completed(&mut self, torrent: TorrentId) {
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        let Some(active) = state.active_mut() else { return };
        if std::mem::replace(&mut active.completed, true) {
            return;
        }
        let (store, work) = (active.store.clone(), self.work.sender.clone());
        self.list(torrent);
        tokio::spawn(async move {
            let result = store.flush().await;
            // Fails only when the node is gone.
            let _ = work.send(Work::Finished { torrent, result }).await;
        });
    }

    pub(super) fn on_finished(&mut self, torrent: TorrentId, result: Result<(), StoreError>) {
        match result {
            // The content is there; only the next start will take longer.
            Err(error @ StoreError::Resume(_)) => self.warn(torrent, error.to_string()),
            Err(error) => return self.fail(torrent, error.to_string()),
            Ok(()) => {}
        }
        // What took less than a tick has not been told of yet.
        self.tell_progress();
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        // More may be wanted by now.
        let Some(active) = state.active().filter(|active| active.completed) else { return };
        let bytes = active.chosen.bytes();
        if active.chosen.is_everything() {
            state.figures.left.store(0, Ordering::Relaxed);
        }
        state.tell(TorrentEvent::Complete {
            bytes,
            elapsed: state.added.elapsed(),
            bytes_from: state.bytes_from(),
            peers: state.given.len(),
        });
    }

    /// The torrent cannot go on; what is verified stays.
    pub(super) fn fail(&mut self, torrent: TorrentId, message: String) {
        let Some(state) = self.torrents.get_mut(&torrent) else { return };
        if matches!(state.phase, Phase::Failed) {
            return;
        }
        let _ = state.stop.send(true);
        state.wishes.give_up();
        let phase = std::mem::replace(&mut state.phase, Phase::Failed);
        state.tell(TorrentEvent::Failed(message));
        self.retire(torrent);
        if let Phase::Active(active) = phase {
            self.leaving.spawn(async move { close(&active).await });
        }
    }

    /// Takes the torrent off engine and directory; links end.
    fn retire(&mut self, torrent: TorrentId) {
        self.leave_dht(torrent);
        self.directory.write().expect("no holder panics").retain(|_, (id, _)| *id != torrent);
        self.drive(Input::RemoveTorrent { torrent });
        self.links.retain(|_, entry| entry.torrent != torrent);
    }

    pub(super) fn remove(&mut self, torrent: TorrentId, done: oneshot::Sender<()>) {
        self.remember_peers_at_last(torrent);
        self.retire(torrent);
        if let Some(state) = self.torrents.remove(&torrent) {
            self.leaving.spawn(async move {
                leave(state).await;
                // Whoever asked may have gone.
                let _ = done.send(());
            });
        }
    }

    pub(super) async fn shut_down(&mut self) {
        self.save_nodes();
        self.leave_neighbours().await;
        let ids: Vec<TorrentId> = self.torrents.keys().copied().collect();
        for torrent in ids {
            self.remember_peers_at_last(torrent);
            self.retire(torrent);
        }
        for state in std::mem::take(&mut self.torrents).into_values() {
            self.leaving.spawn(leave(state));
        }
        while self.leaving.join_next().await.is_some() {}
        self.close_ports().await;
    }

    /// Where fetched metainfo is kept from session to session: under each name, because a link may carry
    /// only one.
    fn torrent_files(&self, names: &InfoHashes) -> impl Iterator<Item = PathBuf> + use<> {
        let folder = self.config.state_dir.as_ref().map(|dir| dir.join("torrents"));
        let names = names.wire();
        folder
            .into_iter()
            .zip([names])
            .flat_map(|(folder, names)| names.map(move |name| folder.join(format!("{name}.torrent"))))
    }
}

/// Saves what is needed to resume, and says goodbye to the trackers.
async fn leave(mut state: TorrentState) {
    let _ = state.stop.send(true);
    if let Phase::Active(active) = &state.phase {
        close(active).await;
    }
    state.remembered.settle().await;
    let goodbyes = async { while state.announcers.join_next().await.is_some() {} };
    // Whoever has not answered by then is not waited for.
    let _ = tokio::time::timeout(GOODBYE, goodbyes).await;
}

async fn close(active: &Active) {
    match active.store.close().await {
        // Closed before: what there was to save is saved, or whoever closed it said why not.
        Ok(()) | Err(StoreError::Closed) => {}
        Err(error) => tracing::warn!(%error, "resume data could not be saved"),
    }
}

/// Those that failed least first, so that however many dead ones are known, the others get their turn. Among
/// them the sources and their voices take turns, and each one's latest and earliest do: a tracker that names
/// thousands keeps back nobody whom another named, and those it named before nobody who has just come.
fn order_of_asking(
    known: &BTreeMap<PeerKey, Sightings>,
    failed: &BTreeMap<PeerKey, (u32, Instant)>,
) -> Vec<PeerKey> {
    let mut groups: BTreeMap<(u32, (Source, Voice)), VecDeque<PeerKey>> = BTreeMap::new();
    for (&peer, sightings) in known {
        let failures = failed.get(&peer).map_or(0, |(failures, _)| *failures);
        groups.entry((failures, sightings.teller())).or_default().push_back(peer);
    }
    let mut ordered: Vec<(u32, usize, PeerKey)> = Vec::with_capacity(known.len());
    for ((failures, _), mut peers) in groups {
        for turn in 0..peers.len() {
            // Numbers are given in the order in which peers became known.
            let next = if turn % 2 == 0 { peers.pop_back() } else { peers.pop_front() };
            ordered.extend(next.map(|peer| (failures, turn, peer)));
        }
    }
    ordered.sort_unstable();
    ordered.into_iter().map(|(_, _, peer)| peer).collect()
}

#[cfg(test)]
mod tests {
    use samara_proto::moment::Moment;

    use super::*;

    #[test]
    fn whoever_was_just_named_does_not_wait_for_thousands_that_were_named_before() {
        let known = (0..1000).map(|n| (PeerKey(n), Sightings::new(Source::Tracker, Moment::ZERO))).collect();
        let order = order_of_asking(&known, &BTreeMap::new());
        assert_eq!(order[..4], [999, 0, 998, 1].map(PeerKey));
        assert_eq!(order.len(), 1000);
    }

    #[test]
    fn a_tracker_that_names_thousands_keeps_back_nobody_whom_another_tracker_named() {
        let named = |by| Sightings::new(Source::Tracker, Moment::ZERO).told_by(Voice::of(by));
        let mut known: BTreeMap<PeerKey, Sightings> =
            (0..1000).map(|n| (PeerKey(n), named("liar"))).collect();
        known.insert(PeerKey(500), named("honest"));
        let order = order_of_asking(&known, &BTreeMap::new());
        assert!(order[..2].contains(&PeerKey(500)), "{:?}", &order[..4]);
    }

    #[test]
    fn a_source_that_names_thousands_keeps_back_nobody_whom_another_named() {
        let mut known: BTreeMap<PeerKey, Sightings> =
            (0..1000).map(|n| (PeerKey(n), Sightings::new(Source::Tracker, Moment::ZERO))).collect();
        known.insert(PeerKey(5000), Sightings::new(Source::Dht, Moment::ZERO));
        let at = |failed: &BTreeMap<_, _>| {
            order_of_asking(&known, failed).iter().position(|peer| *peer == PeerKey(5000))
        };
        assert!(at(&BTreeMap::new()) <= Some(1));
        let failed = BTreeMap::from([(PeerKey(5000), (1, Instant::now()))]);
        assert_eq!(at(&failed), Some(1000), "everybody gets a first turn before somebody gets a second");
    }
}
