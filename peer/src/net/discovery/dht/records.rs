//! The store as libp2p's Kademlia wants to see it, with a clock.

use std::borrow::Cow;
use std::iter::Empty;
use std::net::IpAddr;
use std::time::Instant;
use std::vec::IntoIter;

use libp2p::kad::store::{Error, RecordStore, Result};
use libp2p::kad::{K_VALUE, ProviderRecord, Record, RecordKey};
use libp2p::{Multiaddr, PeerId};
use samara_proto::dht::DhtKey;
use samara_proto::moment::Moment;

use super::store::{Provider, ProviderStore, Refused};

/// Provider records, and no others: nobody stores values with us.
pub struct Records {
    own_id: PeerId,
    store: ProviderStore,
    epoch: Instant,
}

impl Records {
    /// No records yet.
    pub(super) fn new(own_id: PeerId) -> Self {
        Self { own_id, store: ProviderStore::new(&own_id), epoch: Instant::now() }
    }

    fn now(&self) -> Moment {
        Moment::ZERO + self.epoch.elapsed()
    }

    /// See [`ProviderStore::keep`].
    pub(super) fn keep(
        &mut self,
        key: DhtKey,
        provider: PeerId,
        from: &[IpAddr],
        addresses: Vec<Multiaddr>,
    ) -> std::result::Result<(), Refused> {
        self.store.keep(self.now(), key, provider, from, addresses)
    }

    /// Providers other nodes announced to us, at most as many as an answer holds.
    pub(super) fn announced(&self, key: &DhtKey) -> Vec<Provider> {
        self.store.sample(self.now(), key, K_VALUE.get(), &mut rand::rng())
    }

    /// Forgets who has not announced again in time.
    pub(super) fn expire(&mut self) {
        self.store.expire(self.now());
    }
}

impl RecordStore for Records {
    type RecordsIter<'a> = Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = IntoIter<Cow<'a, ProviderRecord>>;

    fn get(&self, _: &RecordKey) -> Option<Cow<'_, Record>> {
        None
    }

    fn put(&mut self, _: Record) -> Result<()> {
        Err(Error::MaxRecords)
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        std::iter::empty()
    }

    /// Takes our own announces; those of others come by [`Records::keep`], which asks where they are from.
    fn add_provider(&mut self, record: ProviderRecord) -> Result<()> {
        match DhtKey::from_slice(record.key.as_ref()) {
            Some(key) if record.provider == self.own_id => {
                self.store.provide(key);
                Ok(())
            }
            _ => Err(Error::MaxProvidedKeys),
        }
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let Some(of) = DhtKey::from_slice(key.as_ref()) else { return Vec::new() };
        let own = self.store.is_provided(&of).then(|| (self.own_id, Vec::new()));
        let all = own.into_iter().chain(self.announced(&of));
        all.map(|(provider, addresses)| ProviderRecord::new(key.clone(), provider, addresses)).collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        let record = |key: &DhtKey| {
            Cow::Owned(ProviderRecord::new(RecordKey::new(key.as_bytes()), self.own_id, Vec::new()))
        };
        self.store.provided().map(record).collect::<Vec<_>>().into_iter()
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if let Some(key) = DhtKey::from_slice(key.as_ref())
            && *provider == self.own_id
        {
            self.store.withdraw(&key);
        }
    }
}
