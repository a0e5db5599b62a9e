//! Claims about sets of pieces.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

#[test]
fn piece_0_is_the_highest_bit_of_the_first_byte() {
    let mut pieces = Bitfield::new(10);
    pieces.set(PieceIndex(0));
    pieces.set(PieceIndex(9));
    assert_eq!(pieces.to_wire(), [0b1000_0000, 0b0100_0000]);
}

#[test]
fn spare_bits_are_refused() {
    assert_eq!(Bitfield::from_wire(&[0xFF, 0xC0], 10).unwrap(), Bitfield::full(10));
    assert_eq!(Bitfield::from_wire(&[0xFF, 0xE0], 10), Err(BitfieldError::SpareBits));
}

#[test]
fn a_wrong_length_is_refused() {
    let refused = |bytes: &[u8], len| Bitfield::from_wire(bytes, len).is_err();
    assert!(refused(&[0], 9));
    assert!(refused(&[0, 0], 8));
    assert!(refused(&[0], 0));
    assert!(!refused(&[], 0));
}

#[test]
fn a_piece_beyond_the_end_is_never_a_member() {
    let mut pieces = Bitfield::full(3);
    assert!(!pieces.get(PieceIndex(3)));
    assert!(!pieces.set(PieceIndex(3)));
    assert!(!pieces.clear(PieceIndex(u32::MAX)));
    assert_eq!(pieces, Bitfield::full(3));
}

#[test]
fn a_torrent_without_pieces_is_full_and_empty() {
    let pieces = Bitfield::new(0);
    assert!(pieces.is_full() && pieces.is_empty());
    assert_eq!(pieces.iter_zeros().count(), 0);
}

fn build(len: u32, members: &BTreeSet<u32>) -> Bitfield {
    let mut pieces = Bitfield::new(len);
    for &piece in members {
        pieces.set(PieceIndex(piece));
    }
    pieces
}

fn len_and_members() -> impl Strategy<Value = (u32, BTreeSet<u32>, BTreeSet<u32>)> {
    (1u32..300).prop_flat_map(|len| {
        let members = || prop::collection::btree_set(0..len, 0..=len as usize);
        (Just(len), members(), members())
    })
}

proptest! {
    #[test]
    fn it_behaves_as_a_set((len, ours, theirs) in len_and_members()) {
        let own = build(len, &ours);
        let other = build(len, &theirs);
        let zeros: BTreeSet<u32> = (0..len).filter(|piece| !ours.contains(piece)).collect();

        prop_assert_eq!(own.iter_ones().map(|piece| piece.0).collect::<BTreeSet<_>>(), ours.clone());
        prop_assert_eq!(own.iter_zeros().map(|piece| piece.0).collect::<BTreeSet<_>>(), zeros);
        prop_assert_eq!(own.count_ones() as usize, ours.len());
        prop_assert_eq!(own.is_full(), own == Bitfield::full(len));
        prop_assert_eq!(own.any_not_in(&other), ours.difference(&theirs).next().is_some());
        let mut both = own;
        both.set_all_of(&other);
        prop_assert_eq!(both, build(len, &ours.union(&theirs).copied().collect()));
    }

    #[test]
    fn the_wire_form_round_trips((len, members, removed) in len_and_members()) {
        let mut pieces = build(len, &members);
        for &piece in &removed {
            prop_assert_eq!(pieces.clear(PieceIndex(piece)), members.contains(&piece));
        }
        prop_assert_eq!(Bitfield::from_wire(&pieces.to_wire(), len), Ok(pieces));
    }

    #[test]
    fn any_bytes_parse_to_themselves_or_not_at_all(bytes: Vec<u8>, len in 0u32..200) {
        if let Ok(pieces) = Bitfield::from_wire(&bytes, len) {
            prop_assert_eq!(pieces.to_wire(), bytes);
        }
    }

    #[test]
    fn what_two_sets_share_comes_once_from_any_start((len, ours, theirs) in len_and_members(), start in 0u32..300) {
        let (own, other) = (build(len, &ours), build(len, &theirs));
        let common: Vec<u32> = own.common_from(&other, PieceIndex(start)).map(|piece| piece.0).collect();
        let expected: BTreeSet<u32> = ours.intersection(&theirs).copied().collect();
        prop_assert_eq!(common.len(), expected.len());
        prop_assert_eq!(common.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn wide_gaps_are_skipped_and_nothing_in_them(
        members in prop::collection::btree_map(0..30_000u32, (any::<bool>(), any::<bool>(), any::<bool>()), 0..40),
        start in 0..31_000u32,
    ) {
        let (mut own, mut other) = (Bitfield::new(30_000), Bitfield::new(30_000));
        let mut expected = Vec::new();
        for (&piece, &(ours, theirs, stays)) in &members {
            let piece = PieceIndex(piece);
            if ours {
                own.set(piece);
            }
            if theirs {
                other.set(piece);
            }
            if !stays {
                own.clear(piece);
            }
            if ours && theirs && stays {
                expected.push(piece);
            }
        }
        // From the beginning of the word of 64 that the start lies in.
        let before = expected.partition_point(|piece| piece.0 < start / 64 * 64);
        expected.rotate_left(before);
        prop_assert_eq!(own.common_from(&other, PieceIndex(start)).collect::<Vec<_>>(), expected);
    }
}
