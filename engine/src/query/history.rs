//! The life of a tag, on one page.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use weir_rules::TagView;
use weir_schema::{Body, Descriptor, Digest, Record, media_type};

use super::{
    QueryError,
    contents::{children, points, records, types, within},
    entry::{Entry, Names, entry, name},
    past::Past,
};
use crate::log::index::{Dimension, Index, Plan, Test};

/// The life of a tag.
#[derive(Debug, Serialize)]
pub(super) struct History {
    repository: String,
    tag: String,
    /// What happened, the oldest first.
    entries: Vec<Entry>,
    /// Where more name the tag than a history tells: the first record of those told. What names it
    /// before that is in the log.
    told_from: Option<u64>,
    /// The tag as it is; `None` if it is gone.
    now: Option<TagView>,
}

/// Builds that a history looks into, the latest; of those before, what names the tag is told.
const BUILDS: usize = 50;

/// Records that name the tag and are told, the newest: a page. A tag that moves every hour has more
/// than anybody reads, and all that are told are in memory at once.
const TOLD: usize = 1000;

/// What happened to a tag: what names it, the newest [`TOLD`]; of what it pointed at, for as long as it did, the scans
/// that changed something and the votes; and what was waived and what held it. `when` says, of a tag that was
/// not there before `end`, when it was not recorded.
pub(super) fn history(
    index: &Index,
    repository: &str,
    tag: &str,
    end: u64,
    when: &str,
) -> Result<History, QueryError> {
    index.catch_up_in_memory(end)?;
    let mut found: BTreeMap<u64, Record> = BTreeMap::new();
    let told_from = add_named(index, repository, tag, end, &mut found)?;
    let builds = builds(index, repository, tag, end, &mut found)?;
    if builds.is_empty() {
        return Err(QueryError::NoTag(format!(
            "no tag `{repository}:{tag}` was {when}"
        )));
    }
    let triggers: BTreeSet<u64> = found
        .values()
        .filter_map(|record| trigger(&record.event.body))
        .collect();
    let mut names = Names::new();
    for (digest, until) in &builds {
        let within = within(index, &digest.to_string(), end)?;
        names.extend(self::names(index, digest, end)?);
        add_scans(index, &within, &triggers, *until, &mut found)?;
        let votes = Plan::has(Dimension::Digest, &digest.to_string())
            .and(Plan::has(Dimension::Repository, repository))
            .and(types(&["approval.granted", "approval.revoked"]));
        add(index, votes, *until, &mut found)?;
        let deleted = Plan::Has(Dimension::Digest, any(&within))
            .and(Plan::has(Dimension::Repository, repository))
            .and(types(&["manifest.deleted"]));
        add(index, deleted, *until, &mut found)?;
    }
    add_people(index, end, &mut found)?;
    add_retries(index, end, &mut found)?;
    let of_repository = Plan::has(Dimension::Repository, repository)
        .and(types(&["repository.deleted", "repository.configured"]));
    add(index, of_repository, end, &mut found)?;
    let mut past = Past::new(index, end)?;
    past.add_tag(repository, tag)?;
    let entries = found
        .values()
        .map(|record| entry(record, &names, Some((repository, tag))));
    Ok(History {
        repository: repository.to_owned(),
        tag: tag.to_owned(),
        entries: entries.collect(),
        told_from,
        now: past.state()?.tag(repository, tag),
    })
}

/// Adds the newest records that name a tag; if there are more, also the one that pointed it where it
/// was when they begin. Returns the first of the newest if there are more.
fn add_named(
    index: &Index,
    repository: &str,
    tag: &str,
    end: u64,
    found: &mut BTreeMap<u64, Record>,
) -> Result<Option<u64>, QueryError> {
    let named = Plan::place(repository, tag);
    let mut newest = records(index, named.clone(), end, true);
    for record in newest.by_ref().take(TOLD) {
        let record = record?;
        found.insert(record.seq, record);
    }
    let first = found.keys().next().copied();
    let Some(first) = first.filter(|_| newest.next().is_some()) else {
        return Ok(None);
    };
    let pushed = named.and(types(&["image.pushed", "promotion.completed"]));
    for record in records(index, pushed, first, true) {
        let record = record?;
        if points(&record.event.body, repository, tag).is_some() {
            found.insert(record.seq, record);
            break;
        }
    }
    Ok(Some(first))
}

