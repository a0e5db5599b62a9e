//! The figures of runs for people and for programs, and the median of several.

use serde_json::{Value, json};

use super::corrupter::Corruption;
use super::outcome::{ClassFigures, Figures};
use super::plan::Plan;
use super::system::System;

/// The head of the table that [`row`] fills.
pub fn head() -> String {
    format!(
        "{:<12} {:>6} {:>8} {:>8} {:>6} {:>8} {:>8} {:>9} {:>8} {:>7}",
        "system", "run", "T", "T_min", "η", "seed/F", "wire/F", "dup/F", "ctrl/F", "lost/F"
    )
}

/// One line of the table; `run` says which run it is of.
pub fn row(system: System, run: &str, plan: &Plan, figures: &Figures) -> String {
    let known = |value: Option<f64>, digits: usize| match value {
        Some(value) => format!("{value:.digits$}"),
        None => "-".to_owned(),
    };
    let mut line = format!(
        "{system:<12} {run:>6} {:>7.2}s {:>7.2}s {:>6.3} {:>8} {:>8.3} {:>9} {:>8} {:>7.4}",
        figures.seconds,
        plan.bound_seconds(),
        figures.efficiency,
        known(figures.seed_bytes_ratio, 3),
        figures.seed_wire_ratio,
        known(figures.duplicate_ratio, 4),
        known(figures.control_ratio, 4),
        figures.lost_ratio
    );
    if figures.classes.len() > 1 {
        for class in &figures.classes {
            let ClassFigures { weight, seconds, efficiency } = class;
            line.push_str(&format!(
                "\n    links of weight {weight}: {seconds:.2} s, {efficiency:.3} of their own bound"
            ));
        }
    }
    line
}

/// The same for programs; `run` is a number or `"median"`.
pub fn object(system: System, run: Value, plan: &Plan, figures: &Figures) -> Value {
    let classes: Vec<Value> = figures
        .classes
        .iter()
        .map(|class| json!({ "weight": class.weight, "seconds": class.seconds, "efficiency": class.efficiency }))
        .collect();
    json!({
        "system": system.name(), "run": run, "leeches": plan.leeches, "bytes": plan.bytes, "complete": true,
        "seed_up": plan.seed_up.in_megabits(), "up": plan.up.in_megabits(), "down": plan.down.in_megabits(),
        "seconds": figures.seconds, "bound_seconds": plan.bound_seconds(), "efficiency": figures.efficiency,
        "seed_bytes_ratio": figures.seed_bytes_ratio, "seed_wire_ratio": figures.seed_wire_ratio,
        "duplicate_ratio": figures.duplicate_ratio, "control_ratio": figures.control_ratio,
        "lost_ratio": figures.lost_ratio, "arrivals": figures.arrivals, "classes": classes,
    })
}

/// What came of the corrupter, in a sentence.
pub fn corruption(corruption: &Corruption) -> String {
    let Corruption { blocks, victims, rid_of_it, bans } = corruption;
    format!(
        "    the corrupter gave {blocks} bad blocks to {victims} peers; {bans} banned it, {rid_of_it} are rid of it"
    )
}

/// How much better samara's efficiency is than the other's.
pub fn comparison(samara: &Figures, other: System, figures: &Figures) -> String {
    format!("samara's η is {:.2} × {other}'s", samara.efficiency / figures.efficiency)
}

/// Of each figure the median; `None` of no runs.
pub fn medians(runs: &[Figures]) -> Option<Figures> {
    let first = runs.first()?;
    let of = |figure: &dyn Fn(&Figures) -> f64| median(runs.iter().map(figure).collect());
    let of_known = |figure: &dyn Fn(&Figures) -> Option<f64>| {
        runs.iter().map(figure).collect::<Option<Vec<f64>>>().map(median)
    };
    let of_class = |number: usize| ClassFigures {
        weight: first.classes[number].weight,
        seconds: of(&|figures| figures.classes[number].seconds),
        efficiency: of(&|figures| figures.classes[number].efficiency),
    };
    Some(Figures {
        seconds: of(&|figures| figures.seconds),
        efficiency: of(&|figures| figures.efficiency),
        seed_bytes_ratio: of_known(&|figures| figures.seed_bytes_ratio),
        seed_wire_ratio: of(&|figures| figures.seed_wire_ratio),
        duplicate_ratio: of_known(&|figures| figures.duplicate_ratio),
        control_ratio: of_known(&|figures| figures.control_ratio),
        lost_ratio: of(&|figures| figures.lost_ratio),
        arrivals: (0..first.arrivals.len()).map(|number| of(&|figures| figures.arrivals[number])).collect(),
        classes: (0..first.classes.len()).map(of_class).collect(),
    })
}

/// The middle value, or the mean of the two in the middle.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_does_not_care_for_order_or_for_one_bad_run() {
        assert_eq!(median(vec![3.0, 100.0, 1.0]), 3.0);
        assert_eq!(median(vec![4.0, 1.0]), 2.5);
    }
}
