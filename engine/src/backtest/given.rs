//! What both sides are given: the inputs of the history, in order, with their times, without what
//! Weir itself did.
//!
//! A record that is not given still lets time pass at its place: deadlines fall due at records.

use weir_schema::{Body, ImagePushed, ManifestResolved, RuleFile, Timestamp, cosign};

use super::{
    history::{Decoded, Item, Number, Says},
    index::{About, How, Index},
    own::Own,
    report::{History, Moment},
    scope,
};
use crate::dedup::Dedup;

/// What a record gives.
#[derive(Debug, Clone)]
pub(super) enum Given {
    /// Something happened. (In a box: where little of a history matters, of most inputs only the
    /// time does.)
    Event(Box<Body>),
    /// The history put rules in force.
    Rules(Vec<RuleFile>),
    /// Time passes.
    Nothing,
}

/// An input of both sides.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) at: Timestamp,
    pub(super) given: Given,
}

/// Inputs in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// The ordinal of the first, from 1: at 0 the sides begin.
    pub(super) first: u32,
    pub(super) inputs: Vec<Input>,
}

impl Batch {
    /// The ordinal of the first input after these.
    pub(super) fn next(&self) -> u32 {
        let inputs = u32::try_from(self.inputs.len());
        let next = inputs
            .ok()
            .and_then(|inputs| self.first.checked_add(inputs));
        next.expect("fewer than 2^32 inputs fit in memory")
    }
}

/// Makes inputs of what a history says.
pub(super) struct Giver {
    dedup: Dedup,
    now: Option<Timestamp>,
    own: Own,
    /// Lines that are no event and came before the first, whose time they take.
    early: Vec<(u64, u64)>,
    lines: u64,
    pub(super) history: History,
    pub(super) index: Index,
}

impl Giver {
    /// `rules` are the names of all rules that are compared.
    pub(super) fn new(rules: impl IntoIterator<Item = String>) -> Self {
        Self {
            dedup: Dedup::default(),
            now: None,
            own: Own::of_rules(rules),
            early: Vec::new(),
            lines: 0,
            history: History::default(),
            index: Index::default(),
        }
    }

    /// Takes the next block; `whole` is told what is given as it is.
    pub(super) fn take(&mut self, decoded: Decoded, mut whole: impl FnMut(&Body)) -> Batch {
        let mut batch = Batch {
            first: self.next(),
            inputs: Vec::with_capacity(decoded.items.len()),
        };
        for item in decoded.items {
            let known = self.index.inputs.len();
            self.look(&item, &mut whole);
            let mut inputs = self.index.inputs.iter().skip(known);
            if let Some(about) = inputs.next_back() {
                batch.inputs.extend(inputs.map(nothing));
                batch.inputs.push(Input {
                    at: about.moment.at,
                    given: match item.says {
                        Says::Happened { body, .. } => give(about.how, body),
                        Says::Concluded(_) | Says::Rejected => Given::Nothing,
                    },
                });
            }
        }
        self.lines += decoded.lines;
        batch
    }

    /// As [`Self::take`], for the index alone.
    pub(super) fn look_at(&mut self, decoded: &Decoded, mut whole: impl FnMut(&Body)) {
        for item in &decoded.items {
            self.look(item, &mut whole);
        }
        self.lines += decoded.lines;
    }

    /// What is left when the history ends: lines of a file without any event.
    pub(super) fn finish(&mut self) -> Batch {
        let known = self.index.inputs.len();
        let first = self.next();
        if self.now.is_none() {
            self.begin(Timestamp::EPOCH);
        }
        let inputs = self.index.inputs.iter().skip(known);
        Batch {
            first,
            inputs: inputs.map(nothing).collect(),
        }
    }

    fn next(&self) -> u32 {
        u32::try_from(self.index.inputs.len() + 1).expect("fewer than 2^32 inputs fit in memory")
    }

    fn begin(&mut self, at: Timestamp) {
        self.now = Some(at);
        for (place, number) in std::mem::take(&mut self.early) {
            self.nothing(at, place, number);
        }
    }

