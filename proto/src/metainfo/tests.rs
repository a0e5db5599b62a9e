//! Claims about which torrents are accepted.

use super::*;

/// A bencoded string.
fn s(text: &str) -> String {
    format!("{}:{text}", text.len())
}

/// A v1 file entry with extra entries at the front.
fn file(extra: &str, length: i64, path: &[&str]) -> String {
    let path: String = path.iter().map(|component| s(component)).collect();
    format!("d{extra}6:lengthi{length}e4:pathl{path}ee")
}

/// A v1 torrent of pieces of 16 KiB.
fn v1(files: &[String], pieces: usize) -> Result<Metainfo, MetainfoError> {
    v1_named("t", files, pieces)
}

fn v1_named(name: &str, files: &[String], pieces: usize) -> Result<Metainfo, MetainfoError> {
    let hashes = s(&"h".repeat(20 * pieces));
    let name = s(name);
    let files = files.concat();
    let info = format!("d5:filesl{files}e4:name{name}12:piece lengthi16384e6:pieces{hashes}e");
    Metainfo::from_info(info.as_bytes())
}

/// A node of a v2 file tree.
fn leaf(name: &str, length: i64) -> String {
    let root = if length > 0 { format!("11:pieces root{}", s(&"r".repeat(32))) } else { String::new() };
    format!("{}d0:d6:lengthi{length}e{root}ee", s(name))
}

fn v2(tree: &str) -> Result<Metainfo, MetainfoError> {
    let info = format!("d9:file treed{tree}e12:meta versioni2e4:name1:t12:piece lengthi16384ee");
    Metainfo::from_info(info.as_bytes())
}

fn hybrid(tree: &str, files: &[String], pieces: usize) -> Result<Metainfo, MetainfoError> {
    let hashes = s(&"h".repeat(20 * pieces));
    let files = files.concat();
    let info = format!(
        "d9:file treed{tree}e5:filesl{files}e12:meta versioni2e4:name1:t12:piece lengthi16384e6:pieces{hashes}e"
    );
    Metainfo::from_info(info.as_bytes())
}

fn single(extra: &str) -> Result<Metainfo, MetainfoError> {
    let hashes = s(&"h".repeat(20));
    let info = format!("d{extra}6:lengthi5e4:name1:t12:piece lengthi16384e6:pieces{hashes}e");
    Metainfo::from_info(info.as_bytes())
}

#[test]
fn a_torrent_from_the_wild_loads() {
    // Keys out of order, unknown keys, a comment that is no UTF-8, a tracker list that is no list of lists,
    // a path in an old encoding with its UTF-8 beside it.
    let info = b"d4:name1:t5:filesld6:lengthi5e4:pathl2:\xFF\xFEe10:path.utf-8l3:abceee6:pieces20:hhhhhhhhhhhhhhhhhhhh\
        12:piece lengthi16384e3:\x00\xFFxi1e7:privatei1ee";
    let mut torrent = b"d8:url-list8:http://s4:info".to_vec();
    torrent.extend_from_slice(info);
    torrent
        .extend_from_slice(b"13:announce-listi7e8:announce10:http://t/a7:comment2:\xFFx13:creation date1:xe");
    let metainfo = Metainfo::from_bytes(&torrent).unwrap();
    assert_eq!(metainfo.files()[0].path, ["abc"]);
    assert_eq!(metainfo.info_bytes(), info);
    assert_eq!(metainfo.trackers(), [["http://t/a"]]);
    assert_eq!(metainfo.comment(), Some("\u{FFFD}x"));
    assert_eq!(metainfo.url_list(), ["http://s"]);
    assert_eq!(metainfo.creation_date(), None);
    assert!(metainfo.is_private());
}

/// A v1 torrent of one empty file, whose name and path are under these keys.
fn v1_of_names(name: &[u8], path: &[u8]) -> Result<Metainfo, MetainfoError> {
    let info = [b"d5:filesld6:lengthi0e", path, b"ee", name, b"12:piece lengthi16384e6:pieces0:e"];
    Metainfo::from_info(&info.concat())
}

