//! The star carries a small swarm of real processes, and no faster than its links. Needs root.

use samara_tests::netns::available;
use samara_tests::star::plan::{Plan, Transport, Twist};
use samara_tests::star::rate::Rate;
use samara_tests::star::run::{Content, try_once};
use samara_tests::star::scratch;
use samara_tests::star::system::System;

/// Unoptimized processes on a busy machine keep such links busy.
const MEGABITS: f64 = 16.0;

#[test]
fn a_small_swarm_on_shaped_links_gets_everything_and_no_faster_than_they_carry() {
    if !available("a_small_swarm_on_shaped_links_gets_everything_and_no_faster_than_they_carry") {
        return;
    }
    let rate = Rate::megabits(MEGABITS);
    let plan = Plan {
        leeches: 3,
        bytes: 4 << 20,
        seed_up: rate,
        up: rate,
        down: rate,
        classes: "1".parse().unwrap(),
        twist: Twist::Calm,
        transport: Transport::Tcp,
        discovery: None,
        logs: None,
        format: "hybrid",
    };
    let scratch = scratch::folder(&plan);
    let content = Content::make(&plan, &scratch);

    // It compares every copy with the original.
    let outcome = try_once(System::Samara, &plan, &content, &scratch).unwrap();

    assert_eq!(outcome.arrivals.len(), 3);
    let figures = outcome.figures(&plan);
    assert!(figures.efficiency > 0.0 && figures.efficiency < 1.0, "{figures:?}");
    assert!(figures.seed_wire_ratio > 1.0, "every byte left the seed once at least: {figures:?}");
    let [said, counted] = [figures.seed_bytes_ratio.unwrap(), figures.seed_wire_ratio];
    assert!(said >= 1.0 && said < counted, "what it says it sent is what its link carried: {figures:?}");
    let control = figures.control_ratio.unwrap();
    assert!((0.0..0.2).contains(&control), "headers are subtracted, content is not counted: {figures:?}");
}
