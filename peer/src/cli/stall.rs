//! A download that is not getting on: what it waits for, and what would end the wait.

use std::time::{Duration, Instant};

use super::units;
use crate::handle::{Progress, Waiting};

/// A wait that takes longer is said in a line of its own.
const LONG: Duration = Duration::from_secs(10);

/// Watches how long a download has been waiting.
#[derive(Debug, Default)]
pub struct Stall {
    present: Option<Wait>,
}

#[derive(Debug)]
struct Wait {
    waiting: Waiting,
    since: Instant,
    is_told: bool,
}

impl Stall {
    /// Takes note of new figures; gives what is to be said once of a wait that has become long.
    pub fn on_progress(&mut self, now: Instant, progress: &Progress) -> Option<String> {
        let Some(waiting) = progress.waiting else {
            self.present = None;
            return None;
        };
        let wait = match &mut self.present {
            Some(wait) if wait.waiting == waiting => wait,
            other => other.insert(Wait { waiting, since: now, is_told: false }),
        };
        let is_news = now.duration_since(wait.since) >= LONG && !std::mem::replace(&mut wait.is_told, true);
        is_news.then(|| remedy(waiting, progress))
    }
}

/// What a download waits for, in a few words.
pub fn words(waiting: Waiting, progress: &Progress) -> String {
    match waiting {
        Waiting::ForPeers => "waiting for peers".to_owned(),
        Waiting::ForPieces => {
            format!("waiting for {} that no connected peer has", pieces(progress.pieces_unseen))
        }
        Waiting::ForTurn => "waiting for peers that give nothing now".to_owned(),
    }
}

fn remedy(waiting: Waiting, progress: &Progress) -> String {
    match waiting {
        Waiting::ForPeers => {
            "no peer is connected; it goes on as soon as one is, and you can name one with --peer".to_owned()
        }
        Waiting::ForPieces => format!(
            "no connected peer has the last {}; it goes on as soon as somebody joins who has, so ask whoever \
             shared it to run samara seed again",
            pieces(progress.pieces_unseen)
        ),
        Waiting::ForTurn => format!(
            "none of {} gives anything now, though some have what is missing; it goes on as soon as one does",
            units::count(progress.peers, "connected peer")
        ),
    }
}

fn pieces(number: u32) -> String {
    units::count(usize::try_from(number).unwrap_or(usize::MAX), "piece")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handle::Stage;

    fn figures(waiting: Option<Waiting>) -> Progress {
        Progress {
            bytes_done: 1,
            bytes_total: 2,
            down_rate: 0,
            up_rate: 0,
            bytes_received: 1,
            bytes_sent: 0,
            peers: 2,
            interested_peers: 0,
            stage: Stage::Assisted,
            autonomy: 0.0,
            why: String::new(),
            named_by: Vec::new(),
            live_peers: 2,
            waiting,
            pieces_unseen: 12,
            found_peers: 2,
            asked_peers: 0,
        }
    }

    #[test]
    fn a_long_wait_is_told_once_and_a_new_one_again() {
        let start = Instant::now();
        let mut stall = Stall::default();
        let mut told_at = |seconds, waiting| {
            stall.on_progress(start + Duration::from_secs(seconds), &figures(waiting)).is_some()
        };
        let pieces = Some(Waiting::ForPieces);
        assert!(!told_at(0, pieces) && !told_at(9, pieces));
        assert!(told_at(10, pieces));
        assert!(!told_at(11, pieces) && !told_at(30, None));
        assert!(!told_at(31, pieces) && !told_at(39, Some(Waiting::ForTurn)) && !told_at(41, pieces));
        assert!(told_at(51, pieces));
    }

    #[test]
    fn what_is_waited_for_is_named_with_its_number() {
        let text = words(Waiting::ForPieces, &figures(None));
        assert_eq!(text, "waiting for 12 pieces that no connected peer has");
    }
}
