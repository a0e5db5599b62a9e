//! `samara node`: take part in the DHT without a torrent, as a way in for others.

use super::args::{Common, NodeArgs};
use super::failure::{Exit, Failure, Outcome};
use super::interrupt::Interrupt;
use super::output::Output;
use super::setup;
use crate::handle::KnownFor;

/// Runs it.
pub async fn run(args: &NodeArgs, common: &Common, output: &Output, mut interrupt: Interrupt) -> Outcome {
    if !common.discovery_set().dht {
        return Err(Failure::usage(
            "a node without a torrent only serves the DHT, which --discovery leaves out",
        ));
    }
    setup::check_listen(common, &args.listen)?;
    let node = setup::start_node(common, &args.listen, KnownFor::Dht, output).await?;
    if !node.is_lasting() {
        output.warn(
            "another samara node runs from the same state folder, so the addresses of this node will be others next time; \
             give it a --state-dir of its own",
        );
    }
    output.say("taking part in the DHT; stop with Ctrl-C. Others come in by one of these:");
    for address in setup::reachable(&node.addresses()) {
        output.field("--bootstrap", address);
    }
    let mut nodes = node.dht_nodes();
    loop {
        tokio::select! {
            () = interrupt.wait() => break,
            changed = nodes.changed() => {
                if changed.is_err() {
                    return Err(Failure::failed("the node stopped; run the same command again"));
                }
                tracing::debug!(nodes = *nodes.borrow_and_update(), "nodes known");
            }
        }
        if output.is_closed() {
            break;
        }
    }
    interrupt.now_means_now();
    node.shutdown().await;
    Ok(Exit::Interrupted)
}
