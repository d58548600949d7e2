//! Why: everything that stands between a tag and its promotion, as a value.
//!
//! Unlike a decision, which names the first stage that objects, this goes through all of them.

use serde::Serialize;
use weir_schema::{Platform, Reason, ReasonCode, Severity as FindingSeverity, Verdict};

use crate::{
    Class, cel,
    facts::{Case, CaseFacts},
    gate::{Leaf, Parts},
    needs::Needs,
    rule::{Rule, Separate, Severity},
    state::{DigestId, Found, NameId, Path, State},
    view::PromotionView,
};

/// Why a tag is, or is not, promoted under a rule.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The rule.
    pub rule: String,
    /// `enforce`, or `warn` of one that only gives advice: nothing is promoted by it.
    pub severity: &'static str,
    /// What the rule's header says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where to read more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// The source, as `repository:tag`.
    pub source: String,
    /// What the tag points at.
    pub digest: String,
    /// `app`, `index`, `image` or `artifact`.
    pub class: &'static str,
    /// The target, as `repository:tag`.
    pub target: String,
    /// The last verdict recorded.
    pub verdict: Verdict,
    /// The record of that decision.
    pub decided: u64,
    /// Its reasons.
    pub reasons: Vec<Reason>,
    /// What objects now, by stage, whatever an earlier stage says.
    pub stages: Vec<Stage>,
    /// The images that must be scanned.
    pub images: Vec<Image>,
    /// What is in it and needs no scan.
    pub left_out: Vec<LeftOut>,
    /// The rule's expression with the value of each part.
    pub expression: cel::Explanation,
    /// The gravest of the findings that count, no more than [`GRAVEST`], where the rule or a deny rule asks
    /// for what was found, and objects.
    pub gravest: Vec<Counted>,
    /// How many count.
    pub counted: usize,
    /// Deny rules that look at this source and target.
    pub denies: Vec<Deny>,
    /// Overrides that keep findings from counting.
    pub overrides: Vec<String>,
    /// Votes that do not count.
    pub uncounted: Vec<Uncounted>,
    /// What would make it pass.
    pub needs: Vec<String>,
    /// What was decided of it and is not done: the newest first.
    pub promotions: Vec<PromotionView>,
}

/// One stage of the judgement.
#[derive(Debug, Serialize)]
pub struct Stage {
    /// `gate`, `rule`, `target` or `people and time`.
    pub stage: &'static str,
    /// What objects.
    pub reasons: Vec<Reason>,
}

/// An image that must be scanned.
#[derive(Debug, Serialize)]
pub struct Image {
    /// Its digest.
    pub digest: String,
    /// The component it is.
    pub component: Option<String>,
    /// What it is in the bundle.
    pub role: &'static str,
    /// Its platform.
    pub platform: Option<Platform>,
    /// `completed`, `failed`, `running` or `missing`.
    pub scan: &'static str,
    /// Scanners in good standing.
    pub scanners: Vec<String>,
    /// Findings before overrides, by severity, the worst first.
    pub findings: [u64; 6],
}

/// The variables that tell of findings.
const FOUND_IN: [&str; 3] = ["scan", "images", "vulnerabilities"];

/// So many findings that count are told one by one.
pub const GRAVEST: usize = 10;

/// A finding that counts: no override keeps it from that.
#[derive(Debug, Serialize)]
pub struct Counted {
    /// The vulnerability.
    pub id: String,
    /// How grave it is.
    pub severity: FindingSeverity,
    /// In which package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The version that is repaired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed_version: Option<String>,
    /// The image that it is in, by its digest.
    pub image: String,
    /// The component that this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
}

/// Something in the bundle that is not scanned.
#[derive(Debug, Serialize)]
pub struct LeftOut {
    /// Its digest.
    pub digest: String,
    /// Why.
    pub why: &'static str,
}

