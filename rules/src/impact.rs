//! What is waived, and where a vulnerability is.

use std::collections::BTreeSet;

use serde::Serialize;
use weir_schema::{OverrideScope, Platform, Severity, Timestamp, vulnerability_name};

use crate::{
    gate::Leaf,
    state::{DigestId, FindingId, NameId, State, TagId},
    view::HopView,
};

/// An override that was granted and not revoked.
#[derive(Debug, Serialize)]
pub struct OverrideView {
    /// Names it.
    pub override_id: String,
    /// What it keeps from counting.
    pub vulnerability: String,
    /// Why.
    pub reason: String,
    /// Who granted it.
    pub actor: String,
    /// Where it holds; everywhere if it says nothing.
    pub scope: OverrideScope,
    /// Until when.
    pub expires_at: Option<Timestamp>,
    /// The OpenVEX status that it came from.
    pub status: Option<String>,
    /// Whether it has not expired.
    pub in_force: bool,
}

/// A tag that holds a vulnerability.
#[derive(Debug, Serialize)]
pub struct ImpactView {
    /// The repository.
    pub repository: String,
    /// The tag.
    pub tag: String,
    /// What it points at.
    pub digest: String,
    /// `app`, `index`, `image` or `artifact`.
    pub class: &'static str,
    /// Since when.
    pub pushed_at: Timestamp,
    /// Promotions that brought it here, the oldest first.
    pub lineage: Vec<HopView>,
    /// Whether some finding of it counts, overridden nowhere.
    pub counts: bool,
    /// The images in it that hold the vulnerability.
    pub images: Vec<AffectedImage>,
}

/// An image that holds a vulnerability.
#[derive(Debug, Serialize)]
pub struct AffectedImage {
    /// Its digest.
    pub digest: String,
    /// The component it is.
    pub component: Option<String>,
    /// Its platform.
    pub platform: Option<Platform>,
    /// The scanners whose present result reports it.
    pub scanners: Vec<String>,
    /// When a completed scan first reported it here.
    pub first_seen: Option<Timestamp>,
    /// Where in the image it is.
    pub findings: Vec<AffectedPackage>,
}

/// A finding of a vulnerability.
#[derive(Debug, Serialize)]
pub struct AffectedPackage {
    /// The package.
    pub package: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The version that mends it.
    pub fixed_version: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// The override that keeps it from counting.
    pub override_id: Option<String>,
    /// Who granted that.
    pub overridden_by: Option<String>,
}

impl State {
    /// Overrides that were granted and not revoked, by name.
    #[must_use]
    pub fn overrides(&self) -> Vec<OverrideView> {
        let all = self.overrides.iter();
        let mut all: Vec<OverrideView> = all
            .map(|(id, one)| OverrideView {
                override_id: self.text(id).to_string(),
                vulnerability: self.text(one.vulnerability).to_string(),
                reason: one.reason.clone(),
                actor: one.actor.clone(),
                scope: OverrideScope {
                    repository: one.repository.as_ref().map(|scope| scope.text.clone()),
                    digest: one.digest.map(|id| self.digest(id).clone()),
                    package: one.package.map(|id| self.text(id).to_string()),
                },
                expires_at: one.expires_at,
                status: one.status.clone(),
                in_force: one.is_in_force(self.now),
            })
            .collect();
        all.sort_by(|a, b| a.override_id.cmp(&b.override_id));
        all
    }

    /// The tags that hold a vulnerability, in order: by the present result of any scanner, also of
    /// one whose last attempt failed. A CVE is one in whatever letters it is written. Looks at every
    /// manifest that was scanned.
    #[must_use]
    pub fn impact(&self, vulnerability: &str) -> Vec<ImpactView> {
        let wanted = vulnerability_name(vulnerability);
        let wanted = self
            .names
            .find_all(|name| vulnerability_name(name) == wanted);
        if wanted.is_empty() {
            return Vec::new();
        }
        let scanned = (0..self.manifests.len()).map(DigestId::at);
        let affected = scanned.filter(|id| self.is_reported(*id, &wanted));
        let mut tags = BTreeSet::new();
        for leaf in affected {
            for index in self.above(leaf) {
                tags.extend(self.manifest(index).tags.as_slice().iter().copied());
            }
        }
        let mut tags: Vec<TagId> = tags.into_iter().collect();
        tags.sort_by_key(|id| self.tag_texts(*id));
        let views = tags.into_iter();
        views.filter_map(|id| self.impact_on(id, &wanted)).collect()
    }

