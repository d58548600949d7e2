//! `evolve`: what each event does to the state. One arm per event, and none can fail: a recorded
//! fact is true even if it is surprising.
//!
//! Beside changing the state it notes what the event touched, so that only those subjects are
//! judged again.

use std::{collections::BTreeSet, sync::Arc};

use weir_schema::{
    Approval, Body, HoldPlaced, ImagePushed, ManifestDeleted, ManifestResolved, OverrideGranted,
    PromotionOutcome, RepositoryConfigured, ScanCompleted, Timestamp, media_type,
};

use crate::state::{
    Alarm, CNAB_COMPONENT_NAME, Child, DigestId, Facts, Hold, Hop, NameId, Origin, Override,
    Progress, Promoted, Promotion, Report, Repository, ScopePattern, State, SubjectKey, TagKey,
    TagState, TargetBefore, Vote, cnab_type, is_attestation,
};

/// What an event touched.
#[derive(Debug, Default)]
pub(crate) struct Touched {
    /// Subjects to judge again.
    pub(crate) subjects: BTreeSet<SubjectKey>,
    /// Promoted tags to look at again.
    pub(crate) promoted: BTreeSet<TagKey>,
    /// Promotions whose source tag moved before the copy began.
    pub(crate) superseded: BTreeSet<u64>,
    /// Promotions that were given up and are to be tried once more.
    pub(crate) retried: BTreeSet<u64>,
    /// A promotion by hand was asked for.
    pub(crate) requested: bool,
}

impl State {
    /// Takes a record into the state.
    pub(crate) fn evolve(&mut self, seq: u64, at: Timestamp, body: &Body, touched: &mut Touched) {
        self.seq = seq;
        self.now = self.now.max(at);
        match body {
            Body::RepositoryCreated(data) => {
                self.intern_repository(data.repository.as_str());
            }
            Body::RepositoryDeleted(data) => {
                let repository = self.intern_repository(data.repository.as_str());
                for tag in self.tags_of(repository) {
                    self.remove_tag(tag, touched);
                }
            }
            Body::RepositoryConfigured(data) => self.configured(data, touched),
            Body::ImagePushed(data) => self.pushed(data, touched),
            Body::ManifestResolved(data) => self.resolved(data, touched),
            Body::TagDeleted(data) => {
                let key = self.tag_key(data.repository.as_str(), data.tag.as_str());
                self.remove_tag(key, touched);
            }
            Body::ManifestDeleted(data) => self.manifest_deleted(data, touched),
            Body::ScanStarted(data) => {
                let digest = self.intern_digest(&data.digest);
                let scanner = self.names.intern(&data.scanner.name);
                self.scan_started(digest, scanner);
                self.touch_above(digest, touched);
            }
            Body::ScanCompleted(data) => self.completed(data, touched),
            Body::ScanFailed(data) => {
                let digest = self.intern_digest(&data.digest);
                let scanner = self.names.intern(&data.scanner.name);
                let reason = self.names.intern(&data.reason);
                self.scan_failed(digest, scanner, reason);
                self.touch_above(digest, touched);
            }
            Body::ScannerUpdated(data) => {
                let scanner = self.names.intern(&data.scanner.name);
                if let Some(at) = data.scanner.db_updated_at {
                    self.scanner_databases.insert(scanner, at);
                }
            }
            Body::OverrideGranted(data) => self.override_granted(data, touched),
            Body::OverrideRevoked(data) => self.override_ended(&data.override_id, touched),
            Body::ApprovalGranted(data) => {
                let vote = Vote {
                    actor: self.names.intern(&data.actor),
                    at: self.now,
                    comment: data.comment.clone(),
                };
                let votes = self.votes(data, touched);
                // A second vote of one person is the same vote.
                if !votes.iter().any(|known| known.actor == vote.actor) {
                    votes.push(vote);
                }
            }
            Body::ApprovalRevoked(data) => {
                let actor = self.names.intern(&data.actor);
                self.votes(data, touched).retain(|vote| vote.actor != actor);
            }
            Body::HoldPlaced(data) => self.hold_placed(data, touched),
            Body::HoldReleased(data) => {
                if let Some(hold) = self.holds.remove(&data.hold_id) {
                    self.touch_held(&hold, touched);
                }
            }
            Body::PromotionRequested(_) => touched.requested = true,
            Body::PromotionRetried(data) => self.promotion_retried(&data.promotion_id, touched),
            Body::RulesActivated(data) => {
                match self.load_rules(&data.files) {
                    Ok(()) => self.rules_activated(touched),
                    // The rules in force stay. Whoever sends a rule set checks it before; one that
                    // is refused all the same is shown by the status.
                    Err(errors) => self.rules_refused = Some(errors),
                }
            }
            Body::PromotionStarted(data) => {
                if let Some(promotion) = self.promotion_mut(&data.promotion_id) {
                    promotion.progress = Progress::Started;
                    promotion.attempts = data.attempts.unwrap_or(promotion.attempts + 1);
                    promotion.error = None;
                }
            }
            Body::PromotionCompleted(data) => self.promotion_completed(data, touched),
            Body::PromotionFailed(data) => self.promotion_failed(data, touched),
            // Conclusions are taken into the state where they are drawn.
            Body::DecisionMade(_) | Body::ViolationFound(_) | Body::ViolationCleared(_) => {}
            Body::ScanRequested(_)
            | Body::ClockTicked
            | Body::InputRejected(_)
            | Body::Unknown(_) => {}
        }
    }

