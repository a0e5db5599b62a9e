//! How much to have requested ahead on one link, from its measured rate and delay.

use std::time::Duration;

use samara_proto::limits::BLOCK_LENGTH;
use samara_proto::moment::Moment;

use super::config::EngineConfig;
use super::rate::{Meter, Peak};

/// Remembered for the pipeline: short, so that it follows a link that speeds up.
const RATE_WINDOW: Duration = Duration::from_secs(1);
/// Floor of a link known to be slow; a longer queue there only keeps blocks from those who are faster.
const SLOW_FLOOR: u64 = 8 * BLOCK_LENGTH as u64;
/// The floor of a link whose rate is known covers this much time.
const FLOOR_SECONDS: u64 = 2;
/// Requests need not be longer than this to keep their overhead below notice.
const REQUEST_BLOCKS_MAX: u64 = 16;
/// Requests that a full pipeline is divided into at least: one is on its way while the next is asked for.
const REQUESTS_PER_PIPELINE: u64 = 2;
/// A request asks for no more than the link gives within this time, so that what others might give sooner is not
/// tied to it.
const REQUEST_TIME: Duration = Duration::from_millis(400);
/// The rate that a link has reached is forgotten by one in so many with every block.
const FADE: u64 = 16;
/// What a drained pipeline is assumed to deliver a second before anything is measured.
const ASSUMED_RATE: u64 = 64 * 1024;

/// One link's flow of blocks towards us.
#[derive(Clone, Debug)]
pub struct Pipeline {
    rate: Meter,
    /// The least delay seen from a request to its block on an otherwise idle link.
    base_delay: Option<Duration>,
    /// When a block last came, or the first request after an idle time was sent.
    progress_at: Moment,
    snubbed: bool,
    /// The highest rate lately, in bytes a second: between two turns nothing comes, and says nothing of the link.
    reached: Peak,
}

impl Pipeline {
    /// The flow of a link that came up at `now`.
    pub fn new(now: Moment) -> Self {
        Self {
            rate: Meter::new(now, RATE_WINDOW),
            base_delay: None,
            progress_at: now,
            snubbed: false,
            reached: Peak::new(FADE),
        }
    }

    /// A request goes out on a link where nothing was in flight.
    pub fn on_first_request(&mut self, now: Moment) {
        self.progress_at = now;
    }

    /// `bytes` came, `delay` after they were requested; `alone` if nothing else was in flight then.
    pub fn on_block(&mut self, now: Moment, bytes: u32, delay: Duration, alone: bool) {
        self.rate.add(now, bytes);
        self.progress_at = now;
        self.reached.note(self.rate.rate(now));
        self.snubbed = false;
        // A request behind others waits for them: its delay says something only if it beats the record.
        self.base_delay = match self.base_delay {
            Some(known) => Some(known.min(delay)),
            None => alone.then_some(delay),
        };
    }

    /// Bytes a second, measured over the last second.
    pub fn rate(&self, now: Moment) -> u64 {
        self.rate.rate(now)
    }

    /// Whether the link was given up as too slow; its next block redeems it.
    pub fn is_snubbed(&self) -> bool {
        self.snubbed
    }

    /// The link gave nothing for too long.
    pub fn snub(&mut self) {
        self.snubbed = true;
    }

    /// How long nothing has come.
    pub fn silence(&self, now: Moment) -> Duration {
        now.since(self.progress_at)
    }

    /// Bytes that should be in flight while `all` bytes a second come over all links: rate times twice the bare delay
    /// and some slack, between floor and ceiling; the floor is lower where the rate is known to be low; one block for a
    /// snubbed link. The more of everything one link gives, the longer the slack: it must not run dry, whatever its
    /// requests wait behind in our uplink, and what it is asked for would come no sooner from others.
    pub fn target(&self, now: Moment, all: u64, config: &EngineConfig) -> u64 {
        if self.snubbed {
            return u64::from(BLOCK_LENGTH);
        }
        let rate = self.rate(now);
        let floor = match self.rate.total() {
            0 => config.pipeline_floor_bytes,
            _ => (rate * FLOOR_SECONDS).max(SLOW_FLOOR).min(config.pipeline_floor_bytes),
        };
        let (least, most) = (*config.pipeline_slack.start(), *config.pipeline_slack.end());
        let share = u128::from(rate) * most.as_micros() / u128::from(all.max(rate).max(1));
        let slack = Duration::from_micros(u64::try_from(share).unwrap_or(u64::MAX)).max(least);
        let horizon = self.base_delay.unwrap_or_default() * 2 + slack;
        let wanted = u128::from(rate) * horizon.as_micros() / 1_000_000;
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        wanted.max(floor).min(config.pipeline_ceiling_bytes)
    }

    /// How long one request should be if up to `agreed` bytes are answered: whole blocks.
    pub fn request_blocks(&self, target: u64, agreed: u32) -> u32 {
        let longest = u64::from(agreed / BLOCK_LENGTH).clamp(1, REQUEST_BLOCKS_MAX);
        let soon = u128::from(self.reached.rate()) * REQUEST_TIME.as_micros() / 1_000_000;
        let soon = u64::try_from(soon).unwrap_or(u64::MAX);
        let fair = soon.min(target / REQUESTS_PER_PIPELINE) / u64::from(BLOCK_LENGTH);
        // Bounded by `longest`, which is small.
        fair.clamp(1, longest) as u32
    }

