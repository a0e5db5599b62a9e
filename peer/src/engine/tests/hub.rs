//! Several torrents in one engine, and the bounds they share.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, Layout, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::moment::Moment;

use crate::engine::Engine;
use crate::engine::config::EngineConfig;
use crate::engine::event::{
    Aim, Content, Direction, DisconnectReason, Input, LinkId, Output, PeerKey, PeerMessage, PeerTraits,
    Proof, Source, TorrentId, Verdict,
};
use crate::engine::selection::Selection;

const A: TorrentId = TorrentId(1);
const B: TorrentId = TorrentId(2);
const TRAITS: PeerTraits = PeerTraits {
    fast: true,
    request_length: BLOCK_LENGTH,
    request_queue: 50,
    upload_only: false,
    blocks: false,
};

struct Hub {
    engine: Engine,
    now: Moment,
}

impl Hub {
    fn new(config: EngineConfig) -> Self {
        let mut hub = Self { engine: Engine::new(config, [1; 32]), now: Moment::ZERO };
        hub.add(A);
        hub.add(B);
        hub
    }

    fn add(&mut self, torrent: TorrentId) {
        let layout = Arc::new(Layout::single_file(u64::from(8 * BLOCK_LENGTH), BLOCK_LENGTH));
        let content = Content {
            layout,
            verified: Bitfield::new(8),
            stored: Vec::new(),
            proof: Proof::Pieces,
            selection: Selection::default(),
        };
        assert_eq!(self.tell(Input::AddTorrent { torrent, content, aim: Aim::Fetch }), vec![]);
    }

    fn tell(&mut self, input: Input) -> Vec<Output> {
        self.engine.handle(self.now, input);
        std::iter::from_fn(|| self.engine.next_output()).collect()
    }

    fn connect(&mut self, torrent: TorrentId, peer: u64, link: u64) -> Vec<Output> {
        let (peer, link, direction) = (PeerKey(peer), LinkId(link), Direction::Inbound);
        self.tell(Input::Connected { torrent, peer, holder: None, link, direction, traits: TRAITS })
    }

    fn say(&mut self, link: u64, message: PeerMessage) -> Vec<Output> {
        self.tell(Input::Received { link: LinkId(link), message })
    }

    fn learn(&mut self, torrent: TorrentId, peer: u64) -> Vec<Output> {
        self.tell(Input::Candidate { torrent, peer: PeerKey(peer), source: Source::Tracker })
    }
}

fn is_dial(output: &Output) -> bool {
    matches!(output, Output::Dial { .. })
}

#[test]
fn a_removed_torrent_ends_its_links_and_is_never_heard_of_again() {
    let mut hub = Hub::new(EngineConfig::default());
    hub.connect(A, 1, 10);
    hub.connect(B, 1, 11);
    let reason = DisconnectReason::TorrentRemoved;
    let outputs = hub.tell(Input::RemoveTorrent { torrent: A });
    assert_eq!(outputs, vec![Output::Disconnect { link: LinkId(10), reason }]);
    assert_eq!(hub.say(10, PeerMessage::HaveAll), vec![]);
    assert_eq!(hub.tell(Input::Disconnected { link: LinkId(10) }), vec![]);
    assert_eq!(hub.connect(A, 2, 12), vec![Output::Disconnect { link: LinkId(12), reason }]);
    assert!(!hub.say(11, PeerMessage::HaveAll).is_empty(), "the other torrent goes on");
}

