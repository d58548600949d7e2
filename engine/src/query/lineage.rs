//! What stands behind a digest: across stages, also of what is in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use weir_rules::ScanAge;
use weir_schema::{Body, Decision, Descriptor, Digest, Record, Timestamp, media_type};

use super::{
    QueryError,
    contents::{children, decode, records, types},
    entry::{Entry, Names, entry},
    history::{any, names, scanned},
};
use crate::log::index::{Dimension, Index, Plan, Test};

/// What stands behind a digest.
#[derive(Debug, Serialize)]
pub(super) struct Lineage {
    digest: Digest,
    /// What is in it, if it is an index.
    contents: Vec<Content>,
    /// The indexes that it is in.
    part_of: Vec<Digest>,
    /// Pushes of it, and of what is in it.
    pushes: Vec<Entry>,
    /// Of each image and scanner the scans that counted when it was promoted, the one that counts now,
    /// and the last.
    scans: Vec<Entry>,
    /// The promotions of it, the oldest first.
    promotions: Vec<Promotion>,
    /// The overrides that these used: granted and revoked.
    overrides: Vec<Entry>,
    /// Votes for it.
    approvals: Vec<Entry>,
    /// The rules that these were decided under.
    rules: Vec<Rules>,
    /// Deletions of it, and of what is in it.
    deletions: Vec<Entry>,
}

/// A manifest in an index.
#[derive(Debug, Serialize)]
struct Content {
    digest: Digest,
    media_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The index that holds it.
    within: Digest,
}

/// A promotion, from the decision to its end.
#[derive(Debug, Serialize)]
struct Promotion {
    /// The record of the decision.
    decided: u64,
    decided_at: Timestamp,
    rule: String,
    /// As `repository:tag`.
    source: String,
    target: String,
    /// What it was decided under.
    rules_digest: Digest,
    overrides: Vec<String>,
    /// Reason codes waived by hand.
    waived: Vec<String>,
    /// Who asked, for a promotion by hand, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<Entry>,
    /// `completed`, `failed`, or `under way`.
    ended: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Entry>,
}

/// A rule set in force.
#[derive(Debug, Serialize)]
struct Rules {
    rules_digest: Digest,
    /// The record that put it in force.
    activated: u64,
    activated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    files: Vec<String>,
}

/// What stands behind `digest` before `end`.
pub(super) fn lineage(index: &Index, digest: &Digest, end: u64) -> Result<Lineage, QueryError> {
    index.catch_up_in_memory(end)?;
    let names = names(index, digest, end)?;
    let contents = contents(index, digest, &names, end)?;
    let mut within: BTreeSet<Digest> = contents.iter().map(|one| one.digest.clone()).collect();
    within.insert(digest.clone());
    let about = Plan::has(Dimension::Digest, &digest.to_string());
    let of_all = || Plan::Has(Dimension::Digest, any(&within));
    let told = |record: &Record| entry(record, &names, None);
    let mut lineage = Lineage {
        digest: digest.clone(),
        part_of: Vec::new(),
        pushes: Vec::new(),
        scans: Vec::new(),
        promotions: promotions(index, digest, &names, end)?,
        overrides: Vec::new(),
        approvals: Vec::new(),
        rules: Vec::new(),
        deletions: Vec::new(),
        contents,
    };
    let mut part_of = BTreeSet::new();
    let pushed = types(&["image.pushed", "manifest.resolved"]);
    for record in records(index, of_all().and(pushed), end, false) {
        let record = record?;
        let (of, manifests) = match &record.event.body {
            Body::ImagePushed(push) => (&push.digest, &push.manifests),
            Body::ManifestResolved(facts) => (&facts.digest, &facts.manifests),
            _ => continue,
        };
        if within.contains(of) && matches!(&record.event.body, Body::ImagePushed(_)) {
            lineage.pushes.push(told(&record));
        }
        if manifests
            .iter()
            .flatten()
            .any(|child| child.digest == *digest)
        {
            part_of.insert(of.clone());
        }
    }
    lineage.part_of = part_of.into_iter().collect();
    let decided: Vec<u64> = lineage.promotions.iter().map(|one| one.decided).collect();
    lineage.scans = scans(index, &within, &decided, end)?
        .values()
        .map(told)
        .collect();
    let overrides = lineage
        .promotions
        .iter()
        .flat_map(|one| one.overrides.iter().cloned());
    let overrides = Plan::Has(Dimension::Override, Test::Is(overrides.collect()))
        .and(types(&["override.granted", "override.revoked"]));
    let approvals = about.and(types(&["approval.granted", "approval.revoked"]));
    let deletions = of_all().and(types(&["manifest.deleted"]));
    for (plan, list) in [
        (overrides, &mut lineage.overrides),
        (approvals, &mut lineage.approvals),
        (deletions, &mut lineage.deletions),
    ] {
        for record in records(index, plan, end, false) {
            list.push(told(&record?));
        }
    }
    lineage.rules = rules(index, &lineage.promotions)?;
    Ok(lineage)
}

fn contents(
    index: &Index,
    digest: &Digest,
    names: &Names,
    end: u64,
) -> Result<Vec<Content>, QueryError> {
    let mut found: Vec<Content> = Vec::new();
    let mut seen = BTreeSet::from([digest.clone()]);
    let mut open = vec![digest.clone()];
    while let Some(within) = open.pop() {
        for child in children(index, &within, end)?.into_iter().flatten() {
            let Descriptor {
                digest, media_type, ..
            } = child;
            if !seen.insert(digest.clone()) {
                continue;
            }
            if media_type::is_index(&media_type) {
                open.push(digest.clone());
            }
            found.push(Content {
                name: names.get(&digest).cloned(),
                digest,
                media_type,
                within: within.clone(),
            });
        }
    }
    Ok(found)
}

