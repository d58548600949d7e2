//! No application is promoted by a rule before every image in it has a completed scan at an earlier
//! record, not followed by a failure of the only scanners that completed.

use std::collections::{BTreeMap, BTreeSet};

use weir_schema::{Body, Digest};

use crate::{content::digest, generate::mean};

pub(super) fn check(seed: u64) -> Result<(), String> {
    let history = mean(seed);
    // Whether the latest attempt of each scanner on each digest completed.
    let mut good: BTreeMap<(Digest, String), bool> = BTreeMap::new();
    // Manifests of which it was said that they are artifacts.
    let mut told: BTreeSet<Digest> = BTreeSet::new();
    history
        .play(|seen| {
            match &seen.input.1 {
                Body::ImagePushed(push) if push.artifact_type.is_some() => {
                    told.insert(push.digest.clone());
                }
                Body::ManifestResolved(facts) if facts.artifact_type.is_some() => {
                    told.insert(facts.digest.clone());
                }
                Body::ScanCompleted(scan) => {
                    for covered in scan.covers.iter().flatten().chain([&scan.digest]) {
                        good.insert((covered.clone(), scan.scanner.name.to_string()), true);
                    }
                }
                Body::ScanFailed(scan) => {
                    good.insert((scan.digest.clone(), scan.scanner.name.to_string()), false);
                }
                _ => {}
            }
            for conclusion in &seen.step.conclusions {
                let Body::DecisionMade(made) = &conclusion.body else {
                    continue;
                };
                let subject = made.source.digest.as_ref();
                let (Some(_), Some(subject), None) = (&made.promotion_id, subject, &made.actor)
                else {
                    continue;
                };
                let manifest = history.contents.by_digest(subject);
                if !manifest.annotations.contains_key("io.docker.type") {
                    continue;
                }
                let name = history.contents.name(subject);
                let is_told = |name: &str| told.contains(&digest(name));
                let required = history.contents.required_where(&name, is_told);
                if required.is_empty() {
                    return Err(format!("`{name}` has no image and was promoted"));
                }
                for image in required {
                    let standing = good
                        .iter()
                        .any(|((scanned, _), good)| *good && *scanned == digest(&image));
                    if !standing {
                        return Err(format!(
                            "`{name}` was promoted before `{image}` was scanned"
                        ));
                    }
                }
            }
            Ok(())
        })
        .map(drop)
}
