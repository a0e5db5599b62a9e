//! The node by which everybody entered the DHT is killed.

use super::stage::Stage;

const DHT: [&str; 2] = ["--discovery", "dht"];

/// Those who are in go on, and a newcomer enters by one of them.
pub(super) fn killed(stage: &mut Stage) -> String {
    let content = stage.content(stage.by_scale(8, 32));
    let mut bootstrap = stage.node("bootstrap node", &DHT);
    let way_in = bootstrap.address();
    let args = [&DHT[..], &["--bootstrap", &way_in]].concat();
    let mut bystanders: Vec<_> = (0..4).map(|n| stage.node(&format!("node {n}"), &args)).collect();
    for node in &mut bystanders {
        node.address();
    }
    let _seed = stage.seed("seed", &content, &args);
    let mut first = stage.join("first", &content.link(&[], &[]), &args);
    first.complete(&content);
    bootstrap.process.kill();

    let other_way = bystanders[0].address();
    let args = [&DHT[..], &["--bootstrap", &way_in, "--bootstrap", &other_way]].concat();
    let mut newcomer = stage.join("newcomer", &content.link(&[], &[]), &args);
    let found = newcomer.complete(&content);
    assert!(found.by("dht") > 0 && found.only_by(&["dht"]), "{found}");
    found.to_string()
}
