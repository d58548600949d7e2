//! What is taken away never opens the gate: without a fact nothing is promoted that was not with
//! it, and deleting an image of an application promotes nothing.

use std::collections::BTreeSet;

use weir_rules::step;
use weir_schema::{Body, ManifestDeleted};

use crate::{
    content::digest,
    generate::{History, mean, tame},
    random::Random,
};

type Promoted = BTreeSet<(String, String, String)>;

pub(super) fn check(seed: u64) -> Result<(), String> {
    without_a_fact(seed)?;
    deleted(seed)
}

fn without_a_fact(seed: u64) -> Result<(), String> {
    let (history, facts_from) = tame(seed);
    let with = promoted(&history)?;
    for fact in facts_from..history.inputs.len() {
        let mut less = history.clone();
        let (_, gone) = less.inputs.remove(fact);
        let without = promoted(&less)?;
        if let Some(more) = without.difference(&with).next() {
            return Err(format!("without {gone:?} also {more:?} is promoted"));
        }
    }
    Ok(())
}

fn promoted(history: &History) -> Result<Promoted, String> {
    let mut promoted = Promoted::new();
    history.play(|seen| {
        for conclusion in &seen.step.conclusions {
            if let Body::PromotionCompleted(done) = &conclusion.body {
                let digest = done.source.digest.as_ref().map(ToString::to_string);
                promoted.insert((
                    done.source.repository.to_string(),
                    done.source.tag.to_string(),
                    digest.unwrap_or_default(),
                ));
            }
        }
        Ok(())
    })?;
    Ok(promoted)
}

fn deleted(seed: u64) -> Result<(), String> {
    let history = mean(seed);
    let mut random = Random::new(seed);
    let tagged: BTreeSet<_> = history
        .inputs
        .iter()
        .filter_map(|(_, body)| match body {
            Body::ImagePushed(push) if push.tag.is_some() => Some(push.digest.clone()),
            Body::PromotionCompleted(done) => done.source.digest.clone(),
            _ => None,
        })
        .collect();
    // Deleting what has a tag frees the tag, which may be another's target.
    let inner: Vec<_> = history
        .names
        .iter()
        .map(|name| digest(name))
        .filter(|digest| !tagged.contains(digest))
        .collect();
    if inner.is_empty() {
        return Ok(());
    }
    history
        .play(|seen| {
            let mut state = seen.after.clone();
            let repository = *random.pick(&["dev/web", "dev/api", "staging/web"]);
            let deleted = Body::ManifestDeleted(ManifestDeleted {
                repository: repository.parse().expect("a repository"),
                digest: random.pick(&inner).clone(),
                actor: None,
            });
            let taken = step(&mut state, seen.input.0, &deleted, history.execution);
            let promotes = taken.conclusions.iter().find(|conclusion| {
                matches!(&conclusion.body, Body::DecisionMade(made) if made.promotion_id.is_some())
            });
            match promotes {
                Some(decision) => Err(format!("{deleted:?} gave {decision:#?}")),
                None => Ok(()),
            }
        })
        .map(drop)
}
