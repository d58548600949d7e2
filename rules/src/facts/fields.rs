//! Where the variables and fields of the facts stand in the state.

use std::sync::{Arc, LazyLock};

use weir_schema::{ReasonCode, RepositoryName, Severity, Timestamp};

use super::{CaseFacts, Value, handle, handles, no_field, number_of};
use crate::{
    cel::{
        FactError, Map,
        facts::{
            approval, artifact, hop, image, image_scan, overridden, referrer, repository, scan,
            tag, target, variable, vulnerability,
        },
    },
    state::{NameId, Reads, Tally},
};

type Field = Result<Value, FactError>;

/// The words for severities, made once: rules compare them all the time.
static SEVERITIES: LazyLock<[(Severity, Arc<str>); 6]> =
    LazyLock::new(|| Severity::ALL.map(|severity| (severity, severity.as_str().into())));

fn severity(of: Severity) -> Value {
    let mut words = SEVERITIES.iter();
    let word = words.find(|(severity, _)| *severity == of);
    word.map_or(Value::Null, |(_, word)| Value::String(Arc::clone(word)))
}

fn text(value: &str) -> Field {
    Ok(Value::String(value.into()))
}

fn text_or_empty(value: Option<&str>) -> Field {
    text(value.unwrap_or_default())
}

fn shared(value: Option<&Arc<str>>) -> Field {
    value.map_or_else(|| text(""), |value| Ok(Value::String(Arc::clone(value))))
}

