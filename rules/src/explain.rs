//! Why: everything that stands between a tag and its promotion, as a value.
//!
//! Unlike a decision, which names the first stage that objects, this goes through all of them.

use serde::Serialize;
use weir_schema::{Digest, Platform, Reason, ReasonCode, Verdict};

use crate::{
    cel,
    facts::{Case, CaseFacts},
    gate::Parts,
    rule::Separate,
    state::{DigestId, NameId, Path, State},
    view::PromotionView,
};

/// Why a tag is, or is not, promoted under a rule.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// The rule.
    pub rule: String,
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
        let denies = self.matching_denies(case).into_iter().map(|deny| Deny {
            denies: !matches!(deny.rule.program.decide(&any_scanner).outcome, Ok(false)),
            expression: deny.rule.program.explain(&any_scanner),
            rule: deny.rule.name.clone(),
        });
        let reasons = stages.iter().flat_map(|stage| &stage.reasons);
        let held = case.target_digest.map(|digest| self.digest(digest));
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
        Explanation {
            rule: rule.name.clone(),
            source: self.written(case.source),
            digest: self.digest(case.bound.digest).to_string(),
            class: case.class.as_str(),
            target: format!("{}:{}", case.target.repository, case.target.tag),
            verdict: subject.map_or(Verdict::Wait, |subject| subject.verdict),
            decided: subject.map_or(0, |subject| subject.decided),
            reasons: subject.map_or_else(Vec::new, |subject| self.reasons(&subject.reasons)),
            needs: reasons.filter_map(|reason| need(reason, held)).collect(),
            uncounted: uncounted.collect(),
            stages: stages.into(),
            images: self.images_of(&case.parts, case.scanners),
            left_out: self.left_out_of(case.bound.digest),
            expression: rule.program.explain(&facts),
            denies: denies.collect(),
            overrides: facts.overrides_used(),
            promotions: self.promotions_of(&rule.name, case.source),
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

/// What would take an obstacle away, in words; the target tag holds `held`.
fn need(reason: &Reason, held: Option<&Digest>) -> Option<String> {
    let what = || {
        let digest = reason
            .digest
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        match (&reason.component, &reason.platform) {
            (Some(component), Some(platform)) => format!("{component} ({platform}) {digest}"),
            (Some(component), None) => format!("{component} {digest}"),
            (None, Some(platform)) => format!("{platform} {digest}"),
            (None, None) => digest,
        }
    };
    let until = || {
        reason
            .until
            .map(|until| until.to_string())
            .unwrap_or_default()
    };
    Some(match reason.code {
        ReasonCode::ScanMissing => format!("a completed scan of {}", what()),
        ReasonCode::ScanRunning => format!("the running scan of {} to complete", what()),
        ReasonCode::ScanFailed => format!("a scan of {} that completes", what()),
        ReasonCode::ManifestUnknown => format!("the children of {} to become known", what()),
        ReasonCode::ManifestDeleted => format!("{} to be pushed again", what()),
        ReasonCode::AppInvalid => format!("an application without the fault in {}", what()),
        ReasonCode::NothingToScan => "an image in it".to_owned(),
        ReasonCode::ClauseFalse => {
            format!("`{}` to hold", reason.clause.as_deref().unwrap_or_default())
        }
        ReasonCode::RuleError => format!(
            "a rule that can be evaluated: {}",
            reason.message.as_deref().unwrap_or_default()
        ),
        ReasonCode::Denied => format!(
            "the deny rule `{}` not to match",
            reason.deny_rule.as_deref().unwrap_or_default()
        ),
        ReasonCode::Held => format!(
            "the hold `{}` to be released",
            reason.hold_id.as_deref().unwrap_or_default()
        ),
        ReasonCode::ApprovalMissing => {
            let missing = reason
                .need
                .unwrap_or(0)
                .saturating_sub(reason.have.unwrap_or(0));
            format!(
                "{missing} more approval{}",
                if missing == 1 { "" } else { "s" }
            )
        }
        ReasonCode::Soaking => format!("time until {}", until()),
        ReasonCode::OutsideWindow => format!("its window, which opens at {}", until()),
        ReasonCode::TargetImmutable => {
            let held = held.map(|held| format!(": this one holds {held}, and may not move"));
            let held = held.unwrap_or_default();
            format!("a target tag that does not exist yet{held}")
        }
        ReasonCode::TargetNewer => {
            "a newer build, or the target tag to be moved by hand".to_owned()
        }
        ReasonCode::BadTag => "a template that gives a legal tag".to_owned(),
        ReasonCode::Loop => "another rule: this one brought the tag here".to_owned(),
        ReasonCode::AlreadyThere
        | ReasonCode::TagDeleted
        | ReasonCode::RepositoryDeleted
        | ReasonCode::RuleRemoved => return None,
    })
}
