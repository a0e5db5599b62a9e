//! `samara show`: what a `.torrent` or a magnet link says.

use samara_proto::layout::FileIndex;
use samara_proto::magnet::Magnet;
use samara_proto::metainfo::Metainfo;

use super::args::{Common, ShowArgs};
use super::events::{Shown, ShownFile, ShownSwarm};
use super::failure::{Exit, Failure, Outcome};
use super::interrupt::Interrupt;
use super::output::Output;
use super::source::Source;
use super::{scrape, setup, units};

/// Prints it.
pub async fn run(args: ShowArgs, common: &Common, output: &Output, mut interrupt: Interrupt) -> Outcome {
    let wants_figures = args.scrape;
    let showing = async {
        let reading = tokio::task::spawn_blocking(move || Source::read(&args.source));
        let source = reading.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        let hashes = source.hashes();
        let mut shown = match source {
            Source::Torrent(metainfo) => of_metainfo(&metainfo),
            Source::Magnet(magnet) => of_magnet(magnet),
        };
        if wants_figures {
            shown.swarm = Some(scrape::ask(&shown.trackers, &hashes, setup::bind(common)?).await?);
        }
        Ok::<Shown, Failure>(shown)
    };
    let shown = tokio::select! {
        shown = showing => shown?,
        () = interrupt.wait() => return Ok(Exit::Interrupted),
    };
    if output.is_json() {
        output.object(&shown);
    } else {
        print(&shown, output);
    }
    let Some(swarm) = &shown.swarm else { return Ok(Exit::Done) };
    if swarm.is_empty() {
        return Err(Failure::failed("it names no tracker that could be asked for figures"));
    }
    match swarm.iter().any(|said| matches!(said, ShownSwarm::Figures { .. })) {
        true => Ok(Exit::Done),
        // Each tracker's own reason is shown.
        false => Ok(Exit::Failed),
    }
}

fn of_metainfo(metainfo: &Metainfo) -> Shown {
    let layout = metainfo.layout();
    let files = metainfo.files().iter().zip(0..).map(|(file, index)| ShownFile {
        number: index + 1,
        path: metainfo.disk_path(FileIndex(index)).collect::<Vec<_>>().join("/"),
        size: file.size,
    });
    Shown {
        name: Some(metainfo.name().to_owned()),
        hashes: metainfo.info_hashes().into(),
        piece_length: Some(layout.piece_length()),
        pieces: Some(layout.piece_count()),
        total_size: Some(layout.total_size()),
        private: Some(metainfo.is_private()),
        trackers: metainfo.trackers().concat(),
        magnet: Magnet::to_torrent(metainfo).to_string(),
        files: Some(files.collect()),
        comment: metainfo.comment().map(str::to_owned),
        created_by: metainfo.created_by().map(str::to_owned),
        peers: Vec::new(),
        swarm: None,
    }
}

fn of_magnet(magnet: Magnet) -> Shown {
    Shown {
        hashes: magnet.hashes.into(),
        piece_length: None,
        pieces: None,
        total_size: magnet.exact_length,
        private: None,
        magnet: magnet.to_string(),
        files: None,
        comment: None,
        created_by: None,
        name: magnet.name,
        trackers: magnet.trackers,
        peers: magnet.peers,
        swarm: None,
    }
}

fn print(shown: &Shown, output: &Output) {
    let optional = |label, value: Option<String>| {
        if let Some(value) = value {
            output.field(label, value);
        }
    };
    output.field("name", shown.name.as_deref().unwrap_or("not known yet: the link does not say"));
    optional("info-hash v1", shown.hashes.infohash_v1.clone());
    optional("info-hash v2", shown.hashes.infohash_v2.clone());
    optional("size", shown.total_size.map(|bytes| format!("{} ({bytes} bytes)", units::size(bytes))));
    if let (Some(pieces), Some(length)) = (shown.pieces, shown.piece_length) {
        output.field("pieces", format_args!("{pieces} of {}", units::size(length.into())));
    }
    optional(
        "private",
        shown.private.filter(|private| *private).map(|_| "yes, only trackers may name peers".into()),
    );
    optional("comment", shown.comment.clone());
    optional("created by", shown.created_by.clone());
    shown.trackers.iter().for_each(|tracker| output.field("tracker", tracker));
    shown.peers.iter().for_each(|peer| output.field("peer", peer));
    for said in shown.swarm.iter().flatten() {
        match said {
            ShownSwarm::Figures { tracker, seeds, leeches, completed } => {
                let figures =
                    format_args!("seeds {seeds}, leeches {leeches}, completed {completed}: {tracker}")
                        .to_string();
                output.field("swarm", figures);
            }
            ShownSwarm::Error { tracker, error } => output.field("swarm", format_args!("{tracker}: {error}")),
        }
    }
    output.field("magnet", &shown.magnet);
    if let Some(files) = &shown.files {
        output.field("files", files.len());
        let width = files.len().to_string().len();
        for ShownFile { number, path, size } in files {
            output.say(format_args!("  {number:>width$}  {:>10}  {path}", units::size(*size)));
        }
    }
}
