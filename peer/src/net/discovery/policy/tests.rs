//! False records are dialled a handful of times, honest peers whenever they are named.

use super::*;

fn address(text: &str) -> Multiaddr {
    text.parse().expect("an address")
}

fn at(secs: u64) -> Moment {
    Moment::ZERO + Duration::from_secs(secs)
}

/// Dials what `name` gives for each of 1,000 peers, as fast as the policy lets, for ten minutes.
fn dials_of_false_records(name: impl Fn(u32) -> String) -> usize {
    let mut policy = DialPolicy::default();
    let mut dials = 0;
    for tenth in 0..6000 {
        let now = Moment::from_micros(tenth * 100_000);
        for peer in (0..1000).skip(tenth as usize % 100).step_by(100) {
            let address = address(&name(peer));
            if policy.permit(now, &address) {
                dials += 1;
                policy.on_failed(now, &address);
            }
        }
    }
    dials
}

#[test]
fn a_thousand_false_records_naming_one_bystander_cause_a_handful_of_dials() {
    assert!(dials_of_false_records(|_| "/ip4/192.0.2.7/tcp/443".into()) <= 12);
    assert!(dials_of_false_records(|_| "/ip6/2001:db8::7/udp/443/quic-v1".into()) <= 12);
    assert!(dials_of_false_records(|_| "/ip4/127.0.0.1/tcp/443".into()) <= 12);
}

#[test]
fn neither_other_ports_nor_neighbours_nor_another_spelling_get_round_the_caps() {
    let two_windows = |cap: u32| 2 * cap as usize;
    let dials = dials_of_false_records(|peer| format!("/ip4/192.0.2.7/tcp/{}", 1000 + peer));
    assert!(dials <= two_windows(PER_ADDRESS), "{dials}");
    let dials = dials_of_false_records(|peer| format!("/ip4/192.0.2.{}/tcp/{}", peer % 256, 1000 + peer));
    assert!(dials <= two_windows(PER_NETWORK), "{dials}");
    let dials = dials_of_false_records(|peer| format!("/ip6/2001:db8:1:{peer:x}::1/tcp/443"));
    assert!(dials <= two_windows(PER_NETWORK), "{dials}");
    let spelling = |peer: u32| if peer.is_multiple_of(2) { "/ip6/::ffff:c000:207" } else { "/ip4/192.0.2.7" };
    let dials = dials_of_false_records(|peer| format!("{}/tcp/443", spelling(peer)));
    assert!(dials <= 12, "{dials}");
}

#[test]
fn a_local_network_is_not_flooded_and_a_machine_where_nothing_failed_yet_is_tried_even_so() {
    let of_machines = |peer: u32| format!("/ip4/10.0.0.{}/tcp/{}", 1 + peer % 200, 1000 + peer);
    let dials = dials_of_false_records(of_machines);
    let two_windows = 2 * (PER_LOCAL_NETWORK as usize + 200);
    assert!(dials <= two_windows, "{dials}");

    let mut policy = DialPolicy::default();
    let is_tried = |policy: &mut DialPolicy, text: &str| policy.permit(at(0), &address(text));
    let tried = (0..2000).filter(|&peer| is_tried(&mut policy, &of_machines(peer))).count();
    assert_eq!(tried, PER_LOCAL_NETWORK as usize);
    assert!(is_tried(&mut policy, "/ip4/10.0.0.250/tcp/4001"));
    assert!(!is_tried(&mut policy, "/ip4/10.0.0.250/tcp/4002"), "once");
}

#[test]
fn peers_that_answer_count_against_nobody() {
    let mut policy = DialPolicy::default();
    for host in 0..200 {
        let address = address(&format!("/ip4/192.0.2.{host}/tcp/4001"));
        assert!(policy.permit(at(0), &address), "host {host}");
        policy.on_worked(&address);
    }
    assert!(policy.counted.is_empty() && policy.groups.is_empty() && policy.endpoints.is_empty());
}

#[test]
fn a_fleet_on_one_network_and_many_nodes_on_one_machine_are_dialled() {
    let mut policy = DialPolicy::default();
    for n in 1..=200 {
        assert!(policy.permit(at(0), &address(&format!("/ip4/10.0.0.{n}/tcp/4001"))));
        assert!(policy.permit(at(0), &address(&format!("/ip4/127.0.0.1/tcp/{n}"))));
    }
}

#[test]
fn one_address_is_dialled_once_at_a_time_and_waits_longer_after_each_failure() {
    let mut policy = DialPolicy::default();
    let address = address("/ip4/127.0.0.1/tcp/1");
    assert!(policy.permit(at(0), &address));
    assert!(!policy.permit(at(100), &address), "under way");
    policy.on_failed(at(100), &address);
    assert!(!policy.permit(at(100), &address));
    assert!(policy.permit(at(101), &address));
    policy.on_failed(at(101), &address);
    assert!(!policy.permit(at(101) + Duration::from_millis(900), &address));
    assert!(policy.permit(at(102), &address));
    policy.on_abandoned(&address);
    assert!(policy.permit(at(102), &address), "an abandoned dial proves nothing");
}

#[test]
fn the_engine_which_waits_twice_as_long_never_feels_the_wait_of_its_own_peer() {
    let mut policy = DialPolicy::default();
    let address = address("/ip4/10.0.0.1/tcp/1");
    let mut now = at(0);
    for failures in 0..7 {
        assert!(policy.permit(now, &address), "after {failures} failures");
        policy.on_failed(now, &address);
        now += Duration::from_secs(1 << failures);
    }
}

#[test]
fn only_a_near_teller_is_believed_about_near_addresses() {
    let (public, lan, here) =
        (address("/ip4/192.0.2.1/tcp/1"), address("/ip4/192.168.1.1/tcp/1"), address("/ip4/127.0.0.1/tcp/1"));
    let believed = |teller| [&public, &lan, &here].map(|address| is_believable(address, teller));
    assert_eq!(believed(Reach::Everybody), [true, false, false]);
    assert_eq!(believed(Reach::LocalNetwork), [true, true, false]);
    assert_eq!(believed(Reach::ThisMachine), [true, true, true]);
}

#[test]
fn names_relays_and_addresses_of_nobody_are_never_believed() {
    let id = libp2p::PeerId::random();
    for text in [
        "/dns4/example.org/tcp/1",
        "/ip4/192.0.2.1/tcp/0",
        "/ip4/0.0.0.0/tcp/1",
        "/ip4/224.0.0.1/udp/1/quic-v1",
        "/ip4/255.255.255.255/tcp/1",
        "/ip6/ff02::1/tcp/1",
        "/ip4/192.0.2.1/udp/1",
        "/ip4/192.0.2.1/tcp/1/ws",
        "/ip4/192.0.2.1",
        &format!("/ip4/192.0.2.1/tcp/1/p2p/{id}/p2p-circuit"),
    ] {
        assert!(!is_believable(&address(text), Reach::ThisMachine), "{text}");
    }
    assert!(is_believable(&address(&format!("/ip4/192.0.2.1/tcp/1/p2p/{id}")), Reach::Everybody));
    for text in ["/ip6/::ffff:7f00:1/tcp/1", "/ip6/64:ff9b::a00:1/tcp/1", "/ip4/100.64.0.1/tcp/1"] {
        assert!(!is_believable(&address(text), Reach::Everybody), "{text}");
    }
}
