//! The plain cases: every way to name a torrent, every way to find its peers, every format.

use samara_tests::content::{difference, total_size, write_file, write_folder};
use samara_tests::scene::{Scene, bytes_received, path_text};

use super::support::{TRANSFER, assert_modest, finish, large_file};

#[test]
fn a_large_file_arrives_through_an_http_tracker() {
    let scene = Scene::new();
    let tracker = scene.tracker();
    let file = large_file(&scene);
    let seed = scene.seed("seed", &[&path_text(&file), "--tracker", &tracker.http]);
    let out = scene.path("out");
    let leech = scene.get("leech", &path_text(&seed.torrent), &out, &[]);
    let complete = finish(leech, &file, &out.join("large.bin"));
    assert_eq!(complete["bytes"], total_size(&file).unwrap());
    assert!(complete["bytes_from"]["tracker"].as_u64() > Some(0), "the tracker found the seed: {complete}");
    assert_modest(&seed.process);
}

#[test]
fn a_link_with_a_tracker_is_enough() {
    let scene = Scene::new();
    let tracker = scene.tracker();
    let file = large_file(&scene);
    let seed = scene.seed("seed", &[&path_text(&file), "--tracker", &tracker.http]);
    // Without the addresses in it, the tracker is the only way.
    let magnet: Vec<&str> = seed.magnet.split('&').filter(|part| !part.starts_with("x.lp=")).collect();
    let out = scene.path("out");
    let leech = scene.get("leech", &magnet.join("&"), &out, &[]);
    let complete = finish(leech, &file, &out.join("large.bin"));
    assert!(complete["bytes_from"]["tracker"].as_u64() > Some(0), "the tracker found the seed: {complete}");
}

#[test]
fn a_link_alone_is_enough_without_any_tracker() {
    let scene = Scene::new();
    let file = large_file(&scene);
    let seed = scene.seed("seed", &[&path_text(&file)]);
    assert!(seed.magnet.contains("x.lp="), "{}", seed.magnet);
    let out = scene.path("out");
    let leech = scene.get("leech", &seed.magnet, &out, &[]);
    let complete = finish(leech, &file, &out.join("large.bin"));
    assert!(complete["bytes_from"]["link"].as_u64() > Some(0), "the link named the seed: {complete}");
}

#[test]
fn a_peer_named_on_the_command_line_is_enough() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 1_000_000, 2).unwrap();
    let seed = scene.seed("seed", &[&path_text(&file)]);
    for (number, address) in seed.addresses.iter().enumerate() {
        let name = format!("leech {number}");
        let out = scene.path(&name);
        let leech = scene.get(&name, &path_text(&seed.torrent), &out, &["--peer", address]);
        finish(leech, &file, &out.join("small.bin"));
    }
    let [tcp, quic] = ["/tcp/", "/quic-v1"].map(|part| seed.addresses.iter().any(|at| at.contains(part)));
    assert!(tcp && quic, "it listens on both transports: {:?}", seed.addresses);
}

#[test]
fn a_transfer_of_less_than_a_second_ends_with_its_own_rate() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 5_000_000, 4).unwrap();
    let seed = scene.seed("seed", &[&path_text(&file)]);
    let mut leech = scene.get("leech", &seed.magnet, &scene.path("out"), &[]);
    let complete = leech.wait_for("complete", TRANSFER);
    let last = leech.events().iter().rfind(|event| event["event"] == "progress").expect("figures");
    assert_eq!(last["bytes_done"], 5_000_000, "the last figures are those of the whole");
    let rate = last["down_rate"].as_u64().expect("a rate");
    let average = 5_000_000.0 / complete["seconds"].as_f64().unwrap();
    // Connecting is no part of it, so that it may be faster than the average; some of it may be one tick's.
    assert!(rate as f64 > 0.5 * average, "{rate} bytes a second, {average} on average");
}

#[test]
fn the_third_v_shows_every_message_without_its_content_and_the_second_none() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 100_000, 5).unwrap();
    let torrent = path_text(&scene.create(&file, "v2", &["--piece-length", "16KiB"]));
    let data = path_text(file.parent().unwrap());
    let seed = scene.seed("seed", &[&torrent, "--data", &data]);
    let logged = |flag: &str| {
        let out = scene.path(flag);
        let mut leech = scene.get(flag, &torrent, &out, &["--peer", &seed.addresses[0], flag]);
        assert_eq!(leech.wait_exit(TRANSFER), 0, "{}", leech.story());
        leech.standard_error()
    };
    let count = |log: &str, what: &str| log.matches(what).count();
    let every = logged("-vvv");
    let blocks = [count(&every, "out request "), count(&every, "in piece ")];
    assert!(blocks.iter().all(|&blocks| blocks >= 7) && every.contains("in unchoke"), "{blocks:?}\n{every}");
    assert_eq!(count(&logged("-vv"), "in piece "), 0);
}

