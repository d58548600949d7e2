//! Grype's JSON report.
//!
//! `manifestDigest` is the manifest that was scanned, `imageID` its configuration. Without any match
//! the distribution that it recognised is what proves that it saw packages, unless Grype has no data of
//! it, which newer versions say in alerts. A report that only lists what has a fix, or leaves out
//! paths, is filtered, and says so in its configuration: no completed scan. Others write reports of
//! this form (xeol, of what is no longer maintained), under a name of their own: they are refused.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;
use weir_schema::{Finding, Scanner, SmolStr};

use super::context::Context;
use super::field::Field;
use super::problem::Problem;
use super::report::{self, Image, Report, highest, severity, some};
use super::{Decoded, clip, cyclonedx, json, sarif};

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow, default)]
    matches: Option<Vec<Match<'a>>>,
    /// What was left out.
    #[serde(default, rename = "ignoredMatches")]
    ignored: Option<Vec<Ignored>>,
    #[serde(default, deserialize_with = "json::unambiguous")]
    source: Value,
    #[serde(default, deserialize_with = "json::unambiguous")]
    distro: Value,
    #[serde(default, deserialize_with = "json::unambiguous")]
    descriptor: Value,
    /// What it could not match.
    #[serde(
        default,
        deserialize_with = "json::unambiguous",
        rename = "alertsByPackage"
    )]
    alerts: Value,
}

#[derive(Deserialize)]
struct Ignored {
    /// The rules that left it out.
    #[serde(
        default,
        deserialize_with = "json::unambiguous",
        rename = "appliedIgnoreRules"
    )]
    rules: Value,
}

#[derive(Deserialize)]
struct Match<'a> {
    #[serde(borrow, default)]
    vulnerability: Option<Vulnerability<'a>>,
    #[serde(borrow, default)]
    artifact: Option<Artifact<'a>>,
}

#[derive(Deserialize)]
struct Vulnerability<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    severity: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    cvss: Option<Vec<Cvss<'a>>>,
    #[serde(borrow, default)]
    fix: Option<Fix<'a>>,
    /// In versions before 0.8, in place of `fix`.
    #[serde(borrow, default, rename = "fixedInVersion")]
    fixed_in: Option<Cow<'a, str>>,
    /// In versions before 0.8, in place of `cvss`.
    #[serde(default, rename = "cvssV2")]
    cvss_v2: Option<Metrics>,
    #[serde(default, rename = "cvssV3")]
    cvss_v3: Option<Metrics>,
}

#[derive(Deserialize)]
struct Cvss<'a> {
    #[serde(borrow, default)]
    version: Option<Cow<'a, str>>,
    #[serde(default)]
    metrics: Option<Metrics>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metrics {
    #[serde(default)]
    base_score: Option<f64>,
}

#[derive(Deserialize)]
struct Fix<'a> {
    #[serde(borrow, default)]
    versions: Option<Vec<Cow<'a, str>>>,
}

#[derive(Deserialize)]
struct Artifact<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    r#type: Option<Cow<'a, str>>,
    #[serde(default, deserialize_with = "json::unambiguous")]
    licenses: Value,
    #[serde(default, deserialize_with = "json::unambiguous")]
    locations: Value,
}

/// Decodes a report, in any of the formats that Grype writes.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    match super::detect::of_report(context.body()) {
        Some("sarif") => return sarif::decode(context),
        Some("cyclonedx") => return cyclonedx::decode(context),
        _ => {}
    }
    let report = report(context, context.body())?;
    Ok(vec![report::completed(context, report)?])
}

