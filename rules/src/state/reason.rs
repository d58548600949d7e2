//! Reasons as the state keeps them: by number what has one, the rest shared.

use std::{borrow::Cow, cmp::Ordering, sync::Arc};

use weir_schema::{Reason, ReasonCode, Timestamp, Verdict};

use super::{
    State,
    numbers::{DigestId, NameId, PlatformId},
};
use crate::frozen::frozen;

/// Bytes of a message that content gives to a reason. A decision is one record, and may have a reason
/// for every image of an application.
pub(super) const LONGEST_MESSAGE: usize = 1024;

/// A text out of content as a reason gives it: its beginning, where it is longer than a message.
pub(crate) fn clipped(text: &str) -> Cow<'_, str> {
    let end = text.floor_char_boundary(LONGEST_MESSAGE);
    match text.split_at_checked(end) {
        Some((beginning, rest)) if !rest.is_empty() => Cow::Owned(format!("{beginning}…")),
        _ => Cow::Borrowed(text),
    }
}

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Obstacle {
    pub(crate) code: ReasonCode,
    pub(crate) digest: Option<DigestId>,
    pub(crate) component: Option<NameId>,
    pub(crate) platform: Option<PlatformId>,
    pub(crate) more: Option<Arc<More>>,
}

/// Details that few reasons have, in the order in which reasons are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct More {
    pub(crate) clause: Option<String>,
    pub(crate) deny_rule: Option<String>,
    pub(crate) hold_id: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) have: Option<u32>,
    pub(crate) need: Option<u32>,
}

impl Obstacle {
    /// A reason without detail.
    pub(crate) fn new(code: ReasonCode) -> Self {
        Self {
            code,
            digest: None,
            component: None,
            platform: None,
            more: None,
        }
    }

    /// A reason about one manifest.
    pub(crate) fn about(code: ReasonCode, digest: DigestId) -> Self {
        Self {
            digest: Some(digest),
            ..Self::new(code)
        }
    }

    /// A reason with details.
    pub(crate) fn with(code: ReasonCode, more: More) -> Self {
        Self {
            more: Some(Arc::new(more)),
            ..Self::new(code)
        }
    }
}

/// Reasons of a decision at most. A decision is one record, which has an end; no application has as many
/// images, and who can push decides how many an index lists.
pub(super) const MOST_REASONS: usize = 10_000;

/// The verdict that reasons make: error over block over wait over promote.
pub(crate) fn verdict(reasons: &[Obstacle]) -> Verdict {
    let weight = |verdict: &Verdict| match verdict {
        Verdict::Promote => 0,
        Verdict::Wait => 1,
        Verdict::Block => 2,
        Verdict::Error => 3,
        Verdict::Withdrawn => 4,
    };
    let verdicts = reasons.iter().map(|reason| reason.code.verdict());
    verdicts.max_by_key(weight).unwrap_or(Verdict::Promote)
}

impl State {
    /// Puts reasons in order, each once. Of more than [`MOST_REASONS`] the first are kept, and one of
    /// each code, so that the verdict stays what it is.
    pub(crate) fn sort_reasons(&self, reasons: &mut Vec<Obstacle>) {
        if reasons.len() > 1 {
            reasons.sort_by(|a, b| self.compare_reasons(a, b));
            reasons.dedup();
        }
        if reasons.len() > MOST_REASONS {
            let (mut place, mut code) = (0, None);
            reasons.retain(|reason| {
                place += 1;
                let is_first = code.replace(reason.code) != Some(reason.code);
                place <= MOST_REASONS || is_first
            });
        }
    }

    /// The order of reasons in a decision: that of [`Reason`].
    fn compare_reasons(&self, a: &Obstacle, b: &Obstacle) -> Ordering {
        let digest = |id: Option<DigestId>| id.map(|id| self.digest(id));
        let component = |id: Option<NameId>| id.map(|id| self.text(id));
        let platform = |id: Option<PlatformId>| id.map(|id| self.platforms.platform(id));
        let nothing = More::default();
        let (more_a, more_b) = (a.more.as_deref(), b.more.as_deref());
        (a.code.cmp(&b.code))
            .then_with(|| digest(a.digest).cmp(&digest(b.digest)))
            .then_with(|| component(a.component).cmp(&component(b.component)))
            .then_with(|| platform(a.platform).cmp(&platform(b.platform)))
            .then_with(|| more_a.unwrap_or(&nothing).cmp(more_b.unwrap_or(&nothing)))
    }

    /// Reasons as events have them.
    pub(crate) fn reasons(&self, reasons: &[Obstacle]) -> Vec<Reason> {
        reasons.iter().map(|one| self.reason(one)).collect()
    }

    pub(super) fn reason(&self, one: &Obstacle) -> Reason {
        let more = one.more.as_deref().cloned().unwrap_or_default();
        Reason {
            code: one.code,
            digest: one.digest.map(|id| self.digest(id).clone()),
            component: one.component.map(|id| self.text(id).clone().into()),
            platform: one.platform.map(|id| self.platforms.platform(id).clone()),
            clause: more.clause,
            deny_rule: more.deny_rule,
            hold_id: more.hold_id,
            message: more.message,
            until: more.until,
            have: more.have,
            need: more.need,
        }
    }

    /// The reverse of [`State::reasons`], out of a canonical encoding.
    pub(crate) fn obstacles(&mut self, reasons: &[Reason]) -> Box<[Obstacle]> {
        reasons.iter().map(|one| self.obstacle(one)).collect()
    }

    fn obstacle(&mut self, reason: &Reason) -> Obstacle {
        let more = More {
            clause: reason.clause.clone(),
            deny_rule: reason.deny_rule.clone(),
            hold_id: reason.hold_id.clone(),
            message: reason.message.clone(),
            until: reason.until,
            have: reason.have,
            need: reason.need,
        };
        let digest = reason.digest.as_ref();
        Obstacle {
            code: reason.code,
            digest: digest.map(|digest| self.intern_digest(digest)),
            component: self.names.intern_option(reason.component.as_deref()),
            platform: (reason.platform.as_ref()).map(|platform| self.platforms.intern(platform)),
            more: (more != More::default()).then(|| Arc::new(more)),
        }
    }
}

frozen!(struct Obstacle { code, digest, component, platform, more });
frozen!(struct More { clause, deny_rule, hold_id, message, until, have, need });