#[test]
fn links_and_dials_are_bounded_over_all_torrents() {
    let config = EngineConfig { links: 6, dials: 3, ..EngineConfig::default() };
    let mut hub = Hub::new(config);
    let mut dialled: Vec<Output> = Vec::new();
    for peer in 0..10 {
        dialled.extend(hub.learn(A, peer));
        dialled.extend(hub.learn(B, peer));
    }
    assert!(dialled.iter().all(is_dial));
    assert_eq!(dialled.len(), 3);
    for link in 0..6 {
        assert!(hub.connect(A, 100 + link, link).iter().all(|output| !is_dial(output)));
    }
    let reason = DisconnectReason::TooManyLinks;
    assert_eq!(hub.connect(B, 200, 99), vec![Output::Disconnect { link: LinkId(99), reason }]);
    hub.tell(Input::Disconnected { link: LinkId(99) });
    // The dials come to nothing: their places go to the next, as long as there are links left.
    for link in 0..4 {
        hub.tell(Input::Disconnected { link: LinkId(link) });
    }
    let failed = Input::DialFailed { torrent: A, peer: PeerKey(0) };
    assert_eq!(hub.tell(failed).iter().filter(|output| is_dial(output)).count(), 1);
}

#[test]
fn who_gives_a_corrupt_piece_is_thrown_out_of_every_torrent() {
    let mut hub = Hub::new(EngineConfig::default());
    for (torrent, link) in [(A, 10), (B, 11)] {
        hub.connect(torrent, 1, link);
        hub.say(link, PeerMessage::HaveAll);
    }
    let requests = hub.say(10, PeerMessage::Unchoke);
    let asked = |output: &Output| match output {
        Output::Send { message: PeerMessage::Request(block), .. } => Some(*block),
        _ => None,
    };
    let block: BlockRef = requests.iter().find_map(asked).unwrap();
    hub.tell(Input::BlockReceived { link: LinkId(10), block });
    let verdict = Verdict::Bad;
    let outputs = hub.tell(Input::PieceChecked { torrent: A, piece: block.piece, verdict });
    let ended = |link| {
        outputs.iter().any(|output| matches!(output, Output::Disconnect { link: l, .. } if l.0 == link))
    };
    assert!(ended(10) && ended(11), "{outputs:?}");
    hub.now += Duration::from_secs(3600);
    assert_eq!(hub.learn(B, 1), vec![], "and is not dialled again");
}

#[test]
fn a_newcomer_is_unchoked_at_once_while_a_slot_is_free_and_later_when_one_gets_free() {
    let config = EngineConfig { upload_slots: 2..=2, ..EngineConfig::default() };
    let mut hub = Hub::new(config);
    let unchoked = |outputs: &[Output]| -> Vec<u64> {
        let unchoke = |output: &Output| match output {
            Output::Send { link, message: PeerMessage::Unchoke } => Some(link.0),
            _ => None,
        };
        outputs.iter().filter_map(unchoke).collect()
    };
    for (torrent, link) in [(A, 1), (B, 2), (A, 3)] {
        hub.connect(torrent, link, link);
        let outputs = hub.say(link, PeerMessage::Interested);
        assert_eq!(unchoked(&outputs), if link < 3 { vec![link] } else { vec![] });
    }
    assert_eq!(unchoked(&hub.say(2, PeerMessage::NotInterested)), [3]);
    assert_eq!(unchoked(&hub.tell(Input::Disconnected { link: LinkId(3) })), Vec::<u64>::new());
    hub.say(2, PeerMessage::Interested);
    assert_eq!(hub.engine.interested(B), 1);
    assert!(!hub.engine.peer_stats(LinkId(2)).unwrap().we_choke);
}

#[test]
fn the_figures_add_up() {
    let mut hub = Hub::new(EngineConfig::default());
    hub.connect(A, 1, 10);
    hub.say(10, PeerMessage::HaveAll);
    hub.say(10, PeerMessage::Unchoke);
    for piece in 0..8 {
        let block = BlockRef { piece: PieceIndex(piece), begin: 0, length: BLOCK_LENGTH };
        hub.now += Duration::from_millis(10);
        hub.tell(Input::BlockReceived { link: LinkId(10), block });
        hub.tell(Input::PieceChecked { torrent: A, piece: block.piece, verdict: Verdict::Good });
    }
    let stats = &hub.engine.stats().torrents[&A];
    assert_eq!((stats.pieces, stats.pieces_verified, stats.pieces_begun), (8, 8, 0));
    assert_eq!(
        (stats.bytes_done, stats.downloaded),
        (u64::from(8 * BLOCK_LENGTH), u64::from(8 * BLOCK_LENGTH))
    );
    assert!(stats.down_rate > 0 && stats.wasted == 0);
    assert!(hub.engine.is_complete(A) && !hub.engine.is_complete(B));
    assert_eq!(hub.engine.bytes_done(A), stats.bytes_done);
    assert_eq!(hub.engine.link_count(A), 0, "two seeds have nothing to trade");
}

