//! A scanner's report, whatever its format: what was looked at, and what was found.
//!
//! A report is bound to the manifest that was scanned. Scanners name an image by the reference they
//! were given, whose digest may be an index's, and by the digest of its configuration, which is the
//! leaf's for certain. So a report with both waits for whoever knows the index ([`Need::Leaf`]).

use std::collections::BTreeSet;
use std::mem::discriminant;

use serde_json::Map;
use weir_schema::{
    Body, Digest, Finding, Platform, RepositoryName, ScanCompleted, ScanFailed, Scanner, Severity,
    SeverityCounts, Tag, Timestamp,
};

use super::context::Context;
use super::field::Field;
use super::pending::{Named, Need, UNRESOLVED};
use super::problem::Problem;
use super::reference;
use super::{CONFIG_DIGEST, Decoded};

/// What a vulnerability scan says. A format's module makes it only of a report that proves that
/// packages were looked at.
#[derive(Clone)]
pub(super) struct Report {
    pub(super) scanner: Scanner,
    pub(super) findings: Vec<Finding>,
    pub(super) licenses: BTreeSet<String>,
    pub(super) scanned_at: Option<Timestamp>,
    pub(super) image: Image,
    /// Why it counts as failed, although it says that something was found: what the same scanner said
    /// before must not go on holding.
    pub(super) failed: Option<&'static str>,
}

/// What a report says of the image that was scanned.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// The digest of its configuration.
    pub(super) config_digest: Option<Digest>,
    /// Its platform.
    pub(super) platform: Option<Platform>,
    /// Digests that it is named by, the likeliest first. Each may be an index's.
    pub(super) candidates: Vec<Digest>,
    /// Repositories that it is named by.
    pub(super) repositories: Vec<RepositoryName>,
    /// Tags that it is named by.
    pub(super) tags: Vec<(RepositoryName, Tag)>,
    /// The manifest, where the format has a field for just that.
    pub(super) manifest: Option<Digest>,
    /// What the scanner was told to look at, where the report repeats it.
    pub(super) given: Vec<Digest>,
    /// What references name it by. (Scanners make up a manifest for an image in a file, and its digest.)
    pub(super) named: Vec<Digest>,
}

/// The header by which a scan worker says which leaf it was asked to scan. It knows; the report
/// may not say.
pub const SUBJECT_HEADER: &str = "weir-subject-digest";

/// The header by which a scan worker has a report judged, and which it does not send: the scanner was
/// given the subject itself, so that a report that names another digest is another image's. Who else
/// names the subject may have had an index scanned, and say which image of it was meant.
pub const ASKED_HEADER: &str = "weir-subject-asked";

impl Image {
    /// Adds a digest that the image is named by.
    pub(super) fn candidate(&mut self, digest: Digest) {
        if !self.candidates.contains(&digest) {
            self.candidates.push(digest);
        }
    }

    /// Notes a reference that the scanner was given; one without a digest, as of a file, tells nothing.
    pub(super) fn given(&mut self, reference: Option<&str>) {
        let digest = reference.and_then(|text| reference::split(text).digest);
        if let Some(Ok(digest)) = digest.map(str::parse) {
            add_new(&mut self.given, vec![digest]);
        }
    }

    /// What was scanned in place of `asked`: what the scanner was given or, where that names no digest,
    /// what references name the image by. A digest by another algorithm may be of the same.
    fn scanned_instead_of(&self, asked: &Digest) -> Option<&Digest> {
        let names = match self.given.is_empty() {
            true if self.named.contains(asked) => return None,
            true => &self.named,
            false => &self.given,
        };
        let is_another = |one: &&Digest| discriminant(*one) == discriminant(asked) && *one != asked;
        names.iter().find(is_another)
    }

    /// Adds what else the image is named by.
    pub(super) fn add(&mut self, other: Self) {
        self.config_digest = self.config_digest.take().or(other.config_digest);
        self.platform = self.platform.take().or(other.platform);
        self.manifest = self.manifest.take().or(other.manifest);
        add_new(&mut self.candidates, other.candidates);
        add_new(&mut self.repositories, other.repositories);
        add_new(&mut self.tags, other.tags);
        add_new(&mut self.given, other.given);
        add_new(&mut self.named, other.named);
    }

