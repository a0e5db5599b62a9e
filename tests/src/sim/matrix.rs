//! The targets that the simulator answers for, each with what was measured: the table in the README.

use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use super::plan::Params;
use super::report::{Report, mean};
use super::scenario::Scenario;

/// A worker's ear: told before every run which it is.
pub type Tell<'a> = &'a (dyn Fn(&Scenario, &Params) + Sync);

/// One target and what was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What is measured.
    pub what: &'static str,
    /// What it should be.
    pub target: &'static str,
    /// What it is.
    pub measured: String,
    /// Whether that is enough.
    pub is_met: bool,
}

/// Runs of one world, and the seconds of one core each took.
struct Runs {
    reports: Vec<Report>,
    took: Vec<f64>,
}

impl Runs {
    /// As many runs beside each other as the machine has cores.
    fn of(name: &str, leeches: Option<u32>, count: u64, tell: Tell<'_>) -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self::beside(cores, name, leeches, count, tell)
    }

    /// One run after the other: what they cost is of interest.
    fn alone(name: &str, leeches: Option<u32>, count: u64, tell: Tell<'_>) -> Self {
        Self::beside(1, name, leeches, count, tell)
    }

    fn beside(threads: usize, name: &str, leeches: Option<u32>, count: u64, tell: Tell<'_>) -> Self {
        let scenario = Scenario::named(name).expect("the matrix names scenarios of the table");
        let next = AtomicU64::new(1);
        let work = || {
            let mut done = Vec::new();
            loop {
                let rng_seed = next.fetch_add(1, Ordering::Relaxed);
                if rng_seed > count {
                    return done;
                }
                let mut params = Params { rng_seed, ..(scenario.defaults)() };
                params.leeches = leeches.unwrap_or(params.leeches);
                tell(scenario, &params);
                let since = core_seconds();
                let report = scenario.run(&params);
                done.push((rng_seed, report, core_seconds() - since));
            }
        };
        let mut done: Vec<(u64, Report, f64)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("no run panics")).collect()
        });
        done.sort_unstable_by_key(|(rng_seed, ..)| *rng_seed);
        let (reports, took) = done.into_iter().map(|(_, report, took)| (report, took)).unzip();
        Self { reports, took }
    }

    fn mean(&self, figure: impl Fn(&Report) -> f64) -> f64 {
        mean(self.reports.iter().map(figure))
    }

    fn extra(&self, figure: &str) -> f64 {
        self.mean(|report| report.extra.get(figure).copied().unwrap_or(f64::NAN))
    }

    fn all_good(&self) -> bool {
        self.reports.iter().all(Report::is_good)
    }

    /// What went wrong in them, as a remark.
    fn trouble(&self) -> String {
        let bad: Vec<String> =
            self.reports.iter().filter(|report| !report.is_good()).map(|r| r.rng_seed.to_string()).collect();
        if bad.is_empty() { String::new() } else { format!(" (failed with seeds {})", bad.join(", ")) }
    }

    fn at_least(&self, what: &'static str, target: &'static str, least: f64, value: f64) -> Row {
        let is_met = self.all_good() && value >= least;
        Row { what, target, measured: format!("{value:.3}{}", self.trouble()), is_met }
    }

    fn at_most(&self, what: &'static str, target: &'static str, most: f64, value: f64) -> Row {
        let is_met = self.all_good() && value <= most;
        Row { what, target, measured: format!("{value:.3}{}", self.trouble()), is_met }
    }

    fn complete(&self, what: &'static str) -> Row {
        let done = self.reports.iter().filter(|report| report.complete).count();
        let measured = format!("{done} of {} runs{}", self.reports.len(), self.trouble());
        Row { what, target: "everybody completes", measured, is_met: self.all_good() }
    }
}

/// Runs everything, each world `runs` times.
pub fn run(runs: u64, tell: Tell<'_>) -> Vec<Row> {
    let mut rows = crowds(runs, tell);
    rows.extend(others(runs, tell));
    rows.extend(hostile(runs, tell));
    rows.extend(faults(runs, tell));
    rows
}

fn crowds(runs: u64, tell: Tell<'_>) -> Vec<Row> {
    let eight = Runs::of("flash-crowd", Some(8), runs, tell);
    let many = Runs::of("flash-crowd", Some(64), runs, tell);
    let hundreds = Runs::alone("flash-crowd", Some(300), runs, tell);
    let thousand = Runs::of("thousand", None, runs, tell);
    let all = [&eight, &many, &hundreds, &thousand];
    let worst = |figure: fn(&Report) -> f64| all.iter().map(|runs| runs.mean(figure)).fold(0.0, f64::max);
    let cost = mean(hundreds.took.iter().copied());
    vec![
        eight.at_least("flash crowd, N = 8", "η ≥ 0.92", 0.92, eight.mean(Report::efficiency)),
        many.at_least("flash crowd, N = 64", "η ≥ 0.92", 0.92, many.mean(Report::efficiency)),
        hundreds.at_least("flash crowd, N = 300", "η ≥ 0.90", 0.90, hundreds.mean(Report::efficiency)),
        thousand.at_least("flash crowd, N = 1000", "η ≥ 0.88", 0.88, thousand.mean(Report::efficiency)),
        eight.at_most(
            "seed bytes / F, worst of these crowds",
            "≤ 1.10",
            1.10,
            worst(|report| report.seed_bytes_ratio),
        ),
        eight.at_most(
            "duplicate bytes / F, worst of them",
            "≤ 0.01",
            0.01,
            worst(|report| report.duplicate_ratio),
        ),
        eight.at_most(
            "control bytes / F, worst of them",
            "≤ 0.01",
            0.01,
            worst(|report| report.control_ratio),
        ),
        Row {
            what: "300 peers × 1,024 pieces, seconds of one core",
            target: "≤ 60",
            measured: format!("{cost:.1}"),
            is_met: cost <= 60.0,
        },
    ]
}