#[test]
fn of_two_names_the_one_marked_as_utf_8_counts() {
    let (name, path) = (b"4:name1:t10:name.utf-83:\xC3\xA9t".as_slice(), b"4:pathl1:ae".as_slice());
    let metainfo = v1_of_names(name, b"4:pathl3:a_be10:path.utf-8l1:d3:a\xC3\xA9e").unwrap();
    assert_eq!((metainfo.name(), &metainfo.files()[0].path[..]), ("ét", &["d".into(), "aé".into()][..]));
    for no_name in
        [&b"10:name.utf-80:4:name1:t"[..], b"10:name.utf-82:\xFFx4:name1:t", b"10:name.utf-8i1e4:name1:t"]
    {
        assert_eq!(v1_of_names(no_name, path).unwrap().name(), "t");
    }
    for no_path in
        [&b"10:path.utf-8le"[..], b"10:path.utf-8l1:\xFFe", b"10:path.utf-8li1ee", b"10:path.utf-8i1e"]
    {
        assert_eq!(v1_of_names(name, &[no_path, path].concat()).unwrap().files()[0].path, ["a"]);
    }
    assert_eq!(name_error(v1_of_names(b"4:name1:t10:name.utf-82:..", path)), NameError::Relative);
}

#[test]
fn in_a_v1_name_of_an_unknown_encoding_every_stranger_is_an_underscore() {
    let metainfo = v1_of_names(b"4:name5:\xE9t\xE9\xC3\xA9", b"4:pathl2:\xFFa5:b\xEF\xBF\xBD\xFFe").unwrap();
    assert_eq!(metainfo.name(), "_t_é");
    assert_eq!(metainfo.files()[0].path, ["_a", "b\u{FFFD}_"], "what is UTF-8 stays");
    let collide = v1_of_names(b"4:name1:t", b"4:pathl2:a\xFEeed6:lengthi0e4:pathl2:a\xFFe");
    assert_eq!(name_error(collide), NameError::Duplicate);
}

#[test]
fn a_hybrid_is_in_utf_8_throughout() {
    let tree = leaf("a_", 0);
    let of = |name: &[u8], path: &[u8]| {
        let (head, mid) = (format!("d9:file treed{tree}e5:filesld6:lengthi0e"), "ee12:meta versioni2e");
        let info = [head.as_bytes(), path, mid.as_bytes(), name, b"12:piece lengthi16384e6:pieces0:e"];
        Metainfo::from_info(&info.concat())
    };
    assert!(of(b"4:name1:t", b"4:pathl2:a_e").is_ok());
    assert_eq!(of(b"4:name1:t", b"4:pathl2:a\xFFe").unwrap_err(), MetainfoError::Missing("path"));
    assert_eq!(of(b"4:name1:\xFF", b"4:pathl2:a_e").unwrap_err(), MetainfoError::Missing("name"));
}

#[test]
fn a_torrent_is_private_unless_it_says_no() {
    for private in ["7:privatei1e", "7:privatei2e", "7:privatei-1e", "7:private1:0", "7:privatele"] {
        assert!(single(private).unwrap().is_private(), "{private}");
    }
    for public in ["", "7:privatei0e", "7:privatei00e"] {
        assert!(!single(public).unwrap().is_private(), "{public}");
    }
}

#[test]
fn a_newline_may_follow_a_torrent_but_not_an_info_dictionary() {
    let metainfo = single("").unwrap();
    let torrent = [b"d4:info", metainfo.info_bytes(), b"e\r\n"].concat();
    assert_eq!(Metainfo::from_bytes(&torrent).unwrap().info_hashes(), metainfo.info_hashes());
    let info = [metainfo.info_bytes(), b"\n"].concat();
    let trailing = BencodeError::TrailingBytes(metainfo.info_bytes().len());
    assert_eq!(Metainfo::from_info(&info).unwrap_err(), MetainfoError::Bencode(trailing));
}

#[test]
fn padding_is_counted_and_never_a_file() {
    let pad = file("4:attr1:p", 16_379, &["..", "CON"]);
    let metainfo = v1(&[file("", 5, &["a"]), pad, file("4:attr1:x", 3, &["b"])], 2).unwrap();
    assert_eq!(metainfo.files().len(), 2);
    assert!(metainfo.files()[1].is_executable && !metainfo.files()[0].is_executable);
    assert_eq!((metainfo.layout().total_size(), metainfo.layout().exchanged_size()), (8, 16_387));
}