    /// How long `in_flight` bytes should take to arrive.
    pub fn drain_time(&self, now: Moment, in_flight: u64) -> Duration {
        if self.snubbed {
            return Duration::from_secs(3600);
        }
        let rate = match self.rate(now) {
            0 if self.rate.total() == 0 => ASSUMED_RATE,
            rate => rate.max(1),
        };
        let micros = u128::from(in_flight) * 1_000_000 / u128::from(rate);
        let micros = u64::try_from(micros).unwrap_or(u64::MAX).min(3_600_000_000);
        self.base_delay.unwrap_or_default() + Duration::from_micros(micros)
    }

    /// How long a request may take before others are asked too: four times what is expected, never less
    /// than `config.snub_after`.
    pub fn patience(&self, now: Moment, in_flight: u64, config: &EngineConfig) -> Duration {
        (self.drain_time(now, in_flight) * 4).clamp(config.snub_after, config.stalled_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const SECOND: Duration = Duration::from_secs(1);
    /// Far more comes over all links than over the one looked at.
    const ALL: u64 = 1024 * MIB;

    fn at_millis(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    #[test]
    fn a_new_link_starts_at_the_floor_and_a_fast_far_one_outgrows_it() {
        let config = EngineConfig::default();
        let mut pipeline = Pipeline::new(at_millis(0));
        assert_eq!(pipeline.target(at_millis(0), ALL, &config), config.pipeline_floor_bytes);
        for millis in 0..2000 {
            // 50 MB/s at 100 ms.
            pipeline.on_block(at_millis(millis), 50_000, Duration::from_millis(100), millis == 0);
        }
        let target = pipeline.target(at_millis(2000), ALL, &config);
        assert!((15 * MIB..=config.pipeline_ceiling_bytes).contains(&target), "{target}");
    }

    #[test]
    fn waiting_in_our_own_queue_does_not_grow_the_pipeline() {
        let config = EngineConfig::default();
        let mut pipeline = Pipeline::new(at_millis(0));
        pipeline.on_block(at_millis(5), 16_384, Duration::from_millis(5), true);
        for millis in 0..5000 {
            pipeline.on_block(at_millis(millis), 5_000, Duration::from_secs(3), false);
        }
        assert!(pipeline.target(at_millis(5000), ALL, &config) < 2 * MIB);
    }

    #[test]
    fn a_link_that_gives_most_is_asked_for_most_ahead() {
        let config = EngineConfig::default();
        let mut pipeline = Pipeline::new(at_millis(0));
        (1..=1000).for_each(|millis| pipeline.on_block(at_millis(millis), 4096, SECOND, false));
        let seconds = |all: u64| pipeline.target(at_millis(1000), all, &config) as f64 / (4096.0 * 1000.0);
        let of_shares = [1, 2, 4, 10, 100].map(|part| seconds(part * 4_096_000));
        for (seconds, expected) in of_shares.into_iter().zip([2.0, 1.0, 0.5, 0.2, 0.2]) {
            assert!((0.9..1.1).contains(&(seconds / expected)), "{of_shares:?}");
        }
        assert_eq!(seconds(0), of_shares[0], "nothing is known of the others");
    }

    #[test]
    fn a_slow_link_holds_few_blocks() {
        let config = EngineConfig::default();
        let mut pipeline = Pipeline::new(at_millis(0));
        for second in 1..5 {
            pipeline.on_block(at_millis(second * 1000), 16_384, Duration::from_secs(1), second == 1);
        }
        assert_eq!(pipeline.target(at_millis(4000), ALL, &config), SLOW_FLOOR);
    }

    #[test]
    fn requests_grow_with_the_pipeline_up_to_what_was_agreed() {
        let mut pipeline = Pipeline::new(at_millis(0));
        pipeline.reached.note(50 * MIB);
        assert_eq!(pipeline.request_blocks(MIB / 8, BLOCK_LENGTH), 1);
        assert_eq!(pipeline.request_blocks(MIB / 8, 1024 * 1024), 4);
        assert_eq!(pipeline.request_blocks(16 * MIB, 1024 * 1024), 16);
        assert_eq!(pipeline.request_blocks(16 * MIB, 0), 1);
    }

    #[test]
    fn a_slow_link_is_asked_for_little_at_a_time_and_remembered_over_a_pause() {
        let mut pipeline = Pipeline::new(at_millis(0));
        let one = u64::from(BLOCK_LENGTH);
        assert_eq!(pipeline.request_blocks(MIB, 1024 * 1024), 1, "nothing is known");
        (1..=50).for_each(|turn| pipeline.on_block(at_millis(turn * 20), BLOCK_LENGTH, SECOND, false));
        // 50 blocks a second: 20 within the time of a request.
        assert_eq!(pipeline.request_blocks(MIB, 1024 * 1024), REQUEST_BLOCKS_MAX as u32);
        assert_eq!(pipeline.request_blocks(16 * one, 1024 * 1024), 8);
        pipeline.on_block(at_millis(20_000), BLOCK_LENGTH, SECOND, false);
        assert_eq!(pipeline.request_blocks(16 * one, 1024 * 1024), 8, "one block after a pause says little");
        (21..80).for_each(|second| pipeline.on_block(at_millis(second * 1000), BLOCK_LENGTH, SECOND, false));
        assert_eq!(pipeline.request_blocks(16 * one, 1024 * 1024), 1, "it is slow now");
    }

    #[test]
    fn a_snubbed_link_is_probed_with_one_block_until_it_gives() {
        let config = EngineConfig::default();
        let mut pipeline = Pipeline::new(at_millis(0));
        pipeline.snub();
        assert_eq!(pipeline.target(at_millis(1), ALL, &config), u64::from(BLOCK_LENGTH));
        pipeline.on_block(at_millis(2), 16_384, Duration::from_millis(2), true);
        assert!(!pipeline.is_snubbed());
    }
}
