//! Completions and manual pages, made from the parser itself.

use std::fs;
use std::path::Path;

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::failure::{Exit, Failure, Outcome};
use super::output::Output;

/// `samara completions SHELL`
pub fn completions(args: &CompletionsArgs, output: &Output) -> Outcome {
    refuse_json(output)?;
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "samara", &mut script);
    output.raw(&script);
    Ok(Exit::Done)
}

/// `samara man [--out DIR]`
pub fn man(args: &ManArgs, output: &Output) -> Outcome {
    refuse_json(output)?;
    match &args.out {
        Some(dir) => write_pages(dir)?,
        None => output.raw(&main_page()?),
    }
    Ok(Exit::Done)
}

fn main_page() -> Result<Vec<u8>, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(|error| Failure::failed(format!("cannot make the manual page: {error}")))?;
    Ok(page)
}

fn write_pages(dir: &Path) -> Result<(), Failure> {
    fs::create_dir_all(dir).map_err(|error| Failure::file("create", dir, &error))?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(|error| Failure::file("write into", dir, &error))
}

fn refuse_json(output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        return Err(Failure::usage("this command does not print JSON; leave out --json"));
    }
    Ok(())
}
