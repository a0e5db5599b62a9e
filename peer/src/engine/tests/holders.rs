//! Identities cost nothing: those at one address that gave corrupt pieces shut the door behind them.

use std::collections::VecDeque;
use std::time::Duration;

use samara_proto::layout::{BlockRef, PieceIndex};
use samara_proto::limits::BLOCK_LENGTH;

use super::hand::{FAST, Hand, TORRENT, offence};
use crate::engine::config::EngineConfig;
use crate::engine::event::{
    Direction, DisconnectReason, HolderKey, Input, LinkId, Offence, Output, PeerKey, PeerMessage, Source,
    Verdict,
};

const HOLDER: HolderKey = HolderKey(1);
const ELSEWHERE: HolderKey = HolderKey(2);
const HOUR: Duration = Duration::from_secs(3600);

/// What a peer that has everything and does not choke us is asked for.
fn come(hand: &mut Hand, holder: Option<HolderKey>, peer: u64) -> Vec<BlockRef> {
    let link = LinkId(peer);
    hand.connect_from(holder, link, peer, FAST);
    hand.tell(Input::Received { link, message: PeerMessage::HaveAll });
    asked(&hand.tell(Input::Received { link, message: PeerMessage::Unchoke }))
}

fn asked(outputs: &[Output]) -> Vec<BlockRef> {
    let request = |output: &Output| match output {
        Output::Send { message: PeerMessage::Request(block), .. } => Some(*block),
        _ => None,
    };
    outputs.iter().filter_map(request).collect()
}

/// A peer comes and gives one piece, which is bad.
fn corrupt(hand: &mut Hand, holder: Option<HolderKey>, peer: u64) -> Vec<Output> {
    let asked = come(hand, holder, peer);
    give_bad(hand, peer, asked[0].piece, &asked)
}

fn give_bad(hand: &mut Hand, peer: u64, piece: PieceIndex, first: &[BlockRef]) -> Vec<Output> {
    let mut asked = VecDeque::from(first.to_vec());
    while let Some(block) = asked.pop_front() {
        if block.piece == piece {
            let outputs = hand.tell(Input::BlockReceived { link: LinkId(peer), block });
            asked.extend(self::asked(&outputs));
        }
    }
    let outputs = hand.tell(Input::PieceChecked { torrent: TORRENT, piece, verdict: Verdict::Bad });
    assert_eq!(offence(&outputs), Some(Offence::CorruptPiece), "{outputs:?}");
    hand.tell(Input::Disconnected { link: LinkId(peer) });
    outputs
}

fn refused(link: u64) -> Vec<Output> {
    vec![Output::Disconnect { link: LinkId(link), reason: DisconnectReason::HolderBanned }]
}

fn ban(outputs: &[Output]) -> Option<(HolderKey, Duration)> {
    outputs.iter().find_map(|output| match output {
        Output::HolderBanned { holder, ban } => Some((*holder, *ban)),
        _ => None,
    })
}

#[test]
fn a_fourth_identity_of_a_corrupters_address_is_refused_for_an_hour_and_others_are_not() {
    let mut hand = Hand::leech();
    assert!(!come(&mut hand, Some(HOLDER), 1).is_empty() && !come(&mut hand, Some(ELSEWHERE), 2).is_empty());
    for peer in [10, 11] {
        assert_eq!(ban(&corrupt(&mut hand, Some(HOLDER), peer)), None);
    }
    let outputs = corrupt(&mut hand, Some(HOLDER), 12);
    assert_eq!(ban(&outputs), Some((HOLDER, HOUR)));
    assert!(outputs.contains(&refused(1)[0]) && !outputs.contains(&refused(2)[0]), "{outputs:?}");
    assert!(hand.engine.has_banned(HOLDER) && !hand.engine.has_banned(ELSEWHERE));

    assert_eq!(hand.connect_from(Some(HOLDER), LinkId(13), 13, FAST), refused(13));
    assert!(!come(&mut hand, Some(ELSEWHERE), 14).is_empty());

    hand.now += HOUR - Duration::from_secs(1);
    assert!(hand.connect_from(Some(HOLDER), LinkId(15), 15, FAST).contains(&refused(15)[0]));
    hand.now += Duration::from_secs(1);
    assert!(!hand.connect_from(Some(HOLDER), LinkId(16), 16, FAST).contains(&refused(16)[0]));
    assert!(!hand.engine.has_banned(HOLDER));
}

#[test]
fn a_second_ban_takes_three_more_and_is_longer() {
    let mut hand = Hand::leech();
    let bans: Vec<Duration> = (0..6)
        .filter_map(|peer| {
            let ban = ban(&corrupt(&mut hand, Some(HOLDER), peer))?.1;
            hand.now += ban;
            Some(ban)
        })
        .collect();
    assert_eq!(bans, [HOUR, 2 * HOUR]);
}

