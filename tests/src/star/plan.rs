//! What a run of the star is to be: how many hosts on which links, how much content, and what goes wrong.

use std::path::PathBuf;
use std::str::FromStr;

use super::bound::{self, Link};
use super::rate::Rate;

/// Most leeches: one machine cannot run more and still tell the truth about links, and they share a /24.
pub const MOST_LEECHES: usize = 100;

/// What every run of one invocation has in common.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many fetch.
    pub leeches: usize,
    /// Bytes of content.
    pub bytes: u64,
    /// What the seed can send.
    pub seed_up: Rate,
    /// What a leech of the fastest class can send.
    pub up: Rate,
    /// What a leech of the fastest class, and the seed, can receive.
    pub down: Rate,
    /// Classes of links, dealt to the leeches in turns.
    pub classes: Classes,
    /// What happens on the way.
    pub twist: Twist,
    /// What samara's processes may speak.
    pub transport: Transport,
    /// How samara's processes find each other, as `--discovery` says it; `None` is by everything.
    pub discovery: Option<String>,
    /// Where to keep what the processes said.
    pub logs: Option<PathBuf>,
    /// The version of the torrent, as `samara create --format` says it.
    pub format: &'static str,
}

/// What happens on the way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Twist {
    /// Nothing.
    Calm,
    /// The seed is killed once it has sent so many copies.
    SeedLeaves {
        /// Copies of the content.
        copies: f64,
    },
    /// A peer with everything flips a bit in every block it sends.
    Corrupter,
}

/// What samara's processes may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Transport {
    /// TCP alone: each process is bound to its host's interface
    Tcp,
    /// TCP and QUIC: nobody is bound, as nothing leads out of the star
    Any,
}

/// Classes of links by weight, such as 1:4:16; the heaviest has the whole rate, the others their share of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    weights: Vec<u32>,
}

impl Classes {
    /// How many.
    pub fn count(&self) -> usize {
        self.weights.len()
    }

    /// The class of leech `number`: classes are dealt in turns.
    pub fn class_of(&self, number: usize) -> usize {
        number % self.weights.len()
    }

    /// Its weight.
    pub fn weight(&self, class: usize) -> u32 {
        self.weights[class]
    }

    fn heaviest(&self) -> u32 {
        *self.weights.iter().max().expect("parsing gives one at least")
    }
}

impl FromStr for Classes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let weights: Result<Vec<u32>, _> = text.split(':').map(str::parse).collect();
        match weights {
            Ok(weights) if weights.iter().all(|weight| (1..=1000).contains(weight)) => Ok(Self { weights }),
            _ => {
                Err("classes are weights from 1 to 1000 with colons between them, such as 1:4:16".to_owned())
            }
        }
    }
}

impl Plan {
    /// The link of leech `number`.
    pub fn link(&self, number: usize) -> Link {
        let weight = self.classes.weight(self.classes.class_of(number));
        let whole = self.classes.heaviest();
        Link { up: self.up.share(weight, whole), down: self.down.share(weight, whole) }
    }

    /// The links of all leeches.
    pub fn links(&self) -> Vec<Link> {
        (0..self.leeches).map(|number| self.link(number)).collect()
    }

    /// The best possible time for all leeches.
    pub fn bound_seconds(&self) -> f64 {
        let links = self.links();
        bound::seconds(self.bytes, self.seed_up, &links, &links)
    }

    /// The best possible time for the leeches of one class, if everybody worked for them.
    pub fn class_bound_seconds(&self, class: usize) -> f64 {
        let of_class = (0..self.leeches)
            .filter(|number| self.classes.class_of(*number) == class)
            .map(|number| self.link(number));
        bound::seconds(self.bytes, self.seed_up, &of_class.collect::<Vec<_>>(), &self.links())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(classes: &str) -> Plan {
        Plan {
            leeches: 9,
            bytes: 64 << 20,
            seed_up: Rate::megabits(50.0),
            up: Rate::megabits(50.0),
            down: Rate::megabits(50.0),
            classes: classes.parse().unwrap(),
            twist: Twist::Calm,
            transport: Transport::Tcp,
            discovery: None,
            logs: None,
            format: "hybrid",
        }
    }

    #[test]
    fn equal_links_are_one_class_with_the_bound_of_all() {
        let plan = plan("1");
        assert!((plan.bound_seconds() - 10.737).abs() < 0.001, "{}", plan.bound_seconds());
        assert_eq!(plan.class_bound_seconds(0), plan.bound_seconds());
    }

    #[test]
    fn the_heaviest_class_has_the_whole_rate_and_classes_are_dealt_in_turns() {
        let plan = plan("1:4:16");
        let downs: Vec<f64> = plan.links().iter().map(|link| link.down.in_megabits()).collect();
        assert_eq!(downs[..4], [3.125, 12.5, 50.0, 3.125]);
        assert!(plan.class_bound_seconds(0) > 4.0 * plan.class_bound_seconds(1) - 0.001);
        assert_eq!(plan.bound_seconds(), plan.class_bound_seconds(0));
    }

    #[test]
    fn nonsense_is_no_class() {
        for nonsense in ["", "1:", "0:1", "a:b", "1:4000"] {
            assert!(nonsense.parse::<Classes>().is_err(), "{nonsense}");
        }
    }
}