/// Reads a report out of `body`, which may be part of a payload.
pub(super) fn report(context: &Context<'_>, body: &[u8]) -> Result<Report, Problem> {
    let document: Document<'_> = json::parse(body)?;
    let descriptor = Field::root(&document.descriptor).named("descriptor");
    let source = Field::root(&document.source).named("source");
    let matches = document.matches.ok_or_else(|| Problem::Missing {
        path: "matches".into(),
    })?;

    // Very old versions of Grype do not name it.
    let program = descriptor.get("name");
    if !program.is_absent() && program.required()? != "grype" {
        return Err(program.problem(format!(
            "a report of `{}`, which is not Grype: what it looks for is not known to be vulnerabilities; send a report of a scanner for vulnerabilities",
            clip(program.required()?)
        )));
    }
    let kind = source.get("type");
    if kind.required()? != "image" {
        return Err(kind.problem(format!("`{}` is not an image", clip(kind.required()?))));
    }
    let configuration = descriptor.get("configuration");
    if let Some(filter) = filter(&configuration) {
        return Err(
            filter.problem("the report is filtered: what it leaves out is not known to be absent")
        );
    }
    for (index, ignored) in document.ignored.iter().flatten().enumerate() {
        let name = format!("ignoredMatches[{index}].appliedIgnoreRules");
        let rules = Field::root(&ignored.rules).named(&name);
        if rules.items().next().is_none() {
            return Err(rules.problem(
                "a match is left out, and no rule says why: what it leaves out is not known to be absent",
            ));
        }
        if let Some(rule) = rules.items().find_map(|rule| sweeping(&rule)) {
            return Err(rule
                .problem("the report is filtered: what it leaves out is not known to be absent"));
        }
    }
    let alerts = Field::root(&document.alerts).named("alertsByPackage");
    if let Some(alert) = unmatched(&alerts) {
        return Err(alert.problem(format!(
            "not a completed scan: `{}`",
            clip(alert.first(&["message", "type"]).text().unwrap_or_default())
        )));
    }
    let distro = Field::root(&document.distro).named("distro");
    let in_system = matches.iter().any(Match::is_of_system);
    check_distro(&distro, &descriptor, in_system)?;
    if matches.is_empty() && distro.get("name").is_absent() {
        return Err(Problem::meaning(
            "not a completed scan: nothing recognised in the image (no `matches`, and no `distro`)",
        ));
    }
    let findings = matches.iter().enumerate().map(|(index, found)| {
        found.finding().ok_or_else(|| Problem::Missing {
            path: format!("matches[{index}].vulnerability.id"),
        })
    });
    let database = descriptor.get("db");
    let status = database.get("status");
    let broken = [database.get("valid"), status.get("valid")]
        .into_iter()
        .find(|valid| *valid.value() == Value::Bool(false));
    let broken = broken.or_else(|| {
        let mut errors = [database.get("error"), status.get("error")].into_iter();
        errors.find(|error| error.text().is_some_and(|text| !text.is_empty()))
    });
    if let Some(broken) = broken {
        return Err(broken.problem("not a completed scan: Grype's database was not valid"));
    }
    Ok(Report {
        scanner: Scanner {
            name: "grype".into(),
            version: descriptor.get("version").short(),
            db_updated_at: database
                .get("built")
                .time()
                .or_else(|| database.get("status").get("built").time()),
        },
        findings: findings.collect::<Result<_, _>>()?,
        licenses: matches.iter().flat_map(Match::licenses).collect(),
        scanned_at: descriptor.get("timestamp").time(),
        image: image(context, &source.get("target"))?,
        failed: None,
    })
}

/// A setting by which Grype left something out.
fn filter<'a>(configuration: &Field<'a>) -> Option<Field<'a>> {
    let names = [
        "only-fixed",
        "only-notfixed",
        "ignore-wontfix",
        "ignore-states",
        "exclude",
    ];
    let mut settings = names.into_iter().map(|name| configuration.get(name));
    // What `--only-fixed` and its like are made of, which may also be written as rules of one's own.
    let by_rule = || {
        let rules = configuration.get("ignore");
        rules.items().find_map(|rule| sweeping(&rule))
    };
    settings.find(is_set).or_else(by_rule)
}

/// Whether a setting says something.
fn is_set(field: &Field<'_>) -> bool {
    match field.value() {
        Value::Bool(set) => *set,
        Value::String(states) => !states.is_empty(),
        Value::Array(paths) => !paths.is_empty(),
        _ => false,
    }
}

/// What makes a rule leave out all of a state of repair, of a kind, of a place or of a source: it names
/// neither a vulnerability nor a package. What somebody stated in a VEX document is no such rule.
fn sweeping<'a>(rule: &Field<'a>) -> Option<Field<'a>> {
    let by_state = rule.get("fix-state");
    if is_set(&by_state) {
        return Some(by_state);
    }
    if is_set(&rule.get("vex-status")) {
        return None;
    }
    let package = rule.get("package");
    let names = [
        rule.get("vulnerability"),
        package.get("name"),
        package.get("upstream-name"),
    ];
    if names.iter().filter_map(Field::text).any(is_name) {
        return None;
    }
    let of_package = ["type", "location", "language", "version"].map(|name| package.get(name));
    let of_match = ["namespace", "match-type"].map(|name| rule.get(name));
    let mut criteria = of_package.into_iter().chain(of_match).chain(names);
    criteria.find(is_set)
}

/// Whether a pattern, as the names of packages are, holds a letter or digit that is meant as such: without
/// one it takes all names, or all of a class.
fn is_name(pattern: &str) -> bool {
    let mut class = 0_usize;
    let mut all = pattern.chars();
    while let Some(one) = all.next() {
        match one {
            // An escape stands for a class, or for what is neither letter nor digit.
            '\\' => drop(all.next()),
            '[' => class += 1,
            ']' => class = class.saturating_sub(1),
            _ if class == 0 && one.is_ascii_alphanumeric() => return true,
            _ => {}
        }
    }
    false
}

