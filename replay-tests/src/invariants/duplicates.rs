//! The same content once more changes no verdict.
//!
//! A request to promote by hand is a new wish each time. A push, or a copy reported, whose tag was
//! moved on by a promotion in its own step moves it back, and a deletion takes away what a promotion in its own
//! step put in the place: that is no repetition either.

use weir_rules::step;
use weir_schema::Body;

use crate::generate::mean;

pub(super) fn check(seed: u64) -> Result<(), String> {
    let history = mean(seed);
    history
        .play(|seen| {
            let (at, body) = seen.input;
            let moved_on = |target: &weir_schema::TargetRef| {
                let here = |repository: &weir_schema::RepositoryName| {
                    repository.to_string() == target.repository
                };
                match body {
                    Body::ImagePushed(push) => {
                        let tag = push.tag.as_ref().map(ToString::to_string);
                        here(&push.repository) && tag.as_deref() == Some(target.tag.as_str())
                    }
                    Body::PromotionCompleted(put) => put.target == *target,
                    Body::TagDeleted(gone) => {
                        here(&gone.repository) && gone.tag.to_string() == target.tag
                    }
                    Body::ManifestDeleted(gone) => here(&gone.repository),
                    Body::RepositoryDeleted(gone) => here(&gone.repository),
                    _ => false,
                }
            };
            let moved_on = seen.step.conclusions.iter().any(|conclusion| {
                matches!(&conclusion.body, Body::PromotionCompleted(done) if moved_on(&done.target))
            });
            if moved_on || matches!(body, Body::PromotionRequested(_)) {
                return Ok(());
            }
            let mut again = seen.after.clone();
            let repeated = step(&mut again, *at, body, history.execution);
            if repeated.conclusions.is_empty() && repeated.commands.is_empty() {
                return Ok(());
            }
            Err(format!("once more: {:#?}", repeated.conclusions))
        })
        .map(drop)
}
