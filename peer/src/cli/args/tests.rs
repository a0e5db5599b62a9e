//! The command line is what the contract says, wherever the common flags stand.

use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_parser_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn common_flags_stand_before_or_after_the_command() {
    for line in [
        "samara --json -vv --bind 127.0.0.1 --state-dir s --discovery tracker,pex show x.torrent",
        "samara show x.torrent --json -vv --bind 127.0.0.1 --state-dir s --discovery tracker,pex",
        "samara --json -vv show --bind 127.0.0.1 x.torrent --state-dir s --discovery tracker,pex",
    ] {
        let common = parse(line).unwrap().common;
        assert!(common.json);
        assert_eq!(common.verbose, 2);
        assert_eq!(common.bind, Some(Bind::Address([127, 0, 0, 1].into())));
        assert_eq!(common.state_dir.as_deref(), Some("s".as_ref()));
        assert_eq!(common.discovery, Some(vec![Discovery::Tracker, Discovery::Pex]));
    }
}

#[test]
fn every_command_of_the_contract_is_accepted() {
    for line in [
        "samara create p -o o.torrent --format v2 --piece-length 1MiB --tracker http://a/ --private --comment c",
        "samara show magnet:?xt=urn:btih:00",
        "samara show x.torrent --scrape",
        "samara verify x.torrent dir",
        "samara seed p --data d --tracker http://a/ --tracker udp://b:1 --listen /ip4/127.0.0.1/tcp/0",
        "samara get x y -o d --tracker http://a/ --exit",
        "samara get x --seed",
        "samara get x --only a --only 3-5 --first 3 --last *.iso --last a --sequential",
        "samara tracker --http 127.0.0.1:1 --udp 127.0.0.1:1 --config f",
        "samara demo",
        "samara completions fish",
        "samara man",
        "samara get x --bootstrap /ip4/127.0.0.1/tcp/1/p2p/12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA",
        "samara get x --discovery tracker,dht,pex,lan,cache",
    ] {
        parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn nonsense_is_wrong_usage() {
    for line in [
        "samara frobnicate",
        "samara get",
        "samara get x --exit --seed",
        "samara get x --peer /ip4/127.0.0.1/tcp/1",
        "samara get x --bootstrap /ip4/127.0.0.1/tcp/1",
        "samara get x --discovery tracker,smoke-signals",
        "samara get x --tracker ftp://a/",
        "samara create p --piece-length 1000",
        "samara create p --format v3",
        "samara seed p --listen 127.0.0.1:1",
        "samara tracker --http nowhere",
        "samara demo --size 4KiB",
    ] {
        let error = parse(line).expect_err(line);
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn trackers_are_used_unless_the_list_leaves_them_out() {
    assert!(parse("samara get x").unwrap().common.discovery_set().tracker);
    assert!(parse("samara get x --discovery dht,tracker").unwrap().common.discovery_set().tracker);
    assert!(!parse("samara get x --discovery dht").unwrap().common.discovery_set().tracker);
}

#[test]
fn every_command_and_flag_has_help() {
    fn check(command: &clap::Command) {
        assert!(command.get_about().is_some(), "{} has no help", command.get_name());
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "{} {} has no help",
                command.get_name(),
                argument.get_id()
            );
        }
        command.get_subcommands().for_each(check);
    }
    check(&Cli::command());
}
