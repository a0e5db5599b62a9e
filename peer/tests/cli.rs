//! The `samara` binary from the outside: what it prints where, and how it exits.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

fn samara(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_samara"))
        .current_dir(dir)
        .env_remove("SAMARA_BIND")
        .env_remove("SAMARA_LOG")
        .env("XDG_STATE_HOME", dir.join("state"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn json(output: &Output) -> Vec<Value> {
    stdout(output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}")))
        .collect()
}

#[track_caller]
fn assert_exit(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "stdout: {}\nstderr: {}", stdout(output), stderr(output));
}

/// A folder with a file of `size` bytes, `big.bin`.
fn with_file(size: usize) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(dir.path().join("big.bin"), bytes).unwrap();
    dir
}

/// What a running command says on standard error; it is killed when this is dropped.
struct Told {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Told {
    fn by(dir: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_samara"))
            .current_dir(dir)
            .env("XDG_STATE_HOME", dir.join("state"))
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let read = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || read.for_each(|line| _ = sender.send(line)));
        Self { child, lines }
    }

    /// Waits for a line with `part` in it.
    #[track_caller]
    fn expect(&self, part: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        let mut heard = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if line.contains(part) {
                return;
            }
            heard.push(line);
        }
        panic!("{part} was not said, but {heard:?}");
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_create_writes_show_reads_and_verify_accepts() {
    let dir = with_file(300_000);
    for format in ["hybrid", "v2", "v1"] {
        let torrent = format!("{format}.torrent");
        let created =
            samara(dir.path(), &["create", "big.bin", "-o", &torrent, "--format", format, "--json"]);
        assert_exit(&created, 0);
        let events = json(&created);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["event"], "created");
        assert_eq!(events[0]["torrent"], torrent.as_str());

        let shown = samara(dir.path(), &["show", &torrent, "--json"]);
        assert_exit(&shown, 0);
        let shown = &json(&shown)[0];
        assert_eq!(shown["name"], "big.bin");
        assert_eq!(shown["total_size"], 300_000);
        assert_eq!(shown["private"], false);
        assert_eq!(shown["files"][0]["path"], "big.bin");
        assert_eq!(shown["files"][0]["size"], 300_000);
        for name in ["infohash_v1", "infohash_v2"] {
            assert_eq!(shown[name], events[0][name], "{format} {name}");
        }
        assert_eq!(shown["infohash_v1"].is_string(), format != "v2");
        assert_eq!(shown["infohash_v2"].is_string(), format != "v1");

        let linked = samara(dir.path(), &["show", shown["magnet"].as_str().unwrap(), "--json"]);
        let linked = &json(&linked)[0];
        assert_eq!(linked["infohash_v1"], shown["infohash_v1"]);
        assert_eq!(linked["infohash_v2"], shown["infohash_v2"]);
        assert_eq!(linked["name"], "big.bin");
        assert_eq!(linked["total_size"], 300_000);
        assert_eq!(linked["pieces"], Value::Null);

        let verified = samara(dir.path(), &["verify", &torrent, ".", "--json"]);
        assert_exit(&verified, 0);
        let verified = &json(&verified)[0];
        assert_eq!(verified["complete"], true);
        assert_eq!(verified["pieces_good"], verified["pieces_total"]);
        assert_eq!(verified["pieces_total"], shown["pieces"]);
    }
}

#[test]
fn the_default_torrent_is_named_after_the_path_and_never_overwritten_silently() {
    let dir = with_file(50_000);
    assert_exit(&samara(dir.path(), &["create", "big.bin"]), 0);
    let before = fs::read(dir.path().join("big.bin.torrent")).unwrap();
    let again = samara(dir.path(), &["create", "big.bin", "--comment", "other"]);
    assert_exit(&again, 1);
    assert!(stderr(&again).contains("--force"), "{}", stderr(&again));
    assert_eq!(fs::read(dir.path().join("big.bin.torrent")).unwrap(), before);
    assert_exit(&samara(dir.path(), &["create", "big.bin", "--comment", "other", "--force"]), 0);
    assert_ne!(fs::read(dir.path().join("big.bin.torrent")).unwrap(), before);
}

#[test]
fn a_torrent_is_not_written_into_a_folder_that_is_not_there() {
    let dir = with_file(50_000);
    let refused = samara(dir.path(), &["create", "big.bin", "-o", "typo/big.torrent"]);
    assert_exit(&refused, 1);
    assert!(stderr(&refused).contains("no folder typo"), "{}", stderr(&refused));
    assert!(!stderr(&refused).contains("hashed"), "it hashed before it refused");
    assert!(!dir.path().join("typo").exists());
}

#[test]
fn flags_of_create_end_up_in_the_torrent() {
    let dir = with_file(200_000);
    let flags = ["--tracker", "http://127.0.0.1:1/announce", "--tracker", "udp://127.0.0.1:2", "--private"];
    let more = ["--comment", "made for a test", "--piece-length", "32KiB"];
    assert_exit(&samara(dir.path(), &[&["create", "big.bin"][..], &flags, &more].concat()), 0);
    let shown = &json(&samara(dir.path(), &["--json", "show", "big.bin.torrent"]))[0];
    assert_eq!(shown["trackers"], serde_json::json!(["http://127.0.0.1:1/announce", "udp://127.0.0.1:2"]));
    assert_eq!(shown["private"], true);
    assert_eq!(shown["comment"], "made for a test");
    assert_eq!(shown["piece_length"], 32 * 1024);
    assert_eq!(shown["pieces"], 7);
}

#[test]
fn a_folder_keeps_its_names_and_empty_files() {
    let dir = tempfile::tempdir().unwrap();
    let files = [("ährenfeld/日本/α.txt", 70_000), ("leer", 0), ("ährenfeld/b", 1)];
    for (path, size) in files {
        let path = dir.path().join("Ordner").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![7; size]).unwrap();
    }
    assert_exit(&samara(dir.path(), &["create", "Ordner"]), 0);
    let shown = &json(&samara(dir.path(), &["show", "Ordner.torrent", "--json"]))[0];
    let mut listed: Vec<(&str, u64)> = shown["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["path"].as_str().unwrap(), file["size"].as_u64().unwrap()))
        .collect();
    listed.sort_unstable();
    assert_eq!(
        listed,
        [("Ordner/leer", 0), ("Ordner/ährenfeld/b", 1), ("Ordner/ährenfeld/日本/α.txt", 70_000)]
    );
    assert_exit(&samara(dir.path(), &["verify", "Ordner.torrent", "."]), 0);
    fs::remove_file(dir.path().join("Ordner/leer")).unwrap();
    assert_exit(&samara(dir.path(), &["verify", "Ordner.torrent", "."]), 3);
}

#[test]
fn verify_exits_3_and_names_what_is_bad_or_missing() {
    let dir = with_file(300_000);
    assert_exit(&samara(dir.path(), &["create", "big.bin"]), 0);
    let path = dir.path().join("big.bin");
    let mut bytes = fs::read(&path).unwrap();
    bytes[150_000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let bad = samara(dir.path(), &["verify", "big.bin.torrent", "."]);
    assert_exit(&bad, 3);
    assert!(stdout(&bad).contains("big.bin"), "{}", stdout(&bad));
    let bad = &json(&samara(dir.path(), &["verify", "big.bin.torrent", ".", "--json"]))[0];
    assert_eq!(bad["complete"], false);
    assert_eq!(bad["pieces_good"].as_u64().unwrap() + 1, bad["pieces_total"].as_u64().unwrap());

    fs::remove_file(&path).unwrap();
    let missing = samara(dir.path(), &["verify", "big.bin.torrent", ".", "--json"]);
    assert_exit(&missing, 3);
    assert_eq!(json(&missing)[0]["pieces_good"], 0);
}

#[test]
fn verify_tells_what_get_would_refuse_from_what_it_fetches() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("d")).unwrap();
    for (name, content) in [("a", "content"), ("empty", "")] {
        fs::write(dir.path().join("d").join(name), content).unwrap();
    }
    assert_exit(&samara(dir.path(), &["create", "d"]), 0);
    fs::remove_file(dir.path().join("d/empty")).unwrap();
    let text = stdout(&samara(dir.path(), &["verify", "d.torrent", "."]));
    assert!(text.contains("all 1 pieces are good, but 1 file is missing"), "{text}");
    assert!(text.contains("samara get fetches the rest"), "{text}");

    fs::write(dir.path().join("d/a"), "content and more").unwrap();
    let text = stdout(&samara(dir.path(), &["verify", "d.torrent", "."]));
    assert!(text.contains("wrong size  ./d/a") && text.contains("move"), "{text}");
    let object = &json(&samara(dir.path(), &["verify", "d.torrent", "d", "--json"]))[0];
    assert_eq!(object["name"], "d");
    assert!(object["infohash_v1"].is_string() && object["infohash_v2"].is_string());
    let files = serde_json::json!([
        {"path": "d/a", "problem": "wrong_size"},
        {"path": "d/empty", "problem": "missing"},
    ]);
    assert_eq!(object["files"], files);
}