    /// Takes in that time has passed: what was due is touched.
    pub(crate) fn wake(&mut self, touched: &mut Touched) {
        while let Some((at, alarm)) = self.alarms.first().copied() {
            if at > self.now {
                break;
            }
            self.set_alarm(alarm, None);
            match alarm {
                Alarm::Subject(key) => {
                    touched.subjects.insert(key);
                }
                Alarm::Promoted(tag) => {
                    touched.promoted.insert(tag);
                }
                Alarm::Override(id) => {
                    let id = self.text(id).to_string();
                    self.touch_override(&id, touched);
                }
            }
        }
        for alarm in &self.restless {
            match alarm {
                Alarm::Subject(key) => {
                    touched.subjects.insert(*key);
                }
                Alarm::Promoted(tag) => {
                    touched.promoted.insert(*tag);
                }
                Alarm::Override(_) => {}
            }
        }
    }

    // Tags and manifests.

    fn tag_key(&mut self, repository: &str, tag: &str) -> TagKey {
        (self.intern_repository(repository), self.names.intern(tag))
    }

    pub(crate) fn tags_of(&self, repository: NameId) -> Vec<TagKey> {
        let first = (repository, NameId::FIRST);
        self.tags
            .range(first..)
            .map(|(key, _)| *key)
            .take_while(|key| key.0 == repository)
            .collect()
    }

    fn configured(&mut self, data: &RepositoryConfigured, touched: &mut Touched) {
        let id = self.intern_repository(data.repository.as_str());
        if let Some(repository) = self.repositories.get_mut(&id) {
            repository.immutable_tags = data.immutable_tags;
        }
        for tag in self.tags_of(id) {
            self.touch_tag(tag, touched);
        }
        let into = self
            .by_target
            .range((id, NameId::FIRST)..)
            .take_while(|(key, _)| key.0 == id);
        touched
            .subjects
            .extend(into.flat_map(|(_, subjects)| subjects.iter().copied()));
    }

    fn pushed(&mut self, data: &ImagePushed, touched: &mut Touched) {
        let repository = self.intern_repository(data.repository.as_str());
        let digest = self.learn(
            &data.digest,
            &Facts {
                media_type: &data.media_type,
                size: data.size,
                artifact_type: data.artifact_type.as_deref(),
                annotations: data.annotations.as_ref(),
                labels: None,
                manifests: data.manifests.as_deref(),
                config_digest: None,
                subject: None,
            },
            touched,
        );
        self.present(repository, digest, touched);
        if let Some(tag) = &data.tag {
            let key = (repository, self.names.intern(tag.as_str()));
            let actor = data.actor.as_deref().map(|actor| self.names.intern(actor));
            self.learn_referrer_tag(tag.as_str(), digest, touched);
            self.point(key, digest, actor, None, touched);
        }
    }

