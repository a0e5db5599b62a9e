//! Drills: what a swarm of real processes must survive, each a claim that can be tried any number of times.

mod bootstrap;
mod churn;
mod departure;
pub mod network;
mod newcomer;
mod poison;
mod split;
pub mod stage;
mod tracker;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::patience;
use stage::Stage;

/// Longest a drill may take; each needs a fraction of it.
const LIMIT: Duration = Duration::from_secs(300);

/// Something that happens to a swarm, and what must come of it.
pub struct Drill {
    /// How it is called on the command line.
    pub name: &'static str,
    /// What it shows if it passes.
    pub claim: &'static str,
    /// What it cannot be tried without.
    pub needs: Needs,
    /// Tries it, and gives a remark for the table.
    run: fn(&mut Stage) -> String,
}

/// What a drill needs of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Loopback.
    Nothing,
    /// Network namespaces: root on Linux, and `ip`.
    Namespaces,
}

/// Every drill, in the order they are tried.
pub const ALL: &[Drill] = &[
    Drill {
        name: "tracker-killed-before",
        claim: "a tracker that died before the transfer costs a line, and newcomers join by a link that names a peer",
        needs: Needs::Nothing,
        run: tracker::killed_before,
    },
    Drill {
        name: "tracker-killed-during",
        claim: "peers that met by a tracker finish without it, and a newcomer joins afterwards",
        needs: Needs::Nothing,
        run: tracker::killed_during,
    },
    Drill {
        name: "tracker-killed-after",
        claim: "with tracker and original seed gone a newcomer gets everything from those who took it",
        needs: Needs::Nothing,
        run: tracker::killed_after,
    },
    Drill {
        name: "newcomer-by-dht",
        claim: "with the tracker dead a newcomer with the bare link finds the swarm by the DHT alone",
        needs: Needs::Nothing,
        run: newcomer::by_dht,
    },
    Drill {
        name: "newcomer-by-lan",
        claim: "with the tracker dead a newcomer with the bare link finds the swarm by the local network alone",
        needs: Needs::Namespaces,
        run: newcomer::by_lan,
    },
    Drill {
        name: "newcomer-by-pex",
        claim: "with the tracker dead a newcomer that knows one peer finds the others by peer exchange alone",
        needs: Needs::Nothing,
        run: newcomer::by_pex,
    },
    Drill {
        name: "newcomer-by-cache",
        claim: "everybody killed and started again without a tracker comes together by remembered peers alone",
        needs: Needs::Nothing,
        run: newcomer::by_cache,
    },
    Drill {
        name: "newcomer-by-link",
        claim: "with the tracker dead a newcomer gets everything by the addresses in the link alone",
        needs: Needs::Nothing,
        run: newcomer::by_link,
    },
    Drill {
        name: "bootstrap-node-killed",
        claim: "a DHT whose first node is killed goes on, and takes newcomers in by any other",
        needs: Needs::Nothing,
        run: bootstrap::killed,
    },
    Drill {
        name: "seed-gone-at-1.05",
        claim: "the original seed leaves when 1.05 copies are out, and everybody completes all the same",
        needs: Needs::Namespaces,
        run: departure::seed_gone,
    },
    Drill {
        name: "a-quarter-killed",
        claim: "every 10 s a random quarter is killed and as many join, and everybody alive completes",
        needs: Needs::Namespaces,
        run: churn::a_quarter_killed,
    },
    Drill {
        name: "network-split",
        claim: "cut in two, each half of a swarm goes on; healed, everybody completes",
        needs: Needs::Namespaces,
        run: split::cut_and_healed,
    },
    Drill {
        name: "poisoned-tracker",
        claim: "trackers that name a thousand made-up peers send nobody more than a handful of dials, and the seed is found beside them",
        needs: Needs::Namespaces,
        run: poison::tracker,
    },
    Drill {
        name: "poisoned-pex",
        claim: "a peer that names a thousand made-up ones sends nobody more than a handful of dials, and the swarm is found beside it",
        needs: Needs::Namespaces,
        run: poison::pex,
    },
    Drill {
        name: "poisoned-dht",
        claim: "a node of the DHT that names a thousand made-up peers and nodes sends nobody more than a handful of dials, and the seed is found",
        needs: Needs::Namespaces,
        run: poison::dht,
    },
    Drill {
        name: "poisoned-lan",
        claim: "a thousand made-up neighbours get nobody more than a handful of dials, and the real one is found",
        needs: Needs::Namespaces,
        run: poison::lan,
    },
];

/// How drills are tried.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How much content there is.
    pub scale: Scale,
    /// Decides every random choice.
    pub rng_seed: u64,
}

/// How much content there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// For unoptimized builds and busy machines.
    Small,
    /// For release builds.
    Full,
}

/// How a drill went.
#[derive(Debug)]
pub struct Report {
    /// How long it took.
    pub seconds: f64,
    /// A remark, or why it failed.
    pub result: Result<String, String>,
}

impl Drill {
    /// The drill of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|drill| drill.name == name)
    }

    /// Tries it once. Nothing of it is left when this returns, whatever happened.
    pub fn try_once(&'static self, options: Options) -> Report {
        let began = Instant::now();
        let drill = std::thread::Builder::new().name(self.name.to_owned()).spawn(move || {
            patience::limit_this_thread(LIMIT);
            catch_unwind(AssertUnwindSafe(|| (self.run)(&mut Stage::new(options))))
        });
        let ended = drill.expect("the system has room for a thread").join();
        let result = ended.and_then(|caught| caught).map_err(|panic| message(panic.as_ref()));
        Report { seconds: began.elapsed().as_secs_f64(), result }
    }
}

/// What a caught panic says.
pub(crate) fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_drill_has_a_name_of_its_own() {
        for (at, drill) in ALL.iter().enumerate() {
            assert!(
                drill.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c)),
                "{}",
                drill.name
            );
            assert!(ALL[..at].iter().all(|other| other.name != drill.name), "{}", drill.name);
        }
    }
}
