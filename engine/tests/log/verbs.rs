//! Lives, lineages, overrides: each answer is what a look at every record and the state of
//! everything give.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tempfile::TempDir;
use weir_engine::log::index::Index;
use weir_engine::node::{At, Ledger, state_at};
use weir_engine::query::{self, Part, Query, QueryError};
use weir_schema::{Body, Digest, Record, ScanCompleted, Timestamp};

use crate::audit::{filled, records, within};

pub(crate) fn ask(index: &Index, query: &Query) -> Result<Value, QueryError> {
    query::of_log(index, query, &query::Asker::default())
        .map(|answer| answer.expect("the log answers it"))
}

/// The records as types, beside their texts.
struct Log {
    ledger: Ledger,
    index: Index,
    values: Vec<Value>,
    records: Vec<Record>,
}

fn open(dir: &TempDir) -> Log {
    let (ledger, index) = filled(dir.path());
    let values = records(&index);
    let decode = |value: &Value| {
        let text = weir_schema::canonical::to_string(value);
        Record::decode(text.as_bytes()).expect("a record")
    };
    let records = values.iter().map(decode).collect();
    Log {
        ledger,
        index,
        values,
        records,
    }
}

impl Log {
    fn last(&self) -> u64 {
        self.records.len() as u64
    }

    fn seqs(&self, wanted: impl Fn(&Record) -> bool) -> BTreeSet<u64> {
        let wanted = self.records.iter().filter(|record| wanted(record));
        wanted.map(|record| record.seq).collect()
    }

    /// A digest and what is in it.
    fn within(&self, digest: &Digest) -> BTreeSet<Digest> {
        let all = within(&self.values, &digest.to_string());
        all.iter()
            .map(|digest| digest.parse().expect("a digest"))
            .collect()
    }

    /// What a tag was pointed at, in order, and by which record.
    fn bindings(&self, repository: &str, tag: &str) -> Vec<(u64, Digest)> {
        let bound = self.records.iter().filter_map(|record| {
            let digest = match &record.event.body {
                Body::ImagePushed(push) => {
                    let here = push.repository.as_str() == repository
                        && push.tag.as_ref().is_some_and(|known| known.as_str() == tag);
                    here.then(|| push.digest.clone())
                }
                Body::PromotionCompleted(done) => {
                    let here = done.target.repository == repository && done.target.tag == tag;
                    done.source.digest.clone().filter(|_| here)
                }
                _ => None,
            };
            Some((record.seq, digest?))
        });
        bound.collect()
    }

    /// Terminal scans of some digests: of each digest and scanner, in order.
    fn scans(&self, digests: &BTreeSet<Digest>) -> BTreeMap<(Digest, String), Vec<Terminal>> {
        let mut found: BTreeMap<(Digest, String), Vec<Terminal>> = BTreeMap::new();
        for record in &self.records {
            let (about, scanner, completed) = match &record.event.body {
                Body::ScanCompleted(scan) => {
                    let all = scan.covers.iter().flatten().chain([&scan.digest]);
                    (
                        all.cloned().collect::<BTreeSet<_>>(),
                        &scan.scanner.name,
                        Some(scan),
                    )
                }
                Body::ScanFailed(scan) => (
                    BTreeSet::from([scan.digest.clone()]),
                    &scan.scanner.name,
                    None,
                ),
                _ => continue,
            };
            for digest in about.intersection(digests) {
                let scans = found
                    .entry((digest.clone(), scanner.to_string()))
                    .or_default();
                let held = scans.iter().rev().find_map(|earlier| earlier.result);
                scans.push(Terminal {
                    seq: record.seq,
                    result: completed.map(|scan| match held {
                        Some(held) if self.is_older(scan, held) => held,
                        _ => record.seq,
                    }),
                });
            }
        }
        found
    }

    /// Whether a result is older than that of another record, by what both say of themselves.
    fn is_older(&self, scan: &ScanCompleted, than: u64) -> bool {
        let held = &self.records[than as usize - 1].event.body;
        let Body::ScanCompleted(held) = held else {
            panic!("record {than} is a completed scan")
        };
        let databases = (scan.scanner.db_updated_at, held.scanner.db_updated_at);
        match (databases, (scan.scanned_at, held.scanned_at)) {
            ((Some(new), Some(held)), _) if new != held => new < held,
            (_, (Some(new), Some(held))) => new < held,
            _ => false,
        }
    }
}

