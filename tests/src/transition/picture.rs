//! The record of a show as a picture in three bands: stages, sources, requests to the tracker.

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

use super::watch::{STAGES, Sample, requests_per_peer_minute};
use super::{Plan, Record};

const SIZE: (u32, u32) = (900, 760);
const FONT: &str = "sans-serif";
/// Colours that people with any kind of colour vision tell apart (Okabe and Ito 2008).
const ORANGE: RGBColor = RGBColor(230, 159, 0);
const SKY: RGBColor = RGBColor(86, 180, 233);
const GREEN: RGBColor = RGBColor(0, 158, 115);
const RED: RGBColor = RGBColor(213, 94, 0);
const PURPLE: RGBColor = RGBColor(204, 121, 167);
const SOURCES: [(&str, RGBColor); 4] = [("tracker", ORANGE), ("pex", SKY), ("dht", GREEN), ("link", PURPLE)];
/// Requests are counted over so many samples: announces come one by one.
const WINDOW: usize = 12;

type Band<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;

/// Draws `record` into the SVG file at `path`.
///
/// # Errors
/// When the file cannot be written.
pub fn draw(record: &Record, plan: Plan, path: &Path) -> Drawn {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let bands = root.split_evenly((3, 1));
    stages(&bands[0], &record.samples, plan)?;
    sources(&bands[1], &record.samples, plan)?;
    requests(&bands[2], &record.samples, plan)?;
    root.present()?;
    Ok(())
}

fn stages(band: &Band<'_>, samples: &[Sample], plan: Plan) -> Drawn {
    let most = samples.iter().map(|sample| sample.nodes.iter().sum::<usize>()).max().unwrap_or(1) as f64;
    let mut chart = chart(band, "nodes in each stage", plan, most + 1.0)?;
    chart.configure_mesh().disable_x_mesh().light_line_style(TRANSPARENT).y_labels(5).x_labels(12).draw()?;
    // From the highest band to the lowest, each over the one before.
    for (stage, colour) in [(0, ORANGE), (1, SKY), (2, GREEN)] {
        let height = |sample: &Sample| sample.nodes[stage..].iter().sum::<usize>() as f64;
        let area =
            AreaSeries::new(samples.iter().map(|sample| (sample.secs, height(sample))), 0.0, colour.mix(0.8));
        chart
            .draw_series(area)?
            .label(STAGES[stage])
            .legend(move |(x, y)| Rectangle::new([(x, y - 4), (x + 14, y + 4)], colour.mix(0.8).filled()));
    }
    mark(&mut chart, plan, most + 1.0)?;
    legend(&mut chart)
}

fn sources(band: &Band<'_>, samples: &[Sample], plan: Plan) -> Drawn {
    let mut chart =
        chart(band, "share of the peers known to be there that could be found again by …", plan, 1.08)?;
    let percent = |share: &f64| format!("{:.0} %", share * 100.0);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .y_labels(5)
        .x_labels(12)
        .y_label_formatter(&percent)
        .draw()?;
    for (source, colour) in SOURCES {
        let share = |sample: &Sample| sample.named_by.get(source).copied().unwrap_or(0.0);
        let line = samples.iter().map(|sample| (sample.secs, share(sample)));
        chart
            .draw_series(LineSeries::new(line, colour.stroke_width(2)))?
            .label(source)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], colour.stroke_width(2)));
    }
    mark(&mut chart, plan, 1.08)?;
    legend(&mut chart)
}

fn requests(band: &Band<'_>, samples: &[Sample], plan: Plan) -> Drawn {
    let rates: Vec<(f64, f64)> = (WINDOW..samples.len())
        .take_while(|&at| samples[at].is_tracker_up)
        .filter_map(|at| Some((samples[at].secs, requests_per_peer_minute(samples, at - WINDOW, at)?)))
        .collect();
    let most = rates.iter().map(|(_, rate)| *rate).fold(1.0, f64::max) * 1.1;
    let mut chart = chart(band, "requests to the tracker, per node and minute", plan, most)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .y_labels(5)
        .x_labels(12)
        .x_desc("seconds")
        .draw()?;
    chart.draw_series(LineSeries::new(rates, ORANGE.stroke_width(2)))?;
    mark(&mut chart, plan, most)
}

type Plane = Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Plane>;

fn chart<'a, 'b>(
    band: &'a Band<'b>,
    title: &str,
    plan: Plan,
    most: f64,
) -> Result<Chart<'a, 'b>, Box<dyn Error>> {
    let chart = ChartBuilder::on(band)
        .caption(title, (FONT, 15))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..plan.end.as_secs_f64(), 0.0..most)?;
    Ok(chart)
}

/// The two moments that matter.
fn mark(chart: &mut Chart<'_, '_>, plan: Plan, most: f64) -> Drawn {
    for (at, what) in [(plan.tracker_ends, "tracker killed"), (plan.newcomer, "newcomer")] {
        let x = at.as_secs_f64();
        chart.draw_series([PathElement::new([(x, 0.0), (x, most)], RED.stroke_width(1))])?;
        chart.draw_series([Text::new(what, (x + 0.5, most * 0.97), (FONT, 12).into_font().color(&RED))])?;
    }
    Ok(())
}

fn legend<'a, 'b: 'a>(chart: &mut Chart<'a, 'b>) -> Drawn {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::MiddleRight)
        .background_style(WHITE.mix(0.85))
        .label_font((FONT, 12))
        .draw()?;
    Ok(())
}
