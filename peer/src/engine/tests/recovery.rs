//! What goes wrong for a while must not go wrong for good.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, Layout, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;

use crate::engine::Engine;
use crate::engine::config::EngineConfig;
use crate::engine::event::{
    Aim, Content, Direction, DisconnectReason, Input, LinkId, Output, PeerKey, PeerMessage, Proof, Source,
    Verdict,
};
use crate::engine::selection::Selection;

use super::hand::{FAST, Hand, LINK, PIECES, TORRENT};

fn requests(outputs: &[Output]) -> Vec<(LinkId, BlockRef)> {
    let request = |output: &Output| match output {
        Output::Send { link, message: PeerMessage::Request(block) } => Some((*link, *block)),
        _ => None,
    };
    outputs.iter().filter_map(request).collect()
}

fn hear(hand: &mut Hand, link: LinkId, message: PeerMessage) -> Vec<Output> {
    hand.tell(Input::Received { link, message })
}

/// A leech that lacks nothing but the first `missing` pieces.
fn nearly_done(missing: u32) -> Hand {
    let mut verified = Bitfield::full(PIECES);
    (0..missing).for_each(|piece| assert!(verified.clear(PieceIndex(piece))));
    Hand::new(verified, Aim::Fetch)
}

/// Links a seed that does not choke us; what it is asked for.
fn link_seed(hand: &mut Hand, link: LinkId) -> Vec<BlockRef> {
    hand.connect(link, link.0, FAST);
    hear(hand, link, PeerMessage::HaveAll);
    let outputs = hear(hand, link, PeerMessage::Unchoke);
    requests(&outputs).into_iter().map(|(_, block)| block).collect()
}

/// Lets `link` give what it is asked for, until that is nothing; the pieces that are checked then.
fn give_all(hand: &mut Hand, link: LinkId, mut asked: Vec<BlockRef>) -> Vec<PieceIndex> {
    let mut checks = Vec::new();
    while let Some(block) = asked.pop() {
        for output in hand.tell(Input::BlockReceived { link, block }) {
            match output {
                Output::Send { message: PeerMessage::Request(block), .. } => asked.push(block),
                Output::CheckPiece { piece, .. } => checks.push(piece),
                _ => {}
            }
        }
    }
    checks
}

/// Lets seconds pass until an output is `awaited`; how many that took.
fn seconds_until(hand: &mut Hand, limit: u32, awaited: impl Fn(&Output) -> bool) -> Option<u32> {
    (1..=limit).find(|_| {
        hand.now += Duration::from_secs(1);
        hand.tell(Input::Wake).iter().any(&awaited)
    })
}

#[test]
fn a_seed_that_vanished_and_came_back_is_dialled_again_soon() {
    let mut hand = Hand::leech();
    let peer = PeerKey(1);
    hand.tell(Input::Candidate { torrent: TORRENT, peer, source: Source::Tracker });
    let direction = Direction::Outbound;
    hand.tell(Input::Connected { torrent: TORRENT, peer, holder: None, link: LINK, direction, traits: FAST });
    hand.say(PeerMessage::HaveAll);
    let asked = requests(&hand.say(PeerMessage::Unchoke));
    hand.tell(Input::BlockReceived { link: LINK, block: asked[0].1 });
    let is_end =
        |output: &Output| *output == Output::Disconnect { link: LINK, reason: DisconnectReason::Stalled };
    assert!(seconds_until(&mut hand, 130, is_end).is_some());
    hand.tell(Input::Disconnected { link: LINK });
    let wait = seconds_until(&mut hand, 100, |output| matches!(output, Output::Dial { .. }));
    assert!(wait.is_some_and(|wait| wait <= 2), "{wait:?}");
}

