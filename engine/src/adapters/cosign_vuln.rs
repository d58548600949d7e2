//! Attestations of scans: in-toto statements with cosign's `vuln` predicate or in-toto's `vulns`,
//! bare, in a DSSE envelope or in a Sigstore bundle. The subject names the manifest; the report
//! inside says what was found. A predicate alone (`trivy --format cosign-vuln`) is read as the report
//! that it holds, and an OpenVEX document as what it is. Signatures are not checked here.

use std::{collections::BTreeSet, mem::discriminant};

use base64::Engine as _;
use serde_json::Value;
use weir_schema::{Digest, Finding, Scanner};

use super::context::Context;
use super::field::Field;
use super::problem::Problem;
use super::report::{self, Image, Rating, Report, highest, severity};
use super::{Decoded, clip, cyclonedx, detect, grype, json, openvex, sarif, trivy};

/// An attestation is about one image, or the platforms of one: more is a mistake or an attack.
const MOST_SUBJECTS: usize = 64;

/// Decodes a statement.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    let body = json::value(context.body())?;
    let bundled = Field::root(&body).get("dsseEnvelope");
    let envelope = if bundled.is_absent() {
        Field::root(&body).get("payload")
    } else {
        bundled.get("payload")
    };
    let statement = match envelope.text() {
        Some(encoded) => {
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(encoded)
                .or_else(|_| base64::engine::general_purpose::URL_SAFE.decode(encoded))
                .map_err(|error| envelope.problem(format!("no base64: {error}")))?;
            json::value(&bytes).map_err(|problem| envelope.problem(problem))?
        }
        None => body.clone(),
    };
    let root = Field::root(&statement);
    let kind = root.get("predicateType");
    if kind.is_absent() && !root.get("scanner").is_absent() {
        let report = report(context, &root)?;
        return Ok(vec![report::completed(context, report)?]);
    }
    let word = kind.required()?;
    if word.contains("openvex") {
        let subjects = subjects(&root)?;
        let digests = subjects
            .iter()
            .map(|subject| digest(&subject.get("digest")));
        let digests: Vec<_> = digests.collect::<Result<_, _>>()?;
        return openvex::document(context, &root.get("predicate"), &digests);
    }
    let is_scan = word.split('/').any(|part| matches!(part, "vuln" | "vulns"));
    if !is_scan {
        return Ok(vec![context.ignored(format!(
            "an attestation of another kind: `{}`",
            clip(word)
        ))]);
    }
    let report = report(context, &root.get("predicate"))?;
    // Who sends it says which image is meant.
    if context.subject()?.is_some() {
        return Ok(vec![report::completed(context, report)?]);
    }
    let subjects = subjects(&root)?;
    let decoded = subjects.iter().map(|subject| {
        let field = subject.get("digest");
        let image = attested(&field, digest(&field)?, &report.image)?;
        let report = Report {
            image,
            ..report.clone()
        };
        report::completed(context, report)
    });
    let decoded = decoded.map(|one| one.unwrap_or_else(|problem| context.rejected(&problem)));
    Ok(decoded.collect())
}

/// The image that a statement says that it is about. Where the report that it holds names others, only
/// the configuration can tell which of them was scanned.
fn attested(field: &Field<'_>, subject: Digest, reported: &Image) -> Result<Image, Problem> {
    let others = reported.manifest.iter().chain(&reported.candidates);
    // Digests by another algorithm may be of the same.
    let comparable = others.filter(|one| discriminant(*one) == discriminant(&subject));
    let named: Vec<_> = comparable.collect();
    let is_another = !named.is_empty() && !named.contains(&&subject);
    if let Some(another) = named.first()
        && is_another
        && reported.config_digest.is_none()
    {
        return Err(field.problem(format!(
            "`{subject}`, and the report that is attested is about `{another}`: which of them was scanned is not known; name it in the header `weir-subject-digest`"
        )));
    }
    let mut image = Image {
        config_digest: reported.config_digest.clone(),
        platform: reported.platform.clone(),
        manifest: (!is_another).then(|| subject.clone()),
        ..Image::default()
    };
    image.candidate(subject);
    for another in named.into_iter().filter(|_| is_another) {
        image.candidate(another.clone());
    }
    Ok(image)
}

/// What a statement is about. Each gets the whole of what is said.
fn subjects<'a>(statement: &Field<'a>) -> Result<Vec<Field<'a>>, Problem> {
    let list = statement.get("subject");
    let subjects: Vec<_> = list.items().collect();
    match subjects.len() {
        0 => Err(list.missing()),
        1..=MOST_SUBJECTS => Ok(subjects),
        _ => Err(list.problem(format!("more than {MOST_SUBJECTS} subjects"))),
    }
}