/// The digests that a tag pointed at, the latest of them, each with the record by which it last
/// pointed elsewhere or was gone. What made it go is added to what was found.
fn builds(
    index: &Index,
    repository: &str,
    tag: &str,
    end: u64,
    found: &mut BTreeMap<u64, Record>,
) -> Result<BTreeMap<Digest, u64>, QueryError> {
    let pointed = |record: &Record| points(&record.event.body, repository, tag).cloned();
    let mut latest = BTreeSet::new();
    for digest in found.values().rev().filter_map(pointed) {
        // The same digest again is the same build.
        if latest.len() == BUILDS && !latest.contains(&digest) {
            break;
        }
        latest.insert(digest);
    }
    let of_repository = Plan::has(Dimension::Repository, repository);
    let mut deletions = BTreeMap::new();
    let manifests = Plan::Has(Dimension::Digest, any(&latest))
        .and(of_repository.clone())
        .and(types(&["manifest.deleted"]));
    add(index, manifests, end, &mut deletions)?;
    let repositories = of_repository.and(types(&["repository.deleted"]));
    add(index, repositories, end, &mut deletions)?;

    let mut builds = BTreeMap::new();
    let mut now: Option<Digest> = None;
    let mut last_deletions = Vec::new();
    let mut all: Vec<&Record> = found.values().chain(deletions.values()).collect();
    all.sort_by_key(|record| record.seq);
    for record in all {
        let next = match &record.event.body {
            Body::TagDeleted(gone)
                if (gone.repository.as_str(), gone.tag.as_str()) == (repository, tag) =>
            {
                None
            }
            Body::RepositoryDeleted(_) => None,
            Body::ManifestDeleted(gone) if now.as_ref() == Some(&gone.digest) => {
                last_deletions.push(record.seq);
                None
            }
            _ => match pointed(record) {
                Some(digest) => Some(digest),
                None => continue,
            },
        };
        if next != now {
            let before = std::mem::replace(&mut now, next);
            builds.extend(before.map(|digest| (digest, record.seq)));
        }
    }
    builds.extend(now.map(|digest| (digest, end)));
    builds.retain(|digest, _| latest.contains(digest));
    deletions.retain(|seq, _| last_deletions.contains(seq));
    found.append(&mut deletions);
    Ok(builds)
}

/// Adds the records before `end` that a plan takes.
fn add(
    index: &Index,
    plan: Plan,
    end: u64,
    found: &mut BTreeMap<u64, Record>,
) -> Result<(), QueryError> {
    for record in records(index, plan, end, false) {
        let record = record?;
        found.insert(record.seq, record);
    }
    Ok(())
}

/// Adds who had a promotion tried once more.
fn add_retries(
    index: &Index,
    end: u64,
    found: &mut BTreeMap<u64, Record>,
) -> Result<(), QueryError> {
    let ids = found
        .values()
        .filter_map(|record| match &record.event.body {
            Body::DecisionMade(made) => made.promotion_id.clone(),
            _ => None,
        });
    let ids: BTreeSet<String> = ids.collect();
    for record in records(index, types(&["promotion.retried"]), end, false) {
        let record = record?;
        if let Body::PromotionRetried(retried) = &record.event.body
            && ids.contains(&retried.promotion_id)
        {
            found.insert(record.seq, record);
        }
    }
    Ok(())
}

/// The input that a decision was made on.
fn trigger(body: &Body) -> Option<u64> {
    match body {
        Body::DecisionMade(made) => Some(made.trigger),
        _ => None,
    }
}

pub(super) fn any(digests: &BTreeSet<Digest>) -> Test {
    Test::Is(digests.iter().map(ToString::to_string).collect())
}

