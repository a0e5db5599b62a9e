//! Making and verifying torrents.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use super::*;

fn made(path: &Path) -> Result<Created, CreateError> {
    create(path, options(Format::Hybrid, 16_384), |_, _| ())
}

fn folder(files: &[(&str, usize)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for &(path, size) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes(1, size)).unwrap();
    }
    folder
}

#[test]
fn a_created_torrent_has_every_file_hidden_ones_too_in_bytewise_order() {
    let folder = folder(&[("z", 1), (".hidden", 2), ("a.b", 3), ("a/c", 4), ("a/B", 0), ("é", 6)]);
    let created = made(folder.path()).unwrap();
    let paths: Vec<_> =
        created.metainfo.files().iter().map(|file| (file.path.join("/"), file.size)).collect();
    let expected = [(".hidden", 2), ("a/B", 0), ("a/c", 4), ("a.b", 3), ("z", 1), ("é", 6)];
    assert_eq!(paths, expected.map(|(path, size)| (path.to_owned(), size)));
    assert_eq!(created.root, folder.path().canonicalize().unwrap().parent().unwrap());
}

#[test]
fn creation_tells_every_piece_once() {
    let folder = folder(&[("a", 100_000), ("b", 50_000)]);
    let mut heard = Vec::new();
    create(folder.path(), options(Format::V2, 16_384), |done, total| heard.push((done, total))).unwrap();
    assert_eq!(heard, (1..=11).map(|done| (done, 11)).collect::<Vec<_>>());
}

#[test]
fn what_a_torrent_cannot_carry_is_refused_by_name() {
    let linked = folder(&[("a", 1)]);
    symlink("a", linked.path().join("link")).unwrap();
    let socket = folder(&[("a", 1)]);
    let _listener = UnixListener::bind(socket.path().join("socket")).unwrap();
    let odd = folder(&[("a", 1)]);
    fs::write(odd.path().join(OsStr::from_bytes(b"\xff\x1b[2J")), b"x").unwrap();
    let steering = folder(&[("a\x1b[2J", 1)]);
    let empty = folder(&[]);
    fs::create_dir_all(empty.path().join("a/b")).unwrap();
    let cases = folder(&[("a", 1), ("A", 1)]);
    for (folder, text) in [
        (&linked, "link is a symbolic link, which a torrent cannot carry"),
        (&socket, "socket is a socket"),
        (&odd, "is not UTF-8"),
        (&steering, "a name contains the control character"),
        (&empty, "contains no files"),
        (&cases, "another file has the same name"),
    ] {
        let error = made(folder.path()).unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
        assert!(!error.contains('\x1b'), "{error}");
    }
}

#[test]
fn what_is_not_there_cannot_be_shared() {
    let folder = folder(&[("a", 1)]);
    let error = made(&folder.path().join("b")).unwrap_err();
    assert!(matches!(error, CreateError::Walk(WalkError::Read { .. })), "{error}");
    assert!(matches!(made(Path::new("/")).unwrap_err(), CreateError::Walk(WalkError::NoName { .. })));
}

#[test]
fn a_file_that_changes_while_it_is_hashed_is_refused() {
    for size in [10, 400_000, 600_000] {
        let folder = folder(&[("a", 500_000)]);
        let path = folder.path().join("a");
        let change = |_, _| fs::write(&path, bytes(2, size)).unwrap();
        let error = create(folder.path(), options(Format::V1, 16_384), change).unwrap_err();
        assert!(matches!(error, CreateError::Changed { .. }), "{error}");
    }
}

#[test]
fn verification_tells_good_bad_and_missing() {
    let source = Source::new(&[("a", 40_000), ("b/c", 40_000), ("e", 0)], 16_384, Format::Hybrid);
    let top = source.root().join("top");
    let verify_in = |dir: &Path| verify(&source.metainfo, dir, |_, _| ()).unwrap();
    for dir in [source.root(), &top] {
        let whole = VerifyReport {
            pieces_total: 6,
            pieces_good: 6,
            complete: true,
            damaged: Vec::new(),
            partial: Vec::new(),
        };
        assert_eq!(verify_in(dir), whole);
    }
    fs::write(top.join("extra"), b"fine").unwrap();
    assert!(verify_in(source.root()).complete);

    fs::remove_file(top.join("e")).unwrap();
    let report = verify_in(source.root());
    assert_eq!((report.pieces_good, report.complete), (6, false));
    fs::write(top.join("e"), b"").unwrap();

    fs::rename(top.join("a"), top.join("a.part")).unwrap();
    let report = verify_in(source.root());
    assert_eq!((report.pieces_good, report.complete), (6, false), "the right bytes under the wrong name");
    fs::rename(top.join("a.part"), top.join("a")).unwrap();

    let mut longer = fs::read(top.join("a")).unwrap();
    longer.push(0);
    fs::write(top.join("a"), &longer).unwrap();
    let report = verify_in(source.root());
    assert_eq!((report.pieces_good, report.complete), (6, false), "a byte too many");

    fs::write(top.join("a"), bytes(9, 40_000)).unwrap();
    let report = verify_in(source.root());
    assert_eq!((report.pieces_good, report.complete), (3, false));
    assert_eq!(report.damaged, [top.join("a")]);

    let elsewhere = tempfile::tempdir().unwrap();
    let report = verify_in(elsewhere.path());
    assert_eq!((report.pieces_good, report.damaged.len()), (0, 3));
    assert!(verify(&source.metainfo, &elsewhere.path().join("no"), |_, _| ()).is_err());
}

#[test]
fn verification_accepts_the_file_itself() {
    let source = Source::single();
    let report = verify(&source.metainfo, &source.root().join("content.bin"), |_, _| ()).unwrap();
    assert!(report.complete);
}