/// Distributions of which every version of Grype has data, by its names and by their own, and the
/// providers that a database has it from (anchore/vunnel); none where they are not known by name. Of
/// others a database may have it, and says so by its providers.
const WITH_DATA: [(&str, &[&str]); 23] = [
    ("almalinux", &["alma", "rhel"]),
    ("alpine", &["alpine"]),
    ("amazonlinux", &["amazon"]),
    ("amzn", &["amazon"]),
    ("azurelinux", &["mariner", "azurelinux"]),
    // Not of packages: of the one program that it is.
    ("busybox", &["nvd"]),
    ("centos", &["rhel", "centos"]),
    ("chainguard", &["chainguard"]),
    ("debian", &["debian"]),
    ("mariner", &["mariner"]),
    ("ol", &["oracle"]),
    ("oraclelinux", &["oracle"]),
    ("postmarketos", &["alpine", "postmarketos"]),
    ("raspbian", &["debian", "raspbian"]),
    ("redhat", &["rhel"]),
    ("rhel", &["rhel"]),
    ("rocky", &["rhel", "rocky"]),
    ("rockylinux", &["rhel", "rocky"]),
    ("scientific", &["rhel"]),
    ("sles", &["sles"]),
    ("ubuntu", &["ubuntu"]),
    ("windows", &[]),
    ("wolfi", &["wolfi"]),
];

/// Distributions that Grype calls otherwise than they call themselves.
const NAMES: [(&str, &str); 4] = [
    ("amazonlinux", "amzn"),
    ("oraclelinux", "ol"),
    ("redhat", "rhel"),
    ("rockylinux", "rocky"),
];

/// Whether every version of Grype has data of a release of this distribution; none is named by those
/// that are no releases.
pub(super) fn has_data(name: &str, release: &str) -> bool {
    WITH_DATA.iter().any(|(known, _)| *known == name) && !release.is_empty()
}

/// Refuses a report about a distribution, or a release of one, of which Grype has no data: it lists the
/// packages and finds nothing. `in_system` says that it found something in one of them.
fn check_distro(
    distro: &Field<'_>,
    descriptor: &Field<'_>,
    in_system: bool,
) -> Result<(), Problem> {
    let field = distro.get("name");
    let Some(told) = field.text() else {
        return Ok(());
    };
    let name = told.to_lowercase();
    let Some((_, providers)) = WITH_DATA.iter().find(|(known, _)| *known == name) else {
        return match has_provider(descriptor, &name) {
            true => Ok(()),
            false => Err(field.problem(format!(
                "not a completed scan: Grype has no data of `{}`, or an older version had none",
                clip(told)
            ))),
        };
    };
    if !in_system && lacks_all(descriptor, providers) {
        return Err(descriptor.get("db").get("providers").problem(format!(
            "not a completed scan: the database was built without data of `{}`",
            clip(told)
        )));
    }
    let own = NAMES.iter().find(|(of_grype, _)| *of_grype == name);
    let own = own.map_or(&*name, |(_, own)| own);
    let like = is_like(distro).find(|like| *like == name || *like == own);
    if !in_system
        && let Some(like) = like
        && !is_without_os_release(distro, descriptor, own)
    {
        return Err(distro.get("idLike").problem(format!(
            "not a completed scan: something that is like `{}` was taken for it, and Grype has no data of its releases",
            clip(like)
        )));
    }
    // Of those that have no releases the providers have told.
    let release = distro.get("version");
    match release.is_absent() {
        false => Ok(()),
        true => Err(release.problem(format!(
            "not a completed scan: which release of `{}` it is was not recognised, and of none Grype has no data (Debian's testing and unstable are none)",
            clip(told)
        ))),
    }
}

/// Whether a database that names its providers has none of these.
fn lacks_all(descriptor: &Field<'_>, wanted: &[&str]) -> bool {
    let providers = descriptor.get("db").get("providers");
    let mut there = providers.entries().peekable();
    !wanted.is_empty()
        && there.peek().is_some()
        && !there.any(|(provider, _)| wanted.contains(&provider))
}

/// Whether the image was known by another file than `/etc/os-release`, as Busybox, CentOS 6 and Red Hat
/// 6 are: Syft then says of a distribution that it is like itself (anchore/syft,
/// syft/linux/identify_release.go). Who names one to Grype gets the same.
fn is_without_os_release(distro: &Field<'_>, descriptor: &Field<'_>, own: &str) -> bool {
    let named = descriptor.get("configuration").get("distro");
    let is_named = named.text().is_some_and(|text| !text.is_empty());
    let release = distro.get("version").text().unwrap_or_default();
    let is_old = matches!(release.split('.').next(), Some("5" | "6"));
    let mut like = is_like(distro);
    !is_named
        && (own == "busybox" || is_old && matches!(own, "centos" | "rhel"))
        && like.next() == Some(own)
        && like.next().is_none()
}

