//! Which tags held a vulnerability at a past record, without the state of everything.

use std::collections::BTreeSet;

use weir_rules::State;
use weir_schema::{Body, Digest, TargetRef};

use super::{
    QueryError,
    contents::{records, types},
    past::{Past, is_indexed},
};
use crate::log::index::{Dimension, Index, Plan};

/// Of a vulnerability in more images, or under more tags, the state of everything is quicker.
const FEW: usize = 300;

/// The state of all that ever held a vulnerability before `end`; `None` if that is much.
pub(super) fn state_of(
    index: &Index,
    vulnerability: &str,
    end: u64,
) -> Result<Option<State>, QueryError> {
    if !is_indexed(index, end) {
        return Ok(None);
    }
    let mut digests: BTreeSet<Digest> = BTreeSet::new();
    let found = Plan::has(Dimension::Vulnerability, vulnerability).and(types(&["scan.completed"]));
    for record in records(index, found, end, false) {
        if let Body::ScanCompleted(scan) = record?.event.body {
            digests.insert(scan.digest);
            digests.extend(scan.covers.into_iter().flatten());
        }
        if digests.len() > FEW {
            return Ok(None);
        }
    }
    let Some(places) = places(index, digests, end)? else {
        return Ok(None);
    };
    let mut past = Past::new(index, end)?;
    for (repository, tag) in &places {
        past.add_tag(repository, tag)?;
    }
    past.state().map(Some)
}

/// The tags that ever pointed at one of some digests, or at what holds one.
fn places(
    index: &Index,
    mut digests: BTreeSet<Digest>,
    end: u64,
) -> Result<Option<BTreeSet<(String, String)>>, QueryError> {
    let mut places = BTreeSet::new();
    let mut open: Vec<Digest> = digests.iter().cloned().collect();
    let about = types(&["image.pushed", "manifest.resolved", "promotion.completed"]);
    while let Some(digest) = open.pop() {
        let plan = Plan::has(Dimension::Digest, &digest.to_string()).and(about.clone());
        for record in records(index, plan, end, false) {
            let (of, place) = match record?.event.body {
                Body::ImagePushed(push) => {
                    let tag = push
                        .tag
                        .map(|tag| (push.repository.to_string(), tag.to_string()));
                    (push.digest, tag)
                }
                Body::ManifestResolved(facts) => (facts.digest, None),
                Body::PromotionCompleted(done) => {
                    let TargetRef { repository, tag } = done.target;
                    let place = (repository.to_string(), tag.to_string());
                    (digest.clone(), Some(place))
                }
                _ => continue,
            };
            if of == digest {
                places.extend(place);
            } else if digests.insert(of.clone()) {
                // An index that holds it.
                open.push(of);
            }
        }
        if digests.len() > FEW || places.len() > FEW {
            return Ok(None);
        }
    }
    Ok(Some(places))
}