    fn resolved(&mut self, data: &ManifestResolved, touched: &mut Touched) {
        let facts = Facts {
            media_type: &data.media_type,
            size: None,
            artifact_type: data.artifact_type.as_deref(),
            annotations: data.annotations.as_ref(),
            labels: data.labels.as_ref(),
            manifests: data.manifests.as_deref(),
            config_digest: data.config_digest.as_ref(),
            subject: data.subject.as_ref(),
        };
        self.learn(&data.digest, &facts, touched);
    }

    /// Adds what is said of a manifest to what is known.
    pub(crate) fn learn(
        &mut self,
        digest: &weir_schema::Digest,
        facts: &Facts<'_>,
        touched: &mut Touched,
    ) -> DigestId {
        let id = self.intern_digest(digest);
        let media_type = self.names.intern(facts.media_type);
        let artifact_type = facts
            .artifact_type
            .filter(|kind| !kind.is_empty())
            .map(|kind| self.names.intern(kind));
        // A source that did not know what it was is corrected by one that does.
        let untold = self.is_untold(id);
        let manifest = self.manifest_mut(id);
        let mut changed =
            manifest.media_type.is_none() || (untold && facts.media_type != media_type::UNTOLD);
        if changed {
            manifest.media_type = Some(media_type);
        }
        if manifest.size.is_none() && facts.size.is_some() {
            manifest.size = facts.size;
            changed = true;
        }
        if manifest.artifact_type.is_none() && artifact_type.is_some() {
            manifest.artifact_type = artifact_type;
            changed = true;
        }
        for (key, value) in facts.annotations.into_iter().flatten() {
            if manifest.annotation(key).is_none() {
                manifest
                    .details_mut()
                    .annotations
                    .insert(key.clone(), value.clone());
                changed = true;
            }
        }
        for (key, value) in facts.labels.into_iter().flatten() {
            if !manifest
                .details
                .as_ref()
                .is_some_and(|details| details.labels.contains_key(key))
            {
                manifest
                    .details_mut()
                    .labels
                    .insert(key.clone(), value.clone());
                changed = true;
            }
        }
        if let Some(config) = facts.config_digest
            && manifest
                .details
                .as_ref()
                .is_none_or(|details| details.config_digest.is_none())
        {
            manifest.details_mut().config_digest = Some(config.clone());
        }
        changed |= self.learn_children(id, facts.manifests);
        if let Some(subject) = facts.subject {
            self.learn_referrer(subject, id, touched);
        }
        if changed {
            self.forget_structure_above(id);
            self.touch_above(id, touched);
        }
        id
    }

    fn learn_children(
        &mut self,
        id: DigestId,
        manifests: Option<&[weir_schema::Descriptor]>,
    ) -> bool {
        let (Some(manifests), None) = (manifests, &self.manifest(id).children) else {
            return false;
        };
        if !self.is_index(id) {
            // A cosmetic list in an image's manifest says nothing.
            return false;
        }
        let children: Arc<[Child]> = manifests
            .iter()
            .map(|descriptor| {
                let annotation = |key: &str| descriptor.annotations.as_ref()?.get(key).cloned();
                Child {
                    digest: self.intern_digest(&descriptor.digest),
                    is_index: media_type::is_index(&descriptor.media_type),
                    cnab: cnab_type(descriptor.annotations.as_ref()),
                    attestation: is_attestation(descriptor),
                    non_image: media_type::is_non_image_artifact(
                        descriptor.artifact_type.as_deref(),
                    ),
                    component: annotation(CNAB_COMPONENT_NAME).map(|name| self.names.intern(&name)),
                    platform: descriptor.platform.clone().map(Arc::new),
                }
            })
            .collect();
        for child in children.iter() {
            let parents = &mut self.manifest_mut(child.digest).parents;
            if let Err(place) = parents.binary_search(&id) {
                parents.insert(place, id);
            }
        }
        let manifest = self.manifest_mut(id);
        manifest.children = Some(children);
        manifest.descriptors = Some(manifests.into());
        true
    }

    fn learn_referrer(
        &mut self,
        subject: &weir_schema::Digest,
        referrer: DigestId,
        touched: &mut Touched,
    ) {
        let subject = self.intern_digest(subject);
        let details = self.manifest_mut(referrer).details_mut();
        if details.subject.is_some() {
            return;
        }
        details.subject = Some(subject);
        let referrers = &mut self.manifest_mut(subject).details_mut().referrers;
        if let Err(place) = referrers.binary_search(&referrer) {
            referrers.insert(place, referrer);
        }
        self.touch_above(subject, touched);
    }

