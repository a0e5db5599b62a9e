//! What discovery costs and how fast it is, measured on real processes; figures, not verdicts.

pub mod control;
pub mod first_byte;
pub mod tracker_load;

use serde_json::Value;

use crate::drill::stage::{Content, Peer, Stage};
use crate::drill::{Options, Scale};

/// Nodes of the swarms that are measured.
pub const NODES: usize = 20;

/// One measured figure.
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it should be below, if anything was promised.
    pub wanted_below: Option<f64>,
}

impl Figure {
    /// For programs.
    pub fn json(&self) -> Value {
        serde_json::json!({ "what": self.what, "value": self.value, "unit": self.unit,
                            "wanted_below": self.wanted_below })
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:<64} {:>10.3} {:<12}", self.what, self.value, self.unit)?;
        match self.wanted_below {
            Some(most) if self.value < most => write!(f, "below {most} as wanted"),
            Some(most) => write!(f, "NOT below {most}"),
            None => Ok(()),
        }
    }
}

fn stage() -> Stage {
    Stage::new(Options { scale: Scale::Full, rng_seed: 1 })
}

/// Peers that fetch `source` and stay; returns when everybody has everything.
fn grown(stage: &Stage, content: &Content, count: usize, source: &str, args: &[&str]) -> Vec<Peer> {
    let mut peers: Vec<Peer> =
        (0..count).map(|number| stage.join(&format!("peer {number}"), source, args)).collect();
    for peer in &mut peers {
        peer.complete(content);
    }
    peers
}
