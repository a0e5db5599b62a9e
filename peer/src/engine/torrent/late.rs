//! Requests that take too long: they are made elsewhere, and whoever gives nothing at all is left.

use std::time::Duration;

use super::super::context::Context;
use super::super::event::{DisconnectReason, LinkId};
use super::Torrent;
use super::download::cancel;

/// A piece without progress is opened to others once all that is in flight should have come so many times.
const HELP_AFTER_ALL: u64 = 4;
/// Between two looks for requests that take too long.
pub const REQUESTS_INTERVAL: Duration = Duration::from_secs(1);

impl Torrent {
    /// Looks for requests that take too long. Whether it has to be done again in a while.
    pub fn on_requests_timer(&mut self, context: &mut Context<'_>) -> bool {
        let waiting: Vec<LinkId> =
            self.links.iter().filter(|(_, peer)| !peer.requests.is_empty()).map(|(&link, _)| link).collect();
        for &link in &waiting {
            self.look_for_late(link, context);
        }
        self.picker.open_stalled(context.now, self.help_after(context));
        let mut held_back = false;
        for peer in self.links.values_mut() {
            held_back |= peer.forgive(context.now);
        }
        // What nobody could be asked for a moment ago may be free now, or hopeless where it is.
        let is_judging = self.look_for_late_answers(context);
        let is_begun = self.picker.partials().open().next().is_some();
        let again = !waiting.is_empty() || held_back || is_judging || is_begun || self.picker.is_retrying();
        self.freed |= again;
        again
    }

    fn look_for_late(&mut self, link: LinkId, context: &mut Context<'_>) {
        let (now, config) = (context.now, context.config);
        let Some(peer) = self.links.get_mut(&link) else { return };
        let silence = peer.pipeline.silence(now);
        if silence >= config.stalled_after {
            self.drop_link(link, DisconnectReason::Stalled, context);
            return;
        }
        let mut late = Vec::new();
        let mut withdrawn = Vec::new();
        if silence >= config.snub_after {
            if !peer.pipeline.is_snubbed() {
                peer.pipeline.snub();
                self.freed |= self.picker.disown(peer.key, now);
            }
            late = peer.requests.overdue(now, Duration::ZERO);
            if silence >= config.withdraw_after {
                withdrawn = peer.requests.older_than(now, Duration::ZERO);
                // The last one stays as a probe.
                withdrawn.pop();
            }
        } else {
            let patience = peer.pipeline.patience(now, peer.requests.bytes(), config);
            late.extend(peer.requests.overdue(now, patience));
            withdrawn.extend(peer.requests.older_than(now, patience * 3));
        }
        for block in late {
            self.freed |= self.picker.on_overdue(block);
        }
        for &block in &withdrawn {
            cancel(link, peer, block, context);
        }
        self.withdraw(link, withdrawn);
        self.refill(link, context);
    }

    /// How long a piece may make no progress: several times as long as all that is in flight should take. On slow links
    /// one block is a long time coming.
    fn help_after(&self, context: &Context<'_>) -> Duration {
        let usual = (self.in_flight() * HELP_AFTER_ALL).checked_div(self.down.rate(context.now));
        let usual = usual.map_or(Duration::ZERO, Duration::from_secs);
        usual.min(context.config.withdraw_after).max(context.config.help_after)
    }
}
