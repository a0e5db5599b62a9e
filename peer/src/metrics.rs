//! A node's figures, and their form in Prometheus' text format.

use std::fmt::Write as _;

use crate::engine::event::Source;
use crate::handle::{Progress, Stage};
use crate::net::address::Reach;
use crate::net::reachability::Dialability;

/// What a node is doing.
#[derive(Clone, Debug, Default)]
pub struct NodeFigures {
    /// Connections, whatever for.
    pub connections: usize,
    /// Who can dial it.
    pub dialability: Dialability,
    /// Nodes in the table of the DHT.
    pub dht_nodes: usize,
    /// Every torrent it takes part in.
    pub torrents: Vec<TorrentFigures>,
}

/// One torrent of a node.
#[derive(Clone, Debug)]
pub struct TorrentFigures {
    /// The info-hash it is announced under, the v1 one if there are two, in hexadecimal.
    pub info_hash: String,
    /// The figures of the moment.
    pub progress: Progress,
    /// Content bytes received since it was added.
    pub downloaded: u64,
    /// Content bytes sent since it was added.
    pub uploaded: u64,
    /// Everybody known to take part, by the source that found them.
    pub known: Vec<(Source, usize)>,
}

impl NodeFigures {
    /// The text a Prometheus server reads. Labels hold nothing that others chose.
    pub fn render(&self) -> String {
        let mut page = Page::default();
        page.write(
            "connections",
            "gauge",
            "Open connections with other nodes.",
            [(String::new(), self.connections as f64)],
        );
        page.write(
            "dht_nodes",
            "gauge",
            "Nodes of the DHT that this node knows.",
            [(String::new(), self.dht_nodes as f64)],
        );
        let reach = ["nobody", "this_machine", "local_network", "everybody"];
        let present = dialability_name(self.dialability);
        let by = reach.map(|by| (format!("{{by=\"{by}\"}}"), f64::from(u8::from(present == Some(by)))));
        page.write("reachable", "gauge", "1 for how far away those are who have dialled this node.", by);
        self.per_torrent(&mut page, "bytes_total", "gauge", "Content bytes of the torrent.", |t| {
            t.progress.bytes_total
        });
        self.per_torrent(
            &mut page,
            "bytes_done",
            "gauge",
            "Content bytes that are here and verified.",
            |t| t.progress.bytes_done,
        );
        self.per_torrent(
            &mut page,
            "downloaded_bytes_total",
            "counter",
            "Content bytes received since the torrent was added.",
            |t| t.downloaded,
        );
        self.per_torrent(
            &mut page,
            "uploaded_bytes_total",
            "counter",
            "Content bytes sent since the torrent was added.",
            |t| t.uploaded,
        );
        self.per_torrent(
            &mut page,
            "peers",
            "gauge",
            "Peers that take part in the torrent together with this node now.",
            |t| t.progress.peers as u64,
        );
        self.per_torrent(&mut page, "live_peers", "gauge", "Peers known to be there, linked or not.", |t| {
            t.progress.live_peers as u64
        });
        let autonomy = self.torrents.iter().map(|t| (t.labels(&[]), t.progress.autonomy));
        page.write(
            "autonomy",
            "gauge",
            "Share of live peers that a source besides the tracker has named in the last half hour.",
            autonomy,
        );
        let stages = self.torrents.iter().flat_map(|t| {
            [(Stage::Assisted, "assisted"), (Stage::Hybrid, "hybrid"), (Stage::Autonomous, "autonomous")].map(
                |(stage, name)| {
                    (t.labels(&[("stage", name)]), f64::from(u8::from(t.progress.stage == stage)))
                },
            )
        });
        page.write("stage", "gauge", "1 for the stage the swarm is in, 0 for the others.", stages);
        let named = self.torrents.iter().flat_map(|t| {
            t.progress
                .named_by
                .iter()
                .map(|(source, count)| (t.labels(&[("source", source_name(*source))]), *count as f64))
        });
        page.write(
            "peers_named",
            "gauge",
            "Live peers that each source has named in the last half hour.",
            named,
        );
        let known = self.torrents.iter().flat_map(|t| {
            t.known
                .iter()
                .map(|(source, count)| (t.labels(&[("source", source_name(*source))]), *count as f64))
        });
        page.write("peers_known", "gauge", "Peers known, by the source that found them.", known);
        page.text
    }

