//! What trackers say of a swarm's size, each asked by itself.

use std::net::IpAddr;
use std::time::Duration;

use futures::future::join_all;
use samara_proto::announce::SwarmCounts;
use samara_proto::infohash::{InfoHash, InfoHashes};
use tokio::time::timeout;

use super::events::ShownSwarm;
use super::failure::Failure;
use crate::net::discovery::tracker::{Client, ClientError};

/// Somebody waits in front of the screen, and a tracker that is slower says nothing worth waiting for.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks all `trackers` side by side, and gives what they say in their order.
pub async fn ask(
    trackers: &[String],
    hashes: &InfoHashes,
    bind: Option<IpAddr>,
) -> Result<Vec<ShownSwarm>, Failure> {
    let client = Client::new(bind).map_err(|error| Failure::failed(error.to_string()))?;
    let names: Vec<InfoHash> = hashes.wire().collect();
    let answers = trackers.iter().map(|tracker| ask_one(&client, tracker, &names));
    Ok(join_all(answers).await)
}

async fn ask_one(client: &Client, tracker: &str, names: &[InfoHash]) -> ShownSwarm {
    let silence = || ClientError::Unreachable(format!("nothing came in {} s", PATIENCE.as_secs()));
    let answer = timeout(PATIENCE, client.scrape(tracker, names)).await.unwrap_or_else(|_| Err(silence()));
    let tracker = tracker.to_owned();
    match answer {
        Ok(counts) => {
            let SwarmCounts { complete, incomplete, downloaded } = most(&counts);
            ShownSwarm::Figures { tracker, seeds: complete, leeches: incomplete, completed: downloaded }
        }
        Err(error) => ShownSwarm::Error { tracker, error: error.to_string() },
    }
}

/// The figures of one swarm by those of its names. A hybrid has two, under which the same peers announce, and
/// some under one alone: of each figure the larger is nearest to the truth.
fn most(counts: &[SwarmCounts]) -> SwarmCounts {
    counts.iter().fold(SwarmCounts::default(), |most, counts| SwarmCounts {
        complete: most.complete.max(counts.complete),
        downloaded: most.downloaded.max(counts.downloaded),
        incomplete: most.incomplete.max(counts.incomplete),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_hybrid_are_one_swarm() {
        let counts = |complete, downloaded, incomplete| SwarmCounts { complete, downloaded, incomplete };
        assert_eq!(most(&[counts(3, 0, 9), counts(2, 7, 10)]), counts(3, 7, 10));
        assert_eq!(most(&[]), counts(0, 0, 0));
    }
}