#[test]
fn failures_are_one_sentence_on_stderr_and_an_event() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("bad.torrent"), b"d4:infoli1ee").unwrap();
    fs::write(dir.path().join("empty.torrent"), b"").unwrap();
    for args in [
        &["show", "no-such.torrent"][..],
        &["show", "bad.torrent"],
        &["show", "empty.torrent"],
        &["show", "."],
        &["show", "magnet:?dn=nothing"],
        &["show", "https://example.invalid/x.torrent"],
        &["verify", "bad.torrent", "."],
        &["create", "no-such-file"],
        &["seed", "no-such-file"],
        &["get", "bad.torrent"],
    ] {
        let plain = samara(dir.path(), args);
        assert_exit(&plain, 1);
        assert_eq!(stdout(&plain), "", "{args:?}");
        assert!(stderr(&plain).starts_with("error: "), "{args:?}: {}", stderr(&plain));
        assert_eq!(stderr(&plain).lines().count(), 1, "{args:?}: {}", stderr(&plain));
        assert!(!stderr(&plain).contains("os error"), "{args:?}: {}", stderr(&plain));

        let events = json(&samara(dir.path(), &[args, &["--json"]].concat()));
        assert_eq!(events.last().unwrap()["event"], "error", "{args:?}");
        assert!(events.last().unwrap()["message"].is_string(), "{args:?}");
    }
}

