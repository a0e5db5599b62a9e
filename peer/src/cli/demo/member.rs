//! One node of the demo, followed while the story goes on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libp2p::PeerId;
use samara_proto::infohash::InfoHashes;
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use super::super::bars::Bar;
use super::super::events::{self, Event, Which};
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::setup;
use super::{FILE_NAME, LOCALHOST, Stopped, Story};
use crate::choice::Choice;
use crate::engine::event::Source;
use crate::handle::{AddOptions, Node, NodeConfig, Role, Stage, Torrent, TorrentEvent, TorrentSource};

/// How often it is looked how much has arrived.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// Longer than anything the story waits for takes, whatever its size.
const PATIENCE: Duration = Duration::from_secs(240);

/// A node of the demo.
pub struct Member {
    /// What the story calls it.
    pub name: &'static str,
    /// The node.
    pub node: Node,
    /// Where its copy is.
    pub folder: PathBuf,
    state: watch::Receiver<State>,
}

/// How a member stands.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Content bytes that have arrived.
    pub received: u64,
    /// It has checked what it has, and takes part.
    pub is_ready: bool,
    /// How it was completed.
    pub complete: Option<Completed>,
    /// How decentralized the swarm looks to it, and why.
    pub stage: Option<(Stage, String)>,
    /// Whom it is linked with or was, by the source that found them.
    pub found: BTreeMap<PeerId, Source>,
    failure: Option<String>,
}

/// The end of a download.
#[derive(Clone, Debug)]
pub struct Completed {
    /// Content bytes.
    pub bytes: u64,
    /// Since it began.
    pub elapsed: Duration,
    /// Peers that gave something.
    pub peers: usize,
}

impl Member {
    /// Starts a node that stays on loopback, and lets it take part.
    pub async fn join(
        name: &'static str,
        source: TorrentSource,
        folder: &Path,
        role: Role,
        story: &Story,
    ) -> Result<Self, Failure> {
        let output = &story.output;
        let config = NodeConfig { bind: Some(LOCALHOST), ..NodeConfig::default() };
        let node = Node::start(config)
            .await
            .map_err(|error| Failure::failed(format!("cannot start a node: {error}")))?;
        for address in node.addresses() {
            let (protocol, address) = (setup::protocol(&address), address.to_string());
            output.event(&Event::Listening { protocol, address, node: Some(name) });
        }
        let (root, choice) = (folder.to_owned(), Choice::default());
        let options = AddOptions { root, trackers: Vec::new(), peers: Vec::new(), choice, role };
        let torrent = node
            .add(source, options)
            .await
            .map_err(|error| Failure::failed(format!("cannot add {FILE_NAME}: {error}")))?;
        let (sender, state) = watch::channel(State::default());
        let bar = (role == Role::Get).then(|| output.bar(name));
        tokio::spawn(follow(name, torrent, sender, output.clone(), bar, story.stopped.clone()));
        Ok(Self { name, node, folder: folder.to_owned(), state })
    }

    /// How it stands now.
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until it stands as `wanted`; `what` is for the message when it does not come to that.
    pub async fn wait(&self, what: &str, wanted: impl Fn(&State) -> bool) -> Result<State, Failure> {
        let mut state = self.state.clone();
        let reached = state.wait_for(|state| state.failure.is_some() || wanted(state));
        match timeout(PATIENCE, reached).await {
            Ok(Ok(state)) => match &state.failure {
                Some(message) => Err(Failure::failed(format!("{} failed: {message}", self.name))),
                None => Ok(state.clone()),
            },
            Ok(Err(_)) => Err(Failure::failed(format!("{} stopped", self.name))),
            Err(_) => Err(Failure::failed(format!("{} did not come to this in time: {what}", self.name))),
        }
    }
}

/// Keeps `state` up to date until the node ends, and tells programs what happens.
async fn follow(
    name: &'static str,
    mut torrent: Torrent,
    state: watch::Sender<State>,
    output: Output,
    mut bar: Option<Bar>,
    stopped: Stopped,
) {
    let mut which = of(name, FILE_NAME, torrent.names());
    let mut total = 0;
    let mut look = interval(LOOK_INTERVAL);
    loop {
        let event = tokio::select! {
            event = torrent.next_event() => event,
            _ = look.tick() => {
                let received = torrent.bytes_received();
                state.send_if_modified(|state| std::mem::replace(&mut state.received, received) != received);
                if let Some(bar) = bar.as_mut().filter(|_| total > 0) {
                    bar.set(received.min(total), total, &[]);
                }
                continue;
            }
        };
        match event {
            None => return,
            Some(TorrentEvent::Metainfo(metainfo)) => {
                total = metainfo.layout().total_size();
                which = of(name, metainfo.name(), metainfo.info_hashes());
            }
            Some(TorrentEvent::Ready { .. }) => state.send_modify(|state| state.is_ready = true),
            Some(TorrentEvent::Linked { peer, source }) => {
                output.event(&Event::Linked {
                    which: which.clone(),
                    peer: peer.to_string(),
                    source: crate::metrics::source_name(source),
                });
                state.send_modify(|state| _ = state.found.insert(peer, source));
            }
            Some(TorrentEvent::Progress(progress)) => {
                output.event(&Event::progress(which.clone(), &progress));
                let is_new = state.borrow().stage.as_ref().map(|(stage, _)| *stage) != Some(progress.stage);
                if is_new {
                    output.event(&Event::Stage {
                        which: which.clone(),
                        stage: events::stage_name(progress.stage),
                        autonomy: progress.autonomy,
                        why: progress.why.clone(),
                    });
                }
                // A node without peers cannot tell what its swarm is like.
                if progress.peers > 0 || is_new {
                    state.send_modify(|state| state.stage = Some((progress.stage, progress.why)));
                }
            }
            Some(TorrentEvent::Complete { bytes, elapsed, bytes_from, peers }) => {
                output.event(&Event::Complete {
                    which: which.clone(),
                    bytes,
                    seconds: elapsed.as_secs_f64(),
                    bytes_from: events::bytes_from(&bytes_from),
                    peers,
                });
                bar = None;
                state.send_modify(|state| state.complete = Some(Completed { bytes, elapsed, peers }));
            }
            // The story says so itself.
            Some(TorrentEvent::Warning(message))
                if stopped.get().is_some_and(|url| message.contains(url)) => {}
            Some(TorrentEvent::Warning(message)) => output.warn_of(name, message),
            Some(TorrentEvent::Failed(message)) => {
                state.send_modify(|state| state.failure = Some(message));
                return;
            }
            Some(TorrentEvent::Checking { .. } | TorrentEvent::Note(_)) => {}
        }
    }
}

fn of(node: &'static str, torrent: &str, hashes: InfoHashes) -> Which {
    Which { node: Some(node), ..Which::new(torrent, hashes) }
}
