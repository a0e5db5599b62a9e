//! Common flags that a command has no use for: refused, rather than ignored.

use super::args::{Cli, Command};
use super::failure::Failure;

/// Refuses flags that would change nothing.
pub fn refuse(cli: &Cli) -> Result<(), Failure> {
    let (name, has_node) = match &cli.command {
        Command::Seed(_) | Command::Get(_) | Command::Node(_) => return Ok(()),
        Command::Tracker(_) if cli.common.metrics.is_some() => {
            return Err(Failure::usage(
                "a tracker serves its figures at /metrics of its HTTP address; leave --metrics out",
            ));
        }
        Command::Tracker(_) => ("tracker", true),
        Command::Create(_) => ("create", false),
        Command::Show(_) => ("show", false),
        Command::Verify(_) => ("verify", false),
        Command::Demo(_) => ("demo", false),
        Command::Completions(_) => ("completions", false),
        Command::Man(_) => ("man", false),
    };
    let unused = [
        ("--metrics", cli.common.metrics.is_some()),
        ("--discovery", cli.common.discovery.is_some() && !has_node),
        ("--bootstrap", !cli.common.bootstrap.is_empty() && !has_node),
    ];
    match unused.iter().find(|(_, is_given)| *is_given) {
        Some((flag, _)) => Err(Failure::usage(format!("samara {name} has no use for {flag}; leave it out"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn check(args: &[&str]) -> Option<String> {
        let cli = Cli::parse_from([&["samara"], args].concat());
        refuse(&cli).err().map(|failure| failure.to_string())
    }

    #[test]
    fn flags_without_effect_are_refused() {
        for args in [
            &["demo", "--metrics", "127.0.0.1:1"][..],
            &["demo", "--discovery", "dht"],
            &["create", "x", "--metrics", "127.0.0.1:1"],
            &["--discovery", "lan", "show", "x"],
        ] {
            assert!(check(args).is_some_and(|told| told.contains("no use for")), "{args:?}");
        }
        assert!(
            check(&["tracker", "--metrics", "127.0.0.1:1"]).is_some_and(|told| told.contains("/metrics"))
        );
    }

    #[test]
    fn flags_with_effect_are_not() {
        for args in [&["tracker", "--discovery", "tracker"][..], &["get", "x", "--metrics", "127.0.0.1:1"]] {
            assert_eq!(check(args), None);
        }
    }
}
