//! The choices of a run as they stand on a command line, and in the list of regressions.

use std::time::Duration;

use clap::{Args, Parser};
use samara_peer::engine::config::Order;

use super::plan::Params;
use super::scenario::Scenario;

/// What may be chosen in place of a scenario's own.
#[derive(Args, Clone, Debug)]
pub struct Choices {
    /// Leeches
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub leeches: Option<u32>,
    /// Pieces of the content
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub pieces: Option<u32>,
    /// Bytes of a piece, a multiple of 16384
    #[arg(long, value_name = "BYTES", value_parser = piece_length)]
    pub piece_length: Option<u32>,
    /// The seed's uplink in Mbit/s
    #[arg(long, value_name = "R", value_parser = rate)]
    pub seed_up: Option<f64>,
    /// A leech's uplink in Mbit/s
    #[arg(long, value_name = "R", value_parser = rate)]
    pub up: Option<f64>,
    /// A leech's downlink in Mbit/s
    #[arg(long, value_name = "R", value_parser = rate)]
    pub down: Option<f64>,
    /// One way between two hosts, in milliseconds
    #[arg(long, value_name = "MS", value_parser = millis)]
    pub latency: Option<Duration>,
    /// What chance adds to it at most, in milliseconds
    #[arg(long, value_name = "MS", value_parser = millis)]
    pub jitter: Option<Duration>,
    /// What lower layers add to every thousand bytes; TCP in Ethernet frames adds 46
    #[arg(long, value_name = "BYTES")]
    pub overhead: Option<u32>,
    /// Bytes of the kernel's send buffer, below everything that can still be decided
    #[arg(long, value_name = "BYTES")]
    pub socket_buffer: Option<u32>,
    /// Bytes under way on one link, if the path does not need more
    #[arg(long, value_name = "BYTES")]
    pub window: Option<u32>,
    /// A v2 torrent: single blocks are judged by their leaf hashes
    #[arg(long, overrides_with = "v1")]
    pub v2: bool,
    /// A v1 torrent: only whole pieces are judged
    #[arg(long)]
    pub v1: bool,
    /// Whose turn it is next of those who owe nothing: chance, least-owed (proportional share) or most-given
    /// (tit-for-tat)
    #[arg(long, value_name = "ORDER", value_parser = order)]
    pub order: Option<Order>,
    /// Names the first run; each further one counts up
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub rng_seed: u64,
}

impl Choices {
    /// The scenario's own parameters, but for what was chosen.
    pub fn params(&self, scenario: &Scenario) -> Params {
        let own = (scenario.defaults)();
        Params {
            leeches: self.leeches.unwrap_or(own.leeches),
            pieces: self.pieces.unwrap_or(own.pieces),
            piece_length: self.piece_length.unwrap_or(own.piece_length),
            seed_up: self.seed_up.unwrap_or(own.seed_up),
            up: self.up.unwrap_or(own.up),
            down: self.down.unwrap_or(own.down),
            latency: self.latency.unwrap_or(own.latency),
            jitter: self.jitter.unwrap_or(own.jitter),
            overhead: self.overhead.unwrap_or(own.overhead),
            socket_bytes: self.socket_buffer.unwrap_or(own.socket_bytes),
            window_bytes: self.window.unwrap_or(own.window_bytes),
            v2: (own.v2 || self.v2) && !self.v1,
            order: self.order.unwrap_or(own.order),
            rng_seed: self.rng_seed,
        }
    }
}

