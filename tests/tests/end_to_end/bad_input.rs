//! Malformed, lying and hostile input on the command line: one clear sentence, exit code 1, soon.

use samara_tests::content::write_file;
use samara_tests::scene::{Scene, path_text};

/// A v1 torrent with these bytes as its name and 5 bytes of content.
fn torrent_named(name: &[u8]) -> Vec<u8> {
    let mut bytes = format!("d4:infod6:lengthi5e4:name{}:", name.len()).into_bytes();
    bytes.extend_from_slice(name);
    bytes.extend_from_slice(b"12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaaee");
    bytes
}

/// A v1 torrent of one file at this path below its name.
fn torrent_with_path(components: &[&str]) -> Vec<u8> {
    let path: String = components.iter().map(|name| format!("{}:{name}", name.len())).collect();
    format!(
        "d4:infod5:filesld6:lengthi5e4:pathl{path}eee4:name1:n12:piece lengthi16384e6:pieces20:{}ee",
        "a".repeat(20)
    )
    .into_bytes()
}

#[test]
fn the_hand_made_torrents_are_good_apart_from_what_they_try() {
    let scene = Scene::new();
    // Names that are not UTF-8 are old, not hostile.
    let good = [torrent_named(b"name"), torrent_named(b"\xff\xfe"), torrent_with_path(&["a", "b"])];
    for (number, bytes) in good.iter().enumerate() {
        let path = scene.path(&format!("{number}.torrent"));
        std::fs::write(&path, bytes).unwrap();
        let shown = scene.run(&["show", &path_text(&path)]);
        assert_eq!(shown.code, 0, "{}", shown.stderr);
    }
}

#[test]
fn hostile_torrents_are_refused_in_one_sentence() {
    let scene = Scene::new();
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("text", b"hello".to_vec()),
        ("html", b"<!doctype html><title>404</title>".to_vec()),
        ("cut", torrent_named(b"name")[..60].to_vec()),
        ("a length beyond the end", b"d4:info99999999999999:".to_vec()),
        ("a length beyond any number", b"d4:info99999999999999999999999999:".to_vec()),
        ("depth", vec![b'l'; 1_000_000]),
        ("many tokens", [&b"d4:infol"[..], &b"le".repeat(3_000_000), b"ee"].concat()),
        ("the parent folder", torrent_named(b"..")),
        ("a separator", torrent_named(b"a/b")),
        ("an absolute name", torrent_named(b"/etc/passwd")),
        ("an empty name", torrent_named(b"")),
        ("a NUL", torrent_named(b"a\0b")),
        ("an escape sequence", torrent_named(b"a\x1b[2J")),
        ("a path with a line break", torrent_with_path(&["a\nb"])),
        ("a path upwards", torrent_with_path(&["..", "..", "x"])),
        ("a path with a separator", torrent_with_path(&["a/../../x"])),
        ("no path", torrent_with_path(&[])),
        ("a very deep path", torrent_with_path(&["d"; 5000])),
    ];
    for (case, bytes) in cases {
        let path = scene.path(&format!("{}.torrent", case.replace(' ', "-")));
        std::fs::write(&path, bytes).unwrap();
        for command in [&["show"][..], &["get", "-o", "out"]] {
            let ended = scene.run(&[command, &[&path_text(&path)]].concat());
            assert_refused(case, &ended);
        }
    }
    assert!(!scene.state("commands").join("out").exists(), "nothing was written");
}

#[test]
fn hostile_links_are_refused_in_one_sentence() {
    let scene = Scene::new();
    let long = format!("magnet:?xt=urn:btih:{}", "a".repeat(10_000));
    for link in [
        "magnet:",
        "magnet:?dn=name",
        "magnet:?xt=urn:btih:zz",
        "magnet:?xt=urn:btih:%00%01",
        "magnet:?xt=urn:btmh:1220",
        "magnet:?xt=urn:sha1:YNCKHTQCWBTRNJIV4WNAE52SJUQCZO5C",
        &long,
    ] {
        for command in ["show", "get"] {
            assert_refused(link, &scene.run(&[command, link]));
        }
    }
}

fn assert_refused(case: &str, ended: &samara_tests::process::Ended) {
    assert_eq!(ended.code, 1, "{case}: {}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{case}: {}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{case}: {}", ended.stderr);
    let is_clean = |text: &str| text.chars().all(|c| c == '\n' || !c.is_control());
    assert!(is_clean(&ended.stderr) && is_clean(&ended.stdout), "{case}: {:?}", ended.stderr);
}

#[test]
fn names_cannot_steer_the_terminal() {
    let scene = Scene::new();
    let path = scene.path("colour.torrent");
    std::fs::write(&path, torrent_named("red\x1b[31m\u{9b}2J\u{202e}".as_bytes())).unwrap();
    let shown = scene.run(&["show", &path_text(&path)]);
    let said = shown.stdout + &shown.stderr;
    assert!(!said.contains(['\x1b', '\u{9b}', '\u{202e}']), "{said:?}");
}

#[test]
fn exit_codes_tell_wrong_usage_failure_and_incompleteness_apart() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 100_000, 13).unwrap();
    let torrent = path_text(&scene.create(&file, "hybrid", &[]));
    assert_eq!(scene.run(&["get"]).code, 2);
    assert_eq!(scene.run(&["no-such-command"]).code, 2);
    assert_eq!(scene.run(&["show", "no-such-file.torrent"]).code, 1);
    assert_eq!(scene.run(&["verify", &torrent, &path_text(file.parent().unwrap())]).code, 0);
    assert_eq!(scene.run(&["verify", &torrent, &path_text(&scene.state("commands"))]).code, 3);
}

#[test]
fn sockets_stay_on_the_bound_address_or_fail() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 100_000, 14).unwrap();
    let seed = scene.seed("seed", &[&path_text(&file)]);
    assert!(!seed.addresses.is_empty());
    assert!(
        seed.addresses.iter().all(|address| address.starts_with("/ip4/127.0.0.1/")),
        "{:?}",
        seed.addresses
    );
    let file = path_text(&file);
    let outside = ["seed", &file, "--bind", "127.0.0.1", "--listen", "/ip4/0.0.0.0/tcp/0"];
    assert_ne!(scene.run(&outside).code, 0, "it listened beyond the address it was bound to");
}