    fn is_reported(&self, leaf: DigestId, wanted: &[NameId]) -> bool {
        let scanners = self
            .scans(leaf)
            .into_iter()
            .flat_map(|scans| &scans.scanners);
        let mut held = scanners.filter_map(|scanner| scanner.held.as_ref());
        held.any(|held| {
            let mut wanted = wanted.iter();
            wanted.any(|name| self.reports.names(held.report, *name))
        })
    }

    fn impact_on(&self, id: TagId, wanted: &[NameId]) -> Option<ImpactView> {
        let tag = self.tag_row(id);
        let bound = tag.bound.as_ref()?;
        let parts = self.parts_now(bound.digest);
        let affected = parts.leaves().iter().filter_map(|leaf| {
            let (scanners, found) = self.present_findings(leaf.digest, wanted)?;
            let above = parts.above(leaf.digest);
            let findings = found.into_iter().map(|finding| {
                let by = self.overriding(tag.repository, &above, finding);
                let granted = by.and_then(|id| self.overrides.get(id));
                let finding = self.reports.finding(finding, &self.names);
                AffectedPackage {
                    override_id: by.map(|id| self.text(id).to_string()),
                    overridden_by: granted.map(|one| one.actor.clone()),
                    package: finding.package.map(Into::into),
                    version: finding.version.map(Into::into),
                    fixed_version: finding.fixed_version.map(Into::into),
                    severity: finding.severity,
                }
            });
            Some(self.affected(leaf, wanted, scanners, findings.collect()))
        });
        let images: Vec<AffectedImage> = affected.collect();
        let counts = |image: &AffectedImage| {
            let mut findings = image.findings.iter();
            findings.any(|finding| finding.override_id.is_none())
        };
        (!images.is_empty()).then(|| ImpactView {
            repository: self.repository(tag.repository).text.to_string(),
            tag: self.text(tag.name).to_string(),
            digest: self.digest(bound.digest).to_string(),
            class: self.class(tag.repository, bound.digest).as_str(),
            pushed_at: bound.bound_at,
            lineage: self.hops(bound),
            counts: images.iter().any(counts),
            images,
        })
    }

    fn affected(
        &self,
        leaf: &Leaf,
        wanted: &[NameId],
        scanners: Vec<String>,
        findings: Vec<AffectedPackage>,
    ) -> AffectedImage {
        AffectedImage {
            digest: self.digest(leaf.digest).to_string(),
            component: leaf.component.map(|id| self.text(id).to_string()),
            platform: leaf.platform.map(|id| self.platforms.platform(id).clone()),
            scanners,
            first_seen: wanted
                .iter()
                .filter_map(|name| self.first_seen(leaf.digest, *name))
                .min(),
            findings,
        }
    }

    /// The scanners whose present result of a leaf reports a vulnerability, and the findings, each
    /// package once and at the highest severity.
    fn present_findings(
        &self,
        leaf: DigestId,
        wanted: &[NameId],
    ) -> Option<(Vec<String>, Vec<FindingId>)> {
        let (mut scanners, mut found) = (Vec::new(), Vec::<FindingId>::new());
        for scanner in &self.scans(leaf)?.scanners {
            let Some(held) = &scanner.held else { continue };
            let all = self.reports.findings_of(held.report).iter().copied();
            let here: Vec<FindingId> = all
                .filter(|id| wanted.contains(&self.reports.found(*id).id))
                .collect();
            if here.is_empty() {
                continue;
            }
            scanners.push(self.text(scanner.name).to_string());
            for id in here {
                let one = self.reports.found(id);
                let same = found.iter_mut().find(|known| {
                    let known = self.reports.found(**known);
                    (known.package, known.version) == (one.package, one.version)
                });
                match same {
                    Some(known) if self.reports.found(*known).severity >= one.severity => {}
                    Some(known) => *known = id,
                    None => found.push(id),
                }
            }
        }
        let texts = |id: &FindingId| {
            let one = self.reports.found(*id);
            let text = |name: Option<NameId>| name.map(|name| self.text(name));
            (text(one.package), text(one.version))
        };
        found.sort_by(|a, b| texts(a).cmp(&texts(b)));
        (!found.is_empty()).then_some((scanners, found))
    }
}
