//! Trivy's JSON report: schema 2, and the bare list of results of before, which names the image only
//! in its targets (`alpine:3.10 (alpine 3.10.2)`).
//!
//! A result of a package class says that packages were looked at; without one nothing was
//! recognised, and the report is no completed scan however clean it looks (an application's index
//! gives such a report under the application's digest). Secrets and misconfigurations are no
//! vulnerabilities; findings that a VEX document or an ignore file suppressed are none either, unless
//! they were only graded anew. An operating system that
//! was recognised and whose packages were not looked at is no completed scan, whether the report was
//! filtered or Trivy knows nothing of that system. Whether `--severity` or `--scanners` left something
//! out it does not say: do not filter reports that policy depends on.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use weir_schema::{Digest, Finding, Platform, Scanner};

use super::context::Context;
use super::problem::Problem;
use super::report::{self, Image, Report, highest, severity, some};
use super::{Decoded, clip, cyclonedx, json, sarif, systems, time, trivy_operator};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    #[serde(default, deserialize_with = "json::unambiguous")]
    created_at: Value,
    #[serde(borrow, default)]
    artifact_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    artifact_type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    trivy: Option<Program<'a>>,
    #[serde(borrow, default)]
    metadata: Option<Metadata<'a>>,
    #[serde(borrow, default)]
    results: Option<Vec<Found<'a>>>,
    /// Of `trivy k8s`.
    #[serde(default, deserialize_with = "json::unambiguous")]
    cluster_name: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Program<'a> {
    #[serde(borrow, default)]
    version: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
struct Metadata<'a> {
    #[serde(borrow, default, rename = "ImageID")]
    image_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "RepoTags")]
    repo_tags: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default, rename = "RepoDigests")]
    repo_digests: Option<Vec<Cow<'a, str>>>,
    #[serde(borrow, default, rename = "OS")]
    os: Option<System<'a>>,
    #[serde(borrow, default, rename = "ImageConfig")]
    image_config: Option<Configuration<'a>>,
}

/// What the image's configuration says of its platform.
#[derive(Deserialize)]
struct Configuration<'a> {
    #[serde(borrow, default)]
    os: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    architecture: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    variant: Option<Cow<'a, str>>,
}

/// The operating system that was recognised.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct System<'a> {
    #[serde(borrow, default)]
    family: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
}

/// What was looked at, and what was found there.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found<'a> {
    #[serde(borrow, default)]
    target: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    class: Option<Cow<'a, str>>,
    /// The kind of the packages' source. Optional, and no text in reports of other things.
    #[serde(default, deserialize_with = "json::unambiguous")]
    r#type: Value,
    #[serde(borrow, default)]
    vulnerabilities: Option<Vec<Vulnerability<'a>>>,
    #[serde(borrow, default)]
    experimental_modified_findings: Option<Vec<Modified<'a>>>,
    #[serde(borrow, default)]
    packages: Option<Vec<Package<'a>>>,
    #[serde(borrow, default)]
    licenses: Option<Vec<License<'a>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Package<'a> {
    #[serde(borrow, default)]
    licenses: Option<Vec<Cow<'a, str>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct License<'a> {
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Vulnerability<'a> {
    #[serde(borrow, default, rename = "VulnerabilityID")]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pkg_name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    installed_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    fixed_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    severity: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    layer: Option<Layer<'a>>,
    #[serde(default, rename = "CVSS")]
    cvss: Option<BTreeMap<String, Scores>>,
}

/// A finding that is not among the others, and why.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Modified<'a> {
    #[serde(borrow, default)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    status: Option<Cow<'a, str>>,
    /// Of a form that the type decides.
    #[serde(borrow, default)]
    finding: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Layer<'a> {
    #[serde(borrow, default)]
    digest: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "DiffID")]
    diff_id: Option<Cow<'a, str>>,
}

/// CVSS base scores by one vendor.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Scores {
    #[serde(default)]
    v2_score: Option<f64>,
    #[serde(default)]
    v3_score: Option<f64>,
    #[serde(default)]
    v40_score: Option<f64>,
}

