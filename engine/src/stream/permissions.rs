//! What a node must be permitted at the NATS server, and what the server denies it.
//!
//! A denied publish is not answered: whoever waits for the answer learns only that none came. The
//! server tells the client beside that, once for each attempt.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use super::{StreamConfig, provision::covers};

/// Denials that are kept of one connection. More would not tell more, and a subject may have a name in
/// it that is never used again.
const MOST_KEPT: usize = 64;

/// What is done at a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Publish,
    Subscribe,
}

/// Something that the server does not permit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    act: Act,
    subject: String,
}

impl fmt::Display for Denial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { act, subject } = self;
        match act {
            Act::Publish => write!(formatter, "to publish on `{subject}`"),
            Act::Subscribe => write!(formatter, "to subscribe to `{subject}`"),
        }
    }
}

/// The subjects that a node uses, as patterns of the server's permissions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NeededSubjects {
    /// Those that it publishes on.
    pub publish: Vec<String>,
    /// Those that it subscribes to.
    pub subscribe: Vec<String>,
    /// Those of both kinds without which it cannot read the stream.
    to_read: Vec<String>,
}

impl NeededSubjects {
    /// What a node with this configuration uses.
    #[must_use]
    pub fn of(config: &StreamConfig) -> Self {
        let StreamConfig {
            stream,
            subjects,
            outputs,
            ..
        } = config;
        let bucket = &config.lease.bucket;
        let lease = format!("KV_{bucket}");
        let mut to_read = vec![
            format!("$JS.API.STREAM.INFO.{stream}"),
            format!("$JS.API.STREAM.MSG.GET.{stream}"),
            format!("$JS.API.CONSUMER.CREATE.{stream}"),
            format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.>"),
        ];
        let mut publish = to_read.clone();
        publish.extend([
            format!("$JS.API.STREAM.CREATE.{stream}"),
            "$JS.API.INFO".to_owned(),
            format!("$JS.API.STREAM.INFO.{lease}"),
            format!("$JS.API.STREAM.CREATE.{lease}"),
            format!("$JS.API.DIRECT.GET.{lease}.>"),
            format!("$KV.{bucket}.>"),
            format!("{subjects}.intake.>"),
            format!("{subjects}.events.>"),
            format!("{}.checkpoints", outputs.subjects),
        ]);
        if outputs.enabled {
            let stream = &outputs.stream;
            publish.extend([
                format!("$JS.API.STREAM.INFO.{stream}"),
                format!("$JS.API.STREAM.CREATE.{stream}"),
                format!("$JS.API.STREAM.MSG.GET.{stream}"),
                format!("{}.events.>", outputs.subjects),
            ]);
        }
        let inbox = "_INBOX.>".to_owned();
        let mut subscribe = vec![inbox.clone()];
        if config.queries {
            publish.push(inbox.clone());
            subscribe.extend([format!("{}.query.>", outputs.subjects), "$SRV.>".to_owned()]);
        }
        to_read.push(inbox);
        Self {
            publish,
            subscribe,
            to_read,
        }
    }

    /// Whether a node that is denied this cannot read the stream.
    fn are_read_by(&self, denial: &Denial) -> bool {
        let of_answers = denial.subject.starts_with("_INBOX.");
        self.to_read.contains(&denial.subject) && (denial.act == Act::Subscribe) == of_answers
    }

    /// The denial of whatever the pattern permits: subjects have names in them that are made up for
    /// the moment.
    fn generalized(&self, denial: Denial) -> Denial {
        let needed = match denial.act {
            Act::Publish => &self.publish,
            Act::Subscribe => &self.subscribe,
        };
        match needed.iter().find(|one| covers(one, &denial.subject)) {
            Some(pattern) => Denial {
                subject: pattern.clone(),
                ..denial
            },
            None => denial,
        }
    }
}

/// What the server denies on the connection that stands. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Denied {
    needed: Arc<NeededSubjects>,
    found: Arc<Mutex<BTreeSet<Denial>>>,
}

