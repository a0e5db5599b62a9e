//! `samara tracker`: run a tracker until interrupted.

use samara_tracker::TrackerArgs;

use super::args::Common;
use super::events::Event;
use super::failure::{Exit, Failure, Outcome};
use super::interrupt::Interrupt;
use super::output::Output;
use super::setup;

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
        output.event(&Event::Listening { protocol, address: address.to_string() });
        output.say(format_args!("tracker listens at {url}"));
    }
    interrupt.wait().await;
    interrupt.now_means_now();
    tracker.stop().await;
    Ok(Exit::Interrupted)
}