#[test]
fn wrong_usage_exits_2_with_an_event_for_programs() {
    let dir = tempfile::tempdir().unwrap();
    for args in [&["frobnicate"][..], &["get"], &["verify", "x"], &["get", "x", "--exit", "--seed"], &[]] {
        let refused = samara(dir.path(), args);
        assert_exit(&refused, 2);
        assert_eq!(stdout(&refused), "");
    }
    let refused = samara(dir.path(), &["--json", "get"]);
    assert_exit(&refused, 2);
    assert_eq!(json(&refused)[0]["event"], "error");
}

#[test]
fn a_failed_get_does_not_promise_to_go_on() {
    let dir = with_file(300_000);
    assert_exit(&samara(dir.path(), &["create", "big.bin"]), 0);
    fs::create_dir(dir.path().join("out")).unwrap();
    fs::write(dir.path().join("out/big.bin"), "something else").unwrap();
    let failed = samara(dir.path(), &["get", "big.bin.torrent", "-o", "out", "--bind", "127.0.0.1"]);
    assert_exit(&failed, 1);
    assert!(stderr(&failed).contains("error: "), "{}", stderr(&failed));
    assert!(!stderr(&failed).contains("goes on from there"), "{}", stderr(&failed));
}

#[test]
fn verify_takes_a_file_that_is_called_incomplete_for_what_it_is() {
    let dir = with_file(300_000);
    assert_exit(&samara(dir.path(), &["create", "big.bin"]), 0);
    fs::create_dir(dir.path().join("there")).unwrap();
    fs::rename(dir.path().join("big.bin"), dir.path().join("there/big.bin.part")).unwrap();
    let verified = samara(dir.path(), &["verify", "big.bin.torrent", "there"]);
    assert_exit(&verified, 3);
    let said = stdout(&verified);
    assert!(said.contains("still called .part") && !said.contains("missing"), "{said}");
}