#[test]
fn a_seed_that_rejects_what_was_cancelled_is_still_asked_for_it() {
    let (bad, good) = (LinkId(1), LinkId(2));
    let mut hand = nearly_done(1);
    let stuck = link_seed(&mut hand, good);
    assert_eq!(stuck.len(), 4);
    // The honest seed is slow: somebody else is asked too, gives it all, and gives it wrong.
    link_seed(&mut hand, bad);
    hand.now += Duration::from_secs(11);
    let asked = requests(&hand.tell(Input::Wake));
    let asked: Vec<BlockRef> = asked.into_iter().filter(|&(link, _)| link == bad).map(|(_, b)| b).collect();
    assert_eq!(give_all(&mut hand, bad, asked), [PieceIndex(0)]);
    // Every block that came was cancelled at the honest seed, which rejects them all, one by one.
    let piece = PieceIndex(0);
    let outputs = hand.tell(Input::PieceChecked { torrent: TORRENT, piece, verdict: Verdict::Bad });
    assert!(requests(&outputs).iter().all(|&(link, _)| link == bad), "its answers are still to come");
    hand.tell(Input::Disconnected { link: bad });
    let mut again = Vec::new();
    for block in stuck {
        again.extend(requests(&hear(&mut hand, good, PeerMessage::Reject(block))));
    }
    let again = again.into_iter().map(|(_, block)| block).collect();
    assert_eq!(give_all(&mut hand, good, again), [piece]);
}

#[test]
fn what_was_cancelled_is_not_asked_for_again_before_it_is_answered() {
    let mut hand = nearly_done(2);
    let asked = link_seed(&mut hand, LINK);
    assert_eq!(asked.len(), 8);
    let mut cancelled = BTreeSet::new();
    for _ in 0..45 {
        hand.now += Duration::from_secs(1);
        for output in hand.tell(Input::Wake) {
            if let Output::Send { message: PeerMessage::Cancel(block), .. } = output {
                cancelled.insert(block);
            }
        }
    }
    assert_eq!(cancelled.len(), 7, "all but a probe");
    // Its disk is back: what it had in hand goes out, the rest is rejected.
    let probe = *asked.iter().find(|block| !cancelled.contains(block)).unwrap();
    let kept = cancelled.pop_last().unwrap();
    for block in [probe, kept] {
        assert_eq!(hand.tell(Input::BlockReceived { link: LINK, block }), vec![]);
    }
    let mut again = Vec::new();
    for &block in &cancelled {
        again.extend(requests(&hand.say(PeerMessage::Reject(block))));
    }
    assert_eq!(again.iter().map(|&(_, block)| block).collect::<BTreeSet<_>>(), cancelled);
    let again = again.into_iter().map(|(_, block)| block).collect();
    assert_eq!(give_all(&mut hand, LINK, again).len(), 2);
}

#[test]
fn a_piece_that_was_refused_once_is_asked_for_again_after_a_while() {
    let mut hand = nearly_done(1);
    let asked = link_seed(&mut hand, LINK);
    let mut left = asked.clone();
    let unreadable = left.pop().unwrap();
    give_all(&mut hand, LINK, left);
    assert_eq!(requests(&hear(&mut hand, LINK, PeerMessage::Reject(unreadable))), []);
    let is_request =
        |output: &Output| matches!(output, Output::Send { message: PeerMessage::Request(_), .. });
    let wait = seconds_until(&mut hand, 60, is_request);
    assert!(wait.is_some_and(|wait| (20..=40).contains(&wait)), "{wait:?}");
    assert_eq!(give_all(&mut hand, LINK, vec![unreadable]), [PieceIndex(0)]);
}

/// The requests among `outputs`, answered: the first `given` with blocks, the others with rejects after a
/// choke.
fn give_and_choke(hand: &mut Hand, link: LinkId, asked: &[BlockRef], given: usize) -> Vec<Output> {
    for &block in &asked[..given] {
        hand.tell(Input::BlockReceived { link, block });
    }
    let mut outputs = hear(hand, link, PeerMessage::Choke);
    for &block in &asked[given..] {
        outputs.extend(hear(hand, link, PeerMessage::Reject(block)));
    }
    outputs
}

fn blocks(outputs: &[Output], of: LinkId) -> Vec<BlockRef> {
    requests(outputs).into_iter().filter(|&(link, _)| link == of).map(|(_, block)| block).collect()
}