#[test]
fn a_dialled_link_for_which_there_is_no_place_gives_its_dial_back() {
    let config = EngineConfig { links_per_torrent: 1, dials: 1, ..EngineConfig::default() };
    let mut hub = Hub::new(config);
    assert!(hub.learn(A, 1).iter().any(is_dial));
    hub.connect(A, 100, 10);
    let (peer, link, direction) = (PeerKey(1), LinkId(11), Direction::Outbound);
    let reason = DisconnectReason::TooManyLinks;
    let outputs =
        hub.tell(Input::Connected { torrent: A, peer, holder: None, link, direction, traits: TRAITS });
    assert_eq!(outputs, vec![Output::Disconnect { link, reason }]);
    assert!(hub.learn(B, 2).iter().any(is_dial), "other torrents go on dialling");
}

#[test]
fn links_share_what_may_be_requested_ahead() {
    const LINKS: u64 = 4;
    let limit = 32 * u64::from(BLOCK_LENGTH);
    let config = EngineConfig { requested_bytes: limit, ..EngineConfig::default() };
    let mut hub = Hub { engine: Engine::new(config, [1; 32]), now: Moment::ZERO };
    let layout = Arc::new(Layout::single_file(u64::from(400 * BLOCK_LENGTH), BLOCK_LENGTH));
    for torrent in [A, B] {
        let content = Content {
            layout: Arc::clone(&layout),
            verified: Bitfield::new(400),
            stored: Vec::new(),
            proof: Proof::Pieces,
            selection: Selection::default(),
        };
        hub.tell(Input::AddTorrent { torrent, content, aim: Aim::Fetch });
    }
    let mut asked: BTreeMap<u64, VecDeque<BlockRef>> = BTreeMap::new();
    let note = |asked: &mut BTreeMap<u64, VecDeque<BlockRef>>, outputs: Vec<Output>| {
        for output in outputs {
            if let Output::Send { link, message: PeerMessage::Request(block) } = output {
                asked.entry(link.0).or_default().push_back(block);
            }
        }
        let total: usize = asked.values().map(VecDeque::len).sum();
        assert!(total as u64 * u64::from(BLOCK_LENGTH) <= limit, "{total} blocks requested");
    };
    for link in 1..=LINKS {
        hub.connect(if link % 2 == 0 { A } else { B }, link, link);
        hub.say(link, PeerMessage::HaveAll);
        let outputs = hub.say(link, PeerMessage::Unchoke);
        note(&mut asked, outputs);
        assert!(!asked[&link].is_empty(), "nobody is left without");
    }
    for _ in 0..40 {
        hub.now += Duration::from_millis(10);
        for link in 1..=LINKS {
            let Some(block) = asked.get_mut(&link).and_then(VecDeque::pop_front) else { continue };
            let outputs = hub.tell(Input::BlockReceived { link: LinkId(link), block });
            note(&mut asked, outputs);
        }
    }
    let parts: Vec<usize> = asked.values().map(VecDeque::len).collect();
    assert!(parts.iter().all(|part| (5..=8).contains(part)), "{parts:?}");
    // What those who leave had is there for those who stay.
    for link in 2..=LINKS {
        hub.tell(Input::Disconnected { link: LinkId(link) });
        asked.remove(&link);
    }
    let block = asked.get_mut(&1).and_then(VecDeque::pop_front).unwrap();
    let outputs = hub.tell(Input::BlockReceived { link: LinkId(1), block });
    note(&mut asked, outputs);
    assert_eq!(asked[&1].len(), 16);
}