#[test]
fn padding_never_fills_a_whole_piece() {
    let pad = |length| file("4:attr1:p", length, &[".pad", "n"]);
    let (full, empty) = (file("", 5, &["a"]), file("", 0, &["b"]));
    let refused = |files: &[String], pieces| v1(files, pieces).unwrap_err() == MetainfoError::Padding;
    assert!(refused(&[full.clone(), pad(16_384)], 2));
    assert!(refused(&[pad(i64::MAX - 5), full.clone()], 1), "not one hash has to be there");
    assert!(refused(&[full.clone(), pad(8192), empty.clone(), pad(8192)], 2), "an empty file ends no run");
    assert!(refused(&[pad(8192), pad(8192), full.clone()], 2));
    assert!(refused(&[full.clone(), pad(i64::MAX), pad(i64::MAX), pad(i64::MAX)], 1));
    let next = file("", 1, &["c"]);
    assert!(v1(&[full, pad(16_383), empty, next, pad(16_383)], 3).is_ok());
}

#[test]
fn symbolic_links_are_refused() {
    let linked = v1(&[file("4:attr1:l", 0, &["a"])], 0);
    assert_eq!(linked.unwrap_err(), MetainfoError::Symlink("a".to_owned()));
    let linked = v1(&["d6:lengthi0e4:pathl1:ae12:symlink pathl1:bee".to_owned()], 0);
    assert_eq!(linked.unwrap_err(), MetainfoError::Symlink("a".to_owned()));
    let linked = v2("1:ad0:d4:attr1:l6:lengthi0eee");
    assert_eq!(linked.unwrap_err(), MetainfoError::Symlink("a".to_owned()));
    assert_eq!(single("4:attr1:l").unwrap_err(), MetainfoError::Symlink("t".to_owned()));
}

#[test]
fn sizes_and_hashes_must_fit_each_other() {
    let expected = |pieces: u64| MetainfoError::PieceHashes { expected: 40, found: 20 * pieces };
    assert_eq!(v1(&[file("", 16_385, &["a"])], 1).unwrap_err(), expected(1));
    assert_eq!(v1(&[file("", 16_385, &["a"])], 3).unwrap_err(), expected(3));
    assert!(v1(&[file("", 16_385, &["a"])], 2).is_ok());
    assert_eq!(v1(&[file("", -1, &["a"])], 1).unwrap_err(), MetainfoError::Missing("length"));
    let too_large = v1(&[file("", i64::MAX, &["a"]), file("", 1, &["b"])], 1);
    assert_eq!(too_large.unwrap_err(), MetainfoError::Layout(LayoutError::TooLarge));
    let too_many = v2(&leaf("a", i64::MAX));
    assert_eq!(too_many.unwrap_err(), MetainfoError::Layout(LayoutError::TooManyPieces));
    assert_eq!(v1(&[], 0).unwrap_err(), MetainfoError::NoFiles);
    assert_eq!(v2("").unwrap_err(), MetainfoError::NoFiles);
}

#[test]
fn a_torrent_of_empty_files_has_no_pieces() {
    for metainfo in [v1(&[file("", 0, &["a"])], 0), v2(&leaf("a", 0))] {
        assert_eq!(metainfo.unwrap().layout().piece_count(), 0);
    }
}

#[test]
fn piece_lengths_are_checked() {
    let with = |length: i64, version: &str, rest: &str| {
        let info = format!("d{version}4:name1:t12:piece lengthi{length}e{rest}e");
        Metainfo::from_info(info.as_bytes()).unwrap_err()
    };
    let v2 = format!("9:file treed{}e12:meta versioni2e", leaf("t", 1));
    assert_eq!(with(0, &v2, ""), MetainfoError::PieceLength(0));
    assert_eq!(with(8192, &v2, ""), MetainfoError::PieceLength(8192));
    assert_eq!(with(16_385, &v2, ""), MetainfoError::PieceLength(16_385));
    assert_eq!(with(-1, &v2, ""), MetainfoError::Missing("piece length"));
    for length in [0, 1 << 29, 1 << 40] {
        let refused = MetainfoError::Layout(LayoutError::PieceLength(length as u64));
        assert_eq!(with(length, "6:lengthi0e", "6:pieces0:"), refused);
    }
}

