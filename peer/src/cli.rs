//! The command line: arguments in, work done elsewhere, results and exit codes out.

#![expect(unreachable_pub, reason = "the modules below are private; in them pub means: for the siblings")]

use std::process::ExitCode;

use clap::Parser;

mod args;
mod bars;
mod bind;
mod create;
mod demo;
mod escape;
mod events;
mod extras;
mod failure;
mod follower;
mod get;
mod interrupt;
mod linger;
mod logs;
mod metrics;
mod node;
mod output;
mod parse;
mod scrape;
mod seed;
mod setup;
mod show;
mod source;
mod stall;
mod tracker;
mod units;
mod unused;
mod verify;

use args::{Cli, Command, Common};
use events::Event;
use failure::{Exit, Failure, Outcome};
use interrupt::Interrupt;
use output::Output;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(refusal) => return refuse(&refusal),
    };
    let output = Output::new(cli.common.json);
    logs::start(cli.common.verbose, &output);
    let outcome =
        unused::refuse(&cli).and_then(|()| run(cli, &output)).and_then(|exit| output.finish().map(|()| exit));
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            output.error(&failure);
            failure.exit().into()
        }
    }
}

/// Prints help, the version, or what is wrong with the arguments.
fn refuse(refusal: &clap::Error) -> ExitCode {
    // A reader that is gone needs no help.
    let _ = refusal.print();
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if refusal.use_stderr() && wants_json {
        let text = refusal.to_string();
        let sentence = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
        let message = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
        Output::new(true).event(&Event::Error { message });
    }
    ExitCode::from(u8::try_from(refusal.exit_code()).unwrap_or(1))
}

fn run(cli: Cli, output: &Output) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(async {
        let interrupt = Interrupt::listen()?;
        dispatch(cli.command, &cli.common, output, interrupt).await
    });
    // Whatever still runs, such as hashing after Ctrl-C, is not waited for.
    runtime.shutdown_background();
    outcome
}

async fn dispatch(command: Command, common: &Common, output: &Output, interrupt: Interrupt) -> Outcome {
    let out = output.clone();
    match command {
        Command::Create(args) => off_thread(interrupt, move || create::run(&args, &out)).await,
        Command::Show(args) => show::run(args, common, output, interrupt).await,
        Command::Verify(args) => off_thread(interrupt, move || verify::run(&args, &out)).await,
        Command::Seed(args) => seed::run(args, common, output, interrupt).await,
        Command::Get(args) => get::run(&args, common, output, interrupt).await,
        Command::Tracker(args) => tracker::run(&args, common, output, interrupt).await,
        Command::Node(args) => node::run(&args, common, output, interrupt).await,
        Command::Demo(args) => demo::run(&args, output, interrupt).await,
        Command::Completions(args) => extras::completions(&args, output),
        Command::Man(args) => extras::man(&args, output),
    }
}

/// Runs what blocks away from the runtime's threads and gives it up at an interrupt; nothing half-written
/// is left, because such commands write their results in one step at the end.
async fn off_thread(mut interrupt: Interrupt, work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    let work = tokio::task::spawn_blocking(work);
    tokio::select! {
        done = work => done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())),
        () = interrupt.wait() => Ok(Exit::Interrupted),
    }
}