/// The command that runs a scenario again with the same parameters.
pub fn replay(scenario: &Scenario, params: &Params) -> String {
    let own = (scenario.defaults)();
    let mut command = format!(
        "cargo run --release -p samara-tests --bin sim -- --scenario {} --rng-seed {}",
        scenario.name, params.rng_seed
    );
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    for (flag, value, own) in [
        ("leeches", f64::from(params.leeches), f64::from(own.leeches)),
        ("pieces", f64::from(params.pieces), f64::from(own.pieces)),
        ("piece-length", f64::from(params.piece_length), f64::from(own.piece_length)),
        ("seed-up", params.seed_up, own.seed_up),
        ("up", params.up, own.up),
        ("down", params.down, own.down),
        ("latency", millis(params.latency), millis(own.latency)),
        ("jitter", millis(params.jitter), millis(own.jitter)),
        ("overhead", f64::from(params.overhead), f64::from(own.overhead)),
        ("socket-buffer", f64::from(params.socket_bytes), f64::from(own.socket_bytes)),
        ("window", f64::from(params.window_bytes), f64::from(own.window_bytes)),
    ] {
        if value != own {
            command.push_str(&format!(" --{flag} {value}"));
        }
    }
    if params.v2 != own.v2 {
        command.push_str(if params.v2 { " --v2" } else { " --v1" });
    }
    if params.order != own.order {
        let name = ORDERS.iter().find(|(_, order)| *order == params.order).map_or("chance", |(name, _)| name);
        command.push_str(&format!(" --order {name}"));
    }
    command
}

const ORDERS: [(&str, Order); 3] =
    [("chance", Order::Chance), ("least-owed", Order::LeastOwed), ("most-given", Order::MostGiven)];

fn order(text: &str) -> Result<Order, String> {
    let known = ORDERS.iter().find(|(name, _)| *name == text);
    known.map(|&(_, order)| order).ok_or_else(|| "an order is chance, least-owed or most-given".to_owned())
}

/// One scenario with its choices, as in a line of the list of regressions.
#[derive(Parser, Debug)]
#[command(no_binary_name = true)]
struct Line {
    #[arg(long, value_parser = known)]
    scenario: &'static Scenario,
    #[command(flatten)]
    choices: Choices,
}

/// The runs that a list names: what follows `--bin sim --` in a replay command, one run a line; what follows a
/// `#` is a remark.
///
/// # Errors
/// What is wrong with the first line that is no such thing.
pub fn runs_in(list: &str) -> Result<Vec<(&'static Scenario, Params)>, String> {
    let lines = list.lines().map(|line| line.split('#').next().unwrap_or(line).trim());
    let parse = |line: &str| {
        let parsed =
            Line::try_parse_from(line.split_whitespace()).map_err(|error| format!("{line}: {error}"))?;
        Ok((parsed.scenario, parsed.choices.params(parsed.scenario)))
    };
    lines.filter(|line| !line.is_empty()).map(parse).collect()
}

/// The scenario of that name.
///
/// # Errors
/// If there is none.
pub fn known(name: &str) -> Result<&'static Scenario, String> {
    Scenario::named(name).ok_or_else(|| "there is no such scenario; --list says which there are".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a rate is a number of Mbit/s".to_owned())?;
    if (0.001..=1e6).contains(&rate) {
        Ok(rate)
    } else {
        Err("rates lie between 0.001 and 1000000".to_owned())
    }
}

fn millis(text: &str) -> Result<Duration, String> {
    let millis: f64 = text.parse().map_err(|_| "a time is a number of milliseconds".to_owned())?;
    if (0.0..=1e6).contains(&millis) {
        Ok(Duration::from_secs_f64(millis / 1e3))
    } else {
        Err("times lie between 0 and 1000000 ms".to_owned())
    }
}

fn piece_length(text: &str) -> Result<u32, String> {
    let wrong = || "a piece length is a multiple of 16384 bytes, up to 16 MiB".to_owned();
    let length: u32 = text.parse().map_err(|_| wrong())?;
    let fits = length > 0 && length.is_multiple_of(16_384) && length <= 16 << 20;
    if fits { Ok(length) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::scenario::ALL;

    #[test]
    fn a_replay_command_is_a_line_of_the_list_and_names_the_same_run() {
        for scenario in ALL {
            let own = (scenario.defaults)();
            let odd = Params {
                leeches: own.leeches + 1,
                pieces: 7,
                piece_length: 32_768,
                seed_up: 3.25,
                jitter: Duration::from_micros(1500),
                v2: !own.v2,
                order: Order::LeastOwed,
                rng_seed: 99,
                ..own
            };
            let command = replay(scenario, &odd);
            let (_, line) = command.split_once(" -- ").expect("arguments follow");
            let runs = runs_in(&format!("# a list\n\n{line} # what it showed\n")).expect("a list");
            assert_eq!(runs.len(), 1);
            assert_eq!((runs[0].0.name, &runs[0].1), (scenario.name, &odd));
        }
    }
}