/// What a distribution says that it is like: a list, or one text in older versions.
fn is_like<'a>(distro: &Field<'a>) -> impl Iterator<Item = &'a str> {
    let like = distro.get("idLike");
    let listed: Vec<_> = like.items().filter_map(|item| item.text()).collect();
    let words = like.text().unwrap_or_default().split_whitespace();
    listed.into_iter().chain(words)
}

/// Whether the database says that it has data of a distribution: as `arch` of `archlinux`, and not of
/// what only begins like it.
fn has_provider(descriptor: &Field<'_>, name: &str) -> bool {
    let of_same_name = |provider: &str| {
        let rest = name.strip_prefix(provider);
        !provider.is_empty() && matches!(rest, Some("" | "linux"))
    };
    let providers = descriptor.get("db").get("providers");
    providers
        .entries()
        .any(|(provider, _)| of_same_name(provider))
}

/// The first alert that packages of the distribution were not matched.
fn unmatched<'a>(alerts: &Field<'a>) -> Option<Field<'a>> {
    let packages: Vec<_> = alerts.items().collect();
    packages.iter().find_map(|package| {
        package.get("alerts").items().find(|alert| {
            let kind = alert.get("type").text();
            matches!(kind, Some("distro-disabled" | "distro-unknown"))
        })
    })
}

fn image(context: &Context<'_>, target: &Field<'_>) -> Result<Image, Problem> {
    let mut image = Image {
        config_digest: target.get("imageID").optional_digest()?,
        ..Image::default()
    };
    if let Some(digest) = target.get("manifestDigest").optional_digest()? {
        image.manifest = Some(digest.clone());
        image.candidate(digest);
    }
    image.given(target.get("userInput").text());
    for list in ["repoDigests", "tags"] {
        for reference in target.get(list).items() {
            if let Some(text) = reference.text() {
                image.reference(context, text, reference.path())?;
            }
        }
    }
    Ok(image)
}

impl Match<'_> {
    /// Whether it is in one of the distribution's packages.
    fn is_of_system(&self) -> bool {
        let artifact = self.artifact.as_ref();
        let kind = artifact.and_then(|artifact| artifact.r#type.as_deref());
        matches!(kind, Some("apk" | "deb" | "rpm"))
    }

    /// `None` if it has no identifier.
    fn finding(&self) -> Option<Finding> {
        let vulnerability = self.vulnerability.as_ref()?;
        let artifact = self.artifact.as_ref();
        let fixed = vulnerability.fix.as_ref();
        let fixed = fixed.and_then(|fix| fix.versions.as_ref());
        let fixed = fixed.map(|versions| versions.join(", "));
        let fixed = fixed.or_else(|| some(vulnerability.fixed_in.as_deref()));
        Some(Finding {
            id: some(vulnerability.id.as_deref())?,
            severity: severity(vulnerability.severity.as_deref()),
            package: artifact.and_then(|artifact| some(artifact.name.as_deref())),
            version: artifact.and_then(|artifact| some(artifact.version.as_deref())),
            fixed_version: some(fixed.as_deref()),
            score: vulnerability.score(),
            layer: artifact.and_then(Artifact::layer),
        })
    }

    fn licenses(&self) -> BTreeSet<String> {
        let licenses = self
            .artifact
            .as_ref()
            .and_then(|artifact| artifact.licenses.as_array());
        let licenses = licenses.into_iter().flatten();
        // Texts, or objects with a `value` in newer versions.
        let licenses = licenses
            .filter_map(|license| license.as_str().or_else(|| license.get("value")?.as_str()));
        licenses.filter_map(|name| some(Some(name))).collect()
    }
}

impl Vulnerability<'_> {
    /// The highest score; of CVSS 2 only where there is no later one.
    fn score(&self) -> Option<f64> {
        let of = |second: bool| {
            let scores = self.cvss.iter().flatten();
            let scores = scores.filter(move |cvss| {
                cvss.version.as_deref().unwrap_or_default().starts_with('2') == second
            });
            highest(scores.filter_map(|cvss| cvss.metrics.as_ref()?.base_score))
        };
        let old = |metrics: &Option<Metrics>| highest(metrics.as_ref()?.base_score);
        of(false)
            .or_else(|| old(&self.cvss_v3))
            .or_else(|| of(true))
            .or_else(|| old(&self.cvss_v2))
    }
}

impl Artifact<'_> {
    fn layer(&self) -> Option<SmolStr> {
        let first = self.locations.get(0)?;
        some(first.get("layerID").and_then(Value::as_str))
    }
}