#[test]
fn a_newer_version_is_named() {
    let info = b"d9:file treede12:meta versioni3e4:name1:te";
    assert_eq!(Metainfo::from_info(info).unwrap_err(), MetainfoError::Version(3));
}

#[test]
fn keys_that_are_there_twice_are_refused() {
    let twice = |key: &str| MetainfoError::DuplicateKey(key.to_owned());
    assert_eq!(single("6:lengthi5e").unwrap_err(), twice("length"));
    assert_eq!(v2(&[leaf("a", 0), leaf("a", 0)].concat()).unwrap_err(), twice("a"));
    assert_eq!(v1(&[file("6:lengthi0e", 0, &["a"])], 0).unwrap_err(), twice("length"));
    assert_eq!(v1(&[file("4:attr1:p4:attr0:", 0, &["a"])], 0).unwrap_err(), twice("attr"));
    assert_eq!(v2("1:ad0:d6:lengthi0e6:lengthi1eee").unwrap_err(), twice("length"));
    assert_eq!(Metainfo::from_bytes(b"d4:infode4:infodee").unwrap_err(), twice("info"));
}

#[test]
fn a_single_file_is_told_from_a_folder() {
    assert!(single("").unwrap().is_single_file());
    assert!(!v1(&[file("", 0, &["t"])], 0).unwrap().is_single_file());
    assert!(v2(&leaf("t", 1)).unwrap().is_single_file());
    assert!(!v2(&leaf("a", 1)).unwrap().is_single_file());
    assert!(!hybrid(&leaf("t", 1), &[file("", 1, &["t"])], 1).unwrap().is_single_file());
}

#[test]
fn the_halves_of_a_hybrid_must_agree() {
    let tree = |a, b| [leaf("a", a), leaf("b", b)].concat();
    let pad = |length| file("4:attr1:p", length, &[".pad", "n"]);
    let (a, b) = (file("", 5, &["a"]), file("", 3, &["b"]));
    let agree = |files: &[String]| match hybrid(&tree(5, 3), files, 2) {
        Ok(_) => "agree",
        Err(MetainfoError::Disagreement(what)) => what,
        Err(other) => panic!("{other}"),
    };
    assert_eq!(agree(&[a.clone(), pad(16_379), b.clone()]), "agree");
    assert_eq!(agree(&[a.clone(), pad(16_379), b.clone(), pad(16_381)]), "agree");
    assert_eq!(agree(&[a.clone(), pad(16_000), pad(379), b.clone()]), "agree");
    assert_eq!(agree(&[a.clone(), pad(16_379), b.clone(), pad(16_380)]), "where the content ends");
    assert_eq!(agree(&[a.clone(), pad(16_378), b.clone()]), "where the files start");
    assert_eq!(agree(&[a.clone(), b.clone()]), "where the files start");
    assert_eq!(agree(&[pad(1), a.clone(), pad(16_378), b.clone()]), "where the files start");
    assert_eq!(agree(&[b.clone(), pad(16_381), a.clone()]), "the files' names or order");
    assert_eq!(agree(&[a.clone(), pad(16_379), file("", 4, &["b"])]), "the files' sizes");
    assert_eq!(agree(&[a.clone(), pad(16_379)]), "how many files there are");
}

#[test]
fn an_empty_file_at_the_end_of_a_hybrid_changes_nothing() {
    let tree = [leaf("a", 5), leaf("b", 0)].concat();
    let metainfo = hybrid(&tree, &[file("", 5, &["a"]), file("", 0, &["b"])], 1).unwrap();
    assert_eq!(metainfo.layout().piece_count(), 1);
}

#[test]
fn a_wrong_piece_layer_is_refused() {
    let info =
        format!("d9:file treed{}e12:meta versioni2e4:name1:t12:piece lengthi16384ee", leaf("t", 20_000));
    let root = s(&"r".repeat(32));
    for layer in [64, 32, 96, 63] {
        let layer = s(&"l".repeat(layer));
        let torrent = format!("d4:info{info}12:piece layersd{root}{layer}ee");
        let refused = MetainfoError::PieceLayer("t".to_owned());
        assert_eq!(Metainfo::from_bytes(torrent.as_bytes()).unwrap_err(), refused);
    }
    let other = format!("d4:info{info}12:piece layersd{}{}ee", s(&"x".repeat(32)), s("short"));
    assert_eq!(Metainfo::from_bytes(other.as_bytes()).unwrap().missing_piece_layers(), [FileIndex(0)]);
}

