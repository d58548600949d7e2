//! Mean histories as a daemon records them: what is promoted is copied, and registries tell of what
//! the copies put there, some at once, some late, some never, some twice.

use serde_json::json;
use weir_rules::Execution;
use weir_schema::{RepositoryName, RuleFile, Tag};

use super::{History, Maker};
use crate::{content::digest, rule_text::rule_files};

/// A mean history with commands and what registries tell of them.
#[must_use]
pub fn recorded(seed: u64) -> History {
    let mut maker = Maker::new(seed);
    maker.universe(true);
    maker.history.execution = Execution::Commands;
    maker.echoing = true;
    maker.rules();
    let length = 20 + maker.random.below(50);
    while maker.history.inputs.len() < length {
        match maker.random.below(10) {
            0..=2 if !maker.copies.is_empty() => maker.outcome(),
            3 if !maker.echoes.is_empty() => maker.echo(),
            _ => maker.event(),
        }
    }
    maker.history
}

/// Rules that a mean history could have been under.
#[must_use]
pub fn other_rules(seed: u64) -> Vec<RuleFile> {
    let mut maker = Maker::new(seed);
    rule_files(&maker.rule_text())
}

impl Maker {
    /// A registry tells of a copy: of the tag, or of something that is in it.
    fn echo(&mut self) {
        let Some(copy) = self.echoes.pop_front() else {
            return;
        };
        let whole = copy.source.digest.as_ref();
        let mut names = self.history.names.iter();
        let whole = names.find(|name| Some(&digest(name)) == whole).cloned();
        let (Some(whole), Ok(repository)) =
            (whole, copy.target.repository.parse::<RepositoryName>())
        else {
            return;
        };
        let children = self.history.contents.get(&whole).children;
        let children = children.into_iter().flatten();
        let parts: Vec<String> = children.map(|(name, _)| name).collect();
        let bare = self.random.chance(50);
        if !parts.is_empty() && self.random.chance(40) {
            let part = self.random.pick(&parts).clone();
            let mut data = self.history.contents.facts(&part, bare);
            data["repository"] = json!(repository);
            data["actor"] = "weir".into();
            // The tag is told of later.
            self.echoes.push_back(copy);
            return self.say("weir.image.pushed", data);
        }
        if copy.target.tag.parse::<Tag>().is_ok() {
            let mut data = self.history.contents.facts(&whole, bare);
            data["repository"] = json!(repository);
            data["tag"] = copy.target.tag.as_str().into();
            data["actor"] = "weir".into();
            self.say("weir.image.pushed", data);
        }
    }
}