    /// Notes what becomes of an item: one input or none, and before the first those that came early.
    fn look(&mut self, item: &Item, whole: &mut impl FnMut(&Body)) {
        let number = match item.number {
            Number::Line(line) => self.lines + line + 1,
            Number::Record(record) => record,
        };
        match &item.says {
            Says::Rejected => {
                self.history.rejected += 1;
                match self.now {
                    None => self.early.push((item.place, number)),
                    Some(now) => self.nothing(now, item.place, number),
                }
            }
            Says::Concluded(body) => {
                if let Body::DecisionMade(decision) = body {
                    self.own.decided(decision);
                }
            }
            Says::Happened { at, delivery, body } => {
                if self.now.is_none() {
                    self.begin(*at);
                }
                let at = self.now.map_or(*at, |now| now.max(*at));
                if delivery.is_some_and(|key| !self.dedup.is_new_key(key, at)) {
                    return;
                }
                self.now = Some(at);
                let moment = Moment { seq: number, at };
                self.history.first.get_or_insert(moment);
                self.history.last = Some(moment);
                self.history.events += 1;
                if self.happened(moment, item.place, body) == How::Whole {
                    whole(body);
                }
            }
        }
    }

    fn nothing(&mut self, at: Timestamp, place: u64, number: u64) {
        self.index.inputs.push(About {
            moment: Moment { seq: number, at },
            place,
            how: How::NotAtAll,
            repository: 0,
            digest: 0,
        });
    }

    fn happened(&mut self, moment: Moment, place: u64, body: &Body) -> How {
        let own = self.own.did(body, &self.index.children);
        let how = match body {
            // Conclusions are drawn anew; in a file they stand among the events.
            Body::DecisionMade(decision) => {
                self.own.decided(decision);
                How::NotAtAll
            }
            Body::ViolationFound(_) | Body::ViolationCleared(_) => How::NotAtAll,
            Body::ClockTicked | Body::InputRejected(_) | Body::Unknown(_) => How::NotAtAll,
            Body::ScanRequested(_) => How::NotAtAll,
            // On both sides every copy has gone well.
            Body::PromotionRetried(_) => How::NotAtAll,
            Body::ImagePushed(_) if own => {
                self.history.echoes += 1;
                How::Content
            }
            _ if own => {
                self.history.outcomes += 1;
                How::NotAtAll
            }
            // What was refused is in force nowhere.
            Body::RulesActivated(rules) if scope::load(&rules.files).is_err() => How::NotAtAll,
            Body::RulesActivated(rules) => {
                self.history.activations += 1;
                self.own.add_rules(super::rule_names(&rules.files));
                How::Whole
            }
            _ => How::Whole,
        };
        let (repository, digest) = match how {
            How::NotAtAll => (0, 0),
            How::Whole | How::Content => self.index.look(body),
        };
        self.index.inputs.push(About {
            moment,
            place,
            how,
            repository,
            digest,
        });
        how
    }
}

/// Time passes.
fn nothing(about: &About) -> Input {
    Input {
        at: about.moment.at,
        given: Given::Nothing,
    }
}

/// What is given of something that happened.
pub(super) fn give(how: How, body: Body) -> Given {
    match (how, body) {
        (How::NotAtAll, _) => Given::Nothing,
        (How::Content, Body::ImagePushed(push)) => Given::Event(Box::new(content(push))),
        (_, Body::RulesActivated(rules)) => Given::Rules(rules.files),
        (_, body) => Given::Event(Box::new(body)),
    }
}

/// What a push says of content, which is true wherever that is. (How large a manifest is, is not
/// among it: who pushed it first said so.) What cosign signs it says by a tag's name.
pub(super) fn content(push: ImagePushed) -> Body {
    let tag = push.tag.as_ref();
    let subject = tag.and_then(|tag| cosign::subject_of_tag(tag.as_str()));
    Body::ManifestResolved(ManifestResolved {
        digest: push.digest,
        media_type: push.media_type,
        manifests: push.manifests,
        annotations: push.annotations,
        artifact_type: push.artifact_type,
        config_digest: None,
        subject,
        labels: None,
    })
}
