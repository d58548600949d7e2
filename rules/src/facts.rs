//! The facts that a rule may read, made from the state when they are read.

use std::{cell::OnceCell, collections::BTreeSet, sync::Arc};

use weir_schema::{Finding, Severity, Timestamp};

use crate::{
    Class,
    cel::{
        self, FactError, Record, Value,
        facts::{
            approval, artifact, hop, image, image_scan, overridden, referrer, repository, scan,
            tag, target, variable, vulnerability,
        },
    },
    gate::{Leaf, Structure},
    state::{DigestId, NameId, State, TagKey, TagState, Tally, distinct},
};

/// What is judged: a source tag as it was bound, under a rule, to a target.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) source: TagKey,
    pub(crate) bound: TagState,
    pub(crate) class: Class,
    pub(crate) structure: Arc<Structure>,
    /// Scanners that must all be in good standing.
    pub(crate) scanners: Vec<NameId>,
    pub(crate) target: TagKey,
    /// What the target tag holds, as far as this case is concerned.
    pub(crate) target_digest: Option<DigestId>,
}

/// The facts of a case.
pub(crate) struct CaseFacts<'a> {
    state: &'a State,
    case: &'a Case,
    leaves: OnceCell<Vec<LeafFindings<'a>>>,
    values: [OnceCell<Value>; VARIABLES],
}

/// How many variables there are.
const VARIABLES: usize = variable::NOW as usize + 1;

/// What counts on a leaf, and what does not.
struct LeafFindings<'a> {
    leaf: &'a Leaf,
    tally: Tally,
    /// A scanner in good standing gave only counts.
    counts_only: bool,
    /// Made only where something asks for it.
    findings: OnceCell<Sorted>,
    scanned_at: Option<Timestamp>,
    db_updated_at: Option<Timestamp>,
    scanners: Vec<NameId>,
}

/// Findings by whether they count.
#[derive(Default)]
struct Sorted {
    counted: Vec<Finding>,
    /// With the override's id.
    overridden: Vec<(Finding, String)>,
}

/// A record of fields that are all at hand.
#[derive(Debug)]
struct Row {
    type_name: &'static str,
    fields: Vec<Result<Value, FactError>>,
}

impl Record for Row {
    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn field(&self, index: u16) -> Result<&Value, &FactError> {
        let field = self.fields.get(usize::from(index));
        field.map_or(Ok(&Value::Null), Result::as_ref)
    }
}

/// A row in which each value stands at the index of its field, whatever the order here.
fn row<const N: usize>(
    type_name: &'static str,
    fields: [(u16, Result<Value, FactError>); N],
) -> Value {
    let mut sorted = fields.to_vec();
    sorted.sort_by_key(|(index, _)| *index);
    debug_assert!(
        sorted
            .iter()
            .enumerate()
            .all(|(place, (index, _))| place == usize::from(*index))
    );
    Value::Record(Arc::new(Row {
        type_name,
        fields: sorted.into_iter().map(|(_, value)| value).collect(),
    }))
}

fn text(value: &str) -> Result<Value, FactError> {
    Ok(Value::String(value.into()))
}

fn text_or_empty(value: Option<&str>) -> Result<Value, FactError> {
    text(value.unwrap_or_default())
}

