//! Every promotion binds the digest that its tag had when it was judged, and brings that one.
//!
//! Word of a promotion that this log never decided is a fact like any other, and binds nothing.

use std::collections::BTreeMap;

use weir_rules::Command;
use weir_schema::{Body, Digest, PromotionOutcome, TagRef};

use crate::generate::{FOREIGN, mean};

type Tags = BTreeMap<(String, String), Digest>;

pub(super) fn check(seed: u64) -> Result<(), String> {
    let mut tags = Tags::new();
    let mut decided: BTreeMap<String, TagRef> = BTreeMap::new();
    mean(seed)
        .play(|seen| {
            take(&mut tags, &decided, &seen.input.1)?;
            for conclusion in &seen.step.conclusions {
                if let Body::DecisionMade(made) = &conclusion.body
                    && let Some(id) = &made.promotion_id
                {
                    let tag = (
                        made.source.repository.to_string(),
                        made.source.tag.to_string(),
                    );
                    if made.source.digest.as_ref() != tags.get(&tag) {
                        return Err(format!("{tag:?} is not at the digest of {id}"));
                    }
                    decided.insert(id.clone(), made.source.clone());
                }
                take(&mut tags, &decided, &conclusion.body)?;
            }
            for Command::Copy(copy) in &seen.step.commands {
                if decided.get(&copy.promotion_id) != Some(&copy.source) {
                    return Err(format!("{copy:?} is not what was decided"));
                }
            }
            Ok(())
        })
        .map(drop)
}

fn take(tags: &mut Tags, decided: &BTreeMap<String, TagRef>, body: &Body) -> Result<(), String> {
    match body {
        Body::ImagePushed(push) => {
            if let Some(tag) = &push.tag {
                let key = (push.repository.to_string(), tag.to_string());
                tags.insert(key, push.digest.clone());
            }
        }
        Body::TagDeleted(gone) => {
            tags.remove(&(gone.repository.to_string(), gone.tag.to_string()));
        }
        Body::ManifestDeleted(gone) => tags.retain(|(repository, _), digest| {
            *repository != gone.repository.to_string() || *digest != gone.digest
        }),
        Body::RepositoryDeleted(gone) => {
            tags.retain(|(repository, _), _| *repository != gone.repository.to_string());
        }
        Body::PromotionCompleted(done) => {
            promoted(decided, done)?;
            if let Some(digest) = &done.source.digest {
                let target = (
                    done.target.repository.to_string(),
                    done.target.tag.to_string(),
                );
                tags.insert(target, digest.clone());
            }
        }
        _ => {}
    }
    Ok(())
}

fn promoted(decided: &BTreeMap<String, TagRef>, done: &PromotionOutcome) -> Result<(), String> {
    match decided.get(&done.promotion_id) {
        Some(source) if *source == done.source => Ok(()),
        None if done.promotion_id == FOREIGN => Ok(()),
        other => Err(format!("{done:?} completed, {other:?} was decided")),
    }
}
