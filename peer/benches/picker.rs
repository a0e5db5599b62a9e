//! What one request costs the engine, by the number of pieces: it must not grow with it.
//!
//! A node of which half is verified is linked to many peers. Each block that is asked for comes, each piece that
//! is complete is good, peers tell of new pieces now and then, and for every piece that is verified one that was
//! verified before is lost again, so that things stay as they are. All of that is counted in.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use samara_peer::engine::Engine;
use samara_peer::engine::config::EngineConfig;
use samara_peer::engine::event::{
    Aim, Content, Direction, Input, LinkId, Output, PeerKey, PeerMessage, PeerTraits, Proof, TorrentId,
    Verdict,
};
use samara_peer::engine::rng::EngineRng;
use samara_peer::engine::selection::{Priority, Selection, Sequence};
use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, Layout, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::moment::Moment;

const PEERS: u64 = 50;
const SIZES: [u32; 3] = [1_000, 10_000, 100_000];
const BLOCKS_IN_PIECE: u32 = 4;
/// Requests before measuring, so that pipelines are full and memory is touched.
const WARM_UP: u32 = 20_000;
/// Requests that are timed at once: enough for every timer of the engine to come.
const MEASURED: u32 = 10_000;
/// How often. The fastest counts: others were disturbed by the machine.
const ROUNDS: u32 = 20;
/// Requests for one piece that a peer newly has.
const REQUESTS_PER_HAVE: u32 = 16;
/// Pieces of which there are few.
const FEW: u32 = 400;
/// Pieces verified after which one is lost again.
const KEPT: usize = 64;

const TORRENT: TorrentId = TorrentId(1);
const TRAITS: PeerTraits = PeerTraits {
    fast: true,
    request_length: BLOCK_LENGTH,
    request_queue: 500,
    upload_only: false,
    blocks: false,
};

/// A piece and how many there are.
#[derive(Clone, Copy)]
struct Place(u32, u32);

/// Whether a piece belongs to a set.
type Chooser = fn(&mut EngineRng, Place) -> bool;

struct Case {
    name: &'static str,
    /// What each peer has.
    has: Chooser,
    /// What the node misses.
    misses: Chooser,
    selection: Selection,
}

fn main() {
    let half: Chooser = |rng, _| rng.below(2) == 0;
    // As many as there are, however many pieces: nearly all is looked at in vain.
    let few: Chooser = |rng, Place(_, pieces)| rng.below(pieces) < FEW;
    let last: Chooser = |_, Place(piece, pieces)| piece + FEW >= pieces;
    let rarest = Selection::default();
    let in_order = Selection { sequence: Sequence::Ascending, ..Selection::default() };
    let all_sorts = [Priority::Skip, Priority::Low, Priority::Normal, Priority::High];
    let priorities = (0..SIZES[2] as usize).map(|piece| all_sorts[piece % 4]).collect();
    let mixed = Selection { priorities, ..Selection::default() };
    let case =
        |name, has, misses, selection: &Selection| Case { name, has, misses, selection: selection.clone() };
    let cases = [
        case("peers have half, half is missing", half, half, &rarest),
        case("peers have few", few, half, &rarest),
        case("few are missing", half, few, &rarest),
        case("in order", half, half, &in_order),
        case("in order, peers have few", few, half, &in_order),
        case("in order, the last are missing", half, last, &in_order),
        case("four priorities", half, half, &mixed),
    ];
    println!("{:<34}{:>9}{:>9}{:>9}   largest : smallest", "ns per request", SIZES[0], SIZES[1], SIZES[2]);
    for case in cases {
        let [small, medium, large] = case.costs();
        println!("{:<34}{small:>9.0}{medium:>9.0}{large:>9.0}   {:.2}", case.name, large / small);
    }
}

impl Case {
    /// Nanoseconds for each request, by the number of pieces.
    fn costs(&self) -> [f64; 3] {
        let mut tables = SIZES.map(|pieces| Table::new(pieces, self));
        tables.iter_mut().for_each(|table| table.run(WARM_UP));
        let mut least = [f64::INFINITY; 3];
        for _ in 0..ROUNDS {
            for (table, least) in tables.iter_mut().zip(&mut least) {
                let begun = Instant::now();
                table.run(MEASURED);
                *least = least.min(begun.elapsed().as_nanos() as f64 / f64::from(MEASURED));
            }
        }
        least
    }
}

