//! No application is promoted by a rule before every image in it has a completed scan at an earlier
//! record, not followed by a failure of the only scanners that completed: one of each scanner that the
//! rule names, if it names any.

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
                let rule = seen.after.rules().rule(&made.rule);
                let named = rule.map_or(&[][..], |rule| &rule.scanners);
                for image in required {
                    let image_digest = digest(&image);
                    let by: BTreeSet<&str> = good
                        .iter()
                        .filter(|((scanned, _), good)| **good && *scanned == image_digest)
                        .map(|((_, scanner), _)| scanner.as_str())
                        .collect();
                    let all_named = named.iter().all(|name| by.contains(name.as_str()));
                    if by.is_empty() || !all_named {
                        return Err(format!(
                            "`{name}` was promoted before `{image}` was scanned by all that count"
                        ));
                    }
                }
            }
            Ok(())
        })
        .map(drop)
}