/// What the images in a digest are called: after their component or what they are in an
/// application, and their platform.
pub(super) fn names(index: &Index, digest: &Digest, end: u64) -> Result<Names, QueryError> {
    let mut names = Names::new();
    // What is told of digests need not be true: one may be said to be in itself.
    let mut seen = BTreeSet::from([digest.clone()]);
    let mut open = vec![(digest.clone(), None)];
    while let Some((digest, above)) = open.pop() {
        for child in children(index, &digest, end)?.into_iter().flatten() {
            let part = part(&child).or(above.as_deref());
            if let Some(name) = name(part, child.platform.as_ref()) {
                names.entry(child.digest.clone()).or_insert(name);
            }
            if media_type::is_index(&child.media_type) && seen.insert(child.digest.clone()) {
                let part = part.map(ToOwned::to_owned);
                open.push((child.digest, part));
            }
        }
    }
    Ok(names)
}

/// What an index says that a manifest is in it.
fn part(child: &Descriptor) -> Option<&str> {
    let annotations = child.annotations.as_ref()?;
    let component = annotations.get("io.cnab.component.name");
    let kind = || {
        let kind = annotations.get("io.cnab.manifest.type");
        kind.filter(|kind| matches!(kind.as_str(), "invocation" | "config"))
    };
    component.or_else(kind).map(String::as_str)
}

/// Adds the scans of some digests that changed something: the first that ended, those that ended
/// otherwise than the one before, those that a decision was made on, and the last.
fn add_scans(
    index: &Index,
    digests: &BTreeSet<Digest>,
    triggers: &BTreeSet<u64>,
    end: u64,
    found: &mut BTreeMap<u64, Record>,
) -> Result<(), QueryError> {
    let plan =
        Plan::Has(Dimension::Digest, any(digests)).and(types(&["scan.completed", "scan.failed"]));
    let mut last: BTreeMap<(Digest, String), Record> = BTreeMap::new();
    for record in records(index, plan, end, false) {
        let record = record?;
        let Some((ours, scanner)) = scanned(&record.event.body, digests) else {
            continue;
        };
        let mut changed = triggers.contains(&record.seq);
        for digest in ours {
            let before = last.insert((digest, scanner.clone()), record.clone());
            changed |= before.is_none_or(|one| one.event.body.kind() != record.event.body.kind());
        }
        if changed {
            found.insert(record.seq, record);
        }
    }
    found.extend(last.into_values().map(|record| (record.seq, record)));
    Ok(())
}

/// Which of some digests a scan is about, and by which scanner.
pub(super) fn scanned(body: &Body, digests: &BTreeSet<Digest>) -> Option<(Vec<Digest>, String)> {
    let (about, scanner): (Vec<&Digest>, &str) = match body {
        Body::ScanCompleted(scan) => {
            let all = scan.covers.iter().flatten().chain([&scan.digest]);
            (all.collect(), &scan.scanner.name)
        }
        Body::ScanFailed(scan) => (vec![&scan.digest], &scan.scanner.name),
        _ => return None,
    };
    let ours = about.into_iter().filter(|digest| digests.contains(*digest));
    let ours: Vec<Digest> = ours.cloned().collect();
    (!ours.is_empty()).then(|| (ours, scanner.to_owned()))
}

/// Adds what became of the overrides and holds that decisions name.
fn add_people(
    index: &Index,
    end: u64,
    found: &mut BTreeMap<u64, Record>,
) -> Result<(), QueryError> {
    let (mut overrides, mut holds) = (BTreeSet::new(), BTreeSet::new());
    for record in found.values() {
        if let Body::DecisionMade(made) = &record.event.body {
            overrides.extend(made.overrides.iter().cloned());
            holds.extend(
                made.reasons
                    .iter()
                    .filter_map(|reason| reason.hold_id.clone()),
            );
        }
    }
    let plans = [
        Plan::Has(Dimension::Override, Test::Is(overrides))
            .and(types(&["override.granted", "override.revoked"])),
        Plan::Has(Dimension::Hold, Test::Is(holds)).and(types(&["hold.placed", "hold.released"])),
    ];
    for plan in plans {
        add(index, plan, end, found)?;
    }
    Ok(())
}