/// The end of a scan, and the record of the result that counts then: an older one that comes late
/// does not; of a scan that failed there is none.
#[derive(Clone, Copy)]
struct Terminal {
    seq: u64,
    result: Option<u64>,
}

pub(crate) fn seqs_of(entries: &Value) -> BTreeSet<u64> {
    let entries = entries.as_array().expect("a list");
    entries
        .iter()
        .map(|entry| entry["seq"].as_u64().expect("a sequence"))
        .collect()
}

/// Whether a record names a tag of a repository.
fn names(record: &Record, repository: &str, tag: &str) -> bool {
    let (r, t) = (repository, tag);
    match &record.event.body {
        Body::ImagePushed(one) => {
            one.repository.as_str() == r && one.tag.as_ref().is_some_and(|tag| tag.as_str() == t)
        }
        Body::TagDeleted(one) => one.repository.as_str() == r && one.tag.as_str() == t,
        Body::PromotionRequested(one) => {
            one.repository.as_str() == r && one.tag.as_str() == t
                || one.target.repository.as_str() == r && one.target.tag.as_str() == t
        }
        Body::DecisionMade(one) => {
            one.source.repository.as_str() == r && one.source.tag.as_str() == t
                || one.target.repository == r && one.target.tag == t
        }
        Body::PromotionStarted(one)
        | Body::PromotionCompleted(one)
        | Body::PromotionFailed(one) => {
            one.source.repository.as_str() == r && one.source.tag.as_str() == t
                || one.target.repository == r && one.target.tag == t
        }
        Body::ViolationFound(one) | Body::ViolationCleared(one) => {
            one.repository.as_str() == r && one.tag.as_str() == t
        }
        _ => false,
    }
}

/// Some tags that were pushed, one for each repository and tag.
fn tags(log: &Log) -> BTreeSet<(String, String)> {
    let pushed = log
        .records
        .iter()
        .filter_map(|record| match &record.event.body {
            Body::ImagePushed(push) => {
                Some((push.repository.to_string(), push.tag.as_ref()?.to_string()))
            }
            Body::PromotionCompleted(done) => Some((
                done.target.repository.to_string(),
                done.target.tag.to_string(),
            )),
            _ => None,
        });
    pushed.collect()
}

