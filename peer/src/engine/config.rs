//! What the engine may be told: every bound and pace, with the reason for its default.

use std::ops::RangeInclusive;
use std::time::Duration;

use samara_proto::limits::{BLOCK_LENGTH, REQUEST_LENGTH};

/// Who gets the next free slot of those who want something, while we miss something ourselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Anybody.
    #[default]
    Chance,
    /// Who took least beyond what it gave: what is given to each comes to what each gives, as in proportional
    /// share (Levin et al. 2008). For comparison.
    LeastOwed,
    /// Who gave most lately: rate-based tit-for-tat (Cohen 2003). For comparison.
    MostGiven,
}

/// How an engine behaves; the default suits a desktop.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Links in all, so that file descriptors and buffers are bounded.
    pub links: usize,
    /// Links of one torrent; more neighbours than this bring a swarm no closer together.
    pub links_per_torrent: usize,
    /// Links of one torrent up to which we dial; the rest is left for those who come to us.
    pub dialled_links_per_torrent: usize,
    /// Dials in progress at once, in all.
    pub dials: usize,
    /// Candidates remembered for one torrent.
    pub candidates_per_torrent: usize,

    /// Peers we upload to at once: fewest on a slow uplink, for each to have its piece soon, and most on a fast one,
    /// which should be busy although some of them have nothing to ask for.
    pub upload_slots: RangeInclusive<usize>,
    /// Whose turn it is next, of those who owe nothing.
    pub order: Order,
    /// Requests that one remote may have queued here: more than the number we announce to it, because a
    /// block leaves our count a little after it has reached the remote.
    pub request_queue: u32,
    /// The longest request we answer: the number we announce.
    pub request_length: u32,
    /// Least bytes of blocks in the driver's hands for one link, if so much is asked for.
    pub upload_window_floor_bytes: u32,
    /// Most bytes of blocks in the driver's hands for one link, which bounds what it reads ahead.
    pub upload_window_ceiling_bytes: u32,
    /// What is in the driver's hands covers this time: short enough for a choke or a cancel to act soon,
    /// long enough to keep a fast link busy between two turns of the driver.
    pub upload_window: Duration,

    /// Least bytes requested ahead on one link; what fills a fast path within its first round trip.
    pub pipeline_floor_bytes: u64,
    /// Most bytes requested ahead on one link.
    pub pipeline_ceiling_bytes: u64,
    /// Most bytes requested ahead over all links, but for one block that a link without requests may always
    /// ask for: what the disk may have to catch up with.
    pub requested_bytes: u64,
    /// Least bytes requested ahead over all links of one torrent: the fewest on a slow downlink or one of which nothing
    /// is known yet, where more would take minutes to come; the most on a fast one, whatever its rate just now.
    pub in_flight_floor_bytes: RangeInclusive<u64>,
    /// Time that the requests in flight cover beyond twice the bare delay, so that hiccups do not drain the pipeline:
    /// the least on one link of many, the most on one that gives everything.
    pub pipeline_slack: RangeInclusive<Duration>,
    /// A link that gives nothing for this long while we wait is snubbed: others are asked too.
    pub snub_after: Duration,
    /// A snubbed link's requests are withdrawn after this long, all but a probe.
    pub withdraw_after: Duration,
    /// A link that gives nothing for this long while we wait is ended.
    pub stalled_after: Duration,
    /// A piece that makes no progress for this long, and longer where little comes, is opened to others.
    pub help_after: Duration,
    /// Bytes of pieces begun and not yet verified, which bounds what an unclean stop can cost; a link that
    /// would be idle begins one piece more.
    pub partial_bytes: u64,
    /// Pieces that may be begun whatever their size, so that no link is idle for want of a piece.
    pub partial_pieces_min: usize,
    /// Pieces chosen wholly at random in the beginning: a newcomer wants something to trade, soon.
    pub random_first_pieces: u32,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            links: 400,
            links_per_torrent: 80,
            dialled_links_per_torrent: 50,
            dials: 16,
            candidates_per_torrent: 1000,
            upload_slots: 4..=32,
            order: Order::Chance,
            request_queue: 1024,
            request_length: REQUEST_LENGTH,
            upload_window_floor_bytes: 16 * BLOCK_LENGTH,
            upload_window_ceiling_bytes: 128 * BLOCK_LENGTH,
            upload_window: Duration::from_millis(200),
            pipeline_floor_bytes: 16 * u64::from(BLOCK_LENGTH),
            pipeline_ceiling_bytes: 16 * 1024 * 1024,
            requested_bytes: 64 * 1024 * 1024,
            in_flight_floor_bytes: 512 * 1024..=2 * 1024 * 1024,
            pipeline_slack: Duration::from_millis(200)..=Duration::from_secs(2),
            snub_after: Duration::from_secs(10),
            withdraw_after: Duration::from_secs(30),
            stalled_after: Duration::from_secs(120),
            help_after: Duration::from_secs(5),
            partial_bytes: 256 * 1024 * 1024,
            partial_pieces_min: 32,
            random_first_pieces: 1,
        }
    }
}
