//! A small BitTorrent tracker: HTTP and UDP over one registry.
//!
//! It helps the first peers of a swarm to find each other, those that speak BitTorrent over TCP and
//! those that speak libp2p, each its own kind and both in one swarm. [`start`] runs it inside a program;
//! the binary `samara-tracker` and the command `samara tracker` are thin shells around it.

mod access;
mod args;
mod config;
mod device;
mod http;
mod metrics;
pub mod registry;
mod service;
mod udp;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use rand::TryRng;
use rand::rngs::{SysError, SysRng};
use samara_proto::record::Multiaddr;
use thiserror::Error;
use tokio::task::JoinSet;

pub use access::{Access, ListedHash};
pub use args::{TrackerArgs, listen_address};
pub use config::{ConfigError, DEFAULT_FILE, HttpLimits, Listen, TrackerConfig};

use device::Device;
use registry::Ways;
use service::{Secrets, Service};

/// A running tracker. Dropping it stops it at once.
#[derive(Debug)]
pub struct Tracker {
    http_address: Option<SocketAddr>,
    udp_address: Option<SocketAddr>,
    service: Arc<Service>,
    tasks: JoinSet<()>,
}

/// Why a tracker did not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The system does not let it listen there.
    #[error("cannot listen on {address} ({protocol}): {source}")]
    Listen {
        /// `http` or `udp`.
        protocol: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// No interface carries the address that every socket must stay on.
    #[error("cannot stay on {bind}: {source}")]
    NotHere {
        /// The address.
        bind: IpAddr,
        /// Why.
        source: io::Error,
    },
    /// It is to listen nowhere, so nobody could ask it anything.
    #[error("no address to listen on: give one for HTTP or UDP, or both")]
    NoListener,
    /// The system has no randomness, without which the tracker could be fooled.
    #[error("cannot get random numbers from the system: {0}")]
    Entropy(#[from] SysError),
}

/// Starts a tracker on the current tokio runtime.
///
/// # Errors
///
/// When there is no address to listen on, one cannot be listened on, or the system has no randomness.
/// Nothing runs then.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn start(config: TrackerConfig) -> Result<Tracker, StartError> {
    start_on(config, None).await
}

/// Starts a tracker whose packets leave by the interface that carries `bind` alone, or not at all. Its
/// listeners must be on that address already: see [`TrackerConfig::keep_on`].
///
/// # Errors
///
/// As those of [`start`], and when no interface carries the address.
///
/// # Panics
///
/// Outside a tokio runtime.
pub async fn start_on(config: TrackerConfig, bind: Option<IpAddr>) -> Result<Tracker, StartError> {
    let TrackerConfig { listen, announce, limits, http, access } = config;
    if listen.http.is_none() && listen.udp.is_none() {
        return Err(StartError::NoListener);
    }
    let not_here = |bind| move |source| StartError::NotHere { bind, source };
    let device =
        bind.map(|bind| Device::carrying(bind).map_err(not_here(bind))).transpose()?.unwrap_or_default();
    let secrets = secrets()?;
    let connection_key = secrets.connection_key;
    let http_listener = listen.http.map(|address| listening("http", address, http::listen(address, &device)));
    let udp_socket = listen.udp.map(|address| listening("udp", address, udp::Socket::bind(address, &device)));
    let (http_listener, udp_socket) = (http_listener.transpose()?, udp_socket.transpose()?);

    let service = Arc::new(Service::new(limits, announce, access, secrets));
    let mut tracker = Tracker {
        http_address: None,
        udp_address: None,
        service: Arc::clone(&service),
        tasks: JoinSet::new(),
    };
    if let Some((listener, address)) = http_listener {
        tracker.http_address = Some(address);
        tracker.tasks.spawn(http::serve(listener, Arc::clone(&service), http));
    }
    if let Some((socket, address)) = udp_socket {
        tracker.udp_address = Some(address);
        tracker.tasks.spawn(udp::serve(socket, Arc::clone(&service), connection_key));
    }
    tracker.tasks.spawn(async move { service.sweep().await });
    Ok(tracker)
}

fn listening<T>(protocol: &'static str, address: SocketAddr, result: io::Result<T>) -> Result<T, StartError> {
    result.map_err(|source| StartError::Listen { protocol, address, source })
}

fn secrets() -> Result<Secrets, SysError> {
    let mut secrets = Secrets::default();
    SysRng.try_fill_bytes(&mut secrets.hash_key)?;
    SysRng.try_fill_bytes(&mut secrets.rng_seed)?;
    SysRng.try_fill_bytes(&mut secrets.connection_key)?;
    Ok(secrets)
}

impl Tracker {
    /// Where it listens over HTTP, if it does.
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http_address
    }

    /// Where it listens over UDP, if it does.
    pub fn udp_address(&self) -> Option<SocketAddr> {
        self.udp_address
    }

    /// The announce URL over HTTP.
    pub fn http_url(&self) -> Option<String> {
        self.http_address.map(|address| format!("http://{address}/announce"))
    }

    /// The announce URL over UDP.
    pub fn udp_url(&self) -> Option<String> {
        self.udp_address.map(|address| format!("udp://{address}/announce"))
    }

    /// Tells libp2p clients from now on of these ways into the DHT, each of those that can reach it: addresses
    /// that begin with an IP address and end in `/p2p/<peer id>`.
    pub fn set_bootstrap(&self, addresses: &[Multiaddr]) {
        self.service.set_ways(Ways::new(addresses));
    }

    /// Stops it: when this returns, its ports are free and its connections closed.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}
