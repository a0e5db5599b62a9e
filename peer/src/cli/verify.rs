//! `samara verify`: how much of a torrent is in a folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use samara_proto::layout::FileIndex;
use samara_proto::metainfo::Metainfo;

use super::args::VerifyArgs;
use super::bars::Meter;
use super::events::{Problem, ProblemFile, Verified};
use super::failure::{Exit, Failure, Outcome};
use super::output::Output;
use super::source::read_torrent;
use super::units;
use crate::choice::Choice;
use crate::disk::{self, VerifyReport};

/// Runs it.
pub fn run(args: &VerifyArgs, output: &Output) -> Outcome {
    let metainfo = read_torrent(&args.torrent)?;
    let choice = Choice { only: args.only.clone(), ..Choice::default() };
    let chosen = choice.of(&metainfo).map_err(|error| Failure::usage(error.to_string()))?;
    let mut bar = output.bar(metainfo.name());
    let meter = Meter::new();
    let progress = |done, total| bar.set_pieces(done, total, &meter);
    let report = disk::verify(&metainfo, &args.dir, &chosen, progress)
        .map_err(|error| Failure::failed(error.to_string()))?;
    drop(bar);
    let files = problems(&metainfo, &args.dir, &report);
    for (path, file) in report.damaged.iter().zip(&files) {
        output.say(format_args!("{:<10}  {}", file.problem.words(), path.display()));
    }
    let name = metainfo.name();
    if report.complete {
        let pieces = format!("{0} of {0} pieces are good", report.pieces_total);
        output.say(format_args!("{name}: complete, {pieces} ({})", units::duration(meter.elapsed())));
    } else {
        output.say(format_args!("{name}: {}", shortfall(&report, &files)));
    }
    output.object(&Verified {
        name: name.to_owned(),
        hashes: metainfo.info_hashes().into(),
        pieces_total: report.pieces_total,
        pieces_good: report.pieces_good,
        complete: report.complete,
        files,
    });
    Ok(if report.complete { Exit::Done } else { Exit::Incomplete })
}

/// What is wrong with each damaged file, in the report's order.
fn problems(metainfo: &Metainfo, dir: &Path, report: &VerifyReport) -> Vec<ProblemFile> {
    if report.damaged.is_empty() {
        return Vec::new();
    }
    let root = disk::content_root(metainfo, dir);
    let by_path: HashMap<_, _> = (0..)
        .zip(metainfo.files())
        .map(|(index, file)| {
            let components: Vec<_> = metainfo.disk_path(FileIndex(index)).collect();
            (
                components.iter().fold(root.clone(), |path, part| path.join(part)),
                (components.join("/"), file.size),
            )
        })
        .collect();
    let problem_of = |path: &Path, size: Option<u64>| match path.symlink_metadata() {
        Err(_) if report.partial.iter().any(|partial| partial == path) => Problem::Incomplete,
        Err(_) => Problem::Missing,
        Ok(found) if size.is_some_and(|size| size != found.len()) => Problem::WrongSize,
        Ok(_) => Problem::Bad,
    };
    let describe = |path: &PathBuf| match by_path.get(path) {
        Some((name, size)) => ProblemFile { path: name.clone(), problem: problem_of(path, Some(*size)) },
        None => ProblemFile { path: path.display().to_string(), problem: problem_of(path, None) },
    };
    report.damaged.iter().map(describe).collect()
}

/// What is missing, and what to do about it.
fn shortfall(report: &VerifyReport, files: &[ProblemFile]) -> String {
    let (good, total) = (report.pieces_good, report.pieces_total);
    let is_unnamed = |file: &ProblemFile| file.problem == Problem::Incomplete;
    if good == total && files.iter().all(is_unnamed) {
        let (is, its) = if files.len() == 1 { ("is", "its name") } else { ("are", "their names") };
        let count = units::count(files.len(), "file");
        return format!(
            "all {total} pieces are good, but {count} {is} still called .part; samara get gives {its}"
        );
    }
    let what = if good == total {
        let (is, has) = if files.len() == 1 { ("is", "has") } else { ("are", "have") };
        let count = units::count(files.len(), "file");
        format!("all {total} pieces are good, but {count} {is} missing, incomplete or {has} the wrong size")
    } else {
        format!("{good} of {total} pieces are good")
    };
    let remedy = if files.iter().any(|file| file.problem == Problem::WrongSize) {
        "move what has the wrong size away, then samara get fetches the rest"
    } else {
        "samara get fetches the rest"
    };
    format!("incomplete: {what}; {remedy}")
}