/// Decodes a report, in any of the formats that Trivy writes.
pub(super) fn decode(context: &Context<'_>) -> Result<Vec<Decoded>, Problem> {
    match super::detect::of_report(context.body()) {
        Some("sarif") => return sarif::decode(context),
        Some("cyclonedx") => return cyclonedx::decode(context),
        _ => {}
    }
    if super::detect::is_of_operator(context.body()) {
        return trivy_operator::decode(context);
    }
    let report = report(context, context.body())?;
    Ok(vec![report::completed(context, report)?])
}

/// Reads a report out of `body`, which may be part of a payload.
pub(super) fn report(context: &Context<'_>, body: &[u8]) -> Result<Report, Problem> {
    let document: Document<'_> = if super::detect::is_list(body) {
        Document {
            results: Some(json::parse(body)?),
            ..Document::default()
        }
    } else {
        json::parse(body)?
    };
    match document.artifact_type.as_deref() {
        None | Some("" | "container_image") => {}
        Some(other) => {
            return Err(Problem::field(
                "ArtifactType",
                format!("`{}` is not a container image", clip(other)),
            ));
        }
    }
    if !document.cluster_name.is_null() {
        return Err(Problem::field(
            "ClusterName",
            "a report about a cluster, not about an image: scan each image by its digest",
        ));
    }
    let metadata = document.metadata.unwrap_or_default();
    let results = document.results.unwrap_or_default();
    if !results.iter().any(Found::is_of_packages) {
        return Err(Problem::meaning(nothing_recognised(&results)));
    }
    let lists_packages = results.iter().any(Found::lists_packages);
    if let Some((family, version)) = metadata.system()
        && systems::is_unreleased(family, version)
    {
        return Err(Problem::field(
            "Metadata.OS.Name",
            format!(
                "not a completed scan: Trivy has no data of `{}` of {}",
                clip(version),
                clip(family)
            ),
        ));
    }
    if let Some(unknown) = results.iter().find_map(|result| result.without_data()) {
        return Err(Problem::field(
            "Results",
            format!(
                "not a completed scan: packages of the system `{}` are listed, of which Trivy has no data",
                clip(unknown)
            ),
        ));
    }
    if let Some((family, _)) = metadata.system()
        && !results.iter().any(|result| {
            // Where packages are listed, a system without any has no database of them; and they are
            // listed too where Trivy has no data of the system.
            result.is_of_system()
                && (result.has_found()
                    || !lists_packages
                    || (result.lists_packages() && systems::has_data(family)))
        })
    {
        return Err(Problem::field(
            "Results",
            format!(
                "not a completed scan: {} was recognised, and its packages were not looked at (no result of class os-pkgs, one without packages, or a system that Trivy has no data of): the report is filtered, or Trivy does not know them",
                clip(family)
            ),
        ));
    }
    let mut findings = Vec::new();
    let mut licenses = BTreeSet::new();
    for (at, result) in results.iter().enumerate() {
        let vulnerabilities = result.vulnerabilities.iter().flatten().enumerate();
        for (index, vulnerability) in vulnerabilities {
            findings.push(vulnerability.finding().ok_or_else(|| Problem::Missing {
                path: format!("Results[{at}].Vulnerabilities[{index}].VulnerabilityID"),
            })?);
        }
        let modified = result.experimental_modified_findings.iter().flatten();
        for (index, modified) in modified.enumerate() {
            if modified.is_suppressed() {
                continue;
            }
            let path = format!("Results[{at}].ExperimentalModifiedFindings[{index}].Finding");
            findings.push(modified.finding(&path)?);
        }
        licenses.extend(result.licenses());
    }
    let target = results.iter().find_map(Found::image);
    Ok(Report {
        scanner: Scanner {
            name: "trivy".into(),
            version: document
                .trivy
                .and_then(|program| some(program.version.as_deref())),
            db_updated_at: None,
        },
        findings,
        licenses,
        scanned_at: time::from_json(&document.created_at),
        image: image(
            context,
            document.artifact_name.as_deref(),
            target,
            &metadata,
        )?,
        failed: None,
    })
}