fn int(value: u64) -> Field {
    Ok(Value::Int(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn time(value: Option<Timestamp>) -> Field {
    Ok(value.map_or(Value::Null, Value::Timestamp))
}

fn list(values: Vec<Value>) -> Value {
    Value::List(values.into())
}

fn texts(values: Option<&std::collections::BTreeMap<String, String>>) -> Field {
    let pairs = values
        .into_iter()
        .flatten()
        .map(|(key, value)| (Value::from(key.as_str()), Value::from(value.as_str())));
    Ok(Value::Map(Arc::new(Map::new(pairs))))
}

impl CaseFacts<'_> {
    /// The value of a variable.
    pub(super) fn make(&self, index: u16) -> Field {
        Ok(match index {
            variable::TAG => handle(tag::TYPE, 0),
            variable::REPOSITORY => handle(repository::TYPE, 0),
            variable::ARTIFACT => handle(artifact::TYPE, 0),
            variable::IMAGES => list(handles(image::TYPE, self.leaves().len())),
            variable::SCAN => handle(scan::TYPE, 0),
            variable::VULNERABILITIES => {
                let mut all = Vec::new();
                for leaf in 0..self.leaves().len() {
                    self.vulnerabilities(leaf, &mut all)?;
                }
                list(all)
            }
            variable::OVERRIDDEN => list(self.overridden_findings()),
            variable::TARGET => {
                self.asks_for_target.set(true);
                handle(target::TYPE, 0)
            }
            variable::APPROVALS => {
                self.asks_for_target.set(true);
                self.note(Reads::APPROVALS);
                list(handles(approval::TYPE, self.votes().len()))
            }
            variable::LINEAGE => list(handles(hop::TYPE, self.case.bound.lineage().len())),
            variable::REFERRERS => {
                self.note(Reads::REFERRERS);
                list(handles(referrer::TYPE, self.referrers().len()))
            }
            variable::NOW => Value::Now(self.state.now),
            _ => {
                return Err(FactError {
                    message: format!("there is no variable {index}"),
                });
            }
        })
    }

    /// The value of a field.
    pub(super) fn read(&self, type_name: &'static str, number: u64, index: u16) -> Field {
        let place = number as usize;
        let (leaf, finding) = ((number >> 32) as usize, number as u32 as usize);
        match type_name {
            tag::TYPE => self.tag(index),
            repository::TYPE => self.repository(index),
            artifact::TYPE => self.artifact(index),
            image::TYPE => self.image(place, index),
            image_scan::TYPE => self.image_scan(place, index),
            scan::TYPE => self.scan(index),
            vulnerability::TYPE => self.vulnerability(leaf, finding, index),
            overridden::TYPE => self.overridden(leaf, finding, index),
            target::TYPE => self.target(index),
            approval::TYPE => self.approval(place, index),
            hop::TYPE => self.hop(place, index),
            referrer::TYPE => self.referrer(place, index),
            other => Err(no_field(other, index)),
        }
    }

    fn name(&self, id: Option<NameId>) -> Field {
        shared(id.map(|id| self.state.text(id)))
    }

    fn age(&self, since: Option<Timestamp>) -> Field {
        Ok(since.map_or(Value::Null, |since| Value::age(since, self.state.now)))
    }

    fn tag(&self, index: u16) -> Field {
        let bound = &self.case.bound;
        match index {
            tag::NAME => self.name(Some(self.state.tag_row(self.case.source).name)),
            tag::PUSHED_AT => time(Some(bound.bound_at)),
            tag::PUSHED_BY => self.name(bound.pushed_by),
            tag::PREVIOUS_DIGEST => {
                let previous = bound.previous.map(|id| self.state.digest(id).to_string());
                text_or_empty(previous.as_deref())
            }
            _ => Err(no_field(tag::TYPE, index)),
        }
    }

    fn repository(&self, index: u16) -> Field {
        let known = self.state.repository(self.case.repository);
        let part = |part: fn(&RepositoryName) -> &str| text_or_empty(known.name.as_ref().map(part));
        match index {
            repository::NAME => part(RepositoryName::path),
            repository::NAMESPACE => part(RepositoryName::namespace),
            repository::REGISTRY => part(|name| name.registry().unwrap_or_default()),
            repository::IMMUTABLE_TAGS => {
                self.note(Reads::REPOSITORIES);
                Ok(Value::Bool(known.immutable_tags))
            }
            _ => Err(no_field(repository::TYPE, index)),
        }
    }

    fn artifact(&self, index: u16) -> Field {
        let content = self.state.content(self.case.bound.digest);
        let details = content.details.as_ref();
        match index {
            artifact::DIGEST => text(&self.state.digest(self.case.bound.digest).to_string()),
            artifact::CLASS => text(self.case.class.as_str()),
            artifact::MEDIA_TYPE => self.name(content.media_type),
            artifact::ANNOTATIONS => texts(details.map(|details| &details.annotations)),
            artifact::LABELS => texts(details.map(|details| &details.labels)),
            artifact::SIZE => content.size.map_or(Ok(Value::Null), int),
            _ => Err(no_field(artifact::TYPE, index)),
        }
    }

    fn image(&self, leaf: usize, index: u16) -> Field {
        let known = self.leaves()[leaf];
        match index {
            image::DIGEST => text(&self.state.digest(known.digest).to_string()),
            image::COMPONENT => self.name(known.component),
            image::ROLE => text(known.role.as_str()),
            image::PLATFORM => {
                let platform = known.platform.map(|id| self.state.platforms.platform(id));
                text_or_empty(platform.map(ToString::to_string).as_deref())
            }
            image::SCAN => Ok(handle(image_scan::TYPE, leaf as u64)),
            image::VULNERABILITIES => {
                let mut all = Vec::new();
                self.vulnerabilities(leaf, &mut all)?;
                Ok(list(all))
            }
            image::LICENSES => {
                self.note(Reads::FINDINGS);
                let report = self.state.standing_report(known.digest);
                let licenses = report.iter().flat_map(|report| report.licenses.iter());
                let names = licenses.map(|id| Value::String(Arc::clone(self.state.text(*id))));
                Ok(list(names.collect()))
            }
            _ => Err(no_field(image::TYPE, index)),
        }
    }

    fn image_scan(&self, leaf: usize, index: u16) -> Field {
        let digest = self.leaves()[leaf].digest;
        match index {
            image_scan::STATE => {
                self.note(Reads::SCANS.and(Reads::RUNNING));
                text(match self.state.scan_obstacle(digest, self.scanners) {
                    None => "completed",
                    Some(ReasonCode::ScanFailed) => "failed",
                    Some(ReasonCode::ScanRunning) => "running",
                    Some(_) => "missing",
                })
            }
            image_scan::SCANNERS => {
                self.note(Reads::SCANS);
                let scans = self.state.scans(digest);
                let good = scans.into_iter().flat_map(|scans| scans.in_good_standing());
                let names = good.map(|(name, _)| Value::String(Arc::clone(self.state.text(name))));
                Ok(list(names.collect()))
            }
            image_scan::SCANNED_AT
            | image_scan::DB_UPDATED_AT
            | image_scan::AGE
            | image_scan::DB_AGE => {
                self.note(Reads::TIMES);
                let scans = self.state.scans(digest);
                let scanned_at = scans.and_then(|scans| scans.scanned_at);
                let db_updated_at = scans.and_then(|scans| scans.db_updated_at);
                match index {
                    image_scan::SCANNED_AT => time(scanned_at),
                    image_scan::DB_UPDATED_AT => time(db_updated_at),
                    image_scan::AGE => self.age(scanned_at),
                    _ => self.age(db_updated_at),
                }
            }
            _ => {
                self.note(Reads::FINDINGS);
                let tally = self.tally(leaf);
                let [critical, high, medium, low, negligible, unknown] = tally.counts;
                match index {
                    image_scan::CRITICAL => int(critical),
                    image_scan::HIGH => int(high),
                    image_scan::MEDIUM => int(medium),
                    image_scan::LOW => int(low),
                    image_scan::NEGLIGIBLE => int(negligible),
                    image_scan::UNKNOWN => int(unknown),
                    image_scan::TOTAL => int(tally.total()),
                    image_scan::FIXABLE => {
                        self.counts_only(leaf, "`fixable`")?;
                        int(tally.fixable)
                    }
                    image_scan::OVERRIDDEN => int(tally.overridden),
                    _ => Err(no_field(image_scan::TYPE, index)),
                }
            }
        }
    }

    fn scan(&self, index: u16) -> Field {
        if matches!(index, scan::OLDEST | scan::NEWEST) {
            self.note(Reads::TIMES);
            let leaves = self.leaves().iter();
            let times = leaves.filter_map(|leaf| self.state.scans(leaf.digest)?.scanned_at);
            return time(match index {
                scan::OLDEST => times.min(),
                _ => times.max(),
            });
        }
        self.note(Reads::FINDINGS);
        let Tally {
            counts: [critical, high, medium, low, negligible, unknown],
            fixable,
            overridden,
            max_score,
        } = *self.whole.get_or_init(|| self.whole_tally());
        let none_counts_only = |what: &str| {
            let mut leaves = 0..self.leaves().len();
            leaves.try_for_each(|leaf| self.counts_only(leaf, what))
        };
        match index {
            scan::CRITICAL => int(critical),
            scan::HIGH => int(high),
            scan::MEDIUM => int(medium),
            scan::LOW => int(low),
            scan::NEGLIGIBLE => int(negligible),
            scan::UNKNOWN => int(unknown),
            scan::TOTAL => int(self.whole.get_or_init(|| self.whole_tally()).total()),
            scan::FIXABLE => {
                none_counts_only("`scan.fixable`")?;
                int(fixable)
            }
            scan::OVERRIDDEN => int(overridden),
            scan::MAX_SCORE => {
                none_counts_only("`scan.max_score`")?;
                Ok(Value::Double(max_score))
            }
            _ => Err(no_field(scan::TYPE, index)),
        }
    }

    /// Adds the findings of a leaf that count.
    fn vulnerabilities(&self, leaf: usize, all: &mut Vec<Value>) -> Result<(), FactError> {
        self.note(Reads::FINDINGS);
        self.counts_only(leaf, "`vulnerabilities`")?;
        let findings = 0..self.counted(leaf).len();
        all.extend(findings.map(|place| handle(vulnerability::TYPE, number_of(leaf, place))));
        Ok(())
    }

    fn overridden_findings(&self) -> Vec<Value> {
        self.note(Reads::FINDINGS);
        let mut all = Vec::new();
        for leaf in 0..self.leaves().len() {
            if self.is_overridable(leaf) {
                let findings = 0..self.sorted(leaf).overridden.len();
                all.extend(findings.map(|place| handle(overridden::TYPE, number_of(leaf, place))));
            }
        }
        all
    }

    fn vulnerability(&self, leaf: usize, finding: usize, index: u16) -> Field {
        let known = self.leaves()[leaf];
        let found = self.state.reports.found(self.counted(leaf)[finding]);
        let first_seen = || {
            let seen = self.state.first_seen(known.digest, found.id);
            Some(seen.unwrap_or(self.state.now))
        };
        match index {
            vulnerability::ID => self.name(Some(found.id)),
            vulnerability::SEVERITY => Ok(severity(found.severity)),
            vulnerability::SCORE => Ok(Value::Double(found.score.unwrap_or(0.0))),
            vulnerability::PACKAGE => self.name(found.package),
            vulnerability::VERSION => self.name(found.version),
            vulnerability::FIXED_VERSION => self.name(found.fixed_version),
            vulnerability::IMAGE => text(&self.state.digest(known.digest).to_string()),
            vulnerability::COMPONENT => self.name(known.component),
            vulnerability::FIRST_SEEN => time(first_seen()),
            vulnerability::AGE => self.age(first_seen()),
            _ => Err(no_field(vulnerability::TYPE, index)),
        }
    }

    fn overridden(&self, leaf: usize, finding: usize, index: u16) -> Field {
        let known = self.leaves()[leaf];
        let (id, by) = self.sorted(leaf).overridden[finding];
        let found = self.state.reports.found(id);
        let first_seen = || {
            let seen = self.state.first_seen(known.digest, found.id);
            Some(seen.unwrap_or(self.state.now))
        };
        let granted = self.state.overrides.get(by);
        match index {
            overridden::ID => self.name(Some(found.id)),
            overridden::SEVERITY => Ok(severity(found.severity)),
            overridden::SCORE => Ok(Value::Double(found.score.unwrap_or(0.0))),
            overridden::PACKAGE => self.name(found.package),
            overridden::VERSION => self.name(found.version),
            overridden::FIXED_VERSION => self.name(found.fixed_version),
            overridden::IMAGE => text(&self.state.digest(known.digest).to_string()),
            overridden::COMPONENT => self.name(known.component),
            overridden::FIRST_SEEN => time(first_seen()),
            overridden::AGE => self.age(first_seen()),
            overridden::OVERRIDE_ID => self.name(Some(by)),
            overridden::REASON => text_or_empty(granted.map(|one| &*one.reason)),
            overridden::ACTOR => text_or_empty(granted.map(|one| &*one.actor)),
            overridden::EXPIRES_AT => time(granted.and_then(|one| one.expires_at)),
            _ => Err(no_field(overridden::TYPE, index)),
        }
    }

    fn target(&self, index: u16) -> Field {
        let digest = self.case.target_digest;
        match index {
            target::REPOSITORY => text(self.case.target.repository),
            target::TAG => text(self.case.target.tag),
            target::EXISTS => {
                self.note(Reads::TARGET);
                Ok(Value::Bool(digest.is_some()))
            }
            target::DIGEST => {
                self.note(Reads::TARGET);
                let digest = digest.map(|id| self.state.digest(id).to_string());
                text_or_empty(digest.as_deref())
            }
            target::IMMUTABLE_TAGS => {
                self.note(Reads::REPOSITORIES);
                Ok(Value::Bool(self.state.is_immutable(&self.case.target)))
            }
            _ => Err(no_field(target::TYPE, index)),
        }
    }

    fn approval(&self, place: usize, index: u16) -> Field {
        let vote = self.votes()[place];
        match index {
            approval::ACTOR => self.name(Some(vote.actor)),
            approval::AT => time(Some(vote.at)),
            approval::COMMENT => text_or_empty(vote.comment.as_deref()),
            _ => Err(no_field(approval::TYPE, index)),
        }
    }

    fn hop(&self, place: usize, index: u16) -> Field {
        let earlier = &self.case.bound.lineage()[place];
        let (repository, name) = self.state.tag_texts(earlier.source);
        match index {
            hop::RULE => self.name(Some(earlier.rule)),
            hop::REPOSITORY => shared(Some(repository)),
            hop::TAG => shared(Some(name)),
            hop::AT => time(Some(earlier.at)),
            _ => Err(no_field(hop::TYPE, index)),
        }
    }

    fn referrer(&self, place: usize, index: u16) -> Field {
        let (subject, digest, kind, predicate) = &self.referrers()[place];
        match index {
            referrer::DIGEST => text(digest),
            referrer::ARTIFACT_TYPE => text(kind),
            referrer::PREDICATE_TYPE => text(predicate),
            referrer::SUBJECT => text(subject),
            _ => Err(no_field(referrer::TYPE, index)),
        }
    }
}
