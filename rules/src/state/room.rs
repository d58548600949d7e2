//! Room in a record: what is left out of a conclusion of which all would be more than a record holds.
//! Short of that nothing is, so that what a log has is concluded again as it was.

use std::sync::Arc;

use weir_schema::{ReasonCode, canonical, record::MAX_RECORD_BYTES};

use super::{
    State,
    reason::{LONGEST_MESSAGE, MOST_REASONS, More, Obstacle, clipped},
};
use crate::cel::Limits;

/// Bytes of all that is not measured: the record around a conclusion, and what of it a registry or a
/// rule set bounds, such as the source and the rule's name.
const AROUND: usize = 2048;

/// Bytes that reasons have where there is more than fits. What they leave is for overrides, or for
/// what was waived.
const FOR_REASONS: usize = 7 << 20;

/// Bytes of the target that the templates of a rule give, which need not be one that a registry takes:
/// `{1}` stands for at most 255 of them.
const LONGEST_TARGET: usize = Limits::RULES.file_bytes.div_ceil("{1}".len()) * 255;

/// Bytes that JSON needs for one of a text: `\u0001`.
const ESCAPED: usize = 6;

/// Bytes of a reason that says nothing in words: code, digest, numbers and a time.
const BARE: usize = 352;

/// Bytes of the names of the fields that hold words, with what separates them.
const NAMES_OF_FIELDS: usize = 128;

/// Bytes of the reason's message that tells what was left out.
const NOTE: usize = 256;

/// Bytes that reasons without words need, as many as there can be.
const ALL_BARE: usize = (MOST_REASONS + ReasonCode::ALL.len()) * BARE + NOTE;

/// Bytes of a text that is clipped.
const CLIPPED: usize = (LONGEST_MESSAGE + '…'.len_utf8()) * ESCAPED + 2;

// INVARIANT: every reason stays, if only with its code and digest, and so the verdict does.
const _: () = assert!(ALL_BARE <= FOR_REASONS);

// INVARIANT: a record holds what stands around, reasons, and either the longest target and an override,
// or as many reasons that were waived and who asked.
const _: () = {
    let left = MAX_RECORD_BYTES - AROUND - FOR_REASONS - CLIPPED;
    assert!(LONGEST_TARGET <= left);
    assert!(ALL_BARE <= left);
};

/// Bytes of a text in a list, at most.
fn at_most(text: &str) -> usize {
    text.len() * ESCAPED + 3
}

/// Bytes of a text in a list.
fn bytes(text: &str) -> usize {
    canonical::to_string(&text).len() + 1
}

impl State {
    /// Makes what is said of a case fit into a record: its messages go first, from the end, then what
    /// else reasons have in words, so that each still has its code and digest; of overrides the first
    /// stay.
    pub(crate) fn fit(
        &self,
        target: [&str; 2],
        reasons: &mut [Obstacle],
        overrides: &mut Vec<String>,
    ) {
        let texts = || overrides.iter().map(String::as_str).chain(target);
        let most = self.most_bytes(reasons) + texts().map(at_most).sum::<usize>();
        if most <= MAX_RECORD_BYTES - AROUND {
            return;
        }
        let sizes = self.sizes(reasons);
        let all = sizes.iter().sum::<usize>() + texts().map(bytes).sum::<usize>();
        if all <= MAX_RECORD_BYTES - AROUND {
            return;
        }
        let of_target: usize = target.into_iter().map(bytes).sum();
        // Each has its share: what one says is not cut otherwise because of the other.
        self.shorten(reasons, sizes, FOR_REASONS);
        keep_first(
            overrides,
            MAX_RECORD_BYTES - AROUND - of_target - FOR_REASONS,
        );
    }

    /// As [`Self::fit`], of a promotion by hand: what objects, what was waived, and who asked.
    pub(crate) fn fit_by_hand(
        &self,
        reasons: &mut [Obstacle],
        waived: &mut [Obstacle],
        actor: &mut String,
    ) {
        let most = self.most_bytes(reasons) + self.most_bytes(waived) + at_most(actor);
        if most <= MAX_RECORD_BYTES - AROUND {
            return;
        }
        let (of_reasons, of_waived) = (self.sizes(reasons), self.sizes(waived));
        let all = of_reasons.iter().chain(&of_waived).sum::<usize>() + bytes(actor);
        if all <= MAX_RECORD_BYTES - AROUND {
            return;
        }
        *actor = clipped(actor).into_owned();
        self.shorten(reasons, of_reasons, FOR_REASONS);
        let rest = MAX_RECORD_BYTES - AROUND - CLIPPED - FOR_REASONS;
        self.shorten(waived, of_waived, rest);
    }

    /// Bytes of reasons at most, by the lengths of what they say: nothing is written down for it.
    fn most_bytes(&self, reasons: &[Obstacle]) -> usize {
        let of = |one: &Obstacle| {
            let component = one.component.map_or(0, |id| at_most(self.text(id)));
            let platform = one.platform.map_or(0, |id| {
                let platform = self.platforms.platform(id);
                let variant = platform.variant.as_deref();
                [&platform.os, &platform.architecture, variant.unwrap_or("")]
                    .into_iter()
                    .map(at_most)
                    .sum()
            });
            let words = one.more.as_deref().map_or(0, |more| {
                [&more.clause, &more.deny_rule, &more.hold_id, &more.message]
                    .into_iter()
                    .flatten()
                    .map(|text| at_most(text))
                    .sum()
            });
            BARE + NAMES_OF_FIELDS + component + platform + words
        };
        reasons.iter().map(of).sum()
    }

