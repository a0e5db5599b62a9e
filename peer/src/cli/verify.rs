//! `samara verify`: how much of a torrent is in a folder.

use super::args::VerifyArgs;
use super::bars::Meter;
use super::events::Verified;
use super::failure::{Exit, Failure, Outcome};
use super::output::Output;
use super::source::read_torrent;
use super::units;
use crate::disk;

/// Runs it.
pub fn run(args: &VerifyArgs, output: &Output) -> Outcome {
    let metainfo = read_torrent(&args.torrent)?;
    let mut bar = output.bar(metainfo.name());
    let meter = Meter::new();
    let report = disk::verify(&metainfo, &args.dir, |done, total| bar.set_pieces(done, total, &meter))
        .map_err(|error| Failure::failed(error.to_string()))?;
    drop(bar);
    output.object(&Verified {
        pieces_total: report.pieces_total,
        pieces_good: report.pieces_good,
        complete: report.complete,
    });
    for path in &report.damaged {
        let what = if path.symlink_metadata().is_ok() { "bad" } else { "missing" };
        output.say(format_args!("{what:<8} {}", path.display()));
    }
    let pieces = format!("{} of {} pieces are good", report.pieces_good, report.pieces_total);
    if report.complete {
        output.say(format_args!(
            "{}: complete, {pieces} ({})",
            metainfo.name(),
            units::duration(meter.elapsed())
        ));
        return Ok(Exit::Done);
    }
    output.say(format_args!("{}: incomplete, {pieces}; samara get fetches the rest", metainfo.name()));
    Ok(Exit::Incomplete)
}