    /// Cosign's tag scheme: `sha256-<hex>.sig` says what it refers to by its name.
    fn learn_referrer_tag(&mut self, tag: &str, referrer: DigestId, touched: &mut Touched) {
        let Some(rest) = tag.strip_prefix("sha256-") else {
            return;
        };
        let (hex, suffix) = rest.split_once('.').unwrap_or((rest, ""));
        if matches!(suffix, "sig" | "att" | "sbom")
            && let Ok(subject) = format!("sha256:{hex}").parse()
        {
            self.learn_referrer(&subject, referrer, touched);
        }
    }

    fn forget_structure_above(&mut self, digest: DigestId) {
        for index in self.above(digest) {
            self.manifest_mut(index).structure = None;
        }
    }

    /// Notes a push: what is there proves itself, and an index proves its children.
    fn present(&mut self, repository: NameId, digest: DigestId, touched: &mut Touched) {
        let mut changed = self.deletions.remove(&(repository, digest)).is_some();
        // What it is may be told later; if it is an index then, this push proved its children.
        if self.is_index(digest) || self.is_untold(digest) {
            self.index_pushes.insert((repository, digest), self.seq);
            changed |= self.has_deletions(repository);
        }
        if changed {
            self.touch_above(digest, touched);
        }
    }

    fn has_deletions(&self, repository: NameId) -> bool {
        let first = (repository, DigestId::FIRST);
        self.deletions
            .range(first..)
            .next()
            .is_some_and(|(key, _)| key.0 == repository)
    }

    fn manifest_deleted(&mut self, data: &ManifestDeleted, touched: &mut Touched) {
        let repository = self.intern_repository(data.repository.as_str());
        let digest = self.intern_digest(&data.digest);
        self.deletions.insert((repository, digest), self.seq);
        let here: Vec<TagKey> = self
            .manifest(digest)
            .tags
            .iter()
            .copied()
            .filter(|tag| tag.0 == repository)
            .collect();
        for tag in here {
            self.remove_tag(tag, touched);
        }
        self.touch_above(digest, touched);
    }

    /// Makes a tag point at a digest. The same digest again makes no new binding.
    fn point(
        &mut self,
        key: TagKey,
        digest: DigestId,
        actor: Option<NameId>,
        origin: Option<Arc<Origin>>,
        touched: &mut Touched,
    ) {
        let previous = self.tags.get(&key).cloned();
        if let Some(mut same) = previous.clone().filter(|tag| tag.digest == digest) {
            if origin.is_some() {
                same.origin = origin;
                self.tags.insert(key, same);
                self.touch_tag(key, touched);
            }
            return;
        }
        self.unbind(key, touched);
        // The registry's notification may come before the word that the copy is done.
        let origin = origin.or_else(|| self.origin_on_its_way(key, digest));
        self.tags.insert(
            key,
            TagState {
                digest,
                binding: self.seq,
                bound_at: self.now,
                pushed_by: actor,
                previous: previous.map(|tag| tag.digest),
                origin,
            },
        );
        let tags = &mut self.manifest_mut(digest).tags;
        if let Err(place) = tags.binary_search(&key) {
            tags.insert(place, key);
        }
        self.touch_tag(key, touched);
    }

    /// Takes away what a tag pointed at and everything that hung on that.
    fn unbind(&mut self, key: TagKey, touched: &mut Touched) {
        let Some(old) = self.tags.remove(&key) else {
            return;
        };
        let tags = &mut self.manifest_mut(old.digest).tags;
        if let Ok(place) = tags.binary_search(&key) {
            tags.remove(place);
        }
        if self.promoted.remove(&key).is_some() {
            self.set_alarm(Alarm::Promoted(key), None);
            self.restless.remove(&Alarm::Promoted(key));
        }
        if let Some(waiting) = self.promotions_from.get(&key) {
            let promotions = &self.promotions;
            let not_begun = |id: &u64| {
                promotions
                    .get(id)
                    .is_some_and(|one| one.progress == Progress::Decided)
            };
            touched
                .superseded
                .extend(waiting.iter().copied().filter(not_begun));
        }
    }