    /// Adds what a reference `name[:tag][@digest]` says; `path` is where it stands.
    pub(super) fn reference(
        &mut self,
        context: &Context<'_>,
        text: &str,
        path: &str,
    ) -> Result<(), Problem> {
        let reference = reference::split(text);
        if let Some(digest) = reference.digest {
            let digest: Digest = digest
                .parse()
                .map_err(|error| Problem::field(path, error))?;
            add_new(&mut self.named, vec![digest.clone()]);
            self.candidate(digest);
        }
        // Scanners call files and directories by the same field: what is no name is no name.
        let Ok(repository) = context.repository_named(reference.name) else {
            return Ok(());
        };
        if !self.repositories.contains(&repository) {
            self.repositories.push(repository.clone());
        }
        if let Some(tag) = reference.tag
            && let Ok(tag) = tag.parse()
        {
            let named = (repository, tag);
            if !self.tags.contains(&named) {
                self.tags.push(named);
            }
        }
        Ok(())
    }
}

fn add_new<T: PartialEq>(names: &mut Vec<T>, others: Vec<T>) {
    for other in others {
        if !names.contains(&other) {
            names.push(other);
        }
    }
}

/// The event of a report, or what it lacks to become one.
pub(super) fn completed(context: &Context<'_>, report: Report) -> Result<Decoded, Problem> {
    let Report {
        scanner,
        findings,
        licenses,
        scanned_at,
        image,
        failed,
    } = report;
    let mut extra = Map::new();
    if let Some(config) = &image.config_digest {
        extra.insert(CONFIG_DIGEST.into(), config.to_string().into());
    }
    let scan = |digest: Digest| match failed {
        Some(reason) => Body::ScanFailed(ScanFailed {
            digest,
            scanner,
            reason: reason.into(),
        }),
        None => Body::ScanCompleted(ScanCompleted {
            digest,
            scanner,
            findings: Some(findings),
            counts: None,
            licenses: (!licenses.is_empty()).then(|| licenses.into_iter().collect()),
            scanned_at,
            covers: None,
            report_digest: Some(context.body_digest()),
        }),
    };
    if let Some(digest) = context.subject()? {
        if context.header(ASKED_HEADER).is_some()
            && let Some(another) = image.scanned_instead_of(&digest)
        {
            return Err(Problem::meaning(format!(
                "it reports a scan of {another}, and {digest} was asked for"
            )));
        }
        return Ok(context.event_with(None, scanned_at, scan(digest), extra));
    }
    let claimed = image.manifest.clone().or(match &image.candidates[..] {
        [only] => Some(only.clone()),
        _ => None,
    });
    match (claimed, image.config_digest, &image.tags[..]) {
        (claimed, Some(config_digest), _) => {
            let need = Need::Leaf(Named {
                config_digest,
                platform: image.platform,
                candidates: image.candidates,
                repositories: image.repositories,
                tags: image.tags,
                claimed,
            });
            Ok(context.pending(need, None, scanned_at, scan(UNRESOLVED), extra))
        }
        (Some(digest), None, _) => Ok(context.event_with(None, scanned_at, scan(digest), extra)),
        (None, None, [(repository, tag)]) if image.candidates.is_empty() => {
            let need = Need::Digest {
                repository: repository.clone(),
                tag: tag.clone(),
                registry: None,
                scanned_at,
            };
            Ok(context.pending(need, None, scanned_at, scan(UNRESOLVED), extra))
        }
        (None, None, _) if image.candidates.len() > 1 => Err(Problem::meaning(
            "the report names several digests and does not say which of them was scanned: name it in the header `weir-subject-digest`",
        )),
        (None, None, _) => Err(Problem::meaning(
            "the report does not say which image was scanned (no manifest digest, no configuration digest, no tag): name it in the header `weir-subject-digest`",
        )),
    }
}

/// Adds to `counts` what `total` has beyond them: findings that are there, and how grave they are
/// nobody says. A total of which no part is told says too little to decide by.
pub(super) fn add_untold(counts: &mut SeverityCounts, total: &Field<'_>) -> Result<(), Problem> {
    if total.is_absent() && !counts.0.is_empty() {
        return Ok(());
    }
    let told = counts
        .0
        .values()
        .fold(0_u64, |sum, n| sum.saturating_add(*n));
    let untold = total.count()?.saturating_sub(told);
    if untold == 0 {
        return Ok(());
    }
    if told == 0 {
        return Err(total.problem("a number of findings without their severities"));
    }
    let unknown = counts.0.entry(Severity::Unknown).or_default();
    *unknown = unknown.saturating_add(untold);
    Ok(())
}

