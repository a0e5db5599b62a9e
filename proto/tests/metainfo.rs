//! Torrents made by libtorrent, and by ourselves, mean what they should.
//!
//! `vectors/` holds torrents that libtorrent 2.1.1 made from the content below with a piece length of 32 KiB;
//! the hashes here are the ones it reports. No file of theirs needs it to be read or made again.

use proptest::prelude::*;
use samara_proto::infohash::{Sha1Hash, Sha256Hash};
use samara_proto::layout::{BlockRef, FileIndex, Layout, PieceIndex};
use samara_proto::magnet::Magnet;
use samara_proto::merkle;
use samara_proto::metainfo::{
    BuildError, FileEntry, Format, HashedContent, Metainfo, MetainfoBuilder, PieceCheck, default_piece_length,
};
use sha1::{Digest, Sha1};

const KIB: u64 = 1024;

/// Path and size of the files of the folder vectors, sorted; file `n` is filled with `content(n, size)`.
const FOLDER: [(&str, u64); 7] = [
    ("a.txt", 5),
    ("b/c/long.bin", 180_227),
    ("b/empty", 0),
    ("b/exact", 65_536),
    ("zz", 1),
    ("zz2", 0),
    ("ünïcödé/日本語.txt", 40_000),
];

struct Vector {
    torrent: &'static [u8],
    v1: &'static str,
    v2: &'static str,
    name: &'static str,
    pieces: u32,
}

macro_rules! vector {
    ($file:literal, $v1:literal, $v2:literal, $name:literal, $pieces:literal) => {
        Vector {
            torrent: include_bytes!(concat!("vectors/", $file, ".torrent")),
            v1: $v1,
            v2: $v2,
            name: $name,
            pieces: $pieces,
        }
    };
}

#[rustfmt::skip]
const VECTORS: [Vector; 8] = [
    vector!("v1-folder", "31c4cf8e6eacf9e0057ae56f030e645ad84649b5", "", "folder", 9),
    vector!("v2-folder", "", "709e65d42487f2b2720c4d58141064898b78af0977177d172efb48241b70c06f", "folder", 12),
    vector!("hybrid-folder", "f630b6cade0a534acc6cddfc04a89284825f6c4d", "ac6ec3cded5155983b5a26b9e9e5fe44d70492357df4d587e3110b7579771601", "folder", 12),
    vector!("hybrid-folder-tail", "835071533bbddc2adb8eab75d49788cc11868577", "407ffd0671f941adbd08ea50f13a73362e6852707fb2ccfa653cedd965132186", "folder", 12),
    vector!("v1-single", "eb6fcdb6456cc216e9f76556f741642a12d3a4f0", "", "ein Stück.bin", 4),
    vector!("v2-single", "", "65d082fcf870960834deab6b7e15cc44994327892aba2c69c9e791ee109b0eae", "ein Stück.bin", 4),
    vector!("hybrid-single", "237f7bcb7b34bedbff57b0392c1476a0f960e84f", "0acafff9cf2f31236e68b8c5a34b6acd846b378a8d4f8ff6ffdb55229d97ccfd", "ein Stück.bin", 4),
    vector!("hybrid-exact", "e9eabad15d782088944371ae2d05829c3d04dfe7", "1dd2c0b980402d99785e94cd55c01491284767549f9eab3b11ddc4f398752704", "exact.bin", 2),
];

fn content(n: u64, size: u64) -> Vec<u8> {
    (0..size).map(|i| ((i * 31 + (i >> 8) * 7 + n * 101) % 251) as u8).collect()
}

/// A file's content, found by its path.
fn content_of(file: &FileEntry) -> Vec<u8> {
    let path = file.path.join("/");
    let n = FOLDER.iter().position(|&(name, _)| name == path).unwrap_or(0);
    content(n as u64, file.size)
}

/// The bytes of a piece as they are exchanged.
fn piece_bytes(layout: &Layout, files: &[Vec<u8>], piece: PieceIndex) -> Vec<u8> {
    let block = BlockRef { piece, begin: 0, length: layout.piece_size(piece) };
    let mut bytes = Vec::new();
    for segment in layout.segments(block) {
        let start = segment.file_offset as usize;
        match segment.file {
            Some(file) => bytes.extend(&files[file.0 as usize][start..start + segment.length as usize]),
            None => bytes.resize(bytes.len() + segment.length as usize, 0),
        }
    }
    bytes
}