#[test]
fn whoever_seeds_a_link_is_told_what_takes_one() {
    let dir = tempfile::tempdir().unwrap();
    let link = "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567";
    let refused = samara(dir.path(), &["seed", link, "--bind", "127.0.0.1"]);
    assert_exit(&refused, 2);
    assert!(stderr(&refused).contains("get --seed"), "{}", stderr(&refused));
}

#[test]
fn get_names_every_bad_source() {
    let dir = with_file(1000);
    assert_exit(&samara(dir.path(), &["create", "big.bin"]), 0);
    let args = ["get", "nope.torrent", "big.bin.torrent", "magnet:bad", "nope2.torrent"];
    let refused = samara(dir.path(), &args);
    assert_exit(&refused, 1);
    let text = stderr(&refused);
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.contains("nope.torrent") && text.contains("link") && text.contains("nope2.torrent"),
        "{text}"
    );
}

#[test]
fn get_warns_when_no_peer_can_be_found() {
    let dir = with_file(1000);
    assert_exit(&samara(dir.path(), &["create", "big.bin"]), 0);
    let peer = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    let warned = |more: &[&str]| {
        let args = ["get", "big.bin.torrent", "--exit", "--bind", "127.0.0.1"];
        let output = samara(dir.path(), &[&args, more].concat());
        assert_exit(&output, 0);
        stderr(&output).contains("no way to find peers")
    };
    assert!(warned(&[]));
    assert!(!warned(&["--tracker", "udp://127.0.0.1:1"]));
    assert!(warned(&["--tracker", "http://127.0.0.1:1/announce", "--discovery", "dht"]));
    assert!(!warned(&["--tracker", "http://127.0.0.1:1/announce"]));
    assert!(!warned(&["--peer", peer]));
}