    /// Bytes of each reason.
    fn sizes(&self, reasons: &[Obstacle]) -> Vec<usize> {
        reasons.iter().map(|one| self.size(one)).collect()
    }

    fn size(&self, one: &Obstacle) -> usize {
        canonical::to_string(&self.reason(one)).len() + 1
    }

    /// Takes from reasons of `sizes` what they say in words, from the end, until they have `room`. The
    /// first that lost something tells of it.
    fn shorten(&self, reasons: &mut [Obstacle], mut sizes: Vec<usize>, room: usize) {
        let mut all: usize = sizes.iter().sum();
        if all <= room {
            return;
        }
        let mut lost = vec![false; reasons.len()];
        for less in [without_message, without_words] {
            for place in (0..reasons.len()).rev() {
                if all + NOTE <= room {
                    break;
                }
                let shorter = less(&reasons[place]);
                if shorter != reasons[place] {
                    all -= sizes[place];
                    sizes[place] = self.size(&shorter);
                    all += sizes[place];
                    reasons[place] = shorter;
                    lost[place] = true;
                }
            }
        }
        let count = lost.iter().filter(|lost| **lost).count();
        if let Some(first) = lost.iter().position(|lost| *lost) {
            let more = reasons[first].more.as_deref().cloned().unwrap_or_default();
            reasons[first].more = Some(Arc::new(More {
                message: Some(note(count)),
                ..more
            }));
        }
    }
}

/// A reason without what is said for people.
fn without_message(one: &Obstacle) -> Obstacle {
    let more = one.more.as_deref().cloned().map(|more| More {
        message: None,
        ..more
    });
    Obstacle {
        more: something(more),
        ..one.clone()
    }
}

/// A reason with nothing but its code, its digest, numbers and a time.
fn without_words(one: &Obstacle) -> Obstacle {
    let more = one.more.as_deref().map(|more| More {
        until: more.until,
        have: more.have,
        need: more.need,
        ..More::default()
    });
    Obstacle {
        code: one.code,
        digest: one.digest,
        component: None,
        platform: None,
        more: something(more),
    }
}

/// Details, if there are any.
fn something(more: Option<More>) -> Option<Arc<More>> {
    more.filter(|more| *more != More::default()).map(Arc::new)
}

/// What is said in place of what `count` reasons said.
fn note(count: usize) -> String {
    let whose = match count {
        0 | 1 => "it is left out".to_owned(),
        2 => "it and of another reason is left out".to_owned(),
        _ => format!("it and of {} other reasons is left out", count - 1),
    };
    format!("what is said of {whose}: all together is more than a record of the log holds")
}

/// Clips names and keeps the first for which there is room, if there is none for all.
fn keep_first(names: &mut Vec<String>, room: usize) {
    if names.iter().map(|name| bytes(name)).sum::<usize>() <= room {
        return;
    }
    for name in names.iter_mut() {
        *name = clipped(name).into_owned();
    }
    names.dedup();
    let mut all = 0;
    names.retain(|name| {
        all += bytes(name);
        all <= room
    });
}

#[cfg(test)]
mod tests {
    use weir_schema::{
        Body, Decision, Digest, Event, Position, Reason, Received, TagRef, TargetRef, Timestamp,
        Verdict,
        record::{NO_HASH, encode},
    };

    use super::*;

    /// A digest of the longer kind.
    fn digest() -> Digest {
        format!("sha512:{}", "a".repeat(128))
            .parse()
            .expect("a digest")
    }

    fn latest() -> Timestamp {
        "9999-12-31T23:59:59.999999999Z".parse().expect("a time")
    }

    #[test]
    fn what_is_not_measured_of_a_decision_is_less_than_is_kept_for_it() {
        let repository = "a".repeat(255);
        let decision = Decision {
            actor: None,
            advisory: false,
            overrides: vec![String::new()],
            promotion_id: Some(format!("p{}", u64::MAX)),
            reasons: vec![Reason::new(ReasonCode::TagDeleted)],
            rule: "r".repeat(100).into(),
            rules_digest: digest(),
            source: TagRef {
                repository: repository.parse().expect("a repository"),
                tag: "t".repeat(128).parse().expect("a tag"),
                digest: Some(digest()),
            },
            target: TargetRef {
                repository: repository.into(),
                tag: "t".repeat(128).into(),
            },
            trigger: u64::MAX,
            verdict: Verdict::Withdrawn,
            waived: vec![Reason::new(ReasonCode::TagDeleted)],
        };
        let event = Received::from(Event {
            id: u64::MAX.to_string().into(),
            source: Event::OWN_SOURCE.into(),
            time: Some(latest()),
            subject: None,
            body: Body::DecisionMade(Decision {
                advisory: true,
                actor: Some(String::new()),
                ..decision
            }),
        });
        let trigger = u64::MAX;
        let position = Position::Step { trigger };
        let record = encode(trigger, latest(), &event, &position, &NO_HASH);
        assert!(record.len() <= AROUND, "{} bytes", record.len());
    }

    #[test]
    fn a_reason_without_words_is_as_short_as_is_counted_on() {
        for code in ReasonCode::ALL {
            let reason = Reason {
                until: Some(latest()),
                have: Some(u32::MAX),
                need: Some(u32::MAX),
                ..Reason::about(*code, digest())
            };
            let bytes = canonical::to_string(&reason).len() + 1;
            assert!(bytes <= BARE, "{code}: {bytes} bytes");
        }
        let names = r#""clause":"","component":"","deny_rule":"","hold_id":"","message":"","platform":{"architecture":"","os":"","variant":""},"#;
        assert!(names.len() <= NAMES_OF_FIELDS);
        assert!(note(MOST_REASONS).len() + r#""message":"","#.len() <= NOTE);
    }
}