/// A deny rule and what it says.
#[derive(Debug, Serialize)]
pub struct Deny {
    /// The rule.
    pub rule: String,
    /// Whether it stops the promotion.
    pub denies: bool,
    /// Whether it would stop it, and only warns.
    pub warns: bool,
    /// What it tells whoever it stops, where it objects and its header has a message: also where it
    /// objects because its expression errs, of which the reason tells the error alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the rule's header says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where to read more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Its expression with the value of each part.
    pub expression: cel::Explanation,
}

/// A vote that does not count.
#[derive(Debug, Serialize)]
pub struct Uncounted {
    /// Who gave it.
    pub actor: String,
    /// What keeps the voter from approving: `pusher` or `rule-owner`, as the rule's `separate` says.
    pub why: &'static str,
}

impl State {
    /// Explains a tag under every promote rule that takes it, or under `rule`.
    #[must_use]
    pub fn explain(&self, repository: &str, tag: &str, rule: Option<&str>) -> Vec<Explanation> {
        let Some(id) = self.find_tag(repository, tag) else {
            return Vec::new();
        };
        let tag = self.tag_row(id);
        let Some(bound) = &tag.bound else {
            return Vec::new();
        };
        let paths = self.paths_taking(id, bound).into_iter();
        let wanted = paths.filter(|path| rule.is_none_or(|rule| path.rule.rule.name == rule));
        wanted
            .map(|path| {
                let destination = self.destination(path, id, bound, self.now);
                self.explain_case(path, &self.case_now(path, id, bound, &destination))
            })
            .collect()
    }

    /// The promote rules in force that lead from a tag's repository and do not take what it points at,
    /// for its class; and the class.
    #[must_use]
    pub fn not_taken_for_class(&self, repository: &str, tag: &str) -> Option<(Class, Vec<&Rule>)> {
        let tag = self.tag_row(self.find_tag(repository, tag)?);
        let class = self.class(tag.repository, tag.bound.as_ref()?.digest);
        let paths = self.repository(tag.repository).paths.iter();
        let rules = paths.map(|path| &*path.rule.rule);
        let others = rules.filter(|rule| !rule.classes.contains(&class));
        Some((class, others.collect()))
    }

    fn explain_case(&self, path: &Path, case: &Case<'_>) -> Explanation {
        let rule = &path.rule.rule;
        let facts = CaseFacts::new(self, case);
        let any_scanner = CaseFacts::by_any_scanner(self, case);
        let subject = self.subject((case.source, path.rule.name));
        let stages = self.judge_stages(path, case);
        let stages = stages.map(|(stage, reasons)| Stage {
            stage,
            reasons: self.reasons(&reasons),
        });
        let in_force = self.matching_denies(case).into_iter();
        let in_force = in_force.map(|deny| &*deny.rule);
        let asks_for_findings = |rule: &Rule| FOUND_IN.iter().any(|name| rule.program.reads(name));
        let holds = matches!(rule.program.decide(&facts).outcome, Ok(true));
        let mut asked = !holds && asks_for_findings(rule);
        let denies = in_force.chain(self.warning_denies(case)).map(|rule| {
            let objects = !matches!(rule.program.decide(&any_scanner).outcome, Ok(false));
            let only_warns = rule.severity == Severity::Warn;
            let tells = objects && rule.message.is_some();
            asked |= objects && asks_for_findings(rule);
            Deny {
                denies: objects && !only_warns,
                warns: objects && only_warns,
                message: tells.then(|| self.deny_message(rule, case, self.now)),
                about: rule.about.clone(),
                owner: rule.owner.clone(),
                link: rule.link.clone(),
                expression: rule.program.explain(&any_scanner),
                rule: rule.name.clone(),
            }
        });
        let reasons = stages.iter().flat_map(|stage| &stage.reasons);
        let needs = Needs {
            state: self,
            path,
            case,
        };
        let votes = self.votes_for(case).iter().filter(|_| rule.approvals > 0);
        let uncounted = votes.filter_map(|vote| {
            let kept = self.kept_from_approving(path, case, vote)?;
            Some(Uncounted {
                actor: self.text(vote.actor).to_string(),
                why: match kept {
                    Separate::Pusher => "pusher",
                    Separate::RuleOwner => "rule-owner",
                },
            })
        });
        let denies = denies.collect();
        let (gravest, counted) = facts.gravest(if asked { GRAVEST } else { 0 });
        let gravest = gravest.into_iter();
        Explanation {
            gravest: gravest
                .map(|(leaf, found)| self.counted(leaf, found))
                .collect(),
            counted,
            rule: rule.name.clone(),
            severity: rule.severity.as_str(),
            about: rule.about.clone(),
            owner: rule.owner.clone(),
            link: rule.link.clone(),
            source: self.written(case.source),
            digest: self.digest(case.bound.digest).to_string(),
            class: case.class.as_str(),
            target: format!("{}:{}", case.target.repository, case.target.tag),
            verdict: subject.map_or(Verdict::Wait, |subject| subject.verdict),
            decided: subject.map_or(0, |subject| subject.decided),
            reasons: subject.map_or_else(Vec::new, |subject| self.reasons(&subject.reasons)),
            needs: reasons.filter_map(|reason| needs.of(reason)).collect(),
            uncounted: uncounted.collect(),
            stages: stages.into(),
            images: self.images_of(&case.parts, case.scanners),
            left_out: self.left_out_of(case.bound.digest),
            expression: rule.program.explain(&facts),
            denies,
            overrides: facts.overrides_used(),
            promotions: self.promotions_of(&rule.name, case.source),
        }
    }