    fn remove_tag(&mut self, key: TagKey, touched: &mut Touched) {
        self.unbind(key, touched);
        self.touch_tag(key, touched);
    }

    // Scans.

    fn completed(&mut self, data: &ScanCompleted, touched: &mut Touched) {
        let scanner = self.names.intern(&data.scanner.name);
        let report = Report::new(
            data.findings.clone(),
            data.counts.clone().unwrap_or_default(),
            data.licenses.clone().unwrap_or_default(),
        );
        let database = data.scanner.db_updated_at;
        let covered = data
            .covers
            .iter()
            .flatten()
            .chain(std::iter::once(&data.digest));
        let covered: BTreeSet<&weir_schema::Digest> = covered.collect();
        for digest in covered {
            let digest = self.intern_digest(digest);
            self.scan_completed(digest, scanner, report.clone(), data.scanned_at, database);
            self.touch_above(digest, touched);
        }
    }

    // People.

    fn override_granted(&mut self, data: &OverrideGranted, touched: &mut Touched) {
        self.override_ended(&data.override_id, touched);
        let scope = data.scope.clone().unwrap_or_default();
        let granted = Override {
            vulnerability: data.vulnerability.clone(),
            reason: data.reason.clone(),
            actor: data.actor.clone(),
            repository: scope.repository.as_deref().map(ScopePattern::new),
            digest: scope.digest,
            package: scope.package,
            expires_at: data.expires_at,
            status: data.status.clone(),
        };
        self.put_override(data.override_id.clone(), granted);
        self.touch_override(&data.override_id, touched);
    }

    pub(crate) fn put_override(&mut self, id: String, granted: Override) {
        if let Some(end) = granted.expires_at
            && end > self.now
        {
            let name = self.names.intern(&id);
            self.set_alarm(Alarm::Override(name), Some(end));
        }
        self.overrides_by_vulnerability
            .entry(granted.vulnerability.clone())
            .or_default()
            .insert(id.clone());
        self.overrides.insert(id, granted);
    }

    fn override_ended(&mut self, id: &str, touched: &mut Touched) {
        self.touch_override(id, touched);
        let Some(ended) = self.overrides.remove(id) else {
            return;
        };
        if let Some(ids) = self
            .overrides_by_vulnerability
            .get_mut(&ended.vulnerability)
        {
            ids.remove(id);
            if ids.is_empty() {
                self.overrides_by_vulnerability.remove(&ended.vulnerability);
            }
        }
        let name = self.names.intern(id);
        self.set_alarm(Alarm::Override(name), None);
    }

    fn votes(&mut self, data: &Approval, touched: &mut Touched) -> &mut Vec<Vote> {
        let repository = self.intern_repository(data.repository.as_str());
        let target = self.intern_repository(data.target.as_str());
        let digest = self.intern_digest(&data.digest);
        let tags = self.manifest(digest).tags.clone();
        for tag in tags {
            self.touch_tag(tag, touched);
        }
        self.approvals
            .entry((repository, digest, target))
            .or_default()
    }

    fn hold_placed(&mut self, data: &HoldPlaced, touched: &mut Touched) {
        let scope = data.scope.clone().unwrap_or_default();
        let hold = Hold {
            actor: data.actor.clone(),
            reason: data.reason.clone(),
            repository: scope.repository.as_deref().map(ScopePattern::new),
            digest: scope.digest,
            rule: scope.rule,
        };
        self.touch_held(&hold, touched);
        if let Some(replaced) = self.holds.insert(data.hold_id.clone(), hold) {
            self.touch_held(&replaced, touched);
        }
    }

    // Rules.

    fn rules_activated(&mut self, touched: &mut Touched) {
        touched.subjects.extend(self.subjects.keys().copied());
        let tags: Vec<TagKey> = self.tags.keys().copied().collect();
        for tag in tags {
            self.touch_tag(tag, touched);
        }
    }

    /// Finds the rules of every repository anew.
    pub(crate) fn match_rules(&mut self) {
        let ids: Vec<NameId> = self.repositories.keys().copied().collect();
        for id in ids {
            let name = Arc::clone(self.text(id));
            let old = self.repositories.get(&id).cloned().unwrap_or_default();
            let new = self.matching_rules(
                &name,
                Repository {
                    immutable_tags: old.immutable_tags,
                    ..Repository::default()
                },
            );
            self.repositories.insert(id, new);
        }
    }

