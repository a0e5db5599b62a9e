//! Claims about pieces, blocks and files.

use proptest::prelude::*;

use super::*;

const KIB: u64 = 1024;

fn segments(layout: &Layout, piece: u32, begin: u32, length: u32) -> Vec<(Option<u32>, u64, u32)> {
    layout
        .segments(BlockRef { piece: PieceIndex(piece), begin, length })
        .map(|segment| (segment.file.map(|file| file.0), segment.file_offset, segment.length))
        .collect()
}

#[test]
fn a_file_ending_on_a_boundary_has_only_whole_pieces() {
    let layout = Layout::single_file(64 * KIB, 32 * 1024);
    assert_eq!(layout.piece_count(), 2);
    assert_eq!(layout.piece_size(PieceIndex(1)), 32 * 1024);
    assert_eq!(layout.piece_size(PieceIndex(2)), 0);
}

#[test]
fn the_last_block_is_as_short_as_the_content() {
    let layout = Layout::single_file(32 * KIB + 16 * KIB + 1, 32 * 1024);
    let last = PieceIndex(1);
    assert_eq!(layout.blocks_in(last), 2);
    assert_eq!(layout.block(last, 1), BlockRef { piece: last, begin: BLOCK_LENGTH, length: 1 });
    assert_eq!(layout.block(last, 2).length, 0);
}

#[test]
fn v1_pieces_run_across_files() {
    let layout = Layout::contiguous(10, [5, 0, 7, 20].map(Stretch::File)).unwrap();
    assert_eq!(layout.piece_count(), 4);
    assert_eq!(segments(&layout, 0, 0, 10), [(Some(0), 0, 5), (Some(2), 0, 5)]);
    assert_eq!(segments(&layout, 1, 1, 4), [(Some(2), 6, 1), (Some(3), 0, 3)]);
    assert_eq!(layout.files_of(PieceIndex(0)), 0..3);
    assert_eq!(layout.pieces_of(FileIndex(2)), 0..2);
    assert_eq!(layout.pieces_of(FileIndex(1)), 0..0);
}

#[test]
fn v1_padding_is_exchanged_and_not_content() {
    let stretches = [Stretch::File(5), Stretch::Padding(15), Stretch::File(3)];
    let layout = Layout::contiguous(10, stretches).unwrap();
    assert_eq!((layout.total_size(), layout.exchanged_size(), layout.file_count()), (8, 23, 2));
    assert_eq!(segments(&layout, 0, 0, 10), [(Some(0), 0, 5), (None, 0, 5)]);
    assert_eq!(layout.files_of(PieceIndex(1)), 1..1);
    assert_eq!(layout.content_size(PieceIndex(0)), 5);
}

#[test]
fn v2_files_start_at_piece_boundaries() {
    let layout = Layout::aligned(10, [5, 0, 10, 13]).unwrap();
    let sizes: Vec<u32> =
        (0..layout.piece_count()).map(|piece| layout.piece_size(PieceIndex(piece))).collect();
    assert_eq!(sizes, [5, 10, 10, 3]);
    assert_eq!((layout.total_size(), layout.exchanged_size()), (28, 28));
    assert_eq!(segments(&layout, 2, 0, 10), [(Some(3), 0, 10)]);
    assert_eq!(layout.files_of(PieceIndex(0)), 0..1);
    assert_eq!(layout.files_of(PieceIndex(1)), 2..3);
    assert_eq!(layout.pieces_of(FileIndex(3)), 2..4);
}

#[test]
fn what_lies_outside_is_not_contained() {
    let layout = Layout::single_file(25, 10);
    let contains = |piece, begin, length| {
        let block = BlockRef { piece: PieceIndex(piece), begin, length };
        assert_eq!(layout.contains(block), layout.segments(block).next().is_some());
        layout.contains(block)
    };
    assert!(contains(2, 0, 5));
    assert!(!contains(2, 0, 6));
    assert!(!contains(0, 5, 6));
    assert!(!contains(0, 5, 0));
    assert!(!contains(3, 0, 1));
    assert!(!contains(u32::MAX, u32::MAX, u32::MAX));
}