fn sha1_padded(bytes: &[u8], zeros: u32) -> Sha1Hash {
    Sha1Hash(Sha1::new().chain_update(bytes).chain_update(vec![0; zeros as usize]).finalize().into())
}

fn merkle_root(bytes: &[u8], width: u32) -> Sha256Hash {
    let leaves: Vec<Sha256Hash> = bytes.chunks(16 * 1024).map(merkle::leaf).collect();
    merkle::root(&leaves, width as usize)
}

fn accepts(check: PieceCheck, bytes: &[u8]) -> bool {
    match check {
        PieceCheck::V1 { hash, padding } => sha1_padded(bytes, padding) == hash,
        PieceCheck::V2 { root, width } => merkle_root(bytes, width) == root,
    }
}

/// Every piece of the right content is accepted, and none with a byte changed.
fn check_every_piece(metainfo: &Metainfo, files: &[Vec<u8>]) {
    for piece in (0..metainfo.layout().piece_count()).map(PieceIndex) {
        let mut bytes = piece_bytes(metainfo.layout(), files, piece);
        let check = metainfo.piece_check(piece).unwrap();
        assert!(accepts(check, &bytes), "piece {piece}: {check:?}");
        *bytes.last_mut().unwrap() ^= 1;
        assert!(!accepts(check, &bytes), "piece {piece} changed: {check:?}");
    }
    assert_eq!(metainfo.piece_check(PieceIndex(metainfo.layout().piece_count())), None);
}

#[test]
fn libtorrents_torrents_have_libtorrents_hashes() {
    for vector in VECTORS {
        let metainfo = Metainfo::from_bytes(vector.torrent).unwrap();
        let hashes = metainfo.info_hashes();
        assert_eq!(hashes.v1().map_or(String::new(), |hash| hash.to_string()), vector.v1);
        assert_eq!(hashes.v2().map_or(String::new(), |hash| hash.to_string()), vector.v2);
        assert_eq!(metainfo.name(), vector.name);
        assert_eq!(metainfo.layout().piece_count(), vector.pieces);
        assert_eq!(
            metainfo.trackers(),
            [["http://tracker.example/announce"], ["udp://tracker.example:6969"]]
        );
        assert_eq!(metainfo.url_list(), ["http://seed.example/"]);
        assert_eq!(metainfo.comment(), Some("a vector"));
        assert_eq!(metainfo.created_by(), Some("libtorrent 2.1.1"));
        assert_eq!(metainfo.creation_date(), Some(1_700_000_000));
        assert!(!metainfo.is_private());
    }
}

#[test]
fn libtorrents_torrents_have_their_files_and_no_padding() {
    for vector in VECTORS {
        let metainfo = Metainfo::from_bytes(vector.torrent).unwrap();
        let mut found: Vec<(String, u64)> =
            metainfo.files().iter().map(|file| (file.path.join("/"), file.size)).collect();
        found.sort();
        let folder = FOLDER.map(|(path, size)| (path.to_owned(), size));
        let single = vector.name != "folder";
        assert_eq!(metainfo.is_single_file(), single);
        if single {
            assert_eq!(found.len(), 1);
            assert_eq!(metainfo.disk_path(FileIndex(0)).collect::<Vec<_>>(), [vector.name]);
        } else {
            assert_eq!(found, folder);
            let first: Vec<&str> = metainfo.disk_path(FileIndex(0)).collect();
            assert_eq!(first[0], "folder");
            assert_eq!(metainfo.disk_path(FileIndex(7)).count(), 0);
        }
        assert_eq!(metainfo.layout().total_size(), found.iter().map(|(_, size)| size).sum::<u64>());
    }
}

#[test]
fn every_piece_of_libtorrents_torrents_is_checked_right() {
    for vector in VECTORS {
        let metainfo = Metainfo::from_bytes(vector.torrent).unwrap();
        let files: Vec<Vec<u8>> = metainfo.files().iter().map(content_of).collect();
        check_every_piece(&metainfo, &files);
    }
}

