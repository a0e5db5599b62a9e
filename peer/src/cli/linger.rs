//! When a finished download may leave: as soon as nobody needs it any more.

use std::time::{Duration, Instant};

use crate::handle::Progress;

/// How long nobody may have wanted anything before we leave: a few rounds of figures.
const UNWANTED_FOR: Duration = Duration::from_secs(5);
/// How long peers may want something without taking anything before we leave.
const UNTAKEN_FOR: Duration = Duration::from_secs(60);

/// Watches whether others still take from us, since the download ended.
#[derive(Debug)]
pub struct Linger {
    last_wanted: Instant,
    last_taken: Instant,
}

impl Linger {
    /// The download ended just now.
    pub fn since(now: Instant) -> Self {
        Self { last_wanted: now, last_taken: now }
    }

    /// Takes note of new figures.
    pub fn on_progress(&mut self, now: Instant, progress: &Progress) {
        if progress.interested_peers > 0 {
            self.last_wanted = now;
        }
        if progress.up_rate > 0 {
            self.last_taken = now;
        }
    }

    /// Whether nobody needs us.
    pub fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.last_wanted) >= UNWANTED_FOR
            || now.duration_since(self.last_taken) >= UNTAKEN_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::Stage;

    fn figures(interested_peers: usize, up_rate: u64) -> Progress {
        Progress {
            bytes_done: 1,
            bytes_total: 1,
            down_rate: 0,
            up_rate,
            bytes_received: 1,
            bytes_sent: 1,
            peers: 1,
            interested_peers,
            stage: Stage::Assisted,
            autonomy: 0.0,
            why: String::new(),
            named_by: Vec::new(),
            live_peers: 1,
            waiting: None,
            pieces_unseen: 0,
            found_peers: 2,
            asked_peers: 0,
        }
    }

    #[test]
    fn it_stays_while_somebody_takes_and_leaves_soon_after() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut linger = Linger::since(start);
        for second in 1..=200 {
            linger.on_progress(at(second), &figures(1, 1000));
            assert!(!linger.is_over(at(second)));
        }
        linger.on_progress(at(201), &figures(0, 0));
        assert!(!linger.is_over(at(203)));
        assert!(linger.is_over(at(205)));
    }

    #[test]
    fn a_peer_that_wants_but_never_takes_does_not_hold_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut linger = Linger::since(start);
        for second in 1..60 {
            linger.on_progress(at(second), &figures(1, 0));
            assert!(!linger.is_over(at(second)));
        }
        assert!(linger.is_over(at(60)));
    }
}