/// Why a report without package results is no completed scan.
fn nothing_recognised(results: &[Found<'_>]) -> String {
    let classes: BTreeSet<_> = results
        .iter()
        .filter_map(|result| result.class.as_deref())
        .collect();
    if classes.is_empty() {
        "not a completed scan: nothing recognised in the image (no result of class os-pkgs or lang-pkgs in `Results`)".into()
    } else {
        let classes: Vec<_> = classes.into_iter().map(clip).collect();
        format!(
            "not a completed scan for vulnerabilities: `Results` has only the classes {}",
            classes.join(", ")
        )
    }
}

fn image(
    context: &Context<'_>,
    artifact_name: Option<&str>,
    target: Option<&str>,
    metadata: &Metadata<'_>,
) -> Result<Image, Problem> {
    let mut image = Image::default();
    if let Some(id) = metadata.image_id.as_deref().filter(|id| !id.is_empty()) {
        let id: Digest = id
            .parse()
            .map_err(|error| Problem::field("Metadata.ImageID", error))?;
        image.config_digest = Some(id);
    }
    image.platform = metadata.platform();
    image.given(artifact_name);
    let lists = [
        ("RepoDigests", &metadata.repo_digests),
        ("RepoTags", &metadata.repo_tags),
    ];
    for (name, list) in lists {
        for (index, reference) in list.iter().flatten().enumerate() {
            image.reference(context, reference, &format!("Metadata.{name}[{index}]"))?;
        }
    }
    // Where nothing tells which of them it is, a name that says another digest is one of several.
    if (image.candidates.is_empty() || image.config_digest.is_none())
        && let Some(name) = artifact_name.filter(|name| name.contains("@sha"))
    {
        image.reference(context, name, "ArtifactName")?;
    }
    if artifact_name.is_none()
        && image.config_digest.is_none()
        && let Some(target) = target
    {
        image.reference(context, target, "Target")?;
    }
    Ok(image)
}

/// Operating systems whose packages Trivy looked at before it had classes.
const SYSTEMS: [&str; 22] = [
    "alma",
    "alpine",
    "amazon",
    "arch",
    "azurelinux",
    "bottlerocket",
    "cbl-mariner",
    "centos",
    "chainguard",
    "debian",
    "fedora",
    "opensuse",
    "opensuse.leap",
    "opensuse.tumbleweed",
    "oracle",
    "photon",
    "redhat",
    "rocky",
    "suse linux enterprise server",
    "sles",
    "ubuntu",
    "wolfi",
];

/// Whether a result of this type lists packages, not configuration.
fn is_package_type(kind: &str) -> bool {
    const LANGUAGES: [&str; 20] = [
        "bundler",
        "cargo",
        "composer",
        "conan",
        "conda-pkg",
        "dotnet-core",
        "gemspec",
        "gobinary",
        "gomod",
        "jar",
        "node-pkg",
        "npm",
        "nuget",
        "pip",
        "pipenv",
        "pnpm",
        "poetry",
        "pom",
        "python-pkg",
        "yarn",
    ];
    SYSTEMS.contains(&kind) || LANGUAGES.contains(&kind)
}

impl Metadata<'_> {
    /// The operating system and its release, if one was recognised that has packages of its own.
    fn system(&self) -> Option<(&str, &str)> {
        let system = self.os.as_ref()?;
        let family = system.family.as_deref()?;
        let version = system.name.as_deref().unwrap_or_default();
        (!matches!(family, "" | "none" | "activestate")).then_some((family, version))
    }

    /// The platform of the image, if it is said.
    fn platform(&self) -> Option<Platform> {
        let configuration = self.image_config.as_ref()?;
        Some(Platform {
            os: some(configuration.os.as_deref())?,
            architecture: some(configuration.architecture.as_deref())?,
            variant: some(configuration.variant.as_deref()),
        })
    }
}