#[cfg(unix)]
#[test]
fn an_interrupted_get_says_so_last_and_promises_nothing_that_is_not_there() {
    let dir = with_file(300_000);
    assert_exit(&samara(dir.path(), &["create", "big.bin"]), 0);
    let mut child = Command::new(env!("CARGO_BIN_EXE_samara"))
        .current_dir(dir.path())
        .env("XDG_STATE_HOME", dir.path().join("state"))
        .args(["get", "big.bin.torrent", "-o", "out", "--bind", "127.0.0.1", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let figures = lines.find(|line| line.contains("\"progress\"")).expect("figures");
    assert!(figures.contains("\"bytes_total\":300000"), "{figures}");
    let killed = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    let last: Value = serde_json::from_str(&lines.last().expect("a last event")).unwrap();
    assert_eq!(last["event"], "error");
    assert_eq!(last["message"], "interrupted");
    assert_exit(&child.wait_with_output().unwrap(), 130);
}

#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_goes_away_ends_a_command_unless_it_was_to_outlive_it() {
    let dir = tempfile::tempdir().unwrap();
    let start = |prelude: &str| {
        let script = format!("{prelude} exec {} node --bind 127.0.0.1", env!("CARGO_BIN_EXE_samara"));
        let mut child = Command::new("sh")
            .args(["-c", &script])
            .env("XDG_STATE_HOME", dir.path().join("state"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        child
    };
    let mut plain = start("");
    let killed = Command::new("kill").args(["-HUP", &plain.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert_eq!(plain.wait().unwrap().code(), Some(130));

    let mut lasting = start("trap '' HUP;");
    let status = fs::read_to_string(format!("/proc/{}/status", lasting.id())).unwrap();
    lasting.kill().unwrap();
    lasting.wait().unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
    assert!(
        ignored.ends_with(['1', '3', '5', '7', '9', 'b', 'd', 'f']),
        "it listens all the same: {ignored}"
    );
}

#[test]
fn whoever_waits_for_a_torrent_s_description_is_told_what_for() {
    let dir = tempfile::tempdir().unwrap();
    let link = "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567";
    // Nobody listens on a reserved port.
    let peer = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    let args = ["get", link, "--peer", peer, "--bind", "127.0.0.1", "--discovery", "cache"];
    let told = Told::by(dir.path(), &args);
    told.expect("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA: /ip4/127.0.0.1/tcp/1: ");
    told.expect("looking for peers (1 found)");
}

#[test]
fn a_node_whose_addresses_do_not_stay_the_same_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let args = ["node", "--bind", "127.0.0.1", "--state-dir", "place"];
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    fs::create_dir_all(dir.path().join("place/identity")).unwrap();
    let port = taken.local_addr().unwrap().port();
    fs::write(dir.path().join("place/identity/0.port"), format!("{port}\n")).unwrap();
    fs::write(dir.path().join("place/identity/0.key"), "torn").unwrap();
    let first = Told::by(dir.path(), &args);
    first.expect("was damaged or gone");
    first.expect(&format!("port {port}"));
    Told::by(dir.path(), &args).expect("--state-dir of its own");
}

#[test]
fn a_way_into_the_dht_that_leads_nowhere_is_told_of_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let dead = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";
    let told = Told::by(dir.path(), &["node", "--bind", "127.0.0.1", "--bootstrap", dead]);
    told.expect("12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA: /ip4/127.0.0.1/tcp/1: ");
}

#[test]
fn a_bind_from_the_environment_counts_and_stays_out_of_usage_lines() {
    let dir = with_file(1000);
    let bound = |value: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_samara"));
        command.current_dir(dir.path()).env("XDG_STATE_HOME", dir.path().join("state"));
        command.env("SAMARA_BIND", value).args(args).output().unwrap()
    };
    let usage = bound("127.0.0.1", &["get"]);
    assert_exit(&usage, 2);
    assert!(!stderr(&usage).contains("--bind"), "{}", stderr(&usage));
    assert_exit(&bound("127.0.0.1:1", &["tracker"]), 2);
    let off = bound("127.0.0.1", &["seed", "big.bin", "--listen", "/ip4/192.0.2.1/tcp/0"]);
    assert_exit(&off, 1);
    assert!(stderr(&off).contains("--bind demands"), "{}", stderr(&off));
    assert!(!dir.path().join("big.bin.torrent").exists(), "it hashed before it refused");
}

#[test]
fn what_is_no_torrent_and_no_tracker_is_told_what_one_is() {
    let dir = with_file(1000);
    let told = |args: &[&str]| stderr(&samara(dir.path(), args));
    assert!(told(&["get", "big.bin"]).contains("not a .torrent file"));
    assert!(told(&["show", ""]).contains("a .torrent file or a magnet link"));
    assert!(told(&["get", "x", "--tracker", "foo"]).contains("http://"));
}

#[test]
fn a_mistake_in_the_tracker_s_configuration_is_told_in_one_readable_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("tracker.toml"), "[http]\nconections = 1\n").unwrap();
    let refused = samara(dir.path(), &["tracker", "--config", "tracker.toml"]);
    assert_exit(&refused, 1);
    let told = stderr(&refused);
    assert!(told.contains("tracker.toml, line 2, column 1: ") && told.contains("`conections`"), "{told}");
    assert!(told.lines().count() == 1 && !told.contains("\\u{"), "{told}");
}

#[test]
fn an_empty_folder_is_refused_by_create_and_seed_and_nothing_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("empty/and within")).unwrap();
    for command in ["create", "seed"] {
        let refused = samara(dir.path(), &[command, "empty", "--bind", "127.0.0.1"]);
        assert_exit(&refused, 1);
        let told = stderr(&refused);
        assert!(told.contains("nothing to share") && told.contains("empty contains no files"), "{told}");
        assert_eq!(stdout(&refused), "");
    }
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["empty"]);
}