fn others(runs: u64, tell: Tell<'_>) -> Vec<Row> {
    let slow = Runs::of("slow-seed", None, runs, tell);
    let two = Runs::of("two-peers", None, runs, tell);
    let home = Runs::of("home-links", None, runs, tell);
    let full = Runs::of("full-uplinks", None, runs, tell);
    let large = Runs::of("large-pieces", None, runs, tell);
    let mixed = Runs::of("mixed-links", None, runs, tell);
    let leaves = Runs::of("seed-leaves", None, runs, tell);
    vec![
        slow.at_least("slow seed, N = 8", "η ≥ 0.94", 0.94, slow.mean(Report::efficiency)),
        two.at_least("N = 2", "η ≥ 0.92", 0.92, two.mean(Report::efficiency)),
        home.at_least(
            "home links, 2 up and 8 Mbit/s down, N = 30",
            "η ≥ 0.90",
            0.90,
            home.mean(Report::efficiency),
        ),
        full.at_least(
            "full uplinks, 1 up and 16 Mbit/s down, fast seed, N = 5",
            "η ≥ 0.75",
            0.75,
            full.mean(Report::efficiency),
        ),
        large.at_least("64 pieces of 1 MiB (v2), N = 8", "η ≥ 0.92", 0.92, large.mean(Report::efficiency)),
        mixed.at_least("mixed links 1:4:16", "η ≥ 0.80", 0.80, mixed.mean(Report::efficiency)),
        mixed.at_least(
            "mixed links, worst class's own bound / time",
            "≥ 0.75",
            0.75,
            mixed.extra("worst_class_efficiency"),
        ),
        leaves.complete("seed leaves after 1.05 F"),
    ]
}

fn hostile(runs: u64, tell: Tell<'_>) -> Vec<Row> {
    let riders = Runs::of("free-riders", None, runs, tell);
    let corrupters = Runs::of("corrupters", None, runs, tell);
    let liars = Runs::of("liars", None, runs, tell);
    let most = corrupters.reports.iter().map(|report| report.wrong_blocks_most).max().unwrap_or(0);
    let unpunished: usize = corrupters.reports.iter().map(|report| report.unpunished).sum();
    vec![
        riders.at_most(
            "25 % free riders: contributors' mean time / without them",
            "≤ 1.10",
            1.10,
            riders.extra("mean_over_without"),
        ),
        riders.at_least(
            "25 % free riders: how much slower they are fed",
            "≥ 2",
            2.0,
            riders.extra("rider_slowness"),
        ),
        corrupters.at_most(
            "10 % corrupters (v2): mean time / without them",
            "≤ 1.15",
            1.15,
            corrupters.extra("mean_over_without"),
        ),
        Row {
            what: "10 % corrupters (v2): bad blocks a victim takes from one, pairs not ended",
            target: "1, 0; no bad byte stored",
            measured: format!("{most}, {unpunished}{}", corrupters.trouble()),
            is_met: corrupters.all_good() && most <= 1 && unpunished == 0,
        },
        liars.complete("every third a liar, of seven kinds"),
    ]
}

fn faults(runs: u64, tell: Tell<'_>) -> Vec<Row> {
    let row = |what, name| {
        let runs = Runs::of(name, None, runs, tell);
        let ratio =
            runs.reports.iter().map(|report| report.seconds / report.bound_seconds).fold(0.0, f64::max);
        runs.at_most(what, "time after the faults / bound ≤ 1.5", 1.5, ratio)
    };
    vec![
        row("partition and heal, worst run", "partition"),
        row("churn 10 %/min, worst run", "churn"),
        row("one crash and resume per peer, worst run", "crash-resume"),
    ]
}

/// Seconds that this thread has had a core to itself, which other work on the machine does not change; all of
/// a run is done in one thread.
fn core_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos: f64 = stat.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN);
    nanos / 1e9
}

/// The rows as Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = String::from("| what | target | measured | met |\n|---|---|---|---|\n");
    for row in rows {
        let met = if row.is_met { "yes" } else { "**no**" };
        out.push_str(&format!("| {} | {} | {} | {met} |\n", row.what, row.target, row.measured));
    }
    out
}