impl Found<'_> {
    /// Whether the operating system's packages were looked at here.
    fn is_of_system(&self) -> bool {
        match self.class.as_deref() {
            Some("os-pkgs") => true,
            None | Some("") => self
                .r#type
                .as_str()
                .is_some_and(|kind| SYSTEMS.contains(&kind)),
            Some(_) => false,
        }
    }

    /// Whether packages were looked at here.
    fn is_of_packages(&self) -> bool {
        match self.class.as_deref() {
            Some("os-pkgs" | "lang-pkgs") => true,
            // Before there were classes, what had a type was a list of packages.
            None | Some("") if self.r#type.as_str().is_some_and(is_package_type) => true,
            // A result without a class, or of one that is not known, proves it by what it found.
            _ => self.has_found(),
        }
    }

    fn has_found(&self) -> bool {
        let found = self.vulnerabilities.as_ref();
        found.is_some_and(|list| !list.is_empty())
    }

    /// Whether the packages themselves are in the report, as `--list-all-pkgs` has them.
    fn lists_packages(&self) -> bool {
        let packages = self.packages.as_ref();
        packages.is_some_and(|list| !list.is_empty())
    }

    /// The system whose packages are listed here, and of which Trivy has no data.
    fn without_data(&self) -> Option<&str> {
        let family = self.r#type.as_str()?;
        let listed = self.is_of_system() && self.lists_packages() && !self.has_found();
        (listed && !systems::has_data(family)).then_some(family)
    }

    /// The image that the target of an operating system's packages names: `IMAGE (FAMILY VERSION)`.
    fn image(&self) -> Option<&str> {
        let (image, system) = self.target.as_deref()?.split_once(" (")?;
        let system = system.strip_suffix(')')?;
        let family = self.r#type.as_str()?;
        system.starts_with(family).then_some(image)
    }

    fn licenses(&self) -> impl Iterator<Item = String> + '_ {
        let of_files = self.licenses.iter().flatten();
        let of_files = of_files.filter_map(|license| some(license.name.as_deref()));
        let of_packages = self.packages.iter().flatten();
        let of_packages = of_packages
            .flat_map(|package| package.licenses.iter().flatten())
            .filter_map(|name| some(Some(name)));
        of_files.chain(of_packages)
    }
}

impl Modified<'_> {
    /// Whether it says that a finding does not count. Other words only grade it anew.
    fn is_suppressed(&self) -> bool {
        let of_others = |kind: &str| !kind.is_empty() && kind != "vulnerability";
        self.r#type.as_deref().is_some_and(of_others)
            || matches!(
                self.status.as_deref(),
                Some("ignored" | "not_affected" | "fixed")
            )
    }

    /// The finding at `path`.
    fn finding(&self, path: &str) -> Result<Finding, Problem> {
        let text = self.finding.map_or("null", RawValue::get);
        let vulnerability: Option<Vulnerability<'_>> =
            serde_json::from_str(text).map_err(|error| Problem::field(path, error))?;
        vulnerability
            .and_then(|vulnerability| vulnerability.finding())
            .ok_or_else(|| Problem::Missing {
                path: format!("{path}.VulnerabilityID"),
            })
    }
}

impl Vulnerability<'_> {
    /// `None` if it has no identifier.
    fn finding(&self) -> Option<Finding> {
        let layer = self.layer.as_ref();
        let layer = layer.and_then(|layer| {
            some(layer.digest.as_deref()).or_else(|| some(layer.diff_id.as_deref()))
        });
        Some(Finding {
            id: some(self.id.as_deref())?,
            severity: severity(self.severity.as_deref()),
            package: some(self.pkg_name.as_deref()),
            version: some(self.installed_version.as_deref()),
            fixed_version: some(self.fixed_version.as_deref()),
            score: self.score(),
            layer,
        })
    }

    /// The highest score of any vendor; version 2 only where there is no later one.
    fn score(&self) -> Option<f64> {
        let vendors = || self.cvss.iter().flat_map(BTreeMap::values);
        highest(
            vendors().flat_map(|scores| [scores.v3_score, scores.v40_score].into_iter().flatten()),
        )
        .or_else(|| highest(vendors().filter_map(|scores| scores.v2_score)))
    }
}