#[test]
fn a_life_has_all_that_happened_to_a_tag() {
    let dir = TempDir::new().expect("a directory");
    let log = open(&dir);
    let state = log.ledger.state();
    let (mut entries, mut builds) = (0, 0);
    for (repository, tag) in tags(&log).into_iter().take(60) {
        let query = Query::History {
            repository: repository.clone(),
            tag: tag.clone(),
            at: None,
        };
        let life = ask(&log.index, &query).expect("a life");
        let bindings = log.bindings(&repository, &tag);
        let mut wanted = log.seqs(|record| names(record, &repository, &tag));
        let decisions: Vec<_> = wanted
            .iter()
            .filter_map(|seq| match &log.records[*seq as usize - 1].event.body {
                Body::DecisionMade(made) => Some(made.clone()),
                _ => None,
            })
            .collect();
        let triggers: BTreeSet<u64> = decisions.iter().map(|made| made.trigger).collect();
        let digests: BTreeSet<&Digest> = bindings.iter().map(|(_, digest)| digest).collect();
        builds += digests.len();
        // Of each build, for as long as it was the tag's.
        for digest in digests {
            let last = bindings.iter().rposition(|(_, known)| known == digest);
            let next = last.and_then(|last| bindings.get(last + 1));
            let since = last.map_or(0, |last| bindings[last].0);
            let gone = log.seqs(|record| match &record.event.body {
                Body::TagDeleted(gone) => {
                    gone.repository.as_str() == repository && gone.tag.as_str() == tag
                }
                Body::ManifestDeleted(gone) => {
                    gone.repository.as_str() == repository && gone.digest == *digest
                }
                Body::RepositoryDeleted(gone) => gone.repository.as_str() == repository,
                _ => false,
            });
            let gone = gone.range(since..).next();
            let ends = next.map(|(seq, _)| *seq).into_iter().chain(gone.copied());
            let until = ends.min().unwrap_or(u64::MAX);
            let within = log.within(digest);
            for mut scans in log.scans(&within).into_values() {
                scans.retain(|ended| ended.seq < until);
                let before = std::iter::once(None).chain(scans.iter().map(Some));
                for (ended, before) in scans.iter().zip(before) {
                    let completed = ended.result.is_some();
                    let turned = before.is_none_or(|before| before.result.is_some() != completed);
                    if turned || triggers.contains(&ended.seq) {
                        wanted.insert(ended.seq);
                    }
                }
                wanted.extend(scans.last().map(|ended| ended.seq));
            }
            let of_build = log.seqs(|record| match &record.event.body {
                Body::ManifestDeleted(one) => {
                    one.repository.as_str() == repository && within.contains(&one.digest)
                }
                Body::ApprovalGranted(vote) | Body::ApprovalRevoked(vote) => {
                    vote.digest == *digest
                        && (vote.repository.as_str() == repository
                            || vote.target.as_str() == repository)
                }
                _ => false,
            });
            wanted.extend(of_build.into_iter().filter(|seq| *seq <= until));
        }
        wanted.extend(log.seqs(|record| {
            match &record.event.body {
                Body::RepositoryDeleted(one) => one.repository.as_str() == repository,
                Body::RepositoryConfigured(one) => one.repository.as_str() == repository,
                Body::OverrideGranted(one) => decisions
                    .iter()
                    .any(|made| made.overrides.contains(&one.override_id)),
                Body::OverrideRevoked(one) => decisions
                    .iter()
                    .any(|made| made.overrides.contains(&one.override_id)),
                Body::HoldPlaced(hold) => decisions.iter().any(|made| {
                    made.reasons
                        .iter()
                        .any(|why| why.hold_id.as_ref() == Some(&hold.hold_id))
                }),
                Body::HoldReleased(hold) => decisions.iter().any(|made| {
                    made.reasons
                        .iter()
                        .any(|why| why.hold_id.as_ref() == Some(&hold.hold_id))
                }),
                _ => false,
            }
        }));
        assert_eq!(seqs_of(&life["entries"]), wanted, "{repository}:{tag}");
        let now = serde_json::to_value(state.tag(&repository, &tag)).expect("JSON");
        assert_eq!(life["now"], now, "{repository}:{tag}");
        entries += wanted.len();
    }
    assert!(entries > 500 && builds > 80, "{entries} of {builds}");
    let query = Query::History {
        repository: "dev/web".into(),
        tag: "never".into(),
        at: None,
    };
    let refused = ask(&log.index, &query);
    assert!(matches!(refused, Err(QueryError::NoTag(_))), "{refused:?}");
}