    /// The deny rules that match source, class and target, and only warn: they have no part in a
    /// judgement.
    fn warning_denies(&self, case: &Case<'_>) -> impl Iterator<Item = &Rule> {
        let source = self.repository(case.repository).text.clone();
        let (target, class) = (case.target.repository.to_owned(), case.class);
        self.rules
            .rules()
            .iter()
            .map(|rule| &**rule)
            .filter(move |rule| {
                rule.severity == Severity::Warn
                    && rule.denies(&source, &target)
                    && rule.classes.contains(&class)
            })
    }

    fn counted(&self, leaf: &Leaf, found: &Found) -> Counted {
        let text = |id: NameId| self.text(id).to_string();
        Counted {
            id: text(found.id),
            severity: found.severity,
            package: found.package.map(text),
            version: found.version.map(text),
            fixed_version: found.fixed_version.map(text),
            image: self.digest(leaf.digest).to_string(),
            component: leaf.component.map(text),
        }
    }

    pub(crate) fn images_of(&self, parts: &Parts, scanners: &[NameId]) -> Vec<Image> {
        let leaves = parts.leaves().iter();
        leaves
            .map(|leaf| Image {
                digest: self.digest(leaf.digest).to_string(),
                component: leaf.component.map(|id| self.text(id).to_string()),
                role: leaf.role.as_str(),
                platform: leaf.platform.map(|id| self.platforms.platform(id).clone()),
                scan: match self.scan_obstacle(leaf.digest, scanners) {
                    None => "completed",
                    Some(ReasonCode::ScanFailed) => "failed",
                    Some(ReasonCode::ScanRunning) => "running",
                    Some(_) => "missing",
                },
                scanners: self.scanners_of(leaf.digest),
                findings: self
                    .standing_report(leaf.digest)
                    .map_or([0; 6], |report| report.tally.counts),
            })
            .collect()
    }

    pub(crate) fn left_out_of(&self, subject: DigestId) -> Vec<LeftOut> {
        let all = self.left_out(subject).into_iter();
        let mut all: Vec<LeftOut> = all
            .map(|(digest, why)| LeftOut {
                digest: self.digest(digest).to_string(),
                why: why.as_str(),
            })
            .collect();
        all.sort_by(|a, b| (&a.digest, a.why).cmp(&(&b.digest, b.why)));
        all
    }

    fn scanners_of(&self, leaf: DigestId) -> Vec<String> {
        let scans = self.scans(leaf);
        let good = scans.into_iter().flat_map(|scans| scans.in_good_standing());
        good.map(|(name, _)| self.text(name).to_string()).collect()
    }
}