/// The completed scan of a source that only counts.
pub(super) fn counted(
    digest: Digest,
    scanner: Scanner,
    counts: SeverityCounts,
    scanned_at: Option<Timestamp>,
) -> Body {
    Body::ScanCompleted(ScanCompleted {
        digest,
        scanner,
        findings: None,
        counts: Some(counts),
        licenses: None,
        scanned_at,
        covers: None,
        report_digest: None,
    })
}

/// Refuses counts of nothing beside a word for the gravest that says that something was found.
pub(super) fn check_gravest(counts: &SeverityCounts, gravest: &Field<'_>) -> Result<(), Problem> {
    let is_clean = counts.0.values().all(|count| *count == 0);
    if is_clean && severity(gravest.text()) != Severity::Unknown {
        return Err(gravest.problem("says that something was found, and nothing is counted"));
    }
    Ok(())
}

/// Whether a scan is said to be done in part: a number below 100, or what is no number.
pub(super) fn is_partial(percent: &Field<'_>) -> bool {
    let is_whole = percent.number().is_some_and(|percent| percent >= 100.0);
    !percent.is_absent() && !is_whole
}

/// The severity of a CVSS score, by the bands of CVSS 3 ("Qualitative Severity Rating Scale").
pub(super) fn severity_of_score(score: f64) -> Severity {
    match score {
        9.0.. => Severity::Critical,
        7.0.. => Severity::High,
        4.0.. => Severity::Medium,
        0.1.. => Severity::Low,
        _ => Severity::Unknown,
    }
}

/// One of several opinions on how grave a vulnerability is.
pub(super) struct Rating {
    /// What it says in words; [`Severity::Unknown`] where it says nothing.
    pub(super) word: Severity,
    /// It says in words that it does not know.
    pub(super) is_unknown: bool,
    pub(super) score: Option<f64>,
}

impl Rating {
    /// Whether it says anything.
    pub(super) fn tells(&self) -> bool {
        self.word != Severity::Unknown || self.is_unknown || self.score.is_some()
    }
}

/// The gravest of several ratings, each by its word, else by its score: which of them is wrong is not
/// known, and that of one source does not speak for another's.
pub(super) fn gravest(ratings: &[Rating]) -> Severity {
    let each = ratings.iter().map(|rating| match rating.word {
        Severity::Unknown => rating.score.map_or(Severity::Unknown, severity_of_score),
        word => word,
    });
    each.max().unwrap_or(Severity::Unknown)
}

/// The score that a CVSS vector comes to; `method` says which CVSS, where the vector leaves it out as
/// CycloneDX's examples do. `None` where it is no vector.
pub(super) fn score_of_vector(method: Option<&str>, vector: &str) -> Option<f64> {
    let version = match method {
        Some("CVSSv3") => "CVSS:3.0/",
        Some("CVSSv31") => "CVSS:3.1/",
        Some("CVSSv4") => "CVSS:4.0/",
        _ => "",
    };
    let vector = match vector.starts_with("CVSS:") {
        true => vector.to_owned(),
        false => format!("{version}{vector}"),
    };
    vector.parse().ok().map(|vector: cvss::Cvss| vector.score())
}

/// Why a scan counts as failed that says of none of its findings how grave it is: whatever a rule
/// asks of the severities, it would answer. That it is not known is said by a word for that.
pub(super) const UNGRADED: &str =
    "none of the vulnerabilities that it found has a severity, a score, or a CVSS vector";

/// The severity that a word means; [`Severity::Unknown`] where there is none.
pub(super) fn severity(word: Option<&str>) -> Severity {
    let Ok(severity) = word.unwrap_or_default().parse();
    severity
}

/// Whether a word says that nobody knows how grave it is, whatever else is there: another that is not
/// known, as roxctl's `IMPORTANT`, is as if there were none.
pub(super) fn says_unknown(word: &str) -> bool {
    ["unknown", "unspecified"].contains(&word.to_lowercase().as_str())
}

/// Keeps a score if it is one that CVSS has.
pub(super) fn score(score: f64) -> Option<f64> {
    (0.0..=10.0).contains(&score).then_some(score)
}

/// The highest of several scores: vendors differ, and the one that is wrong is not known.
pub(super) fn highest(scores: impl IntoIterator<Item = f64>) -> Option<f64> {
    scores.into_iter().filter_map(score).reduce(f64::max)
}

/// The text, unless it is empty.
pub(super) fn some<'a, T: From<&'a str>>(text: Option<&'a str>) -> Option<T> {
    text.map(str::trim)
        .filter(|text| !text.is_empty())
        .map(T::from)
}
