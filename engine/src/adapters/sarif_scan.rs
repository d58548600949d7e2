//! Which runs of a SARIF document are one scan, and whether it is one.
//!
//! The runs of one tool on one image are one scan. What tools do decides about a run that names no image:
//! - Snyk splits the scan of an image: a run for the system's packages, which names the image if it found
//!   something, and one for each application, which does not. So an unnamed run is of the one image that
//!   the tool's other runs name. Where they name several it may be of any, and to give what it found
//!   to one of them would hide it from the other: nothing of the tool is believed.
//! - Trivy and Grype write one run for a scan and name its image, Trivy in every run of an image, Grype
//!   in every result. An unnamed run of theirs is of a directory, or of who knows what, and no part of
//!   another scan.
//! - Of other tools it is not known that they split. What an unnamed run found counts as with Snyk, and
//!   that it found nothing does not.
//!
//! A run without results is no scan, and what another run found does not make it one, unless the tool
//! splits: SARIF does not tell a clean image from one in which nothing was recognised. A scan that says
//! nowhere how grave what it found is has failed: levels do not (osv-scanner writes `warning` for
//! everything).

use super::field::Field;
use super::problem::Problem;
use super::report::{Image, Report, SUBJECT_HEADER};

/// Whether a tool writes several runs about one scan, of which each may have found nothing.
fn splits(tool: &str) -> bool {
    tool.starts_with("snyk")
}

/// Tools that write one run for a scan, name the image in it, and have a JSON report of their own.
const WITH_ONE_RUN: [&str; 2] = ["trivy", "grype"];

/// Why a scan counts as failed that says nowhere how grave what it found is.
const UNGRADED: &str = "no result says how grave it is, and a `level` does not: send a report that has severities or scores";

/// A run, or the runs of one tool on one image.
pub(super) struct Scan<'a> {
    pub(super) read: Report,
    /// The results of the first run.
    pub(super) results: Field<'a>,
    /// The list of the first run that has none, of anything.
    pub(super) without_results: Option<Field<'a>>,
    /// None of the runs has any.
    pub(super) is_empty: bool,
    /// Somewhere it is said how grave a finding is.
    pub(super) graded: bool,
}

/// The scans that the runs of one tool come to. `is_of_one_image` if the sender says that all of them are
/// of one.
pub(super) fn joined<'a>(
    tool: &str,
    runs: Vec<Scan<'a>>,
    is_of_one_image: bool,
) -> Result<Vec<Scan<'a>>, Problem> {
    let (named, unnamed): (Vec<_>, Vec<_>) = runs.into_iter().partition(Scan::is_named);
    let mut scans: Vec<Scan<'_>> = Vec::new();
    for run in named {
        let same = place(&scans, &run, is_of_one_image)?;
        match same.and_then(|index| scans.get_mut(index)) {
            Some(known) => known.add(run),
            None => scans.push(run),
        }
    }
    let unnamed = unnamed.into_iter().reduce(|mut first, run| {
        first.add(run);
        first
    });
    let Some(unnamed) = unnamed else {
        return Ok(scans);
    };
    match &mut scans[..] {
        [only] if !WITH_ONE_RUN.contains(&tool) => only.add(unnamed),
        [_, _, ..] if !WITH_ONE_RUN.contains(&tool) => {
            return Err(unnamed.results.problem(format!(
                "the run names no image, and other runs of the tool name several: of which it is part is not said; send one document for each image, with the header `{SUBJECT_HEADER}` where it does not name it"
            )));
        }
        _ => scans.push(unnamed),
    }
    Ok(scans)
}

/// Where the scan of the image that `run` names is among `scans`.
fn place(
    scans: &[Scan<'_>],
    run: &Scan<'_>,
    is_of_one_image: bool,
) -> Result<Option<usize>, Problem> {
    let named = || {
        scans
            .iter()
            .map(|scan| is_same(&scan.read.image, &run.read.image))
    };
    if let Some(index) = named().position(|same| same == Some(true)) {
        return Ok(Some(index));
    }
    match named().position(|same| same.is_none()) {
        Some(index) if is_of_one_image => Ok(Some(index)),
        Some(_) => Err(run.results.problem(format!(
            "the runs of the tool name what they scanned in different words, by its configuration, its manifest or a tag: whether it is one image is not said; send one document for each image, or name the one in the header `{SUBJECT_HEADER}`"
        ))),
        None => Ok(None),
    }
}

/// Whether two runs name the same image; `None` where they name it in words that do not compare. Of
/// an index each platform has the digest, so that the configuration's goes first.
fn is_same(one: &Image, other: &Image) -> Option<bool> {
    if let (Some(one), Some(other)) = (&one.config_digest, &other.config_digest) {
        return Some(one == other);
    }
    share(&one.candidates, &other.candidates).or_else(|| share(&one.tags, &other.tags))
}

/// Whether two lists have something in common; `None` where one of them is empty.
fn share<T: PartialEq>(one: &[T], other: &[T]) -> Option<bool> {
    let comparable = !one.is_empty() && !other.is_empty();
    comparable.then(|| one.iter().any(|name| other.contains(name)))
}

impl Scan<'_> {
    fn is_named(&self) -> bool {
        let image = &self.read.image;
        image.config_digest.is_some() || !image.candidates.is_empty() || !image.tags.is_empty()
    }

    fn add(&mut self, other: Self) {
        self.read.image.add(other.read.image);
        self.read.scanned_at = self.read.scanned_at.max(other.read.scanned_at);
        self.read.findings.extend(other.read.findings);
        self.without_results = self.without_results.take().or(other.without_results);
        self.is_empty &= other.is_empty;
        self.graded |= other.graded;
    }

    /// Whether there are results, and none of them is a vulnerability that counts.
    pub(super) fn is_of_else(&self) -> bool {
        self.without_results.is_none() && self.read.findings.is_empty()
    }

    /// The scan, if it is one.
    pub(super) fn report(self) -> Result<Report, Problem> {
        let tool = self.read.scanner.name.as_str();
        if let Some(none) = &self.without_results
            && (self.is_empty || !splits(tool))
        {
            let remedy = match WITH_ONE_RUN.contains(&tool) {
                true => "send the scanner's JSON report",
                false => {
                    "send a report that lists the packages, such as CycloneDX, or that of another scanner"
                }
            };
            return Err(none.problem(format!(
                "not a completed scan: no results: SARIF does not tell a clean image from one in which nothing was recognised; {remedy}"
            )));
        }
        if self.read.findings.is_empty() {
            return Err(self.results.problem(
                "not a completed scan: none of the results is a vulnerability that counts: they are suppressed, or of another kind, or their identifiers are not known; send the scanner's JSON report, or CycloneDX",
            ));
        }
        Ok(Report {
            failed: (!self.graded).then_some(UNGRADED),
            ..self.read
        })
    }
}
