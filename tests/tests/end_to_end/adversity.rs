//! A world that does not work as it should: silent and babbling trackers, damaged and changing files.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use samara_tests::content::write_file;
use samara_tests::scene::{PROMPT, Scene, path_text, text};

use super::support::{TRANSFER, finish, large_file};

/// A server on loopback that does this with every connection; its announce URL.
fn server(answer: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/announce", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    url
}

fn read_request(stream: &mut TcpStream) {
    let mut bytes = [0; 4096];
    let _ = stream.read(&mut bytes);
}

fn hangs(mut stream: TcpStream) {
    read_request(&mut stream);
    std::thread::sleep(Duration::from_secs(600));
}

fn babbles(mut stream: TcpStream) {
    read_request(&mut stream);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\nd5:peers99999999999:xxxxx");
}

fn never_stops(mut stream: TcpStream) {
    read_request(&mut stream);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    while stream.write_all(&[b'd'; 65536]).is_ok() {}
}

fn refuses(mut stream: TcpStream) {
    read_request(&mut stream);
    let answer = "d14:failure reason8:go home\x1be";
    let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
}

/// A dead address for a tracker that may come up later.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn broken_trackers_neither_stop_nor_bloat_a_transfer() {
    let scene = Scene::new();
    let file = large_file(&scene);
    let seed = scene.seed("seed", &[&path_text(&file)]);
    let out = scene.path("out");
    let urls = [server(hangs), server(babbles), server(never_stops), server(refuses)];
    let mut args = Vec::new();
    for url in &urls {
        args.extend(["--tracker", url]);
    }
    let leech = scene.get("leech", &seed.magnet, &out, &args);
    finish(leech, &file, &out.join("large.bin"));
}

#[test]
fn a_tracker_that_answers_garbage_is_named_in_a_warning() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 100_000, 7).unwrap();
    let url = server(babbles);
    let mut seed = scene.seed("seed", &[&path_text(&file), "--tracker", &url]);
    let warning = seed.process.wait_for("warning", PROMPT);
    let host = url.trim_start_matches("http://").trim_end_matches("/announce");
    assert!(text(&warning, "message").contains(host), "{warning}");
}

#[test]
fn a_refusal_is_passed_on_without_its_control_characters() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 100_000, 8).unwrap();
    let mut seed = scene.seed("seed", &[&path_text(&file), "--tracker", &server(refuses)]);
    let warning = text(&seed.process.wait_for("warning", PROMPT), "message");
    assert!(warning.contains("go home") && !warning.contains('\x1b'), "{warning:?}");
}

#[test]
fn a_tracker_that_comes_up_late_is_tried_again() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 3_000_000, 9).unwrap();
    let address = free_address();
    let url = format!("http://{address}/announce");
    let torrent = scene.create(&file, "hybrid", &["--tracker", &url]);
    let data = path_text(file.parent().unwrap());
    let mut seed = scene.seed("seed", &[&path_text(&torrent), "--data", &data]);
    let out = scene.path("out");
    let mut leech = scene.get("leech", &path_text(&torrent), &out, &[]);
    seed.process.wait_for("warning", PROMPT);
    leech.wait_for("warning", PROMPT);
    let _tracker = scene.tracker_at(&address);
    finish(leech, &file, &out.join("small.bin"));
}

#[test]
fn a_seed_of_damaged_content_says_so_and_serves_the_rest() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 3_000_000, 10).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let torrent = path_text(&scene.create(&file, "hybrid", &["--piece-length", "16KiB"]));
    damage(&file, 1_500_000);
    let data = path_text(file.parent().unwrap());
    let mut seed = scene.start("seed", &["seed", &torrent, "--data", &data]);
    let warning = text(&seed.wait_for("warning", PROMPT), "message");
    assert!(warning.contains("small.bin"), "{warning}");
    let address = seed.wait_for("seeding", PROMPT)["addresses"][0].as_str().unwrap().to_owned();
    let out = scene.path("out");
    let mut leech = scene.get("leech", &torrent, &out, &["--peer", &address]);
    leech.wait_until("all but one piece", TRANSFER, |event| event["bytes_done"] == 3_000_000 - 16 * 1024);
    let stalled = leech.wait_until("a word of what it waits for", PROMPT, |event| {
        event["waiting_for"] == "pieces" && event["pieces_unseen"] == 1
    });
    assert_eq!(stalled["peers"], 1);
    assert!(leech.is_running(), "it waits for the last piece");
    let fetched = std::fs::read(out.join("small.bin.part")).unwrap();
    let different = whole.iter().zip(&fetched).filter(|(a, b)| a != b && **b != 0).count();
    assert_eq!(different, 0, "the damaged piece was not written");
}