/// A digest set: `{"sha256": HEX}`, or `sha512`.
fn digest(set: &Field<'_>) -> Result<Digest, Problem> {
    let other = set.get("sha512");
    let (algorithm, hex) = match set.get("sha256") {
        absent if absent.is_absent() && !other.is_absent() => ("sha512", other),
        hex => ("sha256", hex),
    };
    let text = hex.required()?;
    format!("{algorithm}:{text}")
        .parse()
        .map_err(|error| hex.problem(error))
}

fn report(context: &Context<'_>, predicate: &Field<'_>) -> Result<Report, Problem> {
    let said = predicate.get("scanner");
    let result = said.get("result");
    let mut report = match result.value() {
        Value::Array(_) => listed(&said, &result)?,
        Value::Object(_) => {
            let bytes = result.value().to_string().into_bytes();
            embedded(context, &bytes).map_err(|problem| result.problem(problem))?
        }
        _ => return Err(result.missing()),
    };
    let database = said.get("db");
    let metadata = predicate.get("metadata");
    if report.scanner.version.is_none() {
        report.scanner.version = said.get("version").short();
    }
    if report.scanner.db_updated_at.is_none() {
        report.scanner.db_updated_at = database.first(&["lastUpdate", "version"]).time();
    }
    // A bare list that is empty is a result only of a scan that is said to have ended.
    if result.value().is_array()
        && report.findings.is_empty()
        && metadata.get("scanFinishedOn").is_absent()
    {
        return Err(result.problem(
            "not a completed scan: nothing found, and no `metadata.scanFinishedOn` says that somebody looked",
        ));
    }
    let finished = metadata.first(&["scanFinishedOn", "scanStartedOn"]).time();
    report.scanned_at = finished.or(report.scanned_at);
    Ok(report)
}

/// A scanner's own report within the predicate.
fn embedded(context: &Context<'_>, bytes: &[u8]) -> Result<Report, Problem> {
    match detect::of_report(bytes) {
        Some("trivy") => trivy::report(context, bytes),
        Some("grype") => grype::report(context, bytes),
        Some("sarif") => sarif::scan(context, bytes),
        Some("cyclonedx") => cyclonedx::scan(context, bytes),
        _ => Err(Problem::meaning("a report in a form that is not known")),
    }
}

/// How grave a vulnerability is: a list in the example of in-toto's specification, an object in its
/// text.
fn ratings<'a>(severity: &Field<'a>) -> Result<Vec<Field<'a>>, Problem> {
    if severity.value().is_object() {
        return Ok(vec![severity.clone()]);
    }
    match severity.is_absent() || severity.value().is_array() {
        true => Ok(severity.items().collect()),
        false => Err(severity.problem("neither an object nor a list")),
    }
}

/// What one rating says: its `score` is a word, a number or a vector. How likely it is that somebody uses
/// a vulnerability (EPSS) is none of how grave it is.
fn rating(rating: &Field<'_>) -> Option<Rating> {
    let method = rating.get("method").text().unwrap_or_default();
    if method.to_lowercase().contains("epss") {
        return None;
    }
    let score = rating.get("score");
    let vector = || report::score_of_vector(None, score.text()?);
    Some(Rating {
        word: severity(score.text()),
        is_unknown: score.text().is_some_and(report::says_unknown),
        score: score.number().or_else(vector).and_then(report::score),
    })
}

/// What is said of a vulnerability: beside the rest in the example of in-toto's specification, within
/// `vulnerability` in its text.
fn said<'a>(vulnerability: &Field<'a>, name: &str) -> Field<'a> {
    let within = vulnerability.get("vulnerability").get(name);
    match within.is_absent() {
        true => vulnerability.get(name),
        false => within,
    }
}

/// The list of in-toto's `vulns` predicate.
fn listed(said: &Field<'_>, result: &Field<'_>) -> Result<Report, Problem> {
    let mut is_graded = false;
    let findings = result.items().map(|vulnerability| {
        let ratings = ratings(&self::said(&vulnerability, "severity"))?;
        let ratings: Vec<_> = ratings.iter().filter_map(rating).collect();
        is_graded |= ratings.iter().any(Rating::tells);
        Ok(Finding {
            id: self::said(&vulnerability, "id").required()?.into(),
            severity: report::gravest(&ratings),
            package: None,
            version: None,
            fixed_version: None,
            score: highest(ratings.iter().filter_map(|rating| rating.score)),
            layer: None,
        })
    });
    let findings = findings.collect::<Result<Vec<_>, Problem>>()?;
    let uri = said.get("uri").required()?;
    let name = uri
        .split(['@', '?', '#'])
        .next()
        .unwrap_or(uri)
        .trim_end_matches('/');
    Ok(Report {
        scanner: Scanner {
            name: name
                .rsplit(['/', ':'])
                .next()
                .unwrap_or(name)
                .to_lowercase()
                .into(),
            version: said.get("version").short(),
            db_updated_at: None,
        },
        failed: (!is_graded && !findings.is_empty()).then_some(report::UNGRADED),
        findings,
        licenses: BTreeSet::new(),
        scanned_at: None,
        image: Image::default(),
    })
}
