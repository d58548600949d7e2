//! Looking back: a state out of what the log says, without judging anything again.

use weir_schema::{Body, Decision, Reason, Timestamp};

use crate::{
    evolve::Touched,
    judge::Destination,
    state::{MANUAL, Progress, Promotion, Reads, State, Subject},
};

impl State {
    /// Takes a record into the state as it stands in the log: what was concluded is believed, and
    /// nothing is judged.
    ///
    /// This is for looking back. Given every record, or those that can touch a subject, the views
    /// and explanations of the subject are those of the state that was; what deciding needs
    /// besides (who waits for what and for when) is not kept, so such a state must not be stepped.
    pub fn recorded(&mut self, seq: u64, at: Timestamp, body: &Body) {
        self.evolve(seq, at, body, &mut Touched::default());
        match body {
            Body::DecisionMade(made) => self.decision_recorded(made),
            Body::ViolationFound(found) => {
                let (repository, tag) = (found.repository.as_str(), found.tag.as_str());
                self.violation_recorded(repository, tag, Some(&found.reasons));
            }
            Body::ViolationCleared(found) => {
                self.violation_recorded(found.repository.as_str(), found.tag.as_str(), None);
            }
            _ => {}
        }
    }

    fn decision_recorded(&mut self, made: &Decision) {
        let rule = self.names.intern(&made.rule);
        let repository = self.intern_repository(&made.source.repository);
        let source = self.intern_tag(repository, &made.source.tag);
        let target = self.intern_target(&Destination {
            repository: made.target.repository.to_string(),
            tag: made.target.tag.to_string(),
        });
        let Some(digest) = &made.source.digest else {
            return;
        };
        let digest = self.intern_digest(digest);
        if made.rule != MANUAL {
            let subject = Subject {
                rule,
                verdict: made.verdict,
                digest,
                target,
                reasons: self.obstacles(&made.reasons),
                decided: self.seq,
                decided_at: self.now,
                settled: Vec::new(),
                waits: false,
                wakes_at: None,
                restless: false,
                reads: Reads::NOTHING,
                generation: self.generation,
            };
            let subjects = &mut self.tags.get_mut(source).subjects;
            match subjects.iter_mut().find(|known| known.rule == rule) {
                Some(known) => *known = subject,
                None => subjects.push(subject),
            }
        }
        if made.promotion_id.is_none() {
            return;
        }
        let promotion = Promotion {
            progress: Progress::Decided,
            ..self.promotion_of(rule, source, digest, target)
        };
        self.put_promotion(self.seq, promotion);
    }

    fn violation_recorded(&mut self, repository: &str, tag: &str, found: Option<&[Reason]>) {
        let Some(id) = self.find_tag(repository, tag) else {
            return;
        };
        let found = found.map(|reasons| self.obstacles(reasons));
        if let Some(promoted) = &mut self.tags.get_mut(id).promoted {
            promoted.violation = found;
        }
    }
}