fn int(value: u64) -> Result<Value, FactError> {
    Ok(Value::Int(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn time(value: Option<Timestamp>) -> Result<Value, FactError> {
    Ok(value.map_or(Value::Null, Value::Timestamp))
}

fn list(values: Vec<Value>) -> Value {
    Value::List(values.into())
}

fn texts(values: &std::collections::BTreeMap<String, String>) -> Value {
    let pairs = values
        .iter()
        .map(|(key, value)| (Value::from(key.as_str()), Value::from(value.as_str())));
    Value::Map(Arc::new(cel::Map::new(pairs)))
}

impl<'a> CaseFacts<'a> {
    pub(crate) fn new(state: &'a State, case: &'a Case) -> Self {
        Self {
            state,
            case,
            leaves: OnceCell::new(),
            values: Default::default(),
        }
    }

    /// Overrides that keep a finding of the case from counting, by id.
    pub(crate) fn overrides_used(&self) -> Vec<String> {
        if self.state.overrides.is_empty() {
            return Vec::new();
        }
        let used = self
            .leaves()
            .iter()
            .filter(|leaf| leaf.tally.overridden > 0);
        let ids: BTreeSet<&String> = used
            .flat_map(|leaf| self.findings(leaf).overridden.iter().map(|(_, id)| id))
            .collect();
        ids.into_iter().cloned().collect()
    }

    fn leaves(&self) -> &[LeafFindings<'a>] {
        self.leaves.get_or_init(|| {
            self.case
                .structure
                .leaves
                .iter()
                .map(|leaf| self.leaf(leaf))
                .collect()
        })
    }

    fn leaf(&self, leaf: &'a Leaf) -> LeafFindings<'a> {
        let mut view = LeafFindings {
            leaf,
            tally: Tally::default(),
            counts_only: false,
            findings: OnceCell::new(),
            scanned_at: None,
            db_updated_at: None,
            scanners: Vec::new(),
        };
        let Some(scans) = self.state.scans.get(&leaf.digest) else {
            return view;
        };
        let mut with_findings = Vec::new();
        let mut counted = [0_u64; 6];
        for (name, held) in scans.in_good_standing() {
            let report = self.state.reports.get(held.report);
            view.scanners.push(name);
            view.scanned_at = view
                .scanned_at
                .max(Some(held.scanned_at.unwrap_or(held.recorded_at)));
            view.db_updated_at = match (view.db_updated_at, held.db_updated_at.or(held.db_known)) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
            if report.findings.is_some() {
                with_findings.push(report);
            } else {
                view.counts_only = true;
                for (count, severity) in counted.iter_mut().zip(Severity::ALL) {
                    *count = (*count).max(report.counts.0.get(&severity).copied().unwrap_or(0));
                }
            }
        }
        let plain = match with_findings.as_slice() {
            [] => Some(Tally::default()),
            // Nothing on it can be overridden: what was counted once stays.
            [one] if self.state.overrides.is_empty() => Some(one.tally),
            _ => None,
        };
        view.tally = plain.unwrap_or_else(|| {
            let sorted = self.sort_findings(leaf);
            let mut tally = Tally::default();
            for finding in &sorted.counted {
                tally.count(finding);
            }
            tally.overridden = sorted.overridden.len() as u64;
            view.findings = OnceCell::from(sorted);
            tally
        });
        // A source that only counts may have found what the others did not.
        for (count, other) in view.tally.counts.iter_mut().zip(counted) {
            *count = (*count).max(other);
        }
        view
    }

    fn findings<'b>(&self, leaf: &'b LeafFindings<'a>) -> &'b Sorted {
        leaf.findings.get_or_init(|| self.sort_findings(leaf.leaf))
    }

    fn sort_findings(&self, leaf: &Leaf) -> Sorted {
        let Some(scans) = self.state.scans.get(&leaf.digest) else {
            return Sorted::default();
        };
        let mut reports = scans
            .in_good_standing()
            .filter_map(|(_, held)| self.state.reports.get(held.report).findings.as_ref());
        let all = match (reports.next(), reports.next()) {
            (None, _) => Vec::new(),
            (Some(one), None) => one.clone(),
            (Some(first), Some(second)) => distinct(
                first
                    .iter()
                    .chain(second)
                    .chain(reports.flatten())
                    .cloned()
                    .collect(),
            ),
        };
        let mut sorted = Sorted::default();
        for finding in all {
            match self.overriding(leaf, &finding) {
                Some(id) => sorted.overridden.push((finding, id.clone())),
                None => sorted.counted.push(finding),
            }
        }
        sorted
    }

    /// The first override, by id, that keeps a finding from counting.
    fn overriding(&self, leaf: &Leaf, finding: &Finding) -> Option<&'a String> {
        let ids = self.state.overrides_by_vulnerability.get(&finding.id)?;
        let repository = self.state.text(self.case.source.0);
        ids.iter().find(|id| {
            self.state.overrides.get(*id).is_some_and(|one| {
                one.is_in_force(self.state.now)
                    && one.covers(repository, finding)
                    && one
                        .digest
                        .as_ref()
                        .is_none_or(|digest| self.is_at_or_above(digest, leaf.digest))
            })
        })
    }

    /// Whether `digest` is the leaf, or an index above it up to the subject.
    fn is_at_or_above(&self, digest: &weir_schema::Digest, leaf: DigestId) -> bool {
        let Some(wanted) = self.state.digests.find(digest) else {
            return false;
        };
        let mut open = vec![leaf];
        let mut seen = BTreeSet::from([leaf]);
        while let Some(next) = open.pop() {
            if next == wanted {
                return true;
            }
            let holders = self.case.structure.holders.get(&next).into_iter().flatten();
            open.extend(holders.filter(|holder| seen.insert(**holder)));
        }
        false
    }

    fn counts_only(&self, leaf: &LeafFindings<'_>, what: &str) -> Option<FactError> {
        leaf.counts_only.then(|| FactError {
            message: format!(
                "{what} of {} cannot be read: its scanner gives only counts; use the counts of `scan`, or scan it with a scanner that lists what it finds",
                self.state.digest(leaf.leaf.digest)
            ),
        })
    }

    fn make(&self, index: u16) -> Result<Value, FactError> {
        Ok(match index {
            variable::TAG => self.tag(),
            variable::REPOSITORY => self.repository(),
            variable::ARTIFACT => self.artifact(),
            variable::IMAGES => list(self.leaves().iter().map(|leaf| self.image(leaf)).collect()),
            variable::SCAN => self.scan(),
            variable::VULNERABILITIES => {
                let mut all = Vec::new();
                for leaf in self.leaves() {
                    all.extend(self.vulnerabilities(leaf)?);
                }
                list(all)
            }
            variable::OVERRIDDEN => list(
                self.leaves()
                    .iter()
                    .flat_map(|leaf| self.overridden(leaf))
                    .collect(),
            ),
            variable::TARGET => self.target(),
            variable::APPROVALS => self.approvals(),
            variable::LINEAGE => self.lineage(),
            variable::REFERRERS => self.referrers(),
            variable::NOW => Value::Now(self.state.now),
            _ => {
                return Err(FactError {
                    message: format!("there is no variable {index}"),
                });
            }
        })
    }

    fn tag(&self) -> Value {
        let bound = &self.case.bound;
        let previous = bound
            .previous
            .map(|digest| self.state.digest(digest).to_string());
        row(
            tag::TYPE,
            [
                (tag::NAME, text(self.state.text(self.case.source.1))),
                (tag::PUSHED_AT, time(Some(bound.bound_at))),
                (
                    tag::PUSHED_BY,
                    text_or_empty(bound.pushed_by.map(|actor| &**self.state.text(actor))),
                ),
                (tag::PREVIOUS_DIGEST, text_or_empty(previous.as_deref())),
            ],
        )
    }

    fn repository(&self) -> Value {
        let id = self.case.source.0;
        let known = self.state.repositories.get(&id);
        let name = self
            .state
            .text(id)
            .parse::<weir_schema::RepositoryName>()
            .ok();
        let part =
            |part: fn(&weir_schema::RepositoryName) -> &str| text_or_empty(name.as_ref().map(part));
        row(
            repository::TYPE,
            [
                (repository::NAME, part(weir_schema::RepositoryName::path)),
                (
                    repository::NAMESPACE,
                    part(weir_schema::RepositoryName::namespace),
                ),
                (
                    repository::REGISTRY,
                    part(|name| name.registry().unwrap_or_default()),
                ),
                (
                    repository::IMMUTABLE_TAGS,
                    Ok(Value::Bool(known.is_some_and(|known| known.immutable_tags))),
                ),
            ],
        )
    }

    fn artifact(&self) -> Value {
        let manifest = self.state.manifest(self.case.bound.digest);
        let details = manifest.details.clone().unwrap_or_default();
        let media_type = manifest.media_type.map(|id| &**self.state.text(id));
        row(
            artifact::TYPE,
            [
                (
                    artifact::DIGEST,
                    text(&self.state.digest(self.case.bound.digest).to_string()),
                ),
                (artifact::CLASS, text(self.case.class.as_str())),
                (artifact::MEDIA_TYPE, text_or_empty(media_type)),
                (artifact::ANNOTATIONS, Ok(texts(&details.annotations))),
                (artifact::LABELS, Ok(texts(&details.labels))),
                (artifact::SIZE, manifest.size.map_or(Ok(Value::Null), int)),
            ],
        )
    }

    fn image(&self, leaf: &LeafFindings<'a>) -> Value {
        let component = leaf.leaf.component.map(|id| &**self.state.text(id));
        let platform = leaf.leaf.platform.as_ref().map(ToString::to_string);
        let licenses: BTreeSet<&String> = self
            .state
            .scans
            .get(&leaf.leaf.digest)
            .into_iter()
            .flat_map(|scans| scans.in_good_standing())
            .flat_map(|(_, held)| &self.state.reports.get(held.report).licenses)
            .collect();
        row(
            image::TYPE,
            [
                (
                    image::DIGEST,
                    text(&self.state.digest(leaf.leaf.digest).to_string()),
                ),
                (image::COMPONENT, text_or_empty(component)),
                (image::ROLE, text(leaf.leaf.role.as_str())),
                (image::PLATFORM, text_or_empty(platform.as_deref())),
                (image::SCAN, Ok(self.image_scan(leaf))),
                (image::VULNERABILITIES, self.vulnerabilities(leaf).map(list)),
                (
                    image::LICENSES,
                    Ok(list(
                        licenses
                            .into_iter()
                            .map(|name| name.as_str().into())
                            .collect(),
                    )),
                ),
            ],
        )
    }

    fn image_scan(&self, leaf: &LeafFindings<'a>) -> Value {
        use weir_schema::ReasonCode::{ScanFailed, ScanRunning};
        let state = match self
            .state
            .scan_obstacle(leaf.leaf.digest, &self.case.scanners)
        {
            None => "completed",
            Some(ScanFailed) => "failed",
            Some(ScanRunning) => "running",
            Some(_) => "missing",
        };
        let scanners = leaf
            .scanners
            .iter()
            .map(|name| Value::String(Arc::clone(self.state.text(*name))))
            .collect();
        let age = |since: Option<Timestamp>| {
            Ok(since.map_or(Value::Null, |since| Value::age(since, self.state.now)))
        };
        let [critical, high, medium, low, negligible, unknown] = leaf.tally.counts;
        row(
            image_scan::TYPE,
            [
                (image_scan::STATE, text(state)),
                (image_scan::SCANNERS, Ok(list(scanners))),
                (image_scan::SCANNED_AT, time(leaf.scanned_at)),
                (image_scan::DB_UPDATED_AT, time(leaf.db_updated_at)),
                (image_scan::AGE, age(leaf.scanned_at)),
                (image_scan::DB_AGE, age(leaf.db_updated_at)),
                (image_scan::CRITICAL, int(critical)),
                (image_scan::HIGH, int(high)),
                (image_scan::MEDIUM, int(medium)),
                (image_scan::LOW, int(low)),
                (image_scan::NEGLIGIBLE, int(negligible)),
                (image_scan::UNKNOWN, int(unknown)),
                (image_scan::TOTAL, int(total(&leaf.tally))),
                (
                    image_scan::FIXABLE,
                    self.counts_only(leaf, "`fixable`")
                        .map_or(int(leaf.tally.fixable), Err),
                ),
                (image_scan::OVERRIDDEN, int(leaf.tally.overridden)),
            ],
        )
    }

    fn scan(&self) -> Value {
        let mut tally = Tally::default();
        for leaf in self.leaves() {
            tally.add(&leaf.tally);
        }
        let counts_only = |what| {
            self.leaves()
                .iter()
                .find_map(|leaf| self.counts_only(leaf, what))
        };
        let times = || self.leaves().iter().filter_map(|leaf| leaf.scanned_at);
        let [critical, high, medium, low, negligible, unknown] = tally.counts;
        row(
            scan::TYPE,
            [
                (scan::CRITICAL, int(critical)),
                (scan::HIGH, int(high)),
                (scan::MEDIUM, int(medium)),
                (scan::LOW, int(low)),
                (scan::NEGLIGIBLE, int(negligible)),
                (scan::UNKNOWN, int(unknown)),
                (scan::TOTAL, int(total(&tally))),
                (
                    scan::FIXABLE,
                    counts_only("`scan.fixable`").map_or(int(tally.fixable), Err),
                ),
                (scan::OVERRIDDEN, int(tally.overridden)),
                (scan::OLDEST, time(times().min())),
                (scan::NEWEST, time(times().max())),
                (
                    scan::MAX_SCORE,
                    counts_only("`scan.max_score`").map_or(Ok(Value::Double(tally.max_score)), Err),
                ),
            ],
        )
    }

    fn vulnerabilities(&self, leaf: &LeafFindings<'a>) -> Result<Vec<Value>, FactError> {
        if let Some(error) = self.counts_only(leaf, "`vulnerabilities`") {
            return Err(error);
        }
        let findings = self.findings(leaf).counted.iter();
        Ok(findings
            .map(|finding| {
                let [
                    id,
                    severity,
                    score,
                    package,
                    version,
                    fixed,
                    image,
                    component,
                    seen,
                    age,
                ] = self.finding(leaf, finding);
                row(
                    vulnerability::TYPE,
                    [
                        (vulnerability::ID, id),
                        (vulnerability::SEVERITY, severity),
                        (vulnerability::SCORE, score),
                        (vulnerability::PACKAGE, package),
                        (vulnerability::VERSION, version),
                        (vulnerability::FIXED_VERSION, fixed),
                        (vulnerability::IMAGE, image),
                        (vulnerability::COMPONENT, component),
                        (vulnerability::FIRST_SEEN, seen),
                        (vulnerability::AGE, age),
                    ],
                )
            })
            .collect())
    }

    fn overridden(&self, leaf: &LeafFindings<'a>) -> Vec<Value> {
        let findings = self.findings(leaf).overridden.iter();
        findings
            .filter_map(|(finding, by)| {
                let granted = self.state.overrides.get(by)?;
                let [
                    id,
                    severity,
                    score,
                    package,
                    version,
                    fixed,
                    image,
                    component,
                    seen,
                    age,
                ] = self.finding(leaf, finding);
                Some(row(
                    overridden::TYPE,
                    [
                        (overridden::ID, id),
                        (overridden::SEVERITY, severity),
                        (overridden::SCORE, score),
                        (overridden::PACKAGE, package),
                        (overridden::VERSION, version),
                        (overridden::FIXED_VERSION, fixed),
                        (overridden::IMAGE, image),
                        (overridden::COMPONENT, component),
                        (overridden::FIRST_SEEN, seen),
                        (overridden::AGE, age),
                        (overridden::OVERRIDE_ID, text(by)),
                        (overridden::REASON, text(&granted.reason)),
                        (overridden::ACTOR, text(&granted.actor)),
                        (overridden::EXPIRES_AT, time(granted.expires_at)),
                    ],
                ))
            })
            .collect()
    }

    /// The fields that counted and overridden findings share, in the order of their declaration.
    fn finding(
        &self,
        leaf: &LeafFindings<'_>,
        finding: &Finding,
    ) -> [Result<Value, FactError>; 10] {
        let scans = self.state.scans.get(&leaf.leaf.digest);
        let seen = scans
            .and_then(|scans| scans.first_seen(&self.state.reports, &finding.id))
            .unwrap_or(self.state.now);
        [
            text(&finding.id),
            text(finding.severity.as_str()),
            Ok(Value::Double(finding.score.unwrap_or(0.0))),
            text_or_empty(finding.package.as_deref()),
            text_or_empty(finding.version.as_deref()),
            text_or_empty(finding.fixed_version.as_deref()),
            text(&self.state.digest(leaf.leaf.digest).to_string()),
            text_or_empty(leaf.leaf.component.map(|id| &**self.state.text(id))),
            time(Some(seen)),
            Ok(Value::age(seen, self.state.now)),
        ]
    }

    fn target(&self) -> Value {
        let (repository, name) = self.case.target;
        let known = self.state.repositories.get(&repository);
        let digest = self
            .case
            .target_digest
            .map(|id| self.state.digest(id).to_string());
        row(
            target::TYPE,
            [
                (target::REPOSITORY, text(self.state.text(repository))),
                (target::TAG, text(self.state.text(name))),
                (target::EXISTS, Ok(Value::Bool(digest.is_some()))),
                (target::DIGEST, text_or_empty(digest.as_deref())),
                (
                    target::IMMUTABLE_TAGS,
                    Ok(Value::Bool(known.is_some_and(|known| known.immutable_tags))),
                ),
            ],
        )
    }

    fn approvals(&self) -> Value {
        let mut votes: Vec<_> = self.state.votes_for(self.case).iter().collect();
        votes.sort_by_key(|vote| self.state.text(vote.actor));
        let rows = votes.into_iter().map(|vote| {
            row(
                approval::TYPE,
                [
                    (approval::ACTOR, text(self.state.text(vote.actor))),
                    (approval::AT, time(Some(vote.at))),
                    (approval::COMMENT, text_or_empty(vote.comment.as_deref())),
                ],
            )
        });
        list(rows.collect())
    }

    fn lineage(&self) -> Value {
        let rows = self.case.bound.lineage().iter().map(|earlier| {
            row(
                hop::TYPE,
                [
                    (hop::RULE, text(self.state.text(earlier.rule))),
                    (hop::REPOSITORY, text(self.state.text(earlier.repository))),
                    (hop::TAG, text(self.state.text(earlier.tag))),
                    (hop::AT, time(Some(earlier.at))),
                ],
            )
        });
        list(rows.collect())
    }

    fn referrers(&self) -> Value {
        let structure = &self.case.structure;
        let leaves = structure.leaves.iter().map(|leaf| leaf.digest);
        let parts = std::iter::once(self.case.bound.digest)
            .chain(structure.indexes.iter().copied())
            .chain(leaves);
        let parts: BTreeSet<DigestId> = parts.collect();
        let mut rows = Vec::new();
        for part in parts {
            let details = self.state.manifest(part).details.as_ref();
            for id in details.into_iter().flat_map(|details| &details.referrers) {
                // What was deleted here cannot be copied along, so it proves nothing here.
                if self
                    .state
                    .deletions
                    .contains_key(&(self.case.source.0, *id))
                {
                    continue;
                }
                let manifest = self.state.manifest(*id);
                let kind = manifest
                    .artifact_type
                    .map(|id| self.state.text(id).to_string())
                    .unwrap_or_default();
                let predicate = ["predicateType", "in-toto.io/predicate-type"]
                    .into_iter()
                    .find_map(|key| manifest.annotation(key))
                    .unwrap_or_default();
                let subject = self.state.digest(part).to_string();
                rows.push((
                    subject,
                    self.state.digest(*id).to_string(),
                    kind,
                    predicate.to_owned(),
                ));
            }
        }
        rows.sort_unstable();
        let rows = rows.into_iter().map(|(subject, digest, kind, predicate)| {
            row(
                referrer::TYPE,
                [
                    (referrer::DIGEST, text(&digest)),
                    (referrer::ARTIFACT_TYPE, text(&kind)),
                    (referrer::PREDICATE_TYPE, text(&predicate)),
                    (referrer::SUBJECT, text(&subject)),
                ],
            )
        });
        list(rows.collect())
    }
}

fn total(tally: &Tally) -> u64 {
    tally
        .counts
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count))
}

impl cel::Facts for CaseFacts<'_> {
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>> {
        let Some(kept) = self.values.get(usize::from(index)) else {
            let message = format!("there is no variable {index}");
            return Err(Box::new(FactError { message }));
        };
        if let Some(value) = kept.get() {
            return Ok(value);
        }
        let value = self.make(index)?;
        Ok(kept.get_or_init(|| value))
    }
}
