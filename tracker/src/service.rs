//! What both protocols ask: one registry behind one lock, with the clock, the dice and the access lists.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use samara_proto::announce::http::Scraped;
use samara_proto::infohash::InfoHash;
use samara_proto::moment::Moment;
use thiserror::Error;

use crate::access::Access;
use crate::metrics::Metrics;
use crate::registry::{Announce, Announced, Limits, Pace, Refusal, Registry, Totals, Ways};

/// All swarms are swept once in this time.
const SWEEP_ROUND: Duration = Duration::from_secs(60);

/// Pause between two parts of a sweep.
const SWEEP_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Service {
    memory: Mutex<Memory>,
    ways: RwLock<Ways>,
    access: Access,
    pub(crate) metrics: Metrics,
    epoch: Instant,
}

#[derive(Debug)]
struct Memory {
    registry: Registry,
    rng: ChaCha8Rng,
}

/// Why an announce or scrape was refused. The text is fit for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum ServiceError {
    #[error("this tracker does not serve that torrent")]
    NotServed,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl Service {
    pub(crate) fn new(limits: Limits, pace: Pace, access: Access, secrets: Secrets) -> Self {
        let registry = Registry::new(limits, pace, secrets.hash_key);
        let rng = ChaCha8Rng::from_seed(secrets.rng_seed);
        let memory = Mutex::new(Memory { registry, rng });
        Self { memory, ways: RwLock::default(), access, metrics: Metrics::default(), epoch: Instant::now() }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment::ZERO + self.epoch.elapsed()
    }

    pub(crate) fn announce(&self, announce: &Announce) -> Result<Announced, ServiceError> {
        if !self.access.permits(announce.info_hash) {
            return Err(ServiceError::NotServed);
        }
        let now = self.now();
        let Memory { registry, rng } = &mut *self.memory();
        Ok(registry.announce(now, rng, announce)?)
    }

    /// The figures of each swarm, in the order asked; all zero for those unknown or not served.
    pub(crate) fn scrape(&self, info_hashes: &[InfoHash]) -> Vec<Scraped> {
        let now = self.now();
        let mut memory = self.memory();
        info_hashes.iter().map(|info_hash| memory.registry.scrape(now, *info_hash)).collect()
    }

    /// Tells clients of these ways into the DHT from now on.
    pub(crate) fn set_ways(&self, ways: Ways) {
        *self.ways.write().unwrap_or_else(PoisonError::into_inner) = ways;
    }

    /// Ways into the DHT for a client at `viewer`, as binary multiaddrs.
    pub(crate) fn ways_for(&self, viewer: IpAddr) -> Vec<Vec<u8>> {
        self.ways.read().unwrap_or_else(PoisonError::into_inner).for_client(viewer)
    }

    pub(crate) fn totals(&self) -> Totals {
        self.memory().registry.totals()
    }

    /// Forgets silent peers, for ever.
    pub(crate) async fn sweep(&self) {
        loop {
            tokio::time::sleep(SWEEP_PAUSE).await;
            let now = self.now();
            let mut memory = self.memory();
            let pauses = SWEEP_ROUND.as_secs() / SWEEP_PAUSE.as_secs();
            let part = memory.registry.totals().swarms.div_ceil(pauses);
            memory.registry.sweep(now, usize::try_from(part).unwrap_or(usize::MAX));
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        // Had a thread panicked half way, a figure might be off by one: no reason to serve nobody.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What nobody outside may guess.
#[derive(Debug, Default)]
pub(crate) struct Secrets {
    pub(crate) hash_key: [u8; 16],
    pub(crate) rng_seed: [u8; 32],
    pub(crate) connection_key: [u8; 16],
}
