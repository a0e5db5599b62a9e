//! A progress bar on a terminal; elsewhere a plain line now and then.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::escape;
use super::output::Output;
use super::units;

const LABEL_COLUMNS: usize = 16;
const PLAIN_INTERVAL: Duration = Duration::from_secs(10);

/// Progress of one thing in bytes. Dropping it takes the bar off the screen.
pub struct Bar {
    output: Output,
    bar: ProgressBar,
    shape: Shape,
    label: String,
    last_plain_line: Instant,
}

impl Bar {
    pub(super) fn new(output: Output, bars: &MultiProgress, label: &str) -> Self {
        // Of nothing, everything would be done.
        let bar = bars.add(ProgressBar::new(1));
        bar.set_style(Shape::Bar.style());
        let mut bar =
            Self { output, bar, shape: Shape::Bar, label: String::new(), last_plain_line: Instant::now() };
        bar.set_label(label);
        bar
    }

    /// Names what moves.
    pub fn set_label(&mut self, label: &str) {
        self.label = escape::line(label).into_owned();
        let mut short: String = self.label.chars().take(LABEL_COLUMNS).collect();
        if short.len() < self.label.len() {
            short.pop();
            short.push('…');
        }
        self.bar.set_prefix(short);
    }

    /// Shows `done` of `total` bytes and `details` such as a rate, separated by two spaces.
    pub fn set(&mut self, done: u64, total: u64, details: &[String]) {
        self.draw(done, total, format!("{} of {}", units::size(done), units::size(total)), details);
    }

    /// Shows how many pieces are hashed, and how long the others will take at the pace so far.
    pub fn set_pieces(&mut self, done: u32, total: u32, meter: &Meter) {
        let (done, total) = (u64::from(done), u64::from(total));
        let left = units::time_left(total.saturating_sub(done), meter.rate(done));
        let details: Vec<_> = left.filter(|_| done < total).into_iter().collect();
        self.draw(done, total, format!("{done} of {total} pieces"), &details);
    }

    fn draw(&mut self, done: u64, total: u64, count: String, details: &[String]) {
        // What changes comes first: a narrow terminal cuts off the end.
        let mut parts: Vec<_> = details.iter().map(|detail| escape::line(detail).into_owned()).collect();
        parts.push(count);
        self.show(Shape::Bar);
        // The message last: it is what draws all of it.
        self.bar.update(|state| {
            state.set_len(total.max(1));
            state.set_pos(if total == 0 { 1 } else { done });
        });
        self.bar.set_message(parts.join("  "));
        self.note_now_and_then(|| {
            let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
            format!("{percent} %, {}", parts.join(", "))
        });
    }

    /// Shows that something goes on whose end is not known.
    pub fn wait(&mut self, what: &str) {
        self.show(Shape::Line);
        self.bar.set_message(escape::line(what).into_owned());
    }

    /// The same of a search; where there is no bar it is said now and then, like progress.
    pub fn seek(&mut self, what: &str) {
        self.wait(what);
        self.note_now_and_then(|| escape::line(what).into_owned());
    }

    fn note_now_and_then(&mut self, text: impl FnOnce() -> String) {
        if self.bar.is_hidden() && self.last_plain_line.elapsed() >= PLAIN_INTERVAL {
            self.last_plain_line = Instant::now();
            self.output.note(format_args!("{}: {}", self.label, text()));
        }
    }

    fn show(&mut self, shape: Shape) {
        if self.shape != shape {
            self.shape = shape;
            self.bar.set_style(shape.style());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Bar,
    Line,
}

impl Shape {
    fn style(self) -> ProgressStyle {
        let template = match self {
            Self::Bar => "{prefix:16} {bar:14.green/dim} {percent:>3} %  {wide_msg}",
            Self::Line => "{prefix:16} {wide_msg}",
        };
        ProgressStyle::with_template(template).expect("the template is a constant").progress_chars("━━─")
    }
}

/// Measures work that only reports how much of it is done.
pub struct Meter {
    started: Instant,
}

impl Meter {
    /// Starts measuring.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }

    /// How many of `done` a second, so far.
    pub fn rate(&self, done: u64) -> u64 {
        (done as f64 / self.elapsed().as_secs_f64().max(0.001)) as u64
    }

    /// Since the start.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