fn promotions(
    index: &Index,
    digest: &Digest,
    names: &Names,
    end: u64,
) -> Result<Vec<Promotion>, QueryError> {
    let about = Plan::has(Dimension::Digest, &digest.to_string());
    let plan = about.and(types(&[
        "decision.made",
        "promotion.completed",
        "promotion.failed",
    ]));
    let mut found: BTreeMap<String, Promotion> = BTreeMap::new();
    for record in records(index, plan, end, false) {
        let record = record?;
        let ended = match &record.event.body {
            Body::DecisionMade(made) if made.source.digest.as_ref() == Some(digest) => {
                if let Some(id) = &made.promotion_id {
                    found.insert(id.clone(), promotion(index, &record, made, names)?);
                }
                continue;
            }
            Body::PromotionCompleted(done) => (&done.promotion_id, "completed"),
            Body::PromotionFailed(failed) => (&failed.promotion_id, "failed"),
            _ => continue,
        };
        if let Some(promotion) = found.get_mut(ended.0) {
            promotion.ended = ended.1;
            promotion.end = Some(entry(&record, names, None));
        }
    }
    let mut found: Vec<Promotion> = found.into_values().collect();
    found.sort_by_key(|one| one.decided);
    Ok(found)
}

fn promotion(
    index: &Index,
    record: &Record,
    made: &Decision,
    names: &Names,
) -> Result<Promotion, QueryError> {
    let requested = match (&made.actor, index.reader().get(made.trigger)?) {
        (Some(_), Some(bytes)) => Some(entry(&decode(&bytes)?, names, None)),
        _ => None,
    };
    Ok(Promotion {
        decided: record.seq,
        decided_at: record.recorded_at,
        rule: made.rule.to_string(),
        source: format!("{}:{}", made.source.repository, made.source.tag),
        target: format!("{}:{}", made.target.repository, made.target.tag),
        rules_digest: made.rules_digest.clone(),
        overrides: made.overrides.clone(),
        waived: made
            .waived
            .iter()
            .map(|reason| reason.code.to_string())
            .collect(),
        requested,
        ended: "under way",
        end: None,
    })
}

/// What a scanner did about a digest.
struct Attempts {
    /// The last, completed or failed.
    last: Record,
    /// The completed one that counts unless the last failed: one that is older does not replace it.
    held: Option<(ScanAge, Record)>,
}

impl Attempts {
    fn counts(&self) -> Option<&Record> {
        let completed = matches!(&self.last.event.body, Body::ScanCompleted(_));
        let (_, held) = self.held.as_ref().filter(|_| completed)?;
        Some(held)
    }

    fn add(&mut self, record: &Record) {
        if let Body::ScanCompleted(scan) = &record.event.body {
            let age = ScanAge::of(scan);
            match &self.held {
                Some((held, _)) if age.is_older_than(*held) => {}
                _ => self.held = Some((age, record.clone())),
            }
        }
        self.last = record.clone();
    }
}

/// Of each digest and scanner the completed scans that counted at these records, the one that counts
/// at the end, and the last scan of all.
fn scans(
    index: &Index,
    digests: &BTreeSet<Digest>,
    decided: &[u64],
    end: u64,
) -> Result<BTreeMap<u64, Record>, QueryError> {
    let plan =
        Plan::Has(Dimension::Digest, any(digests)).and(types(&["scan.completed", "scan.failed"]));
    let mut known: BTreeMap<(Digest, String), Attempts> = BTreeMap::new();
    let mut found = BTreeMap::new();
    let mut decided = decided.iter().peekable();
    let counting = |known: &BTreeMap<_, Attempts>, found: &mut BTreeMap<u64, Record>| {
        let counting = known.values().filter_map(Attempts::counts);
        found.extend(counting.map(|record| (record.seq, record.clone())));
    };
    for record in records(index, plan, end, false) {
        let record = record?;
        while decided.next_if(|seq| **seq < record.seq).is_some() {
            counting(&known, &mut found);
        }
        if let Some((ours, scanner)) = scanned(&record.event.body, digests) {
            for digest in ours {
                let attempts = known.entry((digest, scanner.clone()));
                let attempts = attempts.or_insert_with(|| Attempts {
                    last: record.clone(),
                    held: None,
                });
                attempts.add(&record);
            }
        }
    }
    counting(&known, &mut found);
    let last = known.into_values().map(|attempts| attempts.last);
    found.extend(last.map(|record| (record.seq, record)));
    Ok(found)
}

/// The rule sets that promotions were decided under, each once.
fn rules(index: &Index, promotions: &[Promotion]) -> Result<Vec<Rules>, QueryError> {
    let mut found: BTreeMap<u64, Rules> = BTreeMap::new();
    let mut known: BTreeSet<&Digest> = BTreeSet::new();
    for promotion in promotions {
        if !known.insert(&promotion.rules_digest) {
            continue;
        }
        let activated = records(index, types(&["rules.activated"]), promotion.decided, true);
        for record in activated {
            let record = record?;
            let Body::RulesActivated(rules) = &record.event.body else {
                continue;
            };
            let loaded =
                weir_rules::rule::RuleSet::load(&rules.files, &weir_rules::cel::Limits::RULES);
            // One that was refused was never in force.
            let Ok(loaded) = loaded else { continue };
            if Digest::Sha256(loaded.rules.digest()) != promotion.rules_digest {
                continue;
            }
            found.insert(
                record.seq,
                Rules {
                    rules_digest: promotion.rules_digest.clone(),
                    activated: record.seq,
                    activated_at: record.recorded_at,
                    actor: rules.actor.clone(),
                    files: rules.files.iter().map(|file| file.path.clone()).collect(),
                },
            );
            break;
        }
    }
    Ok(found.into_values().collect())
}
