//! Full-size transfers between real processes, as a table of times and peak memory.
//!
//! `cargo run --release -p samara-tests --bin acceptance`; a part of a scenario's name as argument runs only
//! those. `SAMARA_MIB` (1024) is the size of the large file, `SAMARA_FOLDER_MIB` (512) that of the folder.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use samara_tests::content::{bytes_in_place, difference, total_size, write_file, write_folder};
use samara_tests::process::Samara;
use samara_tests::scene::{Scene, bytes_received, path_text, wait_written};

/// Far beyond what any transfer here takes.
const LIMIT: Duration = Duration::from_secs(900);
/// No process may ever hold more, in bytes.
const MEMORY: u64 = 150 << 20;
/// How many files the folder has.
const FILES: usize = 1000;

/// What one scenario measured.
struct Row {
    seconds: f64,
    bytes: u64,
    peaks: Vec<(&'static str, u64)>,
    note: String,
}

/// The content all scenarios share, and what was made of it.
struct Stage {
    scene: Scene,
    file: PathBuf,
    folder: PathBuf,
}

type Scenario = (String, Box<dyn Fn(&Stage, &Path) -> Row>);

fn main() -> ExitCode {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let scene = Scene::new();
    let stage = Stage { file: scene.path("large.bin"), folder: scene.path("folder of files"), scene };
    let file_size = mebibytes("SAMARA_MIB", 1024);
    write_file(&stage.file, file_size, 1).expect("the temporary folder has room");
    write_folder(&stage.folder, FILES, mebibytes("SAMARA_FOLDER_MIB", 512), 2).expect("it has room");
    println!("large file: {file_size} bytes; folder: {FILES} files, {} bytes", size(&stage.folder));
    println!("{:<44} {:>8} {:>8}  {:<42} note", "scenario", "seconds", "MiB/s", "peak MiB");

    let (mut passed, mut failed) = (0, 0);
    for (number, (name, scenario)) in scenarios().into_iter().enumerate() {
        if !name.contains(&filter) {
            continue;
        }
        let out = stage.scene.path(&format!("out {number}"));
        let result = catch_unwind(AssertUnwindSafe(|| scenario(&stage, &out)));
        match result {
            Ok(row) => {
                let modest = row.peaks.iter().all(|(_, bytes)| *bytes < MEMORY);
                let peaks: Vec<String> =
                    row.peaks.iter().map(|(name, bytes)| format!("{name} {}", bytes >> 20)).collect();
                let rate = row.bytes as f64 / row.seconds / f64::from(1 << 20);
                let verdict = if modest { "" } else { "TOO MUCH MEMORY " };
                println!(
                    "{name:<44} {:>8.1} {rate:>8.0}  {:<42} {verdict}{}",
                    row.seconds,
                    peaks.join(", "),
                    row.note
                );
                if modest { passed += 1 } else { failed += 1 }
            }
            Err(_) => {
                println!("{name:<44} FAILED (above)");
                failed += 1;
            }
        }
        // What was fetched is compared by now; the disk may be small. An absent folder is no matter.
        let _ = std::fs::remove_dir_all(&out);
    }
    println!("{passed} passed, {failed} failed");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn scenarios() -> Vec<Scenario> {
    let mut all: Vec<Scenario> = Vec::new();
    all.push((
        "file by torrent and tracker".into(),
        Box::new(|stage, out| plain(stage, &stage.file, "hybrid", false, out)),
    ));
    all.push((
        "file by magnet link alone".into(),
        Box::new(|stage, out| plain(stage, &stage.file, "hybrid", true, out)),
    ));
    for format in ["v1", "v2", "hybrid"] {
        for by_link in [false, true] {
            let how = if by_link { "magnet link alone" } else { "torrent and tracker" };
            let run = move |stage: &Stage, out: &Path| plain(stage, &stage.folder, format, by_link, out);
            all.push((format!("folder in {format} by {how}"), Box::new(run)));
        }
    }
    for percent in [5, 50, 95] {
        let run = move |stage: &Stage, out: &Path| killed_leech(stage, percent, out);
        all.push((format!("leech killed at {percent} % and resumed"), Box::new(run)));
    }
    all.push(("only seed killed and restarted".into(), Box::new(killed_seed)));
    all
}

/// One seed, one leech, one tracker, or the link in the tracker's place.
fn plain(stage: &Stage, content: &Path, format: &str, by_link: bool, out: &Path) -> Row {
    let scene = &stage.scene;
    let tracker = (!by_link).then(|| scene.tracker());
    let mut args = Vec::new();
    if let Some(tracker) = &tracker {
        args.extend(["--tracker", &tracker.http]);
    }
    let torrent = scene.create(content, format, &[&args[..], &["--force"]].concat());
    let data = path_text(content.parent().expect("content lies in the scene"));
    let seed = scene.seed("seed", &[&path_text(&torrent), "--data", &data]);
    let source = if by_link { seed.magnet.clone() } else { path_text(&torrent) };
    let leech = scene.get("leech", &source, out, &[]);
    let mut row = arrive(leech, content, out);
    row.peaks.push(("seed", seed.process.peak_memory()));
    row.peaks.extend(tracker.map(|tracker| ("tracker", tracker.process.peak_memory())));
    row
}

/// Waits for the leech's end and compares what it fetched.
fn arrive(mut leech: Samara, content: &Path, out: &Path) -> Row {
    let complete = leech.wait_for("complete", LIMIT);
    assert_eq!(leech.wait_exit(LIMIT), 0, "{}", leech.story());
    let actual = out.join(content.file_name().expect("content has a name"));
    let different = difference(content, &actual).expect("both are readable");
    assert_eq!(different, None, "{}", leech.story());
    Row {
        seconds: complete["seconds"].as_f64().expect("complete says how long it took"),
        bytes: bytes_received(&complete),
        peaks: vec![("leech", leech.peak_memory())],
        note: "identical".to_owned(),
    }
}

fn killed_leech(stage: &Stage, percent: u64, out: &Path) -> Row {
    let scene = &stage.scene;
    let torrent = scene.create(&stage.file, "hybrid", &["--force"]);
    let data = path_text(stage.file.parent().expect("content lies in the scene"));
    let seed = scene.seed("seed", &[&path_text(&torrent), "--data", &data]);
    let part = out.join("large.bin.part");
    let mut leech = scene.get("killed leech", &seed.magnet, out, &[]);
    wait_written(&mut leech, &part, size(&stage.file) * percent / 100, LIMIT);
    leech.kill();
    let present = bytes_in_place(&stage.file, &part).expect("it was killed before it was complete");
    let mut row = arrive(scene.get("killed leech", &seed.magnet, out, &[]), &stage.file, out);
    let refetched = row.bytes.saturating_sub(size(&stage.file) - present) as f64 / present as f64 * 100.0;
    assert!(refetched <= 5.0, "{refetched:.1} % of {present} bytes were fetched again");
    row.peaks.push(("seed", seed.process.peak_memory()));
    row.note = format!("{} MiB were there, {refetched:.2} % of them fetched again", present >> 20);
    row
}

fn killed_seed(stage: &Stage, out: &Path) -> Row {
    let scene = &stage.scene;
    let tracker = scene.tracker();
    let torrent = scene.create(&stage.file, "hybrid", &["--force", "--tracker", &tracker.http]);
    let torrent = path_text(&torrent);
    let data = path_text(stage.file.parent().expect("content lies in the scene"));
    let mut seed = scene.seed("killed seed", &[&torrent, "--data", &data]);
    let mut leech = scene.get("leech", &torrent, out, &[]);
    wait_written(&mut leech, &out.join("large.bin.part"), size(&stage.file) / 4, LIMIT);
    seed.process.kill();
    let killed = Instant::now();
    let again = scene.seed("killed seed", &[&torrent, "--data", &data]);
    let mut row = arrive(leech, &stage.file, out);
    row.note = format!("{:.1} s from the kill to the end", killed.elapsed().as_secs_f64());
    row.peaks.push(("seed", again.process.peak_memory()));
    row
}

fn size(path: &Path) -> u64 {
    total_size(path).expect("it was just written")
}

fn mebibytes(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default) << 20
}
