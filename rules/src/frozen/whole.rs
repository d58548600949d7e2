//! The whole state, table by table.

use super::{Freezing, Frozen, KINDS, ThawError, Thawing};
use crate::state::{Kinds, Reports, Settings, State};

impl State {
    /// How many there are of each kind of number, in the order of the kinds.
    pub(super) fn counts(&self) -> [usize; KINDS] {
        let (findings, reports, vulnerabilities) = self.reports.places();
        [
            self.names.len(),
            self.digests.len(),
            self.repositories.len(),
            self.tags.len(),
            self.platforms.len(),
            self.kinds.len(),
            findings,
            reports,
            vulnerabilities,
        ]
    }

    pub(super) fn freeze_rows(&self, to: &mut Freezing<'_>) {
        let Self {
            // Configured, and not recorded.
            settings: _,
            names,
            digests,
            platforms,
            kinds,
            seq,
            now,
            // Made of their files.
            rules: _,
            rules_digest: _,
            rule_files,
            rules_refused,
            repositories,
            manifests,
            contents,
            tags,
            reports,
            scanner_databases,
            overrides,
            approvals,
            holds,
            promotions,
            // Made of the contents.
            by_config: _,
            in_force: _,
            generation,
            promotions_to,
            promotions_from,
            alarms,
            restless,
            held_from,
            held_to,
            watching,
        } = self;
        seq.freeze(to);
        now.freeze(to);
        names.freeze(to);
        digests.freeze(to);
        platforms.freeze(to);
        kinds.freeze(to);
        repositories.freeze(to);
        rule_files.to_vec().freeze(to);
        rules_refused.freeze(to);
        generation.freeze(to);
        manifests.freeze(to);
        contents.freeze(to);
        tags.freeze(to);
        reports.freeze(to);
        scanner_databases.freeze(to);
        overrides.freeze(to);
        approvals.freeze(to);
        holds.freeze(to);
        promotions.freeze(to);
        promotions_to.freeze(to);
        promotions_from.freeze(to);
        alarms.freeze(to);
        restless.freeze(to);
        held_from.freeze(to);
        held_to.freeze(to);
        watching.freeze(to);
    }

    pub(super) fn thaw_rows(from: &mut Thawing<'_>, settings: Settings) -> Result<Self, ThawError> {
        let mut state = Self::new(settings);
        state.seq = Frozen::thaw(from)?;
        state.now = Frozen::thaw(from)?;
        state.names = Frozen::thaw(from)?;
        state.digests = Frozen::thaw(from)?;
        state.platforms = Frozen::thaw(from)?;
        state.kinds = Kinds::thaw(from, &state.names, &state.platforms)?;
        state.repositories = Frozen::thaw(from)?;
        let rule_files: Vec<_> = Frozen::thaw(from)?;
        state.load_rules(&rule_files).map_err(ThawError::Rules)?;
        state.rules_refused = Frozen::thaw(from)?;
        state.generation = Frozen::thaw(from)?;
        state.manifests = Frozen::thaw(from)?;
        state.contents = Frozen::thaw(from)?;
        state.by_config = state.configs().collect();
        state.tags = Frozen::thaw(from)?;
        state.reports = Reports::thaw(from, &state.names)?;
        state.scanner_databases = Frozen::thaw(from)?;
        state.overrides = Frozen::thaw(from)?;
        state.approvals = Frozen::thaw(from)?;
        state.holds = Frozen::thaw(from)?;
        state.promotions = Frozen::thaw(from)?;
        state.promotions_to = Frozen::thaw(from)?;
        state.promotions_from = Frozen::thaw(from)?;
        state.alarms = Frozen::thaw(from)?;
        state.restless = Frozen::thaw(from)?;
        state.held_from = Frozen::thaw(from)?;
        state.held_to = Frozen::thaw(from)?;
        state.watching = Frozen::thaw(from)?;
        let counted = state.counts().map(|count| count as u64);
        let rows = (state.manifests.len(), state.contents.len());
        if counted != from.limits || rows != (state.digests.len(), state.digests.len()) {
            return Err(ThawError::Form("tables of other lengths"));
        }
        Ok(state)
    }
}