    // Promotions.

    pub(crate) fn promotion_mut(&mut self, id: &str) -> Option<&mut Promotion> {
        self.promotions.get_mut(&promotion_number(id)?)
    }

    /// Takes in a promotion that was decided at the present record.
    pub(crate) fn promotion_decided(&mut self, promotion: Promotion) {
        self.put_on_its_way(self.seq, promotion);
    }

    fn put_on_its_way(&mut self, id: u64, promotion: Promotion) {
        self.promotions_to
            .entry(promotion.target)
            .or_default()
            .insert(id);
        self.promotions_from
            .entry(promotion.source)
            .or_default()
            .insert(id);
        self.promotions.insert(id, promotion);
    }

    /// Takes a promotion away, done or overtaken.
    fn drop_promotion(&mut self, id: u64) -> Option<Promotion> {
        let promotion = self.promotions.remove(&id)?;
        self.leave_ways(id, &promotion);
        Some(promotion)
    }

    fn leave_ways(&mut self, id: u64, promotion: &Promotion) {
        for (ways, key) in [
            (&mut self.promotions_to, promotion.target),
            (&mut self.promotions_from, promotion.source),
        ] {
            if let Some(ids) = ways.get_mut(&key) {
                ids.remove(&id);
                if ids.is_empty() {
                    ways.remove(&key);
                }
            }
        }
    }

    /// The origin that a copy under way will give to the tag, if it brings this digest.
    fn origin_on_its_way(&self, key: TagKey, digest: DigestId) -> Option<Arc<Origin>> {
        let ids = self.promotions_to.get(&key)?;
        let promotions = ids.iter().filter_map(|id| self.promotions.get(id));
        let mut begun = promotions
            .filter(|one| one.progress == Progress::Started && one.bound.digest == digest);
        begun.next().map(|promotion| origin(promotion, self.now))
    }

    fn promotion_completed(&mut self, data: &PromotionOutcome, touched: &mut Touched) {
        let known = promotion_number(&data.promotion_id).and_then(|id| self.drop_promotion(id));
        let Some(digest) = &data.source.digest else {
            return;
        };
        let (Ok(repository), Ok(tag)) = (
            data.target
                .repository
                .parse::<weir_schema::RepositoryName>(),
            data.target.tag.parse::<weir_schema::Tag>(),
        ) else {
            return;
        };
        let target = self.tag_key(repository.as_str(), tag.as_str());
        let digest = self.intern_digest(digest);
        let promotion = match known {
            Some(promotion) => promotion,
            None => self.foreign_promotion(data, target, digest),
        };
        self.present(target.0, digest, touched);
        let origin = origin(&promotion, self.now);
        self.point(target, digest, None, Some(origin), touched);
        self.promoted.insert(
            target,
            Promoted {
                rule: promotion.rule,
                source: promotion.source,
                bound: promotion.bound,
                before: promotion.before,
                decided_at: promotion.decided_at,
                violation: None,
            },
        );
        touched.promoted.insert(target);
    }

    /// A completion that no decision of this log asked for: a fact all the same.
    fn foreign_promotion(
        &mut self,
        data: &PromotionOutcome,
        target: TagKey,
        digest: DigestId,
    ) -> Promotion {
        let source = self.tag_key(data.source.repository.as_str(), data.source.tag.as_str());
        let bound = self
            .tags
            .get(&source)
            .filter(|tag| tag.digest == digest)
            .cloned();
        Promotion {
            rule: self.names.intern(&data.rule),
            source,
            bound: bound.unwrap_or(TagState {
                digest,
                binding: 0,
                bound_at: self.now,
                pushed_by: None,
                previous: None,
                origin: None,
            }),
            target,
            before: TargetBefore {
                digest: self.tags.get(&target).map(|tag| tag.digest),
            },
            decided_at: self.now,
            progress: Progress::Started,
            attempts: 0,
            error: None,
        }
    }