#[test]
fn a_lineage_has_all_that_stands_behind_a_digest() {
    let dir = TempDir::new().expect("a directory");
    let log = open(&dir);
    let promoted = log
        .records
        .iter()
        .filter_map(|record| match &record.event.body {
            Body::DecisionMade(made) if made.promotion_id.is_some() => made.source.digest.clone(),
            Body::ImagePushed(push) if record.seq.is_multiple_of(5) => Some(push.digest.clone()),
            _ => None,
        });
    let digests: BTreeSet<Digest> = promoted.collect();
    let mut promotions = 0;
    for digest in digests.into_iter().take(60) {
        let query = Query::Lineage {
            digest: digest.to_string(),
            at: None,
        };
        let told = ask(&log.index, &query).expect("a lineage");
        let within = log.within(&digest);
        let decided: Vec<&Record> = log
            .records
            .iter()
            .filter(|record| {
                matches!(&record.event.body, Body::DecisionMade(made)
                    if made.promotion_id.is_some() && made.source.digest.as_ref() == Some(&digest))
            })
            .collect();
        let seqs: Vec<u64> = decided.iter().map(|record| record.seq).collect();
        let shown = told["promotions"].as_array().expect("a list");
        let shown_seqs: Vec<u64> = shown
            .iter()
            .filter_map(|one| one["decided"].as_u64())
            .collect();
        assert_eq!(shown_seqs, seqs, "{digest}");
        let (mut used, mut rules) = (BTreeSet::new(), BTreeSet::new());
        for (record, shown) in decided.iter().zip(shown) {
            let Body::DecisionMade(made) = &record.event.body else {
                panic!("a decision")
            };
            used.extend(made.overrides.iter().cloned());
            let in_force = log.records[..record.seq as usize]
                .iter()
                .rev()
                .find(|record| matches!(&record.event.body, Body::RulesActivated(_)));
            rules.insert(in_force.expect("there are rules").seq);
            let ended = log
                .records
                .iter()
                .rev()
                .find_map(|record| match &record.event.body {
                    Body::PromotionCompleted(done)
                        if Some(&done.promotion_id) == made.promotion_id.as_ref() =>
                    {
                        Some("completed")
                    }
                    Body::PromotionFailed(failed)
                        if Some(&failed.promotion_id) == made.promotion_id.as_ref() =>
                    {
                        Some("failed")
                    }
                    _ => None,
                });
            assert_eq!(shown["ended"], ended.unwrap_or("under way"), "{digest}");
        }
        promotions += seqs.len();
        // The same rules put in force again are in force since then.
        let activated: BTreeSet<u64> = told["rules"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|rules| rules["activated"].as_u64())
            .collect();
        assert!(activated.is_subset(&rules), "{digest}");
        assert_eq!(activated.is_empty(), rules.is_empty(), "{digest}");
        let mut scans = BTreeSet::new();
        for list in log.scans(&within).values() {
            for decided in &seqs {
                let before = list.iter().take_while(|ended| ended.seq < *decided);
                scans.extend(before.last().and_then(|ended| ended.result));
            }
            // The one that counts now, and the last.
            scans.extend(list.last().and_then(|ended| ended.result));
            scans.extend(list.last().map(|ended| ended.seq));
        }
        assert_eq!(seqs_of(&told["scans"]), scans, "{digest}");
        let pushes = log.seqs(|record| {
            matches!(&record.event.body, Body::ImagePushed(push) if within.contains(&push.digest))
        });
        assert_eq!(seqs_of(&told["pushes"]), pushes, "{digest}");
        let overrides = log.seqs(|record| match &record.event.body {
            Body::OverrideGranted(one) => used.contains(&one.override_id),
            Body::OverrideRevoked(one) => used.contains(&one.override_id),
            _ => false,
        });
        assert_eq!(seqs_of(&told["overrides"]), overrides, "{digest}");
        let approvals = log.seqs(|record| {
            matches!(&record.event.body, Body::ApprovalGranted(vote) | Body::ApprovalRevoked(vote)
                if vote.digest == digest)
        });
        assert_eq!(seqs_of(&told["approvals"]), approvals, "{digest}");
        let deletions = log.seqs(|record| {
            matches!(&record.event.body, Body::ManifestDeleted(one) if within.contains(&one.digest))
        });
        assert_eq!(seqs_of(&told["deletions"]), deletions, "{digest}");
        let contents: BTreeSet<String> = told["contents"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["digest"].as_str().unwrap_or_default().to_owned())
            .collect();
        let mut wanted: BTreeSet<String> = within.iter().map(ToString::to_string).collect();
        wanted.remove(&digest.to_string());
        assert_eq!(contents, wanted, "{digest}");
        let part_of: BTreeSet<String> = log
            .values
            .iter()
            .filter_map(|value| {
                let data = &value["event"]["data"];
                let children = data["manifests"].as_array()?;
                let holds = children
                    .iter()
                    .any(|child| child["digest"] == digest.to_string());
                data["digest"].as_str().filter(|_| holds).map(str::to_owned)
            })
            .collect();
        assert_eq!(told["part_of"], json!(part_of), "{digest}");
    }
    assert!(promotions > 20, "{promotions} promotions");
    let refused = |digest: &str| {
        let digest = digest.to_owned();
        ask(&log.index, &Query::Lineage { digest, at: None }).map(|_| ())
    };
    assert!(matches!(
        refused("ffffffff00"),
        Err(QueryError::NotFound(_))
    ));
    assert!(matches!(refused("ff"), Err(QueryError::Invalid(_))));
}