#[test]
fn caps_are_kept() {
    let too_large = Layout::contiguous(1 << 20, [u64::MAX, 2].map(Stretch::File));
    assert_eq!(too_large, Err(LayoutError::TooLarge));
    let too_many_pieces = Layout::aligned(1, [u64::from(limits::PIECES) + 1]);
    assert_eq!(too_many_pieces, Err(LayoutError::TooManyPieces));
    assert_eq!(Layout::aligned(0, [1]), Err(LayoutError::PieceLength(0)));
    let too_many_files = Layout::aligned(1, std::iter::repeat_n(0, limits::FILES as usize + 1));
    assert_eq!(too_many_files, Err(LayoutError::TooManyFiles));
}

fn layouts() -> impl Strategy<Value = Layout> {
    let stretches = prop::collection::vec((any::<bool>(), 0u64..200), 0..12);
    (1u32..50, any::<bool>(), stretches).prop_map(|(piece_length, aligned, stretches)| {
        let layout = if aligned {
            Layout::aligned(piece_length, stretches.iter().map(|&(_, size)| size))
        } else {
            let stretch =
                |(padding, size)| if padding { Stretch::Padding(size) } else { Stretch::File(size) };
            Layout::contiguous(piece_length, stretches.into_iter().map(stretch))
        };
        layout.unwrap()
    })
}

proptest! {
    #[test]
    fn pieces_cover_every_byte_of_every_file_once(layout in layouts()) {
        let mut next_offset = vec![0u64; layout.file_count() as usize];
        let mut exchanged = 0;
        for piece in (0..layout.piece_count()).map(PieceIndex) {
            let length = layout.piece_size(piece);
            prop_assert!(length > 0 && length <= layout.piece_length());
            exchanged += u64::from(length);
            let mut covered = 0;
            for segment in layout.segments(BlockRef { piece, begin: 0, length }) {
                covered += segment.length;
                let Some(file) = segment.file else { continue };
                prop_assert_eq!(segment.file_offset, next_offset[file.0 as usize]);
                next_offset[file.0 as usize] += u64::from(segment.length);
                prop_assert!(layout.files_of(piece).contains(&file.0));
                prop_assert!(layout.pieces_of(file).contains(&piece.0));
            }
            prop_assert_eq!(covered, length);
        }
        prop_assert_eq!(exchanged, layout.exchanged_size());
        let sizes: Vec<u64> =
            (0..layout.file_count()).map(|file| layout.file_size(FileIndex(file))).collect();
        prop_assert_eq!(&next_offset, &sizes);
        prop_assert_eq!(sizes.iter().sum::<u64>(), layout.total_size());
    }

    #[test]
    fn blocks_cover_a_piece(size in 1u64..200_000, piece_length in 1u32..100_000) {
        let layout = Layout::single_file(size, piece_length);
        for piece in (0..layout.piece_count().min(40)).map(PieceIndex) {
            let mut end = 0;
            for n in 0..layout.blocks_in(piece) {
                let block = layout.block(piece, n);
                prop_assert!(layout.contains(block));
                prop_assert_eq!((block.begin, layout.block_index(block)), (end, n));
                end += block.length;
            }
            prop_assert_eq!(end, layout.piece_size(piece));
        }
    }
}

#[test]
fn a_long_block_is_made_up_of_blocks_of_16_kib_and_a_rest() {
    let at = |begin, length| BlockRef { piece: PieceIndex(7), begin, length };
    let blocks: Vec<BlockRef> = at(BLOCK_LENGTH, 2 * BLOCK_LENGTH + 5).blocks().collect();
    assert_eq!(
        blocks,
        [at(BLOCK_LENGTH, BLOCK_LENGTH), at(2 * BLOCK_LENGTH, BLOCK_LENGTH), at(3 * BLOCK_LENGTH, 5)]
    );
    assert_eq!(at(0, 0).blocks().count(), 0);
}