#[test]
fn this_machine_is_never_banned_and_slips_against_the_protocol_ban_nobody_else() {
    let mut hand = Hand::leech();
    for peer in 0..10 {
        assert_eq!(ban(&corrupt(&mut hand, None, peer)), None);
    }
    for peer in 10..30 {
        let link = LinkId(peer);
        hand.connect_from(Some(HOLDER), link, peer, FAST);
        let message = PeerMessage::Have(PieceIndex(u32::MAX));
        assert!(offence(&hand.tell(Input::Received { link, message })).is_some());
        hand.tell(Input::Disconnected { link });
    }
    assert!(!come(&mut hand, Some(HOLDER), 30).is_empty());
}

#[test]
fn a_corrupter_that_left_before_its_piece_was_checked_counts_for_its_address() {
    let mut hand = Hand::leech();
    for peer in 0..3 {
        let asked = come(&mut hand, Some(HOLDER), peer);
        let piece = asked[0].piece;
        for &block in asked.iter().filter(|block| block.piece == piece) {
            hand.tell(Input::BlockReceived { link: LinkId(peer), block });
        }
        hand.tell(Input::Disconnected { link: LinkId(peer) });
        hand.tell(Input::PieceChecked { torrent: TORRENT, piece, verdict: Verdict::Bad });
    }
    assert!(hand.engine.has_banned(HOLDER));
}

#[test]
fn nobody_at_a_banned_address_is_dialled_before_the_ban_ends() {
    let mut hand = Hand::leech();
    // One that was there when it was banned, and one that a dial finds there.
    let learn = |hand: &mut Hand, peer| {
        let (torrent, peer, source) = (TORRENT, PeerKey(peer), Source::Tracker);
        hand.tell(Input::Candidate { torrent, peer, source })
    };
    come(&mut hand, Some(HOLDER), 1);
    (10..13).for_each(|peer| _ = corrupt(&mut hand, Some(HOLDER), peer));
    hand.tell(Input::Disconnected { link: LinkId(1) });
    let dial = |peer| Output::Dial { torrent: TORRENT, peer: PeerKey(peer) };
    assert!(learn(&mut hand, 2).contains(&dial(2)));
    let (torrent, peer, link, direction) = (TORRENT, PeerKey(2), LinkId(2), Direction::Outbound);
    let fact = Input::Connected { torrent, peer, holder: Some(HOLDER), link, direction, traits: FAST };
    assert_eq!(hand.tell(fact), refused(2));
    hand.tell(Input::Disconnected { link });

    let end = hand.now + HOUR;
    let mut dialled = Vec::new();
    while let Some((at, _)) = hand.engine.deadline()
        && dialled.len() < 2
    {
        hand.now = at;
        for output in hand.tell(Input::Wake) {
            if let Output::Dial { peer, .. } = output {
                dialled.push((peer.0, at >= end));
            }
        }
        learn(&mut hand, 1);
        learn(&mut hand, 2);
    }
    dialled.sort_unstable();
    assert_eq!(dialled, [(1, true), (2, true)]);
}

/// The link that ends for want of a place when a peer comes.
fn leaver(hand: &mut Hand, holder: Option<HolderKey>, peer: u64) -> Option<u64> {
    let ended = |output: &Output| match output {
        Output::Disconnect { link, reason: DisconnectReason::TooManyLinks } => Some(link.0),
        _ => None,
    };
    hand.connect_from(holder, LinkId(peer), peer, FAST).iter().find_map(ended)
}

#[test]
fn where_all_places_are_taken_whoever_has_most_gives_way() {
    let mut hand = Hand::seed();
    let places = EngineConfig::default().links_per_torrent as u64;
    assert_eq!(leaver(&mut hand, Some(ELSEWHERE), 1), None);
    for peer in 2..=places {
        assert_eq!(leaver(&mut hand, Some(HOLDER), peer), None);
        hand.tell(Input::Received { link: LinkId(peer), message: PeerMessage::Interested });
    }
    let block = BlockRef { piece: PieceIndex(0), begin: 0, length: BLOCK_LENGTH };
    hand.tell(Input::BlockSent { link: LinkId(2), block });
    assert_eq!(leaver(&mut hand, Some(HOLDER), 1000), Some(1000), "one of the crowd");
    assert_eq!(leaver(&mut hand, None, 1001), Some(3), "the oldest that took nothing");
    let mut displaced = Vec::new();
    for peer in 2000..2000 + places {
        displaced.extend(leaver(&mut hand, Some(ELSEWHERE), peer).filter(|&link| link < 1000));
    }
    let crowd = places as usize - 2 - displaced.len();
    assert_eq!(crowd, displaced.len() + 2, "a second crowd grows no larger than the first");
    assert!(!displaced.contains(&2));
}
