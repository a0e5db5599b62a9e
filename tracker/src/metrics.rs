//! What the tracker counts about itself, in Prometheus' text format.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::registry::Totals;

/// A count that only grows, or a gauge of what goes on.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn take_one(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one protocol has done.
#[derive(Debug, Default)]
pub(crate) struct ProtocolMetrics {
    pub(crate) announces: Counter,
    pub(crate) scrapes: Counter,
    /// Requests that were understood, and refused.
    pub(crate) failures: Counter,
    /// What was no request.
    pub(crate) malformed: Counter,
}

/// Everything counted.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) http: ProtocolMetrics,
    pub(crate) udp: ProtocolMetrics,
    /// Open HTTP connections.
    pub(crate) http_connections: Counter,
    /// HTTP connections closed at once, as there were too many from one place.
    pub(crate) http_turned_away: Counter,
    pub(crate) udp_connects: Counter,
    /// Packets that showed no connection id of ours.
    pub(crate) udp_bad_connection_ids: Counter,
    /// Answers the socket had no room for.
    pub(crate) udp_unsent: Counter,
}

impl Metrics {
    /// The text a Prometheus server reads.
    pub(crate) fn render(&self, totals: Totals) -> String {
        let mut page = String::with_capacity(2048);
        let by_protocol = |pick: fn(&ProtocolMetrics) -> &Counter| {
            [("{protocol=\"http\"}", pick(&self.http).get()), ("{protocol=\"udp\"}", pick(&self.udp).get())]
        };
        let mut write = |name: &str, kind: &str, help: &str, values: &[(&str, u64)]| {
            // Writing to a String cannot fail.
            let _ =
                writeln!(page, "# HELP samara_tracker_{name} {help}\n# TYPE samara_tracker_{name} {kind}");
            for (labels, value) in values {
                let _ = writeln!(page, "samara_tracker_{name}{labels} {value}");
            }
        };
        write("announces_total", "counter", "Announces answered.", &by_protocol(|p| &p.announces));
        write("scrapes_total", "counter", "Scrapes answered.", &by_protocol(|p| &p.scrapes));
        write("failures_total", "counter", "Requests refused.", &by_protocol(|p| &p.failures));
        write(
            "malformed_total",
            "counter",
            "Requests that could not be understood.",
            &by_protocol(|p| &p.malformed),
        );
        let plain: [(&str, &str, &str, u64); 10] = [
            ("http_connections", "gauge", "Open HTTP connections.", self.http_connections.get()),
            (
                "http_turned_away_total",
                "counter",
                "HTTP connections closed at once, as there were too many from one address.",
                self.http_turned_away.get(),
            ),
            ("udp_connects_total", "counter", "UDP connection ids given out.", self.udp_connects.get()),
            (
                "udp_bad_connection_ids_total",
                "counter",
                "UDP packets without a valid connection id.",
                self.udp_bad_connection_ids.get(),
            ),
            (
                "udp_unsent_total",
                "counter",
                "UDP answers that the socket had no room for.",
                self.udp_unsent.get(),
            ),
            ("swarms", "gauge", "Swarms known.", totals.swarms),
            (
                "entries",
                "gauge",
                "Peers in all swarms, each counted in every swarm it is in.",
                totals.entries,
            ),
            ("memory_bytes", "gauge", "Memory that the swarms take, roughly.", totals.bytes),
            ("evicted_swarms_total", "counter", "Swarms forgotten to make room.", totals.evicted_swarms),
            ("evicted_peers_total", "counter", "Peers forgotten to make room.", totals.evicted_peers),
        ];
        for (name, kind, help, value) in plain {
            write(name, kind, help, &[("", value)]);
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_comment_or_a_name_and_a_number() {
        let metrics = Metrics::default();
        metrics.udp.announces.add_one();
        let page = metrics.render(Totals { swarms: 3, ..Totals::default() });
        assert!(page.contains("\nsamara_tracker_announces_total{protocol=\"udp\"} 1\n"));
        assert!(page.contains("\nsamara_tracker_swarms 3\n"));
        for line in page.lines().filter(|line| !line.starts_with("# ")) {
            let (name, value) = line.split_once(' ').unwrap();
            assert!(name.starts_with("samara_tracker_") && value.parse::<u64>().is_ok(), "{line}");
        }
    }
}
