//! `samara tracker`: run a tracker until interrupted, and beside it a node of the DHT for others to come in by.

use std::net::SocketAddr;

use samara_tracker::{Tracker, TrackerArgs};

use super::args::{Common, Discovery};
use super::bind::Bind;
use super::events::Event;
use super::failure::{Exit, Failure, Outcome};
use super::interrupt::Interrupt;
use super::output::Output;
use super::setup;
use crate::handle::{KnownFor, Node};

/// Runs it.
pub async fn run(args: &TrackerArgs, common: &Common, output: &Output, mut interrupt: Interrupt) -> Outcome {
    let bind = setup::bind(common)?;
    let config = args.to_config(bind).map_err(|error| Failure::failed(error.to_string()))?;
    let tracker =
        samara_tracker::start_on(config, bind).await.map_err(|error| Failure::failed(error.to_string()))?;
    let listeners = [
        ("http", tracker.http_address(), tracker.http_url()),
        ("udp", tracker.udp_address(), tracker.udp_url()),
    ];
    for (protocol, address, url) in listeners {
        let (Some(address), Some(url)) = (address, url) else { continue };
        output.event(&Event::Listening { protocol, address: address.to_string(), node: None });
        output.say(format_args!("tracker listens at {url}"));
    }
    let node = start_bootstrap(&tracker, common, output).await;
    tokio::select! {
        () = interrupt.wait() => {}
        () = tell_of(node.as_ref(), &tracker) => {}
    }
    interrupt.now_means_now();
    tracker.stop().await;
    if let Some(node) = node {
        node.shutdown().await;
    }
    Ok(Exit::Interrupted)
}

/// Starts a node of the DHT where the tracker listens, unless that is not wanted. A tracker goes on without.
async fn start_bootstrap(tracker: &Tracker, common: &Common, output: &Output) -> Option<Node> {
    if !common.discovery_set().dht {
        return None;
    }
    let started = match node_beside(tracker, common) {
        Ok(common) => setup::start_node(&common, &[], KnownFor::Dht, output).await,
        Err(failure) => Err(failure),
    };
    match started {
        Ok(node) => {
            for address in setup::reachable(&node.addresses()) {
                output.say(format_args!("the DHT is joined by --bootstrap {address}"));
            }
            Some(node)
        }
        Err(failure) => {
            output.warn(format_args!("the tracker runs without a node of the DHT: {failure}"));
            None
        }
    }
}

/// The flags of a node that listens where the tracker does, serves the DHT alone, and has a place of its own
/// in the state folder, so that its addresses stay the same whatever else runs from there.
fn node_beside(tracker: &Tracker, common: &Common) -> Result<Common, Failure> {
    let listens = tracker.http_address().or(tracker.udp_address()).as_ref().map(SocketAddr::ip);
    let bind = listens.filter(|ip| !ip.is_unspecified()).map(Bind::Address);
    Ok(Common {
        bind: common.bind.clone().or(bind),
        state_dir: Some(setup::state_dir(common)?.join("tracker")),
        discovery: Some(vec![Discovery::Dht]),
        metrics: None,
        ..common.clone()
    })
}

/// Lets the tracker tell its clients where the node is, wherever that comes to be.
async fn tell_of(node: Option<&Node>, tracker: &Tracker) {
    if let Some(node) = node {
        let mut addresses = node.watch_addresses();
        loop {
            tracker.set_bootstrap(&addresses.now());
            if !addresses.changed().await {
                break;
            }
        }
    }
    std::future::pending().await
}
