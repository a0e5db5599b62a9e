//! Processes that end without a word, at any moment, and go on where they were.

use std::io::Write;
use std::time::Duration;

use samara_tests::content::{bytes_in_place, total_size, write_file};
use samara_tests::process::Samara;
use samara_tests::scene::{Scene, bytes_received, path_text, wait_written};

use super::support::{TRANSFER, finish, large, large_file};

/// Stops the first leech at `percent` with `stop`, runs the same command again, and returns how many
/// bytes were on disk at the stop and how many of those were fetched again.
fn resumed(percent: u64, stop: impl FnOnce(&mut Samara)) -> (u64, u64) {
    let scene = Scene::new();
    let file = large_file(&scene);
    let seed = scene.seed("seed", &[&path_text(&file)]);
    let out = scene.path("out");
    let part = out.join("large.bin.part");
    let mut leech = scene.get("leech", &seed.magnet, &out, &[]);
    wait_written(&mut leech, &part, large() * percent / 100, TRANSFER);
    stop(&mut leech);
    assert!(part.exists(), "it was complete before it was stopped: set SAMARA_E2E_MIB higher");
    let present = bytes_in_place(&file, &part).unwrap();

    let leech = scene.get("leech", &seed.magnet, &out, &[]);
    let complete = finish(leech, &file, &out.join("large.bin"));
    let missing = total_size(&file).unwrap() - present;
    (present, bytes_received(&complete).saturating_sub(missing))
}

fn assert_little_refetched((present, refetched): (u64, u64)) {
    assert!(present > 0);
    assert!(refetched * 100 <= present * 5, "{refetched} of {present} bytes were fetched again");
}

#[test]
fn a_leech_killed_early_resumes() {
    assert_little_refetched(resumed(10, Samara::kill));
}

#[test]
fn a_leech_killed_half_way_resumes() {
    assert_little_refetched(resumed(50, Samara::kill));
}

#[test]
fn a_leech_killed_late_resumes() {
    assert_little_refetched(resumed(75, Samara::kill));
}

#[test]
fn a_leech_stopped_by_hand_resumes() {
    assert_little_refetched(resumed(40, |leech| {
        leech.interrupt();
        assert_eq!(leech.wait_exit(Duration::from_secs(30)), 130, "{}", leech.story());
    }));
}

#[test]
fn a_leech_stopped_before_its_first_figures_says_what_is_kept() {
    let scene = Scene::new();
    let file = large_file(&scene);
    let torrent = path_text(&scene.create(&file, "hybrid", &[]));
    // Whatever the machine's pace, the download does not end before it is stopped.
    std::fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .write_all(b"not what the torrent says")
        .unwrap();
    let data = path_text(file.parent().unwrap());
    let seed = scene.seed("seed", &[&torrent, "--data", &data]);
    let out = scene.path("out");
    let mut leech = scene.get("leech", &seed.magnet, &out, &[]);
    wait_written(&mut leech, &out.join("large.bin.part"), 1, TRANSFER);
    leech.interrupt();
    assert_eq!(leech.wait_exit(Duration::from_secs(30)), 130, "{}", leech.story());
    let last = leech.events().last().expect("it says how it ended").to_string();
    assert!(last.contains("large.bin is kept in"), "{last}");
}

#[test]
fn seeds_that_start_in_another_order_keep_the_addresses_that_their_links_name() {
    let scene = Scene::new();
    let files = ["one.bin", "two.bin"].map(|name| {
        write_file(&scene.path(name), 1 << 16, 1).unwrap();
        path_text(&scene.path(name))
    });
    let seed = |file: &String| scene.seed("seeds", &[file]);
    let before = [&files[0], &files[1]].map(seed);
    let addresses = before.map(|mut seed| {
        seed.process.interrupt();
        seed.process.wait_exit(Duration::from_secs(30));
        seed.addresses
    });
    let [two, one] = [&files[1], &files[0]].map(seed);
    assert_eq!(addresses, [one.addresses, two.addresses]);
}

#[test]
fn a_leech_waits_for_its_only_seed_to_come_back() {
    let scene = Scene::new();
    let tracker = scene.tracker();
    let file = large_file(&scene);
    let mut seed = scene.seed("seed", &[&path_text(&file), "--tracker", &tracker.http]);
    let torrent = path_text(&seed.torrent);
    let out = scene.path("out");
    let mut leech = scene.get("leech", &torrent, &out, &[]);
    wait_written(&mut leech, &out.join("large.bin.part"), large() / 4, TRANSFER);
    seed.process.kill();
    let data = path_text(file.parent().unwrap());
    let _again = scene.seed("seed", &[&torrent, "--data", &data]);
    finish(leech, &file, &out.join("large.bin"));
}

#[test]
fn a_seed_that_comes_back_as_somebody_else_is_found_too() {
    let scene = Scene::new();
    let tracker = scene.tracker();
    let file = large_file(&scene);
    let mut seed = scene.seed("seed", &[&path_text(&file), "--tracker", &tracker.http]);
    let torrent = path_text(&seed.torrent);
    let out = scene.path("out");
    let mut leech = scene.get("leech", &torrent, &out, &[]);
    wait_written(&mut leech, &out.join("large.bin.part"), large() / 4, TRANSFER);
    seed.process.kill();
    let data = path_text(file.parent().unwrap());
    let _other = scene.seed("another seed", &[&torrent, "--data", &data]);
    finish(leech, &file, &out.join("large.bin"));
}
