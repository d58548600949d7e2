//! Tame histories.

use serde_json::json;

use super::{History, Maker, texts::REPOSITORIES};
use crate::content::digest;

/// A tame history, under one rule that asks only for scans: pushes of images and applications
/// first, then facts that no order can contradict. Gives it with the place where the facts begin.
#[must_use]
pub fn tame(seed: u64) -> (History, usize) {
    let mut maker = Maker::new(seed);
    maker.universe(false);
    maker.activate("r: dev/* -> staging/{1}; tag: {tag}-{short_digest} when true");
    for _ in 0..2 + maker.random.below(4) {
        let name = maker.name();
        let bare = maker.random.chance(50);
        let repository = *maker.random.pick(&REPOSITORIES[..2]);
        maker.push(repository, Some(true), &name, bare);
    }
    let facts_from = maker.history.inputs.len();
    for name in maker.history.names.clone() {
        if maker.random.chance(85) {
            let facts = maker.history.contents.facts(&name, false);
            maker.say("weir.manifest.resolved", facts);
        }
        if maker.random.chance(85) {
            maker.say(
                "weir.scan.completed",
                json!({"digest": digest(&name), "scanner": {"name": "trivy"}, "findings": []}),
            );
        }
    }
    (maker.history, facts_from)
}