#[test]
fn a_hostile_name_does_not_reach_the_terminal_raw() {
    let dir = tempfile::tempdir().unwrap();
    let link = "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567&dn=a%1b%5b2Jb%e2%80%aec%0ad";
    let shown = samara(dir.path(), &["show", link]);
    assert_exit(&shown, 0);
    let text = stdout(&shown);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text:?}");
    let object = &json(&samara(dir.path(), &["show", link, "--json"]))[0];
    assert_eq!(object["name"], "a\u{1b}[2Jb\u{202e}c\nd");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("many")).unwrap();
    for number in 0..3000 {
        fs::write(dir.path().join("many").join(format!("a-file-with-a-long-name-{number}")), "").unwrap();
    }
    fs::write(dir.path().join("many/content"), "content").unwrap();
    assert_exit(&samara(dir.path(), &["create", "many"]), 0);
    let mut child = Command::new(env!("CARGO_BIN_EXE_samara"))
        .current_dir(dir.path())
        .args(["show", "many.torrent"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_exit(&output, 0);
    assert_eq!(stderr(&output), "");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output_is_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let link = "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567";
    let output = Command::new(env!("CARGO_BIN_EXE_samara"))
        .current_dir(dir.path())
        .args(["show", link])
        .stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap())
        .output()
        .unwrap();
    assert_exit(&output, 1);
    assert!(stderr(&output).contains("standard output"), "{}", stderr(&output));
}

#[test]
fn completions_and_manual_pages_come_from_the_parser() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = samara(dir.path(), &["completions", shell]);
        assert_exit(&script, 0);
        assert!(stdout(&script).contains("piece-length"), "{shell}");
    }
    let page = samara(dir.path(), &["man"]);
    assert_exit(&page, 0);
    assert!(stdout(&page).contains("samara\\-create"), "{}", stdout(&page));
    assert_exit(&samara(dir.path(), &["man", "--out", "pages"]), 0);
    assert!(dir.path().join("pages/samara-get.1").is_file());
    assert!(fs::read_to_string(dir.path().join("pages/samara.1")).unwrap().contains("130"));
}

#[test]
fn colours_are_only_for_terminals() {
    let dir = with_file(20_000);
    let created = samara(dir.path(), &["create", "big.bin"]);
    assert!(!stdout(&created).contains('\u{1b}') && !stderr(&created).contains('\u{1b}'));
}

#[test]
fn files_are_numbered_and_a_name_that_no_file_has_is_wrong_usage() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["one", "two"] {
        fs::create_dir_all(dir.path().join("both")).unwrap();
        fs::write(dir.path().join("both").join(name), name).unwrap();
    }
    assert_exit(&samara(dir.path(), &["create", "both"]), 0);
    let shown = stdout(&samara(dir.path(), &["show", "both.torrent"]));
    assert!(
        shown.lines().any(|line| line.trim_start().starts_with("2 ") && line.ends_with("both/two")),
        "{shown}"
    );
    let shown = &json(&samara(dir.path(), &["show", "both.torrent", "--json"]))[0];
    assert_eq!(shown["files"][1], serde_json::json!({"number": 2, "path": "both/two", "size": 3}));
    for (pattern, said) in [("three", "no file"), ("3", "no file"), ("0", "counted from 1")] {
        for command in [&["get", "both.torrent"][..], &["verify", "both.torrent", "."]] {
            let output = samara(dir.path(), &[command, &["--only", pattern]].concat());
            assert_exit(&output, 2);
            assert!(stderr(&output).contains(said), "{}", stderr(&output));
        }
    }
    fs::remove_file(dir.path().join("both/one")).unwrap();
    assert_exit(&samara(dir.path(), &["verify", "both.torrent", ".", "--only", "both/two"]), 0);
}