fn name_error(metainfo: Result<Metainfo, MetainfoError>) -> NameError {
    match metainfo.unwrap_err() {
        MetainfoError::Name { reason, .. } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn paths_that_cannot_be_beside_each_other_are_refused() {
    let together = |left: &[&str], right: &[&str]| {
        let both = [file("", 0, left), file("", 0, right)];
        let reversed = [file("", 0, right), file("", 0, left)];
        let error = name_error(v1(&both, 0));
        assert_eq!(name_error(v1(&reversed, 0)), error);
        error
    };
    assert_eq!(together(&["a"], &["a"]), NameError::Duplicate);
    assert_eq!(together(&["Straße", "Ä"], &["STRASSE", "ä"]), NameError::Duplicate);
    assert_eq!(together(&["\u{E9}", "\u{C5}"], &["e\u{301}", "A\u{30A}"]), NameError::Duplicate);
    assert_eq!(together(&["\u{AC01}"], &["\u{1100}\u{1161}\u{11A8}"]), NameError::Duplicate);
    for windows_opens in ["ab.", "ab ", "ab. .", "AB:", "ab::$DATA"] {
        assert_eq!(together(&["ab"], &[windows_opens]), NameError::Duplicate, "{windows_opens:?}");
        assert_eq!(together(&["ab", "c"], &[windows_opens, "C."]), NameError::Duplicate, "{windows_opens:?}");
        assert_eq!(together(&["ab", "c"], &[windows_opens]), NameError::FileAndFolder, "{windows_opens:?}");
    }
    assert_eq!(together(&["a"], &["a", "b"]), NameError::FileAndFolder);
    assert_eq!(together(&["A"], &["a", "b", "c"]), NameError::FileAndFolder);
    assert!(v1(&[file("", 0, &["a", "b"]), file("", 0, &["A", "c"]), file("", 0, &["b"])], 0).is_ok());
    assert!(
        v1(&["a.", ".a", " a", "b .c", "b.c", "12:30", "12:45"].map(|name| file("", 0, &[name])), 0).is_ok()
    );
    assert_eq!(name_error(v2(&[leaf("a", 0), leaf("A", 0)].concat())), NameError::Duplicate);
    assert_eq!(name_error(v2("1:ad0:d6:lengthi0ee1:bd0:d6:lengthi0eeee")), NameError::FileAndFolder);
}

#[test]
fn long_and_deep_paths_are_refused() {
    let long = "x".repeat(256);
    assert_eq!(name_error(v1(&[file("", 0, &[&long])], 0)), NameError::NameTooLong);
    let deep = vec!["d"; limits::PATH_DEPTH + 1];
    assert_eq!(name_error(v1(&[file("", 0, &deep)], 0)), NameError::TooDeep);
    assert!(v1(&[file("", 0, &deep[1..])], 0).is_ok());
    let wide = vec![&long[..250]; 20];
    assert_eq!(name_error(v1(&[file("", 0, &wide)], 0)), NameError::PathTooLong);
    let tree = (0..=limits::PATH_DEPTH).fold(leaf("f", 0), |inner, _| format!("1:dd{inner}e"));
    assert_eq!(name_error(v2(&tree)), NameError::TooDeep);
}

#[test]
fn a_small_tree_cannot_name_gigabytes_of_paths() {
    let files: String = (0..60_000).map(|n| leaf(&format!("{n:05}"), 0)).collect();
    let folder = "x".repeat(250);
    let tree = (0..11).fold(files, |inner, _| format!("{}d{inner}e", s(&folder)));
    assert_eq!(name_error(v2(&tree)), NameError::TooMuch);
}

#[test]
fn a_hostile_name_is_escaped_in_its_error() {
    let error = v1_named("\u{1b}[2J/", &[file("", 0, &["a"])], 0).unwrap_err().to_string();
    assert!(!error.contains('\u{1b}'), "{error}");
    assert!(v1_named("CON", &[file("", 0, &["a"])], 0).is_err());
}
