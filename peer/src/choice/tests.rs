//! Names of files, and the pieces they take.

use proptest::prelude::*;
use samara_proto::metainfo::{Format, HashedContent, MetainfoBuilder};

use super::*;

const PIECE: u64 = 16_384;

/// The torrent `top` of these files and sizes.
fn torrent(files: &[(&str, u64)], format: Format) -> Metainfo {
    let path = |path: &str| path.split('/').map(str::to_owned).collect();
    let builder = MetainfoBuilder {
        name: "top".to_owned(),
        single_file: false,
        files: files.iter().map(|&(name, size)| (path(name), size)).collect(),
        piece_length: PIECE as u32,
        format,
        trackers: Vec::new(),
        url_list: Vec::new(),
        comment: None,
        private: false,
        created_by: None,
        creation_date: None,
    };
    let plan = builder.plan().unwrap();
    let pieces = plan.layout().piece_count() as usize;
    let v1 = if format.has_v1() { pieces } else { 0 };
    let v2 = if format.has_v2() { pieces } else { 0 };
    let hashes = HashedContent {
        v1_pieces: vec![samara_proto::infohash::Sha1Hash([1; 20]); v1],
        v2_pieces: vec![samara_proto::infohash::Sha256Hash([2; 32]); v2],
    };
    plan.finish(hashes).unwrap()
}

fn choice(patterns: &[&str]) -> Choice {
    let only = patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
    Choice { only, ..Choice::default() }
}

/// The numbers of the chosen files, counted from 0.
fn chosen(patterns: &[&str], metainfo: &Metainfo) -> Vec<u32> {
    let chosen = choice(patterns).of(metainfo).unwrap();
    (0..metainfo.layout().file_count()).filter(|&file| chosen.has(FileIndex(file))).collect()
}

fn library() -> Metainfo {
    let files = [("a.txt", 10), ("deep/c.bin", 10), ("deep/er/b.txt", 10), ("deeper", 0)];
    torrent(&files, Format::V1)
}

#[test]
fn files_are_named_by_number_by_path_by_folder_and_by_pattern() {
    let cases: [(&[&str], &[u32]); 10] = [
        (&["1"], &[0]),
        (&["2-3,1"], &[0, 1, 2]),
        (&["a.txt"], &[0]),
        (&["top/a.txt"], &[0]),
        (&["./deep/"], &[1, 2]),
        (&["deep/er"], &[2]),
        (&["*.txt"], &[0, 2]),
        (&["deep/?.bin", "1"], &[0, 1]),
        (&["deep*"], &[1, 2, 3]),
        (&["top"], &[0, 1, 2, 3]),
    ];
    let library = library();
    for (patterns, expected) in cases {
        assert_eq!(chosen(patterns, &library), expected, "{patterns:?}");
    }
}

#[test]
fn a_pattern_without_a_file_is_named() {
    for missing in ["b.txt", "5", "dee", "A.TXT", "er/b.txt", "a.txt/x"] {
        let refused = choice(&["a.txt", missing]).of(&library());
        assert_eq!(refused, Err(NoSuchFile { pattern: missing.to_owned() }));
    }
}

#[test]
fn numbers_are_counted_from_1_and_anything_else_is_a_path() {
    for wrong in ["0", "3-2", "1,", "-", "2--3", "99999999999"] {
        assert_eq!(wrong.parse::<FilePattern>(), Err(FilePatternError::Numbers), "{wrong}");
    }
    for empty in ["", "/", "./"] {
        assert_eq!(empty.parse::<FilePattern>(), Err(FilePatternError::Empty), "{empty}");
    }
    assert_eq!("/1".parse(), Ok(FilePattern::Path("1".to_owned())));
    assert_eq!("1-3,7".parse::<FilePattern>().unwrap().to_string(), "1-3,7");
}

#[test]
fn where_files_start_with_a_piece_a_choice_takes_nothing_of_its_neighbours() {
    let files = [("a", PIECE + 1), ("b", PIECE + 1), ("c", 1)];
    for format in [Format::V2, Format::Hybrid] {
        let metainfo = torrent(&files, format);
        let chosen = choice(&["b"]).of(&metainfo).unwrap();
        assert_eq!(chosen.bytes(), PIECE + 1);
        assert_eq!(chosen.unwanted().iter_zeros().map(|piece| piece.0).collect::<Vec<_>>(), [2, 3]);
        let touched = [0, 1, 2].map(|file| chosen.touches(metainfo.layout(), FileIndex(file)));
        assert_eq!(touched, [false, true, false]);
    }
}

#[test]
fn in_a_v1_torrent_a_choice_takes_the_pieces_it_shares_with_its_neighbours() {
    let metainfo = torrent(&[("a", PIECE + 1), ("b", PIECE), ("c", 2 * PIECE), ("d", 5)], Format::V1);
    let chosen = choice(&["b"]).of(&metainfo).unwrap();
    assert_eq!(chosen.unwanted().iter_zeros().map(|piece| piece.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(chosen.bytes(), 2 * PIECE);
    let touched = [0, 1, 2, 3].map(|file| chosen.touches(metainfo.layout(), FileIndex(file)));
    assert_eq!(touched, [true, true, true, false]);
    let selection = chosen.selection();
    assert_eq!([0, 1].map(|n| selection.priority(PieceIndex(n))), [Priority::Skip, Priority::Normal]);
}

#[test]
fn by_default_everything_is_wanted() {
    let metainfo = library();
    let everything = Choice::default().of(&metainfo).unwrap();
    assert!(everything.is_everything());
    assert_eq!(everything, Chosen::everything(metainfo.layout()));
    assert_eq!(everything.bytes(), metainfo.layout().total_size());
}

/// The same, by the definition.
fn is_match_plainly(pattern: &[char], text: &[char]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some(('*', rest)) => (0..=text.len()).any(|skipped| is_match_plainly(rest, &text[skipped..])),
        Some((&first, rest)) => text
            .split_first()
            .is_some_and(|(&found, text)| (first == '?' || first == found) && is_match_plainly(rest, text)),
    }
}

proptest! {
    #[test]
    fn patterns_match_as_they_are_defined(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
        let pattern: Vec<char> = pattern.chars().collect();
        let plain = is_match_plainly(&pattern, &text.chars().collect::<Vec<_>>());
        prop_assert_eq!(is_match(&pattern, &text), plain);
    }
}