#[test]
fn a_seed_with_nothing_to_give_fails() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 100_000, 15).unwrap();
    let torrent = path_text(&scene.create(&file, "hybrid", &[]));
    let ended = scene.run(&["seed", &torrent, "--data", &path_text(&scene.state("elsewhere"))]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("--data"), "{}", ended.stderr);
}

#[test]
fn a_piece_that_changed_under_a_seed_is_not_served_and_comes_from_another() {
    let scene = Scene::new();
    let tracker = scene.tracker();
    let [ours, theirs] = ["ours", "theirs"].map(|folder| scene.path(folder).join("large.bin"));
    for path in [&ours, &theirs] {
        write_file(path, 8_000_000, 11).unwrap();
    }
    let torrent = scene.create(&ours, "hybrid", &["--tracker", &tracker.http]);
    let torrent = path_text(&torrent);
    let share = |name: &str, file: &std::path::Path| {
        scene.seed(name, &[&torrent, "--data", &path_text(file.parent().unwrap())])
    };
    let mut changing = share("changing seed", &ours);
    damage(&ours, 4_000_000);

    let out = scene.path("out");
    let mut leech = scene.get("leech", &torrent, &out, &[]);
    let warning = changing.process.wait_for("warning", TRANSFER);
    assert!(text(&warning, "message").contains("large.bin"), "{warning}");
    assert!(changing.process.is_running() && leech.is_running());

    let _whole = share("whole seed", &theirs);
    leech.wait_until("all bytes", TRANSFER, |event| {
        event["event"] == "complete" || event["bytes_done"] == 8_000_000
    });
    finish_after(leech, &theirs, &out.join("large.bin"));
}

#[test]
fn a_piece_that_a_seed_lost_is_given_once_its_file_is_put_back() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 3_000_000, 13).unwrap();
    let torrent = path_text(&scene.create(&file, "hybrid", &["--piece-length", "16KiB"]));
    let data = path_text(file.parent().unwrap());
    let mut seed = scene.seed("seed", &[&torrent, "--data", &data]);
    damage(&file, 1_500_000);
    let out = scene.path("out");
    let mut leech = scene.get("leech", &torrent, &out, &["--peer", &seed.addresses[0]]);
    seed.process.wait_for("warning", TRANSFER);
    leech.wait_until("a word of what it waits for", TRANSFER, |event| event["waiting_for"] == "pieces");
    damage(&file, 1_500_000);
    finish(leech, &file, &out.join("small.bin"));
}

#[test]
fn a_seed_whose_file_vanishes_says_so_to_its_peers_too_and_stays() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 3_000_000, 12).unwrap();
    let mut seed = scene.seed("seed", &[&path_text(&file)]);
    std::fs::remove_file(&file).unwrap();
    let out = scene.path("out");
    let mut leech = scene.get("leech", &seed.magnet, &out, &[]);
    let warning = seed.process.wait_for("warning", TRANSFER);
    assert!(text(&warning, "message").contains("small.bin"), "{warning}");
    let told = leech.wait_until("what it waits for", TRANSFER, |event| event["waiting_for"] == "pieces");
    assert_eq!(told["peers"], 1, "{told}");
    assert!(seed.process.is_running());
}

/// Waits for the end of a leech whose last event may have been read already.
fn finish_after(
    mut leech: samara_tests::process::Samara,
    expected: &std::path::Path,
    actual: &std::path::Path,
) {
    assert_eq!(leech.wait_exit(TRANSFER), 0, "{}", leech.story());
    assert_eq!(samara_tests::content::difference(expected, actual).unwrap(), None);
}

/// Changes one byte in place.
fn damage(path: &std::path::Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0xff;
    std::fs::write(path, bytes).unwrap();
}