#[test]
fn a_suspect_that_chokes_us_does_not_keep_a_piece_from_others() {
    let (suspect, honest) = (LinkId(1), LinkId(2));
    let (piece, last) = (PieceIndex(0), PieceIndex(PIECES - 1));
    let mut missing = Bitfield::full(PIECES);
    missing.clear(piece);
    missing.clear(last);
    let mut hand = Hand::new(missing, Aim::Fetch);
    let mut asked = Vec::new();
    for link in [suspect, honest] {
        // Nobody is a seed, so that nobody is left once nothing is to be had.
        let mut has = Bitfield::full(PIECES);
        has.clear(last);
        hand.connect(link, link.0, FAST);
        hear(&mut hand, link, PeerMessage::Bitfield(has));
        asked.extend(blocks(&hear(&mut hand, link, PeerMessage::Unchoke), suspect));
    }
    // Both give blocks of a bad piece; the honest one proves itself.
    let rest = blocks(&give_and_choke(&mut hand, suspect, &asked, 1), honest);
    assert_eq!(give_all(&mut hand, honest, rest), [piece]);
    hand.tell(Input::PieceChecked { torrent: TORRENT, piece, verdict: Verdict::Bad });
    hand.now += Duration::from_secs(6);
    let again = blocks(&hand.tell(Input::Wake), honest);
    assert_eq!(give_all(&mut hand, honest, again), [piece]);
    hand.tell(Input::PieceChecked { torrent: TORRENT, piece, verdict: Verdict::Good });
    // A piece is needed while only the suspect gives.
    hear(&mut hand, honest, PeerMessage::Choke);
    hear(&mut hand, suspect, PeerMessage::Unchoke);
    let asked = blocks(&hand.tell(Input::PieceLost { torrent: TORRENT, piece }), suspect);
    assert_eq!(asked.len(), 4);
    give_and_choke(&mut hand, suspect, &asked, 3);
    let all = blocks(&hear(&mut hand, honest, PeerMessage::Unchoke), honest);
    assert_eq!(give_all(&mut hand, honest, all), [piece]);
}

#[test]
fn pieces_that_nobody_left_can_finish_do_not_keep_the_rest_from_being_fetched() {
    let config = EngineConfig { partial_bytes: 0, partial_pieces_min: 4, ..EngineConfig::default() };
    let mut hand = Hand { engine: Engine::new(config, [1; 32]), ..Hand::leech() };
    let layout = Arc::new(Layout::single_file(u64::from(PIECES * 4 * BLOCK_LENGTH), 4 * BLOCK_LENGTH));
    let content = Content {
        layout,
        verified: Bitfield::new(PIECES),
        stored: Vec::new(),
        proof: Proof::Pieces,
        selection: Selection::default(),
    };
    hand.tell(Input::AddTorrent { torrent: TORRENT, content, aim: Aim::Fetch });
    // It begins as many pieces as may be, and goes.
    let gone = LinkId(1);
    let asked = link_seed(&mut hand, gone);
    for &block in asked.iter().filter(|block| block.begin == 0) {
        hand.tell(Input::BlockReceived { link: gone, block });
    }
    hand.tell(Input::Disconnected { link: gone });
    let mut has = Bitfield::full(PIECES);
    asked.iter().for_each(|block| _ = has.clear(block.piece));
    let wanted = has.count_ones() as usize;
    hand.connect(LINK, 2, FAST);
    hear(&mut hand, LINK, PeerMessage::Bitfield(has));
    let mut asked = blocks(&hear(&mut hand, LINK, PeerMessage::Unchoke), LINK);
    assert_eq!(asked.len(), 4, "one piece more, not all there are");
    let mut done = 0;
    while let Some(block) = asked.pop() {
        for output in hand.tell(Input::BlockReceived { link: LINK, block }) {
            let Output::CheckPiece { torrent, piece } = output else { continue };
            let verdict = Verdict::Good;
            asked.extend(blocks(&hand.tell(Input::PieceChecked { torrent, piece, verdict }), LINK));
            done += 1;
        }
    }
    assert_eq!(done, wanted);
}
