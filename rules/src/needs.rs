//! What would take an obstacle away, in words: the last line of every no.

use weir_schema::{Reason, ReasonCode, Timestamp};

use crate::{
    facts::Case,
    state::{Path, State},
};

/// A subject, and what its obstacles are seen in the light of.
pub(crate) struct Needs<'a> {
    pub(crate) state: &'a State,
    pub(crate) path: &'a Path,
    pub(crate) case: &'a Case<'a>,
}

impl Needs<'_> {
    /// What would take away this obstacle.
    pub(crate) fn of(&self, reason: &Reason) -> Option<String> {
        let what = what(reason);
        let until = reason.until;
        let told = |until: Option<Timestamp>| until.map_or(String::new(), |at| at.to_string());
        Some(match reason.code {
            ReasonCode::ScanMissing => format!("a completed scan of {what}{}", self.by(reason)),
            ReasonCode::ScanRunning => {
                format!("the running scan of {what} to complete{}", self.by(reason))
            }
            ReasonCode::ScanFailed => {
                format!("a scan of {what} that completes{}", self.by(reason))
            }
            ReasonCode::ManifestUnknown => format!("the children of {what} to become known"),
            ReasonCode::ManifestDeleted => format!("{what} to be pushed again"),
            ReasonCode::AppInvalid => format!("an application without the fault in {what}"),
            ReasonCode::NothingToScan if self.case.class.as_str() == "artifact" => {
                "`scan: not-required` in the rule: an artifact has nothing to scan".to_owned()
            }
            ReasonCode::NothingToScan => "an image in it".to_owned(),
            ReasonCode::ClauseFalse => {
                format!("`{}` to hold", reason.clause.as_deref().unwrap_or_default())
            }
            ReasonCode::RuleError => format!(
                "{} that can be evaluated: {}",
                match &reason.deny_rule {
                    Some(deny) => format!("a deny rule `{deny}`"),
                    None => "a rule".to_owned(),
                },
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
                let have = reason.have.unwrap_or(0);
                let missing = reason.need.unwrap_or(0).saturating_sub(have);
                let plural = if missing == 1 { "" } else { "s" };
                format!("{missing} more approval{plural}")
            }
            ReasonCode::Soaking => match until.and_then(|until| self.opens_after(until)) {
                None => format!("time until {}", told(until)),
                Some(opens) => format!(
                    "time until {}, and the window, which opens after that at {opens}",
                    told(until)
                ),
            },
            ReasonCode::OutsideWindow => format!("its window, which opens at {}", told(until)),
            ReasonCode::TargetImmutable => {
                let held = self.case.target_digest.map(|held| {
                    let held = self.state.digest(held);
                    format!(": this one holds {held}, and may not move")
                });
                let held = held.unwrap_or_default();
                format!("a target tag that does not exist yet{held}")
            }
            ReasonCode::TargetNewer => {
                "a newer build, or the target tag to be moved by hand".to_owned()
            }
            ReasonCode::BadTag => "a template that gives a legal tag".to_owned(),
            ReasonCode::Loop if self.case.target.id == Some(self.case.source) => {
                "another target: it would go to where it is".to_owned()
            }
            ReasonCode::Loop => "another rule: this one brought the tag here".to_owned(),
            ReasonCode::AlreadyThere
            | ReasonCode::TagDeleted
            | ReasonCode::RepositoryDeleted
            | ReasonCode::RuleRemoved => return None,
        })
    }

    /// The scanners that the rule names and that the reason's image waits for.
    fn by(&self, reason: &Reason) -> String {
        let leaf = reason.digest.as_ref();
        let leaf = leaf.and_then(|digest| self.state.digests.find(digest));
        let scans = leaf.and_then(|leaf| self.state.scans(leaf));
        let good = |name| {
            let mut good = scans.into_iter().flat_map(|scans| scans.in_good_standing());
            good.any(|(known, _)| known == name)
        };
        let names = self.path.rule.scanners.iter().copied();
        let missing: Vec<&str> = names
            .filter(|name| !good(*name))
            .map(|name| &**self.state.text(name))
            .collect();
        match missing.is_empty() {
            true => String::new(),
            false => format!(" by {}", missing.join(" and by ")),
        }
    }

    /// When the rule's window opens, if it is closed at a time.
    fn opens_after(&self, at: Timestamp) -> Option<Timestamp> {
        let window = self.path.rule.rule.window.as_ref()?;
        if window.is_open(at.datetime()) {
            return None;
        }
        window.next_change(at.datetime()).map(Timestamp::from)
    }
}

/// The image that a reason names: its component, its platform, its digest.
fn what(reason: &Reason) -> String {
    let digest = reason.digest.as_ref().map(ToString::to_string);
    let digest = digest.unwrap_or_default();
    match (&reason.component, &reason.platform) {
        (Some(component), Some(platform)) => format!("{component} ({platform}) {digest}"),
        (Some(component), None) => format!("{component} {digest}"),
        (None, Some(platform)) => format!("{platform} {digest}"),
        (None, None) => digest,
    }
}