struct Table {
    engine: Engine,
    rng: EngineRng,
    now: Moment,
    pieces: u32,
    /// What peers will answer, in the order they were asked.
    asked: VecDeque<(LinkId, BlockRef)>,
    /// Verified pieces, the last one first to be lost.
    kept: VecDeque<PieceIndex>,
    requests: u32,
}

impl Table {
    fn new(pieces: u32, case: &Case) -> Self {
        let piece_length = BLOCKS_IN_PIECE * BLOCK_LENGTH;
        let layout = Layout::single_file(u64::from(pieces) * u64::from(piece_length), piece_length);
        let mut rng = EngineRng::new([7; 32]);
        let mut choose = |chooser: Chooser, wanted| {
            let mut set = Bitfield::new(pieces);
            for piece in (0..pieces).filter(|&piece| chooser(&mut rng, Place(piece, pieces)) == wanted) {
                set.set(PieceIndex(piece));
            }
            set
        };
        let verified = choose(case.misses, false);
        let has: Vec<Bitfield> = (0..PEERS).map(|_| choose(case.has, true)).collect();
        let content = Content {
            layout: Arc::new(layout),
            verified,
            stored: Vec::new(),
            proof: Proof::Pieces,
            selection: case.selection.clone(),
        };
        let mut table = Self {
            engine: Engine::new(EngineConfig::default(), [7; 32]),
            rng,
            now: Moment::ZERO,
            pieces,
            asked: VecDeque::new(),
            kept: VecDeque::new(),
            requests: 0,
        };
        table.tell(Input::AddTorrent { torrent: TORRENT, content, aim: Aim::Fetch });
        for (n, has) in (0..).zip(has) {
            let (link, peer, direction) = (LinkId(n), PeerKey(n), Direction::Inbound);
            table.tell(Input::Connected {
                torrent: TORRENT,
                peer,
                holder: None,
                link,
                direction,
                traits: TRAITS,
            });
            table.tell(Input::Received { link, message: PeerMessage::Bitfield(has) });
            table.tell(Input::Received { link, message: PeerMessage::Unchoke });
        }
        table
    }

    /// Goes on until so many more requests were made.
    fn run(&mut self, requests: u32) {
        let until = self.requests + requests;
        while self.requests < until {
            let (link, block) = self.asked.pop_front().expect("somebody is always asked for something");
            self.now += Duration::from_micros(200);
            self.tell(Input::BlockReceived { link, block });
            if self.rng.below(REQUESTS_PER_HAVE) == 0 {
                let link = LinkId(u64::from(self.rng.below(PEERS as u32)));
                let piece = PieceIndex(self.rng.below(self.pieces));
                self.tell(Input::Received { link, message: PeerMessage::Have(piece) });
            }
        }
    }

    fn tell(&mut self, input: Input) {
        self.engine.handle(self.now, input);
        while let Some(output) = self.engine.next_output() {
            match output {
                Output::Send { link, message: PeerMessage::Request(block) } => {
                    self.requests += 1;
                    self.asked.push_back((link, block));
                }
                Output::Send { link, message: PeerMessage::Cancel(block) } => {
                    self.asked.retain(|asked| *asked != (link, block));
                    let message = PeerMessage::Reject(block);
                    self.engine.handle(self.now, Input::Received { link, message });
                }
                Output::CheckPiece { torrent, piece } => {
                    let verdict = Verdict::Good;
                    self.engine.handle(self.now, Input::PieceChecked { torrent, piece, verdict });
                    self.kept.push_back(piece);
                    if self.kept.len() > KEPT
                        && let Some(piece) = self.kept.pop_front()
                    {
                        self.engine.handle(self.now, Input::PieceLost { torrent, piece });
                    }
                }
                Output::Disconnect { reason, .. } => panic!("a link ended: {reason:?}"),
                _ => {}
            }
        }
    }
}