#[test]
fn what_was_read_is_written_byte_for_byte() {
    for vector in VECTORS {
        assert!(Metainfo::from_bytes(vector.torrent).unwrap().to_bytes() == vector.torrent);
    }
}

#[test]
fn a_hybrid_without_piece_layers_is_checked_by_sha_1() {
    for vector in VECTORS.iter().filter(|vector| !vector.v1.is_empty() && !vector.v2.is_empty()) {
        let whole = Metainfo::from_bytes(vector.torrent).unwrap();
        let bare = Metainfo::from_info(whole.info_bytes()).unwrap();
        assert!(!bare.missing_piece_layers().is_empty());
        let files: Vec<Vec<u8>> = bare.files().iter().map(content_of).collect();
        check_every_piece(&bare, &files);
    }
}

#[test]
fn piece_layers_arrive_later_through_a_shared_reference() {
    let whole = Metainfo::from_bytes(VECTORS[1].torrent).unwrap();
    let bare = Metainfo::from_info(whole.info_bytes()).unwrap();
    let missing = bare.missing_piece_layers();
    assert_eq!(missing, [FileIndex(1), FileIndex(3), FileIndex(6)]);
    assert_eq!(bare.piece_check(PieceIndex(1)), None);
    assert!(bare.piece_check(PieceIndex(0)).is_some(), "a file of one piece needs no layer");
    for file in missing {
        let layer = whole.piece_layer(file).unwrap();
        let mut wrong = layer.to_vec();
        wrong[0].0[0] ^= 1;
        assert!(bare.add_piece_layer(file, wrong).is_err());
        assert!(bare.add_piece_layer(file, layer[1..].to_vec()).is_err());
        bare.add_piece_layer(file, layer.to_vec()).unwrap();
    }
    assert!(bare.add_piece_layer(FileIndex(0), vec![]).is_err());
    assert!(bare.add_piece_layer(FileIndex(99), vec![]).is_err());
    assert_eq!(bare.missing_piece_layers(), []);
    for piece in (0..12).map(PieceIndex) {
        assert_eq!(bare.piece_check(piece), whole.piece_check(piece));
    }
}

#[test]
fn a_torrents_link_names_it() {
    for vector in VECTORS {
        let metainfo = Metainfo::from_bytes(vector.torrent).unwrap();
        let magnet: Magnet = Magnet::to_torrent(&metainfo).to_string().parse().unwrap();
        assert!(metainfo.is_named_by(&magnet.hashes));
        assert_eq!(magnet.name.as_deref(), Some(vector.name));
        assert_eq!(magnet.trackers.len(), 2);
    }
    let [v1, v2, hybrid, ..] = VECTORS.map(|vector| Metainfo::from_bytes(vector.torrent).unwrap());
    assert!(!v1.is_named_by(&v2.info_hashes()));
    assert!(!v1.is_named_by(&hybrid.info_hashes()));
}

/// Makes a torrent of files with these paths and contents.
fn build(format: Format, piece_length: u32, contents: &[(Vec<String>, Vec<u8>)]) -> (Metainfo, Vec<Vec<u8>>) {
    let builder = MetainfoBuilder {
        name: "made here".to_owned(),
        single_file: false,
        files: contents.iter().map(|(path, bytes)| (path.clone(), bytes.len() as u64)).collect(),
        piece_length,
        format,
        trackers: vec![vec!["http://t/announce".to_owned()]],
        url_list: Vec::new(),
        comment: None,
        private: true,
        created_by: Some("samara".to_owned()),
        creation_date: None,
    };
    let plan = builder.plan().unwrap();
    let find = |file: &FileEntry| {
        contents.iter().find(|(path, _)| *path == file.path).map(|(_, bytes)| bytes.clone()).unwrap()
    };
    let files: Vec<Vec<u8>> = plan.files().iter().map(find).collect();
    let mut hashed = HashedContent::default();
    for piece in (0..plan.layout().piece_count()).map(PieceIndex) {
        let bytes = piece_bytes(plan.layout(), &files, piece);
        let recipe = plan.recipe(piece);
        hashed.v1_pieces.extend(recipe.v1_padding.map(|zeros| sha1_padded(&bytes, zeros)));
        hashed.v2_pieces.extend(recipe.v2_width.map(|width| merkle_root(&bytes, width)));
    }
    (plan.finish(hashed).unwrap(), files)
}

