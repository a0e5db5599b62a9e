//! What came of one run, and the ratios that systems are compared by.

use super::corrupter::Corruption;
use super::plan::{Plan, Transport};
use super::run::Exchanged;
use super::system::System;
use super::traffic::Traffic;

/// What came of one run.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Of which system.
    pub system: System,
    /// When each leech had everything.
    pub arrivals: Vec<Arrival>,
    /// What the seed's link carried until then.
    pub seed_traffic: Traffic,
    /// What each leech's did.
    pub leech_traffic: Vec<Traffic>,
    /// What the processes say of content.
    pub content: Content,
    /// What came of the corrupter, if there was one.
    pub corruption: Option<Corruption>,
}

/// When a leech had everything.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Of which class its link is.
    pub class: usize,
    /// Since the first leech was started.
    pub seconds: f64,
}

/// Content bytes as the processes count them; `None` of one that does not, or was killed.
#[derive(Clone, Debug)]
pub struct Content {
    /// The seed.
    pub seed: Option<Exchanged>,
    /// Each leech.
    pub leeches: Vec<Option<Exchanged>>,
}

/// One system's figures; of several runs the medians.
#[derive(Clone, Debug)]
pub struct Figures {
    /// From the start of the first leech to the completion of the last.
    pub seconds: f64,
    /// T_min / T.
    pub efficiency: f64,
    /// Content bytes the seed sent / F, as it says itself.
    pub seed_bytes_ratio: Option<f64>,
    /// Everything the seed's link carried from it / F, headers included.
    pub seed_wire_ratio: f64,
    /// Content bytes a leech received more than once / F, on average.
    pub duplicate_ratio: Option<f64>,
    /// Bytes received that are neither content nor headers / F, for each leech; `None` if something else than
    /// TCP may have been spoken.
    pub control_ratio: Option<f64>,
    /// Bytes sent that found no room before the receiver's link, and had to be sent again / F, for each leech.
    pub lost_ratio: f64,
    /// When each leech had everything, the first first.
    pub arrivals: Vec<f64>,
    /// For each class the completion of its last, and its own bound / that.
    pub classes: Vec<ClassFigures>,
}

/// How a class of links fared.
#[derive(Clone, Copy, Debug)]
pub struct ClassFigures {
    /// Its weight.
    pub weight: u32,
    /// From the start of the first leech to the completion of its last.
    pub seconds: f64,
    /// Its own bound / that.
    pub efficiency: f64,
}

impl Outcome {
    /// The figures of this run.
    pub fn figures(&self, plan: &Plan) -> Figures {
        let file = plan.bytes as f64;
        let all_files = file * self.leech_traffic.len() as f64;
        let seconds = self.arrivals.iter().map(|arrival| arrival.seconds).fold(0.0, f64::max);
        let everybody = || self.leech_traffic.iter().chain([&self.seed_traffic]);
        let streams: u64 = everybody().map(|traffic| traffic.received.stream_bytes()).sum();
        // Answers of the tracker are on no link on their way out.
        let lost: i64 =
            everybody().map(|traffic| traffic.sent.bytes as i64 - traffic.received.bytes as i64).sum();
        let of_leeches = |bytes: fn(&Exchanged) -> u64| -> Option<f64> {
            self.content.leeches.iter().map(|leech| leech.as_ref().map(|leech| bytes(leech) as f64)).sum()
        };
        let (received, passed_on) = (of_leeches(|leech| leech.received), of_leeches(|leech| leech.sent));
        // One that does not count sent what nobody else did.
        let seed = self.content.seed.map(|seed| seed.sent as f64).or_else(|| Some(received? - passed_on?));
        Figures {
            seconds,
            efficiency: plan.bound_seconds() / seconds,
            seed_bytes_ratio: seed.map(|seed| seed / file),
            seed_wire_ratio: self.seed_traffic.sent.bytes as f64 / file,
            duplicate_ratio: received.map(|received| (received - all_files) / all_files),
            control_ratio: received
                .filter(|_| plan.transport == Transport::Tcp)
                .map(|received| (streams as f64 - received) / all_files),
            lost_ratio: lost.max(0) as f64 / all_files,
            arrivals: self.sorted_arrivals(),
            classes: self.classes(plan),
        }
    }

    fn sorted_arrivals(&self) -> Vec<f64> {
        let mut seconds: Vec<f64> = self.arrivals.iter().map(|arrival| arrival.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        seconds
    }

    fn classes(&self, plan: &Plan) -> Vec<ClassFigures> {
        let with_leeches = (0..plan.classes.count().min(plan.leeches)).map(|class| {
            let of_class = self.arrivals.iter().filter(|arrival| arrival.class == class);
            let seconds = of_class.map(|arrival| arrival.seconds).fold(0.0, f64::max);
            let efficiency = plan.class_bound_seconds(class) / seconds;
            ClassFigures { weight: plan.classes.weight(class), seconds, efficiency }
        });
        with_leeches.collect()
    }
}