#[test]
fn overrides_are_those_of_the_state_with_who_granted_them_and_what_used_them() {
    let dir = TempDir::new().expect("a directory");
    let log = open(&dir);
    let mut seen = 0;
    for seq in [log.last(), log.last() / 2, log.last() / 5] {
        let state = state_at(log.index.reader(), At::Seq(seq)).expect("it folds");
        let end = state.seq();
        let mut wanted = serde_json::to_value(state.overrides()).expect("JSON");
        let all = wanted.as_array_mut().expect("a list");
        for one in all.iter_mut() {
            let id = one["override_id"].as_str().unwrap_or_default().to_owned();
            let records = &log.records[..end as usize];
            let granted = records.iter().rev().find(|record| {
                matches!(&record.event.body, Body::OverrideGranted(one) if one.override_id == id)
            });
            let granted = granted.expect("it was granted");
            let used = records.iter().filter(|record| {
                matches!(&record.event.body, Body::DecisionMade(made) if made.overrides.contains(&id))
            });
            one["granted"] = granted.seq.into();
            one["granted_at"] = json!(granted.recorded_at);
            one["decisions"] = used.count().into();
            seen += 1;
        }
        let query = Query::Overrides {
            expiring: None,
            at: Some(seq.to_string()),
        };
        assert_eq!(ask(&log.index, &query), Ok(wanted.clone()), "record {seq}");
        // Only those that end soon, the first to end first.
        let query = Query::Overrides {
            expiring: Some("5d".into()),
            at: Some(seq.to_string()),
        };
        let soon = ask(&log.index, &query).expect("a list");
        let now = state.now();
        let limit = now.saturating_add(chrono::TimeDelta::days(5));
        let all = wanted.as_array().expect("a list");
        let ends = |one: &Value| one["expires_at"].as_str()?.parse::<Timestamp>().ok();
        let expected = all
            .iter()
            .filter(|one| ends(one).is_some_and(|end| end > now && end <= limit));
        let ids = |all: &mut dyn Iterator<Item = &Value>| -> BTreeSet<String> {
            all.map(|one| one["override_id"].to_string()).collect()
        };
        let soon = soon.as_array().expect("a list");
        assert_eq!(
            ids(&mut soon.iter()),
            ids(&mut { expected }),
            "record {seq}"
        );
        assert!(soon.is_sorted_by_key(ends), "record {seq}");
    }
    assert!(seen > 3, "{seen} overrides");
}

#[test]
fn tags_are_listed_as_they_were() {
    let dir = TempDir::new().expect("a directory");
    let log = open(&dir);
    let seq = log.last() / 2;
    let state = state_at(log.index.reader(), At::Seq(seq)).expect("it folds");
    let list = |repository: Option<&str>| {
        let query = Query::Tags {
            repository: repository.map(str::to_owned),
            at: Some(seq.to_string()),
            part: Part::default(),
        };
        ask(&log.index, &query)
    };
    let all = serde_json::to_value(state.tags(None)).expect("JSON");
    assert_eq!(list(None), Ok(all.clone()));
    let dev = all.as_array().expect("a list").iter();
    let dev: Vec<&Value> = dev
        .filter(|tag| {
            tag["repository"]
                .as_str()
                .and_then(|name| name.strip_prefix("dev/"))
                .is_some_and(|rest| !rest.contains('/'))
        })
        .collect();
    assert!(dev.len() > 3);
    assert_eq!(list(Some("dev/*")), Ok(json!(dev)));
    assert!(matches!(list(Some("Dev/*")), Err(QueryError::Invalid(_))));
    let mut paged = Vec::new();
    loop {
        let last = paged.last();
        let after = last.map(|tag: &Value| {
            let text = |name| tag[name].as_str().expect("a text");
            format!("{}:{}", text("repository"), text("tag"))
        });
        let query = Query::Tags {
            repository: None,
            at: Some(seq.to_string()),
            part: Part {
                after,
                limit: Some(7),
            },
        };
        let page = ask(&log.index, &query).expect("a page");
        let page = page.as_array().expect("a list");
        assert!(page.len() <= 7);
        if page.is_empty() {
            break;
        }
        paged.extend_from_slice(page);
    }
    assert_eq!(json!(paged), all);
    let beyond = Query::Tags {
        repository: None,
        at: Some("1000000".into()),
        part: Part::default(),
    };
    assert!(matches!(
        ask(&log.index, &beyond),
        Err(QueryError::NotFound(_))
    ));
}