#[test]
fn a_torrent_made_here_agrees_with_libtorrents() {
    let contents: Vec<(Vec<String>, Vec<u8>)> = FOLDER
        .iter()
        .zip(0..)
        .map(|(&(path, size), n)| (path.split('/').map(str::to_owned).collect(), content(n, size)))
        .collect();
    let theirs = Metainfo::from_bytes(VECTORS[2].torrent).unwrap();
    let (ours, _) = build(Format::Hybrid, 32 * 1024, &contents);
    assert_eq!(ours.files(), theirs.files());
    assert_eq!(ours.layout(), theirs.layout());
    for piece in (0..12).map(PieceIndex) {
        assert_eq!(ours.piece_check(piece), theirs.piece_check(piece));
    }
}

#[test]
fn a_folder_that_v2_would_take_for_a_file_is_refused() {
    let plan = |format| {
        let name = "x".to_owned();
        let builder = MetainfoBuilder {
            files: vec![(vec![name.clone()], 1)],
            name,
            single_file: false,
            piece_length: 16 * 1024,
            format,
            trackers: Vec::new(),
            url_list: Vec::new(),
            comment: None,
            private: false,
            created_by: None,
            creation_date: None,
        };
        builder.plan().err()
    };
    assert_eq!(plan(Format::V2), Some(BuildError::Ambiguous));
    assert_eq!(plan(Format::Hybrid), None);
}

#[test]
fn default_piece_lengths_make_a_thousand_to_two_thousand_pieces() {
    assert_eq!(default_piece_length(0), 16 * 1024);
    assert_eq!(default_piece_length(1024 * 1024 * KIB), 1024 * 1024);
    assert_eq!(default_piece_length(u64::MAX), 16 * 1024 * 1024);
    for size in (5..25).map(|power| (1u64 << power) * 1021) {
        let pieces = size.div_ceil(u64::from(default_piece_length(size)));
        assert!(pieces <= 2000 && (pieces >= 1000 || size < 17_000 * KIB), "{size}: {pieces}");
    }
}

fn contents() -> impl Strategy<Value = Vec<(Vec<String>, Vec<u8>)>> {
    let component = prop::sample::select(vec!["a", "b", "a.b", "a-b", "ü", "日本"]);
    let path = prop::collection::vec(component, 0..3);
    let size = prop_oneof![Just(0u64), Just(16 * KIB), Just(32 * KIB), 1..200 * KIB];
    prop::collection::vec((path, size), 1..7).prop_map(|files| {
        let numbered = files.into_iter().zip(0..).map(|((folders, size), n)| {
            let name = format!("file {n}");
            let path = folders.into_iter().map(str::to_owned).chain([name]).collect();
            (path, content(n, size))
        });
        numbered.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_made_is_read_back_and_checks_its_content(
        contents in contents(),
        format in prop::sample::select(vec![Format::V1, Format::V2, Format::Hybrid]),
        height in 0u32..3,
    ) {
        let (made, files) = build(format, (16 * 1024) << height, &contents);
        let read = Metainfo::from_bytes(&made.to_bytes()).unwrap();
        prop_assert_eq!(read.info_hashes(), made.info_hashes());
        prop_assert_eq!(read.files(), made.files());
        prop_assert_eq!(read.layout(), made.layout());
        prop_assert!(read.is_private() && read.missing_piece_layers().is_empty());
        check_every_piece(&read, &files);
        if format == Format::Hybrid {
            check_every_piece(&Metainfo::from_info(made.info_bytes()).unwrap(), &files);
        }
    }

    #[test]
    fn a_damaged_torrent_is_read_or_refused(
        which in 0..VECTORS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut: prop::sample::Index,
    ) {
        let mut bytes = VECTORS[which].torrent.to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let _ = Metainfo::from_bytes(&bytes);
        let _ = Metainfo::from_bytes(&bytes[..cut.index(bytes.len())]);
    }
}
