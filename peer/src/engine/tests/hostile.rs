//! Single engines under hostile hands: no panic, no flood answered for ever, no rule broken for nothing.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use samara_proto::bitfield::Bitfield;
use samara_proto::layout::{BlockRef, Layout, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::moment::Moment;

use crate::engine::Engine;
use crate::engine::config::EngineConfig;
use crate::engine::event::{
    Aim, Content, Direction, DisconnectReason, HolderKey, Input, LinkId, Offence, Output, PeerKey,
    PeerMessage, PeerTraits, Proof, Source, TorrentId, Verdict,
};
use crate::engine::selection::{Priority, Selection, Sequence};

use super::hand::{FAST, Hand, LINK, PIECES, SLOW, TORRENT, block, offence};

#[test]
fn what_breaks_a_rule_ends_the_link_and_keeps_it_ended() {
    let out_of_range = PieceIndex(PIECES);
    let too_long = BlockRef { length: u32::MAX, ..block(0, 0) };
    let cases = [
        (FAST, PeerMessage::Have(out_of_range), Offence::PieceOutOfRange),
        (FAST, PeerMessage::Suggest(out_of_range), Offence::PieceOutOfRange),
        (FAST, PeerMessage::AllowedFast(out_of_range), Offence::PieceOutOfRange),
        (FAST, PeerMessage::Bitfield(Bitfield::full(PIECES + 1)), Offence::PieceOutOfRange),
        (FAST, PeerMessage::Request(block(PIECES, 0)), Offence::PieceOutOfRange),
        (FAST, PeerMessage::Request(too_long), Offence::BadRequest),
        (FAST, PeerMessage::Request(BlockRef { length: 0, ..block(0, 0) }), Offence::BadRequest),
        (FAST, PeerMessage::Request(block(0, u32::MAX)), Offence::BadRequest),
        (SLOW, PeerMessage::HaveAll, Offence::FastNotAgreed),
        (SLOW, PeerMessage::Reject(block(0, 0)), Offence::FastNotAgreed),
    ];
    for (traits, message, expected) in cases {
        let mut hand = Hand::leech();
        hand.connect(LINK, 1, traits);
        let outputs = hand.say(message.clone());
        assert_eq!(offence(&outputs), Some(expected), "{message:?}");
        assert_eq!(hand.say(PeerMessage::HaveNone), vec![], "a link that was ended is ignored");
        hand.tell(Input::Disconnected { link: LINK });
        assert_eq!(offence(&hand.connect(LinkId(6), 1, traits)), Some(expected), "it comes back banned");
    }
}

#[test]
fn a_bitfield_is_in_order_only_at_first() {
    for second in [PeerMessage::HaveAll, PeerMessage::HaveNone, PeerMessage::Bitfield(Bitfield::new(PIECES))]
    {
        let mut hand = Hand::leech();
        hand.connect(LINK, 1, FAST);
        assert_eq!(offence(&hand.say(PeerMessage::HaveAll)), None);
        assert_eq!(offence(&hand.say(second)), Some(Offence::LateBitfield));
    }
}

#[test]
fn floods_are_ended_after_a_bounded_number_of_answers() {
    let flapping =
        |n: u32| if n.is_multiple_of(2) { PeerMessage::Interested } else { PeerMessage::NotInterested };
    let unchoking = |n: u32| if n.is_multiple_of(2) { PeerMessage::Unchoke } else { PeerMessage::Choke };
    let cases: [(&str, &dyn Fn(u32) -> PeerMessage); 8] = [
        ("have of what it has", &|_| PeerMessage::Have(PieceIndex(3))),
        ("interest that comes and goes", &flapping),
        ("requests while choked", &|n| PeerMessage::Request(block(n % PIECES, 0))),
        ("the same cancel", &|_| PeerMessage::Cancel(block(0, 0))),
        ("rejects of nothing", &|_| PeerMessage::Reject(block(0, 0))),
        ("suggestions", &|n| PeerMessage::Suggest(PieceIndex(n % PIECES))),
        ("allowances", &|n| PeerMessage::AllowedFast(PieceIndex(n % PIECES))),
        ("chokes and unchokes", &unchoking),
    ];
    for (name, messages) in cases {
        let mut hand = Hand::leech();
        hand.connect(LINK, 1, FAST);
        hand.say(PeerMessage::HaveNone);
        let (answers, offence) = hand.flood(messages);
        assert!(offence.is_some(), "{name} went on for ever");
        assert!(answers < 20_000, "{name} got {answers} answers");
    }
}

#[test]
fn requests_beyond_the_queue_are_rejected_and_then_punished() {
    let mut hand = Hand::seed();
    hand.connect(LINK, 1, FAST);
    hand.say(PeerMessage::HaveNone);
    hand.say(PeerMessage::Interested);
    let mut sent = 0;
    let mut rejected = 0;
    let mut punished = None;
    for n in 0..100_000u32 {
        let block = BlockRef { length: 1 + n / (4 * PIECES), ..block(n % PIECES, n / PIECES % 4 * 100) };
        let outputs = hand.say(PeerMessage::Request(block));
        sent += outputs.iter().filter(|output| matches!(output, Output::SendBlock { .. })).count();
        let is_reject =
            |output: &&Output| matches!(output, Output::Send { message: PeerMessage::Reject(_), .. });
        rejected += outputs.iter().filter(is_reject).count();
        punished = offence(&outputs);
        if punished.is_some() {
            break;
        }
    }
    let config = EngineConfig::default();
    assert_eq!(punished, Some(Offence::RequestFlood));
    assert!(sent <= config.request_queue as usize, "{sent} blocks handed to the driver");
    assert!(rejected > 0 && rejected < 5000, "{rejected} rejects");
}

#[test]
fn the_driver_is_never_handed_more_than_the_window() {
    let mut hand = Hand::seed();
    hand.connect(LINK, 1, FAST);
    hand.say(PeerMessage::Interested);
    let mut handed = 0;
    for piece in 0..PIECES {
        for n in 0..4 {
            let outputs = hand.say(PeerMessage::Request(block(piece, n * BLOCK_LENGTH)));
            handed += outputs.iter().filter(|output| matches!(output, Output::SendBlock { .. })).count();
        }
    }
    let window = EngineConfig::default().upload_window_floor_bytes / BLOCK_LENGTH;
    assert_eq!(handed, window as usize);
    let next = hand.tell(Input::BlockSent { link: LINK, block: block(0, 0) });
    assert_eq!(next.len(), 1, "one sent, one more handed out");
}

#[test]
fn only_verified_pieces_are_granted_and_a_lost_one_is_refused() {
    let mut verified = Bitfield::new(PIECES);
    verified.set(PieceIndex(2));
    let mut hand = Hand::new(verified, Aim::Serve);
    hand.connect(LINK, 1, FAST);
    hand.say(PeerMessage::Interested);
    let reject = |block| vec![Output::Send { link: LINK, message: PeerMessage::Reject(block) }];
    assert_eq!(hand.say(PeerMessage::Request(block(1, 0))), reject(block(1, 0)));
    let send = Output::SendBlock { link: LINK, block: block(2, 0) };
    assert_eq!(hand.say(PeerMessage::Request(block(2, 0))), vec![send]);
    hand.tell(Input::PieceLost { torrent: TORRENT, piece: PieceIndex(2) });
    assert_eq!(hand.say(PeerMessage::Request(block(2, 0))), reject(block(2, 0)));
}

#[test]
fn a_second_link_of_a_peer_is_a_duplicate_unless_the_first_is_deaf() {
    let mut hand = Hand::leech();
    hand.connect(LINK, 1, FAST);
    let reason = DisconnectReason::Duplicate;
    assert_eq!(hand.connect(LinkId(6), 1, FAST), vec![Output::Disconnect { link: LinkId(6), reason }]);
    hand.now += Duration::from_secs(11);
    let outputs = hand.connect(LinkId(7), 1, FAST);
    assert!(outputs.contains(&Output::Disconnect { link: LINK, reason }));
    assert_eq!(hand.engine.link_count(TORRENT), 1);
}

#[test]
fn blocks_on_disk_are_not_asked_for_and_a_full_piece_is_checked_at_once() {
    let mut hand = Hand { engine: Engine::new(EngineConfig::default(), [2; 32]), now: Moment::ZERO };
    let layout = Arc::new(Layout::single_file(u64::from(4 * BLOCK_LENGTH), 4 * BLOCK_LENGTH));
    let stored = (0..3).map(|n| block(0, n * BLOCK_LENGTH)).collect();
    let content = Content {
        layout,
        verified: Bitfield::new(1),
        stored,
        proof: Proof::Pieces,
        selection: Selection::default(),
    };
    assert_eq!(hand.tell(Input::AddTorrent { torrent: TORRENT, content, aim: Aim::Fetch }), vec![]);
    hand.connect(LINK, 1, FAST);
    hand.say(PeerMessage::HaveAll);
    let last = block(0, 3 * BLOCK_LENGTH);
    let request = Output::Send { link: LINK, message: PeerMessage::Request(last) };
    assert_eq!(hand.say(PeerMessage::Unchoke), vec![request.clone()]);
    let check = Output::CheckPiece { torrent: TORRENT, piece: PieceIndex(0) };
    assert_eq!(hand.tell(Input::BlockReceived { link: LINK, block: last }), vec![check]);
    // What was on disk was bad: nobody is blamed, everything is asked for.
    let verdict = Verdict::Bad;
    let outputs = hand.tell(Input::PieceChecked { torrent: TORRENT, piece: PieceIndex(0), verdict });
    assert_eq!(outputs.len(), 4, "{outputs:?}");
}

#[test]
fn a_peer_that_gives_nothing_is_probed_and_at_last_left() {
    let mut hand = Hand::leech();
    hand.connect(LINK, 1, FAST);
    hand.say(PeerMessage::HaveAll);
    let asked = hand.say(PeerMessage::Unchoke).len();
    assert_eq!(asked, 16, "a quarter of a MiB ahead");
    let mut left_after = None;
    for second in 1..200 {
        hand.now += Duration::from_secs(1);
        let outputs = hand.tell(Input::Wake);
        let reason = DisconnectReason::Stalled;
        if outputs.contains(&Output::Disconnect { link: LINK, reason }) {
            left_after = Some(second);
            break;
        }
        let requests = outputs
            .iter()
            .filter(|output| matches!(output, Output::Send { message: PeerMessage::Request(_), .. }));
        assert!(requests.count() <= 1, "no storm");
    }
    assert!((110..=130).contains(&left_after.unwrap()), "{left_after:?}");
}

#[test]
fn engine_calls_for_unknown_things_do_nothing() {
    let mut hand = Hand::leech();
    let torrent = TorrentId(99);
    let peer = PeerKey(4);
    let inputs = [
        Input::RemoveTorrent { torrent },
        Input::Candidate { torrent, peer, source: Source::Dht },
        Input::DialFailed { torrent, peer },
        Input::Disconnected { link: LINK },
        Input::Received { link: LINK, message: PeerMessage::Unchoke },
        Input::BlockReceived { link: LINK, block: block(0, 0) },
        Input::BlockSent { link: LINK, block: block(0, 0) },
        Input::BlockUnreadable { link: LINK, block: block(0, 0) },
        Input::PieceChecked { torrent, piece: PieceIndex(0), verdict: Verdict::Bad },
        Input::PieceChecked { torrent: TORRENT, piece: PieceIndex(u32::MAX), verdict: Verdict::Good },
        Input::Judged { link: LINK, block: block(0, 0), bad: vec![block(0, 0)] },
        Input::Unjudged { link: LINK, block: block(0, 0) },
        Input::PieceLost { torrent: TORRENT, piece: PieceIndex(u32::MAX) },
        Input::Select { torrent, selection: Selection::default() },
        Input::Wake,
    ];
    for input in inputs {
        assert_eq!(hand.tell(input.clone()), vec![], "{input:?}");
    }
}

fn any_block() -> impl Strategy<Value = BlockRef> {
    let begin = prop_oneof![(0..5u32).prop_map(|n| n * BLOCK_LENGTH), any::<u32>()];
    let length = prop_oneof![Just(BLOCK_LENGTH), 0..70_000u32, any::<u32>()];
    (0..PIECES + 1, begin, length).prop_map(|(piece, begin, length)| BlockRef {
        piece: PieceIndex(piece),
        begin,
        length,
    })
}

fn any_message() -> impl Strategy<Value = PeerMessage> {
    let piece = || (0..PIECES).prop_map(PieceIndex);
    prop_oneof![
        1 => Just(PeerMessage::Choke),
        4 => Just(PeerMessage::Unchoke),
        1 => Just(PeerMessage::Interested),
        1 => Just(PeerMessage::NotInterested),
        4 => piece().prop_map(PeerMessage::Have),
        1 => Just(PeerMessage::HaveAll),
        1 => Just(PeerMessage::HaveNone),
        1 => any_block().prop_map(PeerMessage::Request),
        1 => any_block().prop_map(PeerMessage::Cancel),
        1 => any_block().prop_map(PeerMessage::Reject),
        1 => piece().prop_map(PeerMessage::Suggest),
        1 => piece().prop_map(PeerMessage::AllowedFast),
    ]
}

fn any_selection() -> impl Strategy<Value = Selection> {
    let priority =
        prop_oneof![Just(Priority::Skip), Just(Priority::Low), Just(Priority::Normal), Just(Priority::High)];
    let sequence = prop_oneof![Just(Sequence::Rarest), Just(Sequence::Ascending)];
    (prop::collection::vec(priority, 0..=PIECES as usize), sequence)
        .prop_map(|(priorities, sequence)| Selection { priorities, sequence })
}

fn any_input() -> impl Strategy<Value = Input> {
    let link = || (0..12u64).prop_map(LinkId);
    let piece = || (0..PIECES).prop_map(PieceIndex);
    let verdict = prop_oneof![Just(Verdict::Good), Just(Verdict::Bad)];
    prop_oneof![
        2 => (link(), 0..4u64, any::<bool>()).prop_map(|(link, peer, fast)| Input::Connected {
            torrent: TORRENT,
            peer: PeerKey(peer),
            holder: (peer > 1).then_some(HolderKey(1)),
            link,
            direction: Direction::Inbound,
            traits: PeerTraits { fast, request_length: 40_000, request_queue: 9, upload_only: false, blocks: false },
        }),
        1 => link().prop_map(|link| Input::Disconnected { link }),
        12 => (link(), any_message()).prop_map(|(link, message)| Input::Received { link, message }),
        4 => (link(), any_block()).prop_map(|(link, block)| Input::BlockReceived { link, block }),
        1 => (link(), any_block()).prop_map(|(link, block)| Input::BlockSent { link, block }),
        1 => (link(), any_block()).prop_map(|(link, block)| Input::BlockUnreadable { link, block }),
        3 => (link(), any_block(), any::<bool>()).prop_map(|(link, block, is_bad)| Input::Judged {
            link,
            block,
            bad: if is_bad { vec![block] } else { Vec::new() },
        }),
        1 => (link(), any_block()).prop_map(|(link, block)| Input::Unjudged { link, block }),
        3 => (piece(), verdict).prop_map(|(piece, verdict)| Input::PieceChecked {
            torrent: TORRENT,
            piece,
            verdict
        }),
        1 => piece().prop_map(|piece| Input::PieceLost { torrent: TORRENT, piece }),
        1 => (0..4u64).prop_map(|peer| Input::Candidate {
            torrent: TORRENT,
            peer: PeerKey(peer),
            source: Source::Pex
        }),
        1 => any_selection().prop_map(|selection| Input::Select { torrent: TORRENT, selection }),
        2 => Just(Input::Wake),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_sequence_of_facts_makes_it_panic_or_ask_for_what_it_has(
        inputs in prop::collection::vec((any_input(), 0..3_000_000u64, any::<bool>()), 1..300),
    ) {
        let mut hand = Hand::with_proof(Bitfield::new(PIECES), Aim::Fetch, Proof::Blocks);
        let mut asked: Vec<(LinkId, BlockRef)> = Vec::new();
        let mut used = BTreeSet::new();
        let mut wanted = Selection::default();
        for (input, wait, answer) in inputs {
            // Half the time a request that was made is answered, so that the run gets somewhere.
            let input = match asked.pop() {
                Some((link, block)) if answer => Input::BlockReceived { link, block },
                _ => input,
            };
            // A link's number is never used twice.
            if let Input::Connected { link, .. } = input
                && !used.insert(link)
            {
                continue;
            }
            if let Input::Select { selection, .. } = &input {
                wanted = selection.clone();
            }
            hand.now += Duration::from_micros(wait);
            // What an order leads to is told after all orders of the same fact were looked at.
            let mut facts = VecDeque::from([input]);
            while let Some(fact) = facts.pop_front() {
                for output in hand.tell(fact) {
                    if let Output::Send { link, message: PeerMessage::Request(block) } = output {
                        let verified = hand.engine.verified(TORRENT).unwrap();
                        prop_assert!(!verified.get(block.piece));
                        prop_assert!(wanted.priority(block.piece) > Priority::Skip);
                        asked.push((link, block));
                    }
                    // Every second judgement comes, every fourth with a bad block.
                    if let Output::Judge { link, block } = output
                        && block.begin.is_multiple_of(2 * BLOCK_LENGTH)
                    {
                        let first = BlockRef { length: BLOCK_LENGTH, ..block };
                        let bad = if answer { vec![first] } else { Vec::new() };
                        facts.push_back(Input::Judged { link, block, bad });
                    }
                    if let Output::CheckPiece { torrent, piece } = output {
                        facts.push_back(Input::PieceChecked { torrent, piece, verdict: Verdict::Good });
                    }
                }
            }
            let verified = hand.engine.verified(TORRENT).unwrap();
            let misses = verified.iter_zeros().any(|piece| wanted.priority(piece) > Priority::Skip);
            prop_assert_eq!(hand.engine.is_finished(TORRENT), !misses);
            let stats = &hand.engine.stats().torrents[&TORRENT];
            for link in stats.links.values() {
                prop_assert!(link.in_flight <= 9 * 40_000);
            }
        }
    }
}
