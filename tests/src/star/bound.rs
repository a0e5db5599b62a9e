//! How fast a swarm could be at best: Kumar and Ross's bound for one seed and links of given rates.

use super::rate::Rate;

/// One leech's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// What it can send.
    pub up: Rate,
    /// What it can receive.
    pub down: Rate,
}

/// Seconds until every one of `leeches` can have `bytes` from a seed that sends at `seed_up`, helped by all
/// that `helpers` can send: max{F/u_s, F/d_min, N·F/(u_s+Σu_i)} (Kumar and Ross, "Peer-assisted file
/// distribution: the minimum distribution time", 2006). Headers and acknowledgements are not allowed for.
pub fn seconds(bytes: u64, seed_up: Rate, leeches: &[Link], helpers: &[Link]) -> f64 {
    let file = bytes as f64;
    let slowest = leeches.iter().map(|link| link.down.bytes_per_second()).fold(f64::INFINITY, f64::min);
    let all_up: f64 = helpers.iter().map(|link| link.up.bytes_per_second()).sum();
    let seed = seed_up.bytes_per_second();
    (file / seed).max(file / slowest).max(leeches.len() as f64 * file / (seed + all_up))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that a link of 8 Mbit/s carries in ten seconds.
    const TEN_SECONDS: u64 = 10_000_000;

    fn links<const N: usize>(up_and_down: [(f64, f64); N]) -> [Link; N] {
        up_and_down.map(|(up, down)| Link { up: Rate::megabits(up), down: Rate::megabits(down) })
    }

    fn check<const N: usize>(seed_up: f64, up_and_down: [(f64, f64); N], wanted: f64) {
        let leeches = links(up_and_down);
        let found = seconds(TEN_SECONDS, Rate::megabits(seed_up), &leeches, &leeches);
        assert!((found - wanted).abs() < 1e-9, "{found} instead of {wanted}");
    }

    #[test]
    fn each_of_the_three_limits_can_be_the_one_that_binds() {
        check(8.0, [(8.0, 8.0); 8], 10.0);
        check(4.0, [(80.0, 80.0); 8], 20.0);
        check(80.0, [(80.0, 80.0), (80.0, 2.0)], 40.0);
        check(8.0, [(1.0, 80.0); 2], 16.0);
    }

    #[test]
    fn those_who_only_help_shorten_what_the_sum_of_uplinks_limits() {
        let [slow, fast] = links([(1.0, 80.0), (30.0, 80.0)]);
        let alone = seconds(TEN_SECONDS, Rate::megabits(8.0), &[slow; 8], &[slow; 8]);
        let mut everybody = vec![slow; 8];
        everybody.push(fast);
        let helped = seconds(TEN_SECONDS, Rate::megabits(8.0), &[slow; 8], &everybody);
        assert!((alone - 40.0).abs() < 1e-9, "{alone}");
        assert!((helped - 640.0 / 46.0).abs() < 1e-9, "{helped}");
    }
}
