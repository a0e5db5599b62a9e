//! From common flags to a running node.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;

use etcetera::{AppStrategy, AppStrategyArgs};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::sync::{mpsc, watch};

use super::args::Common;
use super::bind::Bind;
use super::events::Event;
use super::failure::Failure;
use super::metrics;
use super::output::Output;
use crate::handle::{Addresses, KnownFor, Node, NodeConfig, StartError};
use crate::metrics::dialability_name;
use crate::net::address::Reach;
use crate::net::reachability::Dialability;
use crate::net::transport::stays_on;

/// Starts a node as the flags say and tells where it listens.
pub async fn start_node(
    common: &Common,
    listen: &[Multiaddr],
    known_for: KnownFor,
    output: &Output,
) -> Result<Node, Failure> {
    let config = NodeConfig {
        listen: listen.to_vec(),
        bind: bind(common)?,
        state_dir: Some(state_dir(common)?),
        known_for,
        discovery: common.discovery_set(),
        bootstrap: common.bootstrap.clone(),
    };
    let mut node = Node::start(config)
        .await
        .map_err(|error| Failure::failed(format!("cannot start a node: {error}")))?;
    if let Some(warnings) = node.take_warnings() {
        tokio::spawn(pass_on(warnings, output.clone()));
    }
    if !common.bootstrap.is_empty() && common.discovery_set().dht {
        tokio::spawn(tell_joined(node.dht_nodes(), output.clone()));
    }
    let mut told = BTreeSet::new();
    tell_new(&node.addresses(), &mut told, output);
    if let Some(address) = common.metrics {
        metrics::serve(address, bind(common)?, node.figures(), output).await?;
    }
    tokio::spawn(tell_addresses(node.watch_addresses(), told, output.clone()));
    tokio::spawn(tell_dialability(node.watch_addresses(), node.dialability(), output.clone()));
    Ok(node)
}

/// Says what the node warns of, until it ends.
async fn pass_on(mut warnings: mpsc::Receiver<String>, output: Output) {
    while let Some(warning) = warnings.recv().await {
        output.warn(warning);
    }
}

/// Says that the ways into the DHT which the user named have led there, or others have.
async fn tell_joined(mut nodes: watch::Receiver<usize>, output: Output) {
    // An error means that the node has ended.
    if nodes.wait_for(|count| *count > 0).await.is_ok() {
        output.note("joined the DHT");
    }
}

/// Tells of addresses that come up later, such as that of a router which passes connections on.
async fn tell_addresses(mut addresses: Addresses, mut told: BTreeSet<Multiaddr>, output: Output) {
    loop {
        tell_new(&addresses.now(), &mut told, &output);
        if !addresses.changed().await {
            return;
        }
    }
}

fn tell_new(addresses: &[Multiaddr], told: &mut BTreeSet<Multiaddr>, output: &Output) {
    for address in addresses {
        if told.insert(address.clone()) {
            output.event(&Event::Listening {
                protocol: protocol(address),
                address: address.to_string(),
                node: None,
            });
        }
    }
}

/// Says who can dial the node whenever that becomes known, until the node ends.
async fn tell_dialability(
    addresses: Addresses,
    mut dialability: watch::Receiver<Dialability>,
    output: Output,
) {
    while dialability.changed().await.is_ok() {
        let now = *dialability.borrow_and_update();
        let Some(by) = dialability_name(now) else { continue };
        let addresses = reachable(&addresses.now()).iter().map(ToString::to_string).collect();
        output.event(&Event::Reachable { by, addresses });
        match now {
            Dialability::From(Reach::Everybody) => {
                output.note("reachable: peers on the Internet can dial this node");
            }
            Dialability::Nobody => output.note(
                "not reachable: peers know this node's addresses and none has got through; it still takes from \
                 and gives to those that it can dial",
            ),
            Dialability::From(_) | Dialability::Unknown => {}
        }
    }
}

/// The address that every socket must stay on: what `--bind` says, or else `SAMARA_BIND`.
pub fn bind(common: &Common) -> Result<Option<IpAddr>, Failure> {
    if let Some(bind) = &common.bind {
        return bind.resolve().map(Some);
    }
    let Some(value) = std::env::var_os("SAMARA_BIND") else { return Ok(None) };
    let value = value.to_string_lossy();
    let bind: Bind = value
        .parse()
        .map_err(|reason| Failure::usage(format!("invalid value '{value}' in SAMARA_BIND: {reason}")))?;
    bind.resolve().map(Some)
}

/// Refuses addresses that are not where `--bind` demands, before anything that takes time.
pub fn check_listen(common: &Common, listen: &[Multiaddr]) -> Result<(), Failure> {
    let Some(bind) = bind(common)? else { return Ok(()) };
    match listen.iter().find(|address| !stays_on(Some(bind), address)) {
        Some(address) => {
            Err(Failure::failed(StartError::OffBind { address: address.clone(), bind }.to_string()))
        }
        None => Ok(()),
    }
}

/// Where identity and resume data live.
pub fn state_dir(common: &Common) -> Result<PathBuf, Failure> {
    if let Some(dir) = &common.state_dir {
        return Ok(dir.clone());
    }
    let names = AppStrategyArgs { app_name: "samara".into(), ..AppStrategyArgs::default() };
    let strategy = etcetera::choose_app_strategy(names).map_err(|error| {
        Failure::failed(format!("cannot find your home folder ({error}); use --state-dir"))
    })?;
    Ok(strategy.state_dir().unwrap_or_else(|| strategy.data_dir()))
}

/// `tcp` or `quic`.
pub fn protocol(address: &Multiaddr) -> &'static str {
    let is_quic = address.iter().any(|part| matches!(part, Protocol::QuicV1 | Protocol::Quic));
    if is_quic { "quic" } else { "tcp" }
}

/// The addresses that go into a link: what others can dial. Loopback only if there is nothing else, and
/// no IPv6 link-local, whose meaning ends at the cable.
pub fn reachable(addresses: &[Multiaddr]) -> Vec<Multiaddr> {
    let usable = |address: &&Multiaddr, loopback: bool| {
        address.iter().next().is_some_and(|part| match part {
            Protocol::Ip4(ip) => ip.is_loopback() == loopback && !ip.is_unspecified(),
            Protocol::Ip6(ip) => {
                ip.is_loopback() == loopback && !ip.is_unspecified() && !ip.is_unicast_link_local()
            }
            _ => !loopback,
        })
    };
    let mut public: Vec<_> = addresses.iter().filter(|address| usable(address, false)).cloned().collect();
    if public.is_empty() {
        public = addresses.iter().filter(|address| usable(address, true)).cloned().collect();
    }
    public
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn a_link_names_loopback_only_when_there_is_nothing_else() {
        let both = addresses(&[
            "/ip4/127.0.0.1/tcp/1",
            "/ip4/192.0.2.1/tcp/1",
            "/ip6/fe80::1/tcp/1",
            "/ip6/::1/tcp/1",
        ]);
        assert_eq!(reachable(&both), addresses(&["/ip4/192.0.2.1/tcp/1"]));
        let local = addresses(&["/ip4/127.0.0.1/udp/1/quic-v1"]);
        assert_eq!(reachable(&local), local);
    }

    #[test]
    fn tcp_and_quic_are_told_apart() {
        let both = addresses(&["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/1/quic-v1"]);
        assert_eq!(both.iter().map(protocol).collect::<Vec<_>>(), ["tcp", "quic"]);
    }
}