impl Denied {
    pub(super) fn new(config: &StreamConfig) -> Self {
        Self {
            needed: Arc::new(NeededSubjects::of(config)),
            found: Arc::default(),
        }
    }

    /// The connection is another one: other permissions may be in force.
    pub(super) fn begins_anew(&self) {
        self.found().clear();
    }

    /// Takes note of what the server said, and warns of what it denies, each once.
    pub(super) fn note(&self, said: &str) {
        let Some(denial) = parse(said) else {
            tracing::info!(said, "the NATS server says");
            return;
        };
        // What it would tell is good to have, and is nothing for everybody.
        if denial.subject.starts_with("$SYS.") {
            tracing::debug!(%denial, "NATS does not permit");
            return;
        }
        let denial = self.needed.generalized(denial);
        let mut found = self.found();
        if found.len() < MOST_KEPT && found.insert(denial.clone()) {
            drop(found);
            tracing::warn!(
                "NATS does not permit this node {denial}: permit it to the user that Weir connects as"
            );
        }
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<Denial> {
        self.found().iter().cloned().collect()
    }

    /// Those for want of which the stream cannot be read.
    pub(super) fn to_read(&self) -> Vec<Denial> {
        let mut all = self.all();
        all.retain(|denial| self.needed.are_read_by(denial));
        all
    }

    fn found(&self) -> std::sync::MutexGuard<'_, BTreeSet<Denial>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the server denies, if that is what it says.
fn parse(said: &str) -> Option<Denial> {
    let lower = said.to_ascii_lowercase();
    let (_, what) = lower.split_once("permissions violation for ")?;
    let act = match what {
        publish if publish.starts_with("publish") => Act::Publish,
        subscribe if subscribe.starts_with("subscription") => Act::Subscribe,
        _ => return None,
    };
    let subject = said.split('"').nth(1)?.to_owned();
    Some(Denial { act, subject })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn denied(said: &[&str]) -> (Vec<String>, usize) {
        let denied = Denied::new(&StreamConfig::default());
        for one in said {
            denied.note(one);
        }
        let all = denied.all().iter().map(ToString::to_string).collect();
        (all, denied.to_read().len())
    }

    #[test]
    fn what_is_denied_is_kept_by_the_pattern_that_would_permit_it_and_once() {
        for (said, expected, keeps_from_reading) in [
            (
                &[
                    r#"Permissions Violation for Publish to "$JS.API.CONSUMER.MSG.NEXT.WEIR.aB1""#,
                    r#"Permissions Violation for Publish to "$JS.API.CONSUMER.MSG.NEXT.WEIR.cD2""#,
                ][..],
                &["to publish on `$JS.API.CONSUMER.MSG.NEXT.WEIR.>`"][..],
                1,
            ),
            (
                &[
                    r#"Permissions Violation for Publish to "weir.events.weir.decision.made""#,
                    r#"Permissions Violation for Subscription to "weir.query.why" using queue "q""#,
                ],
                &[
                    "to publish on `weir.events.>`",
                    "to subscribe to `weir.query.>`",
                ],
                0,
            ),
            (
                &[r#"Permissions Violation for Subscription to "_INBOX.x.*""#],
                &["to subscribe to `_INBOX.>`"],
                1,
            ),
            // Of answers to questions.
            (
                &[r#"Permissions Violation for Publish to "_INBOX.x.y""#],
                &["to publish on `_INBOX.>`"],
                0,
            ),
            (
                &[r#"Permissions Violation for Publish to "$SYS.REQ.SERVER.PING.JSZ""#],
                &[],
                0,
            ),
            (&["Maximum Connections Exceeded"], &[], 0),
        ] {
            let (all, reading) = denied(said);
            assert_eq!(all, expected, "{said:?}");
            assert_eq!(reading, keeps_from_reading, "{said:?}");
        }
    }
}