fn a_folder_arrives(format: &str) {
    let scene = Scene::new();
    let tracker = scene.tracker();
    let folder = scene.path("Ordner 🌱");
    write_folder(&folder, 120, 12 << 20, 3).unwrap();
    let torrent = scene.create(&folder, format, &["--tracker", &tracker.http]);
    let data = path_text(folder.parent().unwrap());
    let seed = scene.seed("seed", &[&path_text(&torrent), "--data", &data]);

    let by_file = scene.path("by file");
    let leech = scene.get("leech by file", &path_text(&torrent), &by_file, &[]);
    finish(leech, &folder, &by_file.join("Ordner 🌱"));

    // The same from the link: the metadata, and in v2 the hashes of the pieces, come from peers.
    let by_link = scene.path("by link");
    let leech = scene.get("leech by link", &seed.magnet, &by_link, &[]);
    finish(leech, &folder, &by_link.join("Ordner 🌱"));

    let verified = scene.run(&["verify", &path_text(&torrent), &path_text(&by_link), "--json"]);
    assert_eq!(verified.code, 0, "{}", verified.stderr);
    assert_eq!(verified.json()["complete"], true);
}

#[test]
fn a_folder_arrives_in_v1() {
    a_folder_arrives("v1");
}

#[test]
fn a_folder_arrives_in_v2() {
    a_folder_arrives("v2");
}

#[test]
fn a_folder_arrives_as_a_hybrid() {
    a_folder_arrives("hybrid");
}

#[test]
fn one_get_fetches_several_torrents() {
    let scene = Scene::new();
    let tracker = scene.tracker();
    let files = ["first.bin", "second.bin"].map(|name| scene.path(name));
    write_file(&files[0], 3_000_000, 4).unwrap();
    write_file(&files[1], 2_000_000, 5).unwrap();
    let seeds = [0, 1].map(|which| {
        scene.seed(&format!("seed {which}"), &[&path_text(&files[which]), "--tracker", &tracker.http])
    });
    let out = scene.path("out");
    let second = path_text(&seeds[1].torrent);
    let mut leech = scene.get("leech", &path_text(&seeds[0].torrent), &out, &[&second]);
    leech.wait_for("complete", TRANSFER);
    finish(leech, &files[0], &out.join("first.bin"));
    let difference = samara_tests::content::difference(&files[1], &out.join("second.bin"));
    assert_eq!(difference.unwrap(), None);
}

#[test]
fn leeches_give_to_each_other() {
    let scene = Scene::new();
    let tracker = scene.tracker();
    let file = large_file(&scene);
    let mut seed = scene.seed("seed", &[&path_text(&file), "--tracker", &tracker.http]);
    let torrent = path_text(&seed.torrent);
    let first_out = scene.path("first");
    let mut first = scene.start("first", &["get", &torrent, "-o", &path_text(&first_out), "--seed"]);
    first.wait_for("complete", TRANSFER);
    seed.process.kill();
    // Only another leech that stayed has it now.
    let out = scene.path("out");
    let second = scene.get("second", &torrent, &out, &[]);
    let complete = finish(second, &file, &out.join("large.bin"));
    assert!(bytes_received(&complete) >= total_size(&file).unwrap());
    assert_modest(&first);
}

#[test]
fn a_leech_leaves_when_nobody_needs_it() {
    let scene = Scene::new();
    let file = scene.path("small.bin");
    write_file(&file, 1_000_000, 6).unwrap();
    let seed = scene.seed("seed", &[&path_text(&file)]);
    let out = path_text(&scene.path("out"));
    let mut leech = scene.start("leech", &["get", &seed.magnet, "-o", &out]);
    leech.wait_for("complete", TRANSFER);
    assert_eq!(leech.wait_exit(TRANSFER), 0);
}

#[test]
fn the_demo_tells_its_story() {
    let scene = Scene::new();
    let told = samara_tests::process::run(&scene.state("demo"), &["demo", "--size", "16MiB"], TRANSFER);
    assert_eq!(told.code, 0, "{}\n{}", told.stdout, told.stderr);
    assert!(told.stdout.contains("tracker"), "{}", told.stdout);
    assert!(!told.stderr.contains("warning"), "the tracker is stopped on purpose: {}", told.stderr);
}