    fn per_torrent(
        &self,
        page: &mut Page,
        name: &str,
        kind: &str,
        help: &str,
        value: impl Fn(&TorrentFigures) -> u64,
    ) {
        page.write(name, kind, help, self.torrents.iter().map(|t| (t.labels(&[]), value(t) as f64)));
    }
}

impl TorrentFigures {
    fn labels(&self, more: &[(&str, &str)]) -> String {
        let mut labels = format!("{{info_hash=\"{}\"", self.info_hash);
        for (name, value) in more {
            // Writing to a String cannot fail.
            let _ = write!(labels, ",{name}=\"{value}\"");
        }
        labels.push('}');
        labels
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn write(&mut self, name: &str, kind: &str, help: &str, values: impl IntoIterator<Item = (String, f64)>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP samara_{name} {help}\n# TYPE samara_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(self.text, "samara_{name}{labels} {value}");
        }
    }
}

/// Who can dial a node, for programs; nothing while it is not known.
pub fn dialability_name(dialability: Dialability) -> Option<&'static str> {
    match dialability {
        Dialability::Unknown => None,
        Dialability::Nobody => Some("nobody"),
        Dialability::From(Reach::ThisMachine) => Some("this_machine"),
        Dialability::From(Reach::LocalNetwork) => Some("local_network"),
        Dialability::From(Reach::Everybody) => Some("everybody"),
    }
}

/// A source's name, for programs.
pub fn source_name(source: Source) -> &'static str {
    match source {
        Source::Tracker => "tracker",
        Source::Dht => "dht",
        Source::Pex => "pex",
        Source::Lan => "lan",
        Source::Cache => "cache",
        Source::Link => "link",
        Source::Incoming => "incoming",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_comment_or_a_name_and_a_number() {
        let progress = Progress {
            bytes_done: 1,
            bytes_total: 2,
            down_rate: 0,
            up_rate: 0,
            bytes_received: 0,
            bytes_sent: 0,
            peers: 3,
            interested_peers: 0,
            stage: Stage::Hybrid,
            autonomy: 0.5,
            why: String::new(),
            named_by: vec![(Source::Pex, 2)],
            live_peers: 4,
            waiting: None,
            pieces_unseen: 0,
            found_peers: 2,
            asked_peers: 0,
        };
        let torrent = TorrentFigures {
            info_hash: "ab".repeat(20),
            progress,
            downloaded: 7,
            uploaded: 8,
            known: vec![(Source::Tracker, 4)],
        };
        let figures = NodeFigures {
            dialability: Dialability::From(Reach::LocalNetwork),
            torrents: vec![torrent],
            ..NodeFigures::default()
        };
        let page = figures.render();
        let hash = "ab".repeat(20);
        for line in [
            format!("samara_stage{{info_hash=\"{hash}\",stage=\"hybrid\"}} 1"),
            format!("samara_autonomy{{info_hash=\"{hash}\"}} 0.5"),
            format!("samara_peers_named{{info_hash=\"{hash}\",source=\"pex\"}} 2"),
            format!("samara_peers_known{{info_hash=\"{hash}\",source=\"tracker\"}} 4"),
            "samara_reachable{by=\"local_network\"} 1".to_owned(),
            "samara_reachable{by=\"everybody\"} 0".to_owned(),
        ] {
            assert!(page.lines().any(|present| present == line), "{line} is missing in\n{page}");
        }
        for line in page.lines().filter(|line| !line.starts_with("# ")) {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            assert!(name.starts_with("samara_") && value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
