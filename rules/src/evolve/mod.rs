//! `evolve`: what each event does to the state. One arm per event, and none can fail: a recorded
//! fact is true even if it is surprising.
//!
//! Beside changing the state it notes what the event touched, so that only those subjects are
//! judged again.

mod content;
mod people;
mod promotions;
mod scans;
mod tags;
mod touch;

use weir_schema::{Body, Timestamp};

pub(crate) use promotions::promotion_id;
pub use promotions::{SUPERSEDED, WITHDRAWN, promotion_number};
pub(crate) use touch::Touched;

use crate::state::State;

impl State {
    /// Takes a record into the state.
    pub(crate) fn evolve(&mut self, seq: u64, at: Timestamp, body: &Body, touched: &mut Touched) {
        self.seq = seq;
        self.now = self.now.max(at);
        match body {
            Body::RepositoryCreated(data) => {
                self.intern_repository(&data.repository);
            }
            Body::RepositoryDeleted(data) => self.repository_deleted(data, touched),
            Body::RepositoryConfigured(data) => self.configured(data, touched),
            Body::ImagePushed(data) => self.pushed(data, touched),
            Body::ManifestResolved(data) => self.resolved(data, touched),
            Body::TagDeleted(data) => self.tag_deleted(data, touched),
            Body::ManifestDeleted(data) => self.manifest_deleted(data, touched),
            Body::ScanStarted(data) => self.scan_has_started(data, touched),
            Body::ScanCompleted(data) => self.scan_has_completed(data, touched),
            Body::ScanFailed(data) => self.scan_has_failed(data, touched),
            Body::ScannerUpdated(data) => {
                let scanner = self.names.intern(&data.scanner.name);
                if let Some(at) = data.scanner.db_updated_at {
                    self.scanner_databases.insert(scanner, at);
                }
            }
            Body::OverrideGranted(data) => self.override_granted(data, touched),
            Body::OverrideRevoked(data) => {
                let id = self.names.intern(&data.override_id);
                self.override_ended(id, touched);
            }
            Body::ApprovalGranted(data) => self.approved(data, touched),
            Body::ApprovalRevoked(data) => self.approval_revoked(data, touched),
            Body::HoldPlaced(data) => self.hold_placed(data, touched),
            Body::HoldReleased(data) => self.hold_released(&data.hold_id, touched),
            Body::PromotionRetried(data) => self.promotion_retried(&data.promotion_id, touched),
            Body::RulesActivated(data) => {
                match self.load_rules(&data.files) {
                    Ok(()) => self.touch_everything(touched),
                    // The rules in force stay. Whoever sends a rule set checks it before; one that
                    // is refused all the same is shown by the status.
                    Err(errors) => self.rules_refused = Some(errors),
                }
            }
            Body::PromotionStarted(data) => self.promotion_started(data),
            Body::PromotionCompleted(data) => self.promotion_completed(data, touched),
            Body::PromotionFailed(data) => self.promotion_failed(data, touched),
            // Conclusions are taken into the state where they are drawn.
            Body::DecisionMade(_) | Body::ViolationFound(_) | Body::ViolationCleared(_) => {}
            // Judged by the step itself, which knows the request.
            Body::PromotionRequested(_)
            | Body::ScanRequested(_)
            | Body::ClockTicked
            | Body::InputRejected(_)
            | Body::Unknown(_) => {}
        }
    }
}