#[test]
fn every_event_of_the_demo_s_nodes_names_its_node() {
    let scene = Scene::new();
    let args = ["demo", "--size", "16MiB", "--json"];
    let told = samara_tests::process::run(&scene.state("demo"), &args, TRANSFER);
    assert_eq!(told.code, 0, "{}\n{}", told.stdout, told.stderr);
    let mut completed = Vec::new();
    for line in told.stdout.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        let is_of_no_node = event["event"] == "created" || event["protocol"] == "http";
        assert!(is_of_no_node || event["node"].is_string(), "{event}");
        if event["event"] == "complete" {
            completed.push(event["node"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(completed, ["seed", "leech 1", "leech 2", "leech 3", "leech 4"]);
}

fn some_files_arrive_and_later_the_rest(format: &str) {
    let scene = Scene::new();
    let folder = scene.path("library");
    for (number, name) in ["a.bin", "b.bin", "in/c.bin", "in/d.bin"].into_iter().enumerate() {
        write_file(&folder.join(name), 1_000_001, number as u64).unwrap();
    }
    let torrent = path_text(&scene.create(&folder, format, &["--piece-length", "64KiB"]));
    let data = path_text(folder.parent().unwrap());
    let seed = scene.seed("seed", &[&torrent, "--data", &data]);
    let peer = ["--peer", &seed.addresses[0]];
    let got = scene.path("got");
    let out = path_text(&got);

    let mut chosen = scene.get("chosen", &torrent, &got, &[&peer[..], &["--only", "in/d.bin"]].concat());
    let complete = chosen.wait_for("complete", TRANSFER);
    assert_eq!(chosen.wait_exit(TRANSFER), 0, "{}", chosen.story());
    // What a piece brings along of a neighbour is less than a piece.
    let bytes = complete["bytes"].as_u64().unwrap();
    assert!((1_000_001..1_000_001 + 65_536).contains(&bytes), "{complete}");
    let same = |name: &str| difference(&folder.join(name), &got.join("library").join(name)).unwrap();
    assert_eq!(same("in/d.bin"), None);
    assert!(["a.bin", "b.bin", "in/c.bin"].iter().all(|name| !got.join("library").join(name).exists()));
    let verify = |patterns: &[&str]| {
        let flags: Vec<&str> = patterns.iter().flat_map(|pattern| ["--only", pattern]).collect();
        scene.run(&[&["verify", &torrent, &out][..], &flags].concat()).code
    };
    assert_eq!([verify(&["in/d.bin"]), verify(&["4", "a.bin"]), verify(&[])], [0, 3, 3]);

    let nonsense: [&[&str]; 3] =
        [&["--first", "nothing"], &["--only", "a.bin", "--last", "b.bin"], &["--first", "in", "--last", "*"]];
    for flags in nonsense {
        let mut refused = scene.get("refused", &torrent, &scene.path("nowhere"), flags);
        assert_eq!(refused.wait_exit(TRANSFER), 2, "{flags:?} {}", refused.story());
    }

    // A link counts from 0.
    let link = format!("{}&so=0-1", seed.magnet);
    let mut by_link = scene.get("by link", &link, &got, &["--sequential", "--first", "b.bin", "--last", "1"]);
    assert_eq!(by_link.wait_exit(TRANSFER), 0, "{}", by_link.story());
    assert_eq!([same("a.bin"), same("b.bin")], [None, None]);
    assert!(!got.join("library/in/c.bin").exists());

    // The second time the metainfo is known at once.
    for _ in 0..2 {
        let mut wrong = scene.get("wrong", &seed.magnet, &scene.path("nowhere"), &["--only", "nothing"]);
        assert_eq!(wrong.wait_exit(TRANSFER), 2, "{}", wrong.story());
        assert!(wrong.story().contains("no file of the torrent matches"), "{}", wrong.story());
    }

    // What the link itself says is not the user's mistake.
    let link = format!("{}&so=7", seed.magnet);
    let mut wrong = scene.get("wrong link", &link, &scene.path("nowhere"), &[]);
    assert_eq!(wrong.wait_exit(TRANSFER), 1, "{}", wrong.story());

    let rest = scene.get("rest", &torrent, &got, &peer);
    finish(rest, &folder, &got.join("library"));
    assert_eq!(verify(&[]), 0);
}

#[test]
fn some_files_of_a_v1_torrent_arrive_and_later_the_rest() {
    some_files_arrive_and_later_the_rest("v1");
}

#[test]
fn some_files_of_a_hybrid_torrent_arrive_and_later_the_rest() {
    some_files_arrive_and_later_the_rest("hybrid");
}
