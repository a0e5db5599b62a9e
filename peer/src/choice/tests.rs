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
        assert_eq!(refused, Err(ChoiceError::NoSuchFile { pattern: missing.to_owned() }));
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
    let selection = chosen.selection(metainfo.layout());
    assert_eq!([0, 1].map(|n| selection.priority(PieceIndex(n))), [Priority::Skip, Priority::Normal]);
}

/// The priority of each piece, by its first letter: of these files, these first and those last.
fn priorities(metainfo: &Metainfo, lists: [&[&str]; 3], sequence: Sequence) -> Result<String, ChoiceError> {
    let parse = |list: &[&str]| list.iter().map(|pattern| pattern.parse().unwrap()).collect();
    let [only, first, last] = lists.map(parse);
    let chosen = Choice { only, first, last, sequence }.of(metainfo)?;
    let selection = chosen.selection(metainfo.layout());
    assert_eq!(selection.priorities.len(), metainfo.layout().piece_count() as usize);
    let letter = |priority: &Priority| match priority {
        Priority::Skip => '-',
        Priority::Low => 'l',
        Priority::Normal => 'n',
        Priority::High => 'h',
    };
    Ok(selection.priorities.iter().map(letter).collect())
}

#[test]
fn files_come_first_or_last_and_a_shared_piece_with_the_first_of_them() {
    // Pieces of v1: a, a and b, b, b and c, c, c and d.
    let half = PIECE / 2;
    let files = [("a", PIECE + half), ("b", 2 * PIECE), ("c", 2 * PIECE), ("d", half)];
    let cases: [([&[&str]; 3], &str); 7] = [
        ([&[], &[], &[]], "nnnnnn"),
        ([&[], &["b"], &[]], "nhhhnn"),
        ([&[], &[], &["b"]], "nnlnnn"),
        ([&[], &["d"], &["a", "b"]], "lllnnh"),
        ([&["b", "c"], &["c"], &[]], "-nnhhh"),
        ([&["b"], &[], &["*"]], "-lll--"),
        ([&["1", "2"], &["*"], &[]], "hhhh--"),
    ];
    let metainfo = torrent(&files, Format::V1);
    for (lists, expected) in cases {
        assert_eq!(priorities(&metainfo, lists, Sequence::Rarest).unwrap(), expected, "{lists:?}");
    }
    // Of v2, files share nothing.
    let v2 = torrent(&files, Format::V2);
    assert_eq!(priorities(&v2, [&["b", "c"], &["c"], &["b"]], Sequence::Rarest).unwrap(), "--llhh-");
}

#[test]
fn a_choice_that_contradicts_itself_is_refused() {
    let library = library();
    let refused = |lists| priorities(&library, lists, Sequence::Rarest).unwrap_err();
    let missing = ChoiceError::NoSuchFile { pattern: "b.txt".to_owned() };
    assert_eq!(
        [refused([&[], &["b.txt"], &[]]), refused([&[], &[], &["b.txt"]])],
        [missing.clone(), missing]
    );
    let unwanted = ChoiceError::NotWanted { pattern: "a.txt".to_owned() };
    assert_eq!(refused([&["deep"], &["a.txt"], &[]]), unwanted);
    assert_eq!(refused([&["deep"], &[], &["deep", "a.txt"]]), unwanted);
    let both = ChoiceError::FirstAndLast { path: "top/deep/er/b.txt".to_owned() };
    assert_eq!(refused([&[], &["*.txt"], &["deep"]]), both);
    // What is not wanted contradicts nobody.
    assert!(priorities(&library, [&["a.txt"], &["*.txt"], &[]], Sequence::Rarest).is_ok());
}

#[test]
fn in_sequence_the_ends_of_each_wanted_file_come_first() {
    let metainfo =
        torrent(&[("a", 4 * PIECE), ("b", 2 * PIECE), ("c", 5 * PIECE), ("d", 3 * PIECE)], Format::V2);
    let of = |lists| priorities(&metainfo, lists, Sequence::Ascending).unwrap();
    assert_eq!(of([&[], &[], &[]]), "hnnhnnhnnnhhnh");
    assert_eq!(of([&["b", "c"], &[], &[]]), "----nnhnnnh---");
    assert_eq!(of([&[], &[], &["c"]]), "hnnhnnlllllhnh");
    assert_eq!(of([&[], &["b"], &[]]), "nnnnhhnnnnnnnn");
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