    fn promotion_failed(&mut self, data: &PromotionOutcome, touched: &mut Touched) {
        let Some(id) = promotion_number(&data.promotion_id) else {
            return;
        };
        let Some(mut promotion) = self.drop_promotion(id) else {
            return;
        };
        self.touch_target(promotion.target, touched);
        let overtaken = matches!(data.error.as_deref(), Some(SUPERSEDED | WITHDRAWN));
        if !overtaken {
            // Kept, so that it is seen and can be retried; no longer on its way.
            promotion.progress = Progress::Failed;
            promotion.attempts = data.attempts.unwrap_or(promotion.attempts);
            promotion.error.clone_from(&data.error);
            self.promotions.insert(id, promotion);
        }
    }

    /// Takes up a promotion that was given up. If its source tag has moved on since, it is overtaken.
    fn promotion_retried(&mut self, id: &str, touched: &mut Touched) {
        let Some(id) = promotion_number(id) else {
            return;
        };
        let given_up = |one: &&Promotion| one.progress == Progress::Failed;
        if self.promotions.get(&id).filter(given_up).is_none() {
            return;
        }
        let Some(mut promotion) = self.promotions.remove(&id) else {
            return;
        };
        promotion.progress = Progress::Decided;
        promotion.error = None;
        let there = self.tags.get(&promotion.source);
        if there.is_some_and(|tag| tag.binding == promotion.bound.binding) {
            touched.retried.insert(id);
        } else {
            touched.superseded.insert(id);
        }
        self.touch_target(promotion.target, touched);
        self.put_on_its_way(id, promotion);
    }

    // What is touched.

    pub(crate) fn touch_tag(&self, key: TagKey, touched: &mut Touched) {
        if let Some(repository) = self.repositories.get(&key.0) {
            touched
                .subjects
                .extend(repository.paths.iter().map(|path| (key, path.rule_name)));
        }
        // Subjects whose rule is gone or no longer matches still have a verdict to withdraw.
        let first = (key, NameId::FIRST);
        let known = self
            .subjects
            .range(first..)
            .map(|(subject, _)| *subject)
            .take_while(|subject| subject.0 == key);
        touched.subjects.extend(known);
        if self.promoted.contains_key(&key) {
            touched.promoted.insert(key);
        }
        self.touch_target(key, touched);
    }

    /// Touches what would go to a target.
    pub(crate) fn touch_target(&self, target: TagKey, touched: &mut Touched) {
        touched
            .subjects
            .extend(self.by_target.get(&target).into_iter().flatten().copied());
    }

    /// Touches every tag that points at `digest` or at an index above it.
    fn touch_above(&self, digest: DigestId, touched: &mut Touched) {
        for index in self.above(digest) {
            for tag in &self.manifest(index).tags {
                self.touch_tag(*tag, touched);
            }
        }
    }

    fn touch_override(&self, id: &str, touched: &mut Touched) {
        let Some(one) = self.overrides.get(id) else {
            return;
        };
        for leaf in self.reports.leaves_with(&one.vulnerability) {
            self.touch_above(leaf, touched);
        }
    }

    fn touch_held(&self, hold: &Hold, touched: &mut Touched) {
        for (key, subject) in &self.subjects {
            let ((source, _), rule) = *key;
            let target = self.text(subject.target.0);
            if hold.covers(
                self.text(source),
                target,
                self.digest(subject.digest),
                self.text(rule),
            ) {
                touched.subjects.insert(*key);
            }
        }
    }
}

/// The error of a promotion whose source tag moved before the copy began.
pub const SUPERSEDED: &str = "superseded";
/// The error of a promotion whose subject was withdrawn before the copy began.
pub const WITHDRAWN: &str = "withdrawn";

/// The name of the promotion that the record `seq` decided.
pub(crate) fn promotion_id(seq: u64) -> String {
    format!("p{seq}")
}

pub(crate) fn promotion_number(id: &str) -> Option<u64> {
    id.strip_prefix('p')?.parse().ok()
}

fn origin(promotion: &Promotion, at: Timestamp) -> Arc<Origin> {
    let hop = Hop {
        rule: promotion.rule,
        repository: promotion.source.0,
        tag: promotion.source.1,
        at,
    };
    let lineage = promotion
        .bound
        .lineage()
        .iter()
        .cloned()
        .chain(std::iter::once(hop))
        .collect();
    Arc::new(Origin {
        rule: promotion.rule,
        source: promotion.source.0,
        binding: (promotion.bound.binding > 0).then_some(promotion.bound.binding),
        lineage,
    })
}
