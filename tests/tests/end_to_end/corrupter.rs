//! A peer that corrupts what it gives, beside an honest seed: one bad block of a v2 torrent is one too many.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use samara_proto::metainfo::Metainfo;
use samara_tests::process::LOOPBACK;
use samara_tests::rogue::{self, Lie, Report};
use samara_tests::scene::{Scene, path_text};

use super::support::{finish, large_file};

/// The leech lets go of the corrupter before it ends; word of it comes a moment later.
const WORD: Duration = Duration::from_secs(10);

/// Waits until the corrupter has heard that a link ended on which it gave something; the blocks it gave on each.
fn blocks_given(reports: &Mutex<Vec<Report>>) -> Vec<u64> {
    let end = Instant::now() + WORD;
    loop {
        let reports = reports.lock().unwrap();
        let given = reports.iter().filter_map(|report| match report {
            Report::Ended { blocks, .. } => Some(*blocks).filter(|blocks| *blocks > 0),
            Report::Linked { .. } => None,
        });
        let given: Vec<u64> = given.collect();
        if !given.is_empty() || Instant::now() >= end {
            return given;
        }
        drop(reports);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_corrupter_is_banned_for_its_first_bad_block_and_the_file_arrives_whole() {
    let scene = Scene::new();
    let file = large_file(&scene);
    let torrent = scene.create(&file, "v2", &["--piece-length", "256KiB"]);
    let data = path_text(file.parent().unwrap());
    let seed = scene.seed("seed", &[&path_text(&torrent), "--data", &data]);
    let metainfo = Arc::new(Metainfo::from_bytes(&std::fs::read(&torrent).unwrap()).unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let reports = Arc::new(Mutex::new(Vec::new()));
    let told = reports.clone();
    let tell = move |report| told.lock().unwrap().push(report);
    let corrupter =
        runtime.block_on(rogue::start_at(LOOPBACK, Lie::CorruptBlocks, metainfo, &file, tell)).to_string();

    let out = scene.path("out");
    // It logs why it ends a link.
    let args = ["-vv", "--peer", &corrupter, "--peer", &seed.addresses[0]];
    let leech = scene.get("leech", &path_text(&torrent), &out, &args);
    let log = leech.errors();
    finish(leech, &file, &out.join("large.bin"));

    assert_eq!(blocks_given(&reports), [1], "one block, and never again");
    let log = log.lock().unwrap();
    let bans = log.lines().filter(|line| line.contains("disconnecting") && line.contains("Offence"));
    assert_eq!(bans.count(), 1, "the corrupter alone: {log}");
}
