//! What the executor says of a copy: that a try begins, and how the promotion ended.

use std::collections::BTreeSet;

use weir_rules::{Copy, OpenCopy, State};
use weir_schema::{Body, PromotionOutcome, Tag};

use crate::{
    daemon::{DaemonError, leader::Acting, own_event},
    node::Trace,
};

/// Says how a copy goes. What is said is in the state before the next one to the same target
/// begins: what that expects to find there depends on it.
pub(super) struct Teller<'a> {
    pub(super) acting: &'a Acting,
    pub(super) order: &'a Copy,
    pub(super) trace: &'a Trace,
}

impl Teller<'_> {
    pub(super) async fn still_open(&self) -> Result<Option<OpenCopy>, DaemonError> {
        let id = self.order.promotion_id.clone();
        let node = &self.acting.shared.node;
        Ok(node.ask(move |state| state.open_copy(&id)).await?)
    }

    /// Whether the source tag is at what was judged, as far as the log knows. A registry that says
    /// otherwise may have moved it since, or answer from a part that is behind.
    pub(super) async fn is_judged(&self) -> Result<bool, DaemonError> {
        let source = self.order.source.clone();
        let node = &self.acting.shared.node;
        let is_judged = move |state: &State| {
            let bound = state.binding(source.repository.as_str(), source.tag.as_str());
            bound.is_some_and(|(digest, _)| Some(digest) == source.digest.as_ref())
        };
        Ok(node.ask(is_judged).await?)
    }

    /// The tags of signatures, attestations and SBOMs that the log knows in the source repository.
    pub(super) async fn known_referrers(&self) -> Result<BTreeSet<Tag>, DaemonError> {
        let source = self.order.source.clone();
        let node = &self.acting.shared.node;
        let known = move |state: &State| {
            let digest = source.digest.as_ref();
            digest.map(|digest| state.cosign_tags(&source.repository, digest))
        };
        Ok(node.ask(known).await?.unwrap_or_default())
    }

    /// A try begins; with what ended the one before.
    pub(super) async fn started(
        &self,
        attempt: u32,
        before: Option<String>,
    ) -> Result<(), DaemonError> {
        let body = Body::PromotionStarted(self.outcome(attempt, before));
        self.say(&format!("started-{attempt}"), body).await
    }

    pub(super) async fn completed(&self, attempt: u32) -> Result<(), DaemonError> {
        let body = Body::PromotionCompleted(self.outcome(attempt, None));
        self.say("completed", body).await?;
        self.see_that_it_ended(attempt).await
    }

    pub(super) async fn failed(&self, attempt: u32, why: String) -> Result<(), DaemonError> {
        let body = Body::PromotionFailed(self.outcome(attempt, Some(why)));
        self.say(&format!("failed-{attempt}"), body).await?;
        self.see_that_it_ended(attempt).await
    }

    /// An outcome that the log does not take leaves its promotion open for ever: nothing else would
    /// tell of that.
    async fn see_that_it_ended(&self, attempt: u32) -> Result<(), DaemonError> {
        let open = self.still_open().await?;
        if open.is_some_and(|open| open.lacks_outcome_of(attempt)) {
            tracing::error!(
                promotion = self.order.promotion_id,
                attempt,
                "its outcome was said and is not in the log, so that the promotion stays open, which is a fault of Weir: please report it with the records of the promotion"
            );
        }
        Ok(())
    }

    fn outcome(&self, attempt: u32, error: Option<String>) -> PromotionOutcome {
        PromotionOutcome {
            promotion_id: self.order.promotion_id.clone(),
            rule: self.order.rule.clone(),
            source: self.order.source.clone(),
            target: self.order.target.clone(),
            attempts: Some(attempt),
            error,
        }
    }

    /// Named for what it says: another node that says the same says nothing new.
    async fn say(&self, what: &str, body: Body) -> Result<(), DaemonError> {
        let id = format!("{}-{what}", self.order.promotion_id);
        let events = vec![own_event(id, body)];
        self.acting.say_and_read(events, self.trace).await
    }
}
