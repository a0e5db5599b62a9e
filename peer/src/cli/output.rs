//! Where everything printed goes through: results to standard output, the rest to standard error, bars
//! out of the way, nothing hostile on the screen, and no panic when the reader is gone.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use clap::builder::styling::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde::Serialize;

use super::bars::Bar;
use super::escape::{self, SafeJson};
use super::events::Event;
use super::failure::Failure;

/// The screen, or what stands for it. Cheap to clone.
#[derive(Clone)]
pub struct Output {
    shared: Arc<Shared>,
}

struct Shared {
    json: bool,
    stdout_style: Styling,
    stderr_style: Styling,
    bars: MultiProgress,
    /// The first failure of standard output; nothing is written there after it.
    stdout_failure: Mutex<Option<io::Error>>,
}

#[derive(Clone, Copy)]
enum Styling {
    Plain,
    Coloured,
}

impl Styling {
    /// Colours only where somebody looks and did not object (<https://no-color.org>).
    fn of(is_terminal: bool) -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        if is_terminal && !set("NO_COLOR") && !dumb { Self::Coloured } else { Self::Plain }
    }

    fn paint(self, style: Style, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Coloured => format!("{style}{text}{style:#}"),
        }
    }
}

impl Output {
    /// For humans, or with `json` for programs.
    pub fn new(json: bool) -> Self {
        let stderr_is_terminal = io::stderr().is_terminal();
        let target = if json || !stderr_is_terminal {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        Self {
            shared: Arc::new(Shared {
                json,
                stdout_style: Styling::of(io::stdout().is_terminal()),
                stderr_style: Styling::of(stderr_is_terminal),
                bars: MultiProgress::with_draw_target(target),
                stdout_failure: Mutex::new(None),
            }),
        }
    }

    /// Whether a program reads us.
    pub fn is_json(&self) -> bool {
        self.shared.json
    }

    /// Prints an event, for programs only.
    pub fn event(&self, event: &Event) {
        self.object(event);
    }

    /// Prints an object on one line, for programs only.
    pub fn object(&self, object: &impl Serialize) {
        if !self.shared.json {
            return;
        }
        let mut line = Vec::with_capacity(256);
        if let Err(error) = object.serialize(&mut serde_json::Serializer::with_formatter(&mut line, SafeJson))
        {
            return self.record(io::Error::other(error));
        }
        line.push(b'\n');
        self.write_stdout(&line);
    }

    /// Prints one line of the result, for humans only.
    pub fn say(&self, text: impl Display) {
        if !self.shared.json {
            self.write_stdout(format!("{}\n", escape::line(&text.to_string())).as_bytes());
        }
    }

    /// Prints a label and its value in two columns, for humans only.
    pub fn field(&self, label: &str, value: impl Display) {
        if !self.shared.json {
            let label = self.shared.stdout_style.paint(Style::new().bold(), &format!("{label:<13}"));
            self.write_stdout(format!("{label} {}\n", escape::line(&value.to_string())).as_bytes());
        }
    }

    /// Tells a human what goes on, beside the result.
    pub fn note(&self, text: impl Display) {
        if !self.shared.json {
            self.write_stderr(&format!("{}\n", escape::line(&text.to_string())));
        }
    }

    /// Says that something is not as it should be, while the work goes on.
    pub fn warn(&self, text: impl Display) {
        self.warn_about(None, without_error_numbers(&text.to_string()));
    }

    /// The same of one node of a demo.
    pub fn warn_of(&self, node: &'static str, text: impl Display) {
        self.warn_about(Some(node), without_error_numbers(&format!("{node}: {text}")));
    }

    fn warn_about(&self, node: Option<&'static str>, message: String) {
        self.label_stderr("warning:", AnsiColor::Yellow, &message);
        self.event(&Event::Warning { message, node });
    }

    /// Says that something is as it should be again.
    pub fn good_news(&self, text: impl Display) {
        let message = text.to_string();
        self.note(&message);
        self.event(&Event::Note { message });
    }

    /// Says why the command failed.
    pub fn error(&self, text: impl Display) {
        let message = without_error_numbers(&text.to_string());
        self.label_stderr("error:", AnsiColor::Red, &message);
        self.event(&Event::Error { message });
    }

    /// Says that the user stopped it before the end: to a human no error, to a program the last event.
    pub fn interrupted(&self, message: String) {
        self.note(&message);
        self.event(&Event::Error { message });
    }

    /// Prints made-up text that is neither a line nor JSON, such as a completion script.
    pub fn raw(&self, bytes: &[u8]) {
        self.write_stdout(bytes);
    }

    /// A bar that is drawn on a terminal and told in plain lines elsewhere.
    pub fn bar(&self, label: &str) -> Bar {
        Bar::new(self.clone(), &self.shared.bars, label)
    }

    /// Whether standard output's reader is gone: nobody is left to work for.
    pub fn is_closed(&self) -> bool {
        self.failure().as_ref().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Everything was printed, or why not. A reader that left early had what it wanted.
    pub fn finish(&self) -> Result<(), Failure> {
        match self.failure().as_ref() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::failed(format!("cannot write to standard output: {error}")))
            }
            _ => Ok(()),
        }
    }

    fn failure(&self) -> std::sync::MutexGuard<'_, Option<io::Error>> {
        self.shared.stdout_failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn record(&self, error: io::Error) {
        self.failure().get_or_insert(error);
    }

    fn write_stdout(&self, bytes: &[u8]) {
        if self.failure().is_some() {
            return;
        }
        let written = self.shared.bars.suspend(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(bytes).and_then(|()| stdout.flush())
        });
        if let Err(error) = written {
            self.record(error);
        }
    }

    fn label_stderr(&self, label: &str, colour: AnsiColor, message: &str) {
        let label = self.shared.stderr_style.paint(colour.on_default().bold(), label);
        self.write_stderr(&format!("{label} {}\n", escape::line(message)));
    }

    fn write_stderr(&self, text: &str) {
        // There is nowhere left to say that standard error is closed.
        let _ = self.shared.bars.suspend(|| io::stderr().lock().write_all(text.as_bytes()));
    }
}

/// What the operating system said, without its error numbers: "No such file or directory (os error 2)".
fn without_error_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut sentence = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        sentence.push_str(rest.strip_prefix(')').unwrap_or(rest));
    }
    sentence
}

/// Log lines go to standard error, above the bars, made harmless like everything else.
impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<_> = text.trim_end_matches('\n').split('\n').map(escape::line).collect();
        self.write_stderr(&format!("{}\n", lines.join("\n")));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_numbers_are_left_out_wherever_they_stand() {
        let error = io::Error::from_raw_os_error(2);
        let text = format!("cannot read a: {error}; cannot read b: {error}");
        assert!(text.contains("os error"));
        assert!(!without_error_numbers(&text).contains("os error"));
        assert_eq!(without_error_numbers("a (os error 2), b (os error 13)"), "a, b");
        assert_eq!(without_error_numbers("plain"), "plain");
    }
}
