//! The slow way: two full folds, every decision kept, everything looked up by going through all of
//! it. Written apart from the engine, so that both can be wrong only alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use weir_engine::backtest::Kind;
use weir_rules::{Execution, Settings, State, step};
use weir_schema::{
    Body, Decision, Digest, ManifestResolved, PromotionOutcome, ReasonCode, RuleFile,
    RulesActivated, Timestamp, Verdict,
};

/// A recorded input.
pub type Input = (Timestamp, Body);

/// What a difference comes to, as texts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub kind: Kind,
    /// The place of the input among all, from 1.
    pub ordinal: usize,
    pub rule: String,
    pub source: String,
    pub digest: Digest,
    /// Target and input of the promotion, on the old side and the new one.
    pub promoted: [Option<(String, usize)>; 2],
}

/// Decisions, promotions and violations.
pub type Counts = [u64; 3];

/// What both sides come to.
#[derive(Debug, Default)]
pub struct Slow {
    pub lines: Vec<Line>,
    /// By repository, on the old side and the new one.
    pub counts: [BTreeMap<String, Counts>; 2],
}

#[derive(Debug, Clone)]
struct Said {
    ordinal: usize,
    binding: usize,
    decision: Decision,
}

#[derive(Default)]
struct Side {
    all: Vec<Said>,
    violations: Vec<(usize, bool, weir_schema::Violation)>,
    counts: BTreeMap<String, Counts>,
}

/// Compares the history under both rule sets. `old` without rules is what was in force.
pub fn compare(inputs: &[Input], old: Option<&[RuleFile]>, new: &[RuleFile]) -> Slow {
    compare_own(inputs, &vec![true; inputs.len()], old, new)
}

/// The same, of a history some of whose outcomes are those of Weir's `own` promotions.
pub fn compare_own(
    inputs: &[Input],
    own: &[bool],
    old: Option<&[RuleFile]>,
    new: &[RuleFile],
) -> Slow {
    let given = given(inputs, own);
    let puts_in_force = |(_, body): &&Input| matches!(body, Body::RulesActivated(_));
    let first = given.iter().position(|input| puts_in_force(&input));
    let old_side = match old {
        Some(files) => fold(&replaced(&given, None, files)),
        None => fold(&begun(&given, None)),
    };
    let new_side = match (old, first) {
        (None, Some(first)) => fold(&replaced(&given, Some(first), new)),
        _ => fold(&replaced(&given, None, new)),
    };
    let mut lines = differences(&old_side, &new_side);
    lines.sort();
    Slow {
        lines,
        counts: [old_side.counts, new_side.counts],
    }
}

/// The inputs with the beginning before them.
fn begun(given: &[Input], rules: Option<&[RuleFile]>) -> Vec<Option<Input>> {
    let at = given.first().map_or(Timestamp::EPOCH, |(at, _)| *at);
    let begin = rules.map(|files| (at, activated(files)));
    std::iter::once(begin)
        .chain(given.iter().cloned().map(Some))
        .collect()
}

fn activated(files: &[RuleFile]) -> Body {
    Body::RulesActivated(RulesActivated {
        files: files.to_vec(),
        actor: None,
    })
}

/// The inputs with `files` in force from the input `place` on, or from the beginning.
fn replaced(given: &[Input], place: Option<usize>, files: &[RuleFile]) -> Vec<Option<Input>> {
    let mut all = begun(given, place.is_none().then_some(files));
    for (number, (at, body)) in given.iter().enumerate() {
        if matches!(body, Body::RulesActivated(_)) {
            let body = match place == Some(number) {
                true => activated(files),
                false => Body::ClockTicked,
            };
            all[number + 1] = Some((*at, body));
        }
    }
    all
}

fn fold(inputs: &[Option<Input>]) -> Side {
    let mut state = State::new(Settings::default());
    let mut side = Side::default();
    let mut begins: Vec<u64> = Vec::new();
    for (ordinal, input) in inputs.iter().enumerate() {
        let Some((at, body)) = input else {
            begins.push(0);
            continue;
        };
        let taken = step(&mut state, *at, body, Execution::AtOnce);
        begins.push(taken.seq);
        for conclusion in taken.conclusions {
            match conclusion.body {
                Body::DecisionMade(decision) => {
                    let source = &decision.source;
                    let counts = side.counts.entry(source.repository.to_string());
                    let counts = counts.or_default();
                    counts[0] += 1;
                    counts[1] += u64::from(decision.promotion_id.is_some());
                    let bound = state.binding(source.repository.as_str(), source.tag.as_str());
                    let binding = match bound {
                        Some((digest, record)) if Some(digest) == source.digest.as_ref() => begins
                            .iter()
                            .rposition(|begun| *begun <= record)
                            .expect("a record is within a step"),
                        _ => ordinal,
                    };
                    side.all.push(Said {
                        ordinal,
                        binding,
                        decision,
                    });
                }
                Body::ViolationFound(violation) => {
                    let counts = side.counts.entry(violation.repository.to_string());
                    counts.or_default()[2] += 1;
                    side.violations.push((ordinal, true, violation));
                }
                Body::ViolationCleared(violation) => {
                    side.violations.push((ordinal, false, violation));
                }
                _ => {}
            }
        }
    }
    side
}

// What is given.

/// The inputs without what Weir itself did.
pub fn given(inputs: &[Input], own: &[bool]) -> Vec<Input> {
    let mut heard: Vec<Option<usize>> = Vec::new();
    let mut given = Vec::new();
    for (place, (at, body)) in inputs.iter().enumerate() {
        let echo = echo(inputs, own, place, &heard);
        heard.push(echo.filter(|copy| *copy != usize::MAX));
        let body = match body {
            Body::PromotionStarted(_) | Body::PromotionCompleted(_) | Body::PromotionFailed(_)
                if own[place] =>
            {
                Body::ClockTicked
            }
            Body::PromotionRetried(_) => Body::ClockTicked,
            Body::ImagePushed(push) if echo.is_some() => Body::ManifestResolved(ManifestResolved {
                digest: push.digest.clone(),
                media_type: push.media_type.clone(),
                manifests: push.manifests.clone(),
                annotations: push.annotations.clone(),
                artifact_type: push.artifact_type.clone(),
                config_digest: None,
                subject: None,
                labels: None,
            }),
            other => other.clone(),
        };
        given.push((*at, body));
    }
    given
}

/// The start of the copy that the push at `place` tells of; `usize::MAX` for a part of one.
fn echo(inputs: &[Input], own: &[bool], place: usize, heard: &[Option<usize>]) -> Option<usize> {
    let Body::ImagePushed(push) = &inputs[place].1 else {
        return None;
    };
    for start in (0..place).rev() {
        let Some(outcome) = begins(inputs, own, start) else {
            continue;
        };
        let between = &inputs[start + 1..place];
        // A copy begins once, however often that is said; one that failed may begin again.
        let begun = (0..start).any(|earlier| {
            let same = |other: &PromotionOutcome| {
                other.promotion_id == outcome.promotion_id && other.target == outcome.target
            };
            begins(inputs, own, earlier).is_some_and(same)
                && !failed(inputs, own, earlier + 1..start, outcome)
        });
        if begun {
            continue;
        }
        if outcome.target.repository != push.repository.to_string() {
            continue;
        }
        let Some(tag) = &push.tag else {
            let parts = parts(&inputs[..start], outcome.source.digest.as_ref()?);
            let moved = outcome.source.repository != push.repository;
            if moved && parts.contains(&push.digest) {
                let over = between.iter().any(|(_, body)| match body {
                    Body::ManifestDeleted(gone) => {
                        gone.repository == push.repository && gone.digest == push.digest
                    }
                    Body::RepositoryDeleted(gone) => gone.repository == push.repository,
                    Body::ImagePushed(other) => {
                        other.tag.is_none()
                            && other.repository == push.repository
                            && other.digest == push.digest
                    }
                    _ => false,
                });
                // Of two copies of the same the later one is told of.
                return (!over).then_some(usize::MAX);
            }
            continue;
        };
        let same = outcome.target.tag == tag.to_string()
            && outcome.source.digest.as_ref() == Some(&push.digest);
        if !same || failed(inputs, own, start + 1..place, outcome) {
            continue;
        }
        let echoes = (start + 1..place).filter(|other| heard[*other] == Some(start));
        let actors = echoes.map(|other| match &inputs[other].1 {
            Body::ImagePushed(push) => push.actor.clone(),
            _ => unreachable!("only pushes are echoes"),
        });
        let actors: Vec<Option<String>> = actors.collect();
        let overtaken = overtaken(inputs, own, start, place, heard);
        let is_echo = match actors.first() {
            None => true,
            Some(actor) => !overtaken && *actor == push.actor,
        };
        if is_echo {
            return Some(start);
        }
    }
    None
}

/// The copy of its own that Weir begins at `place`: one of which it was never said that it began, began
/// when it was completed at the latest.
fn begins<'a>(inputs: &'a [Input], own: &[bool], place: usize) -> Option<&'a PromotionOutcome> {
    match &inputs[place].1 {
        Body::PromotionStarted(outcome) | Body::PromotionCompleted(outcome) if own[place] => {
            Some(outcome)
        }
        _ => None,
    }
}

fn failed(
    inputs: &[Input],
    own: &[bool],
    mut between: Range<usize>,
    outcome: &PromotionOutcome,
) -> bool {
    between.any(|place| match &inputs[place].1 {
        // One of the same name to another place is another: only others than Weir say so.
        Body::PromotionFailed(other) => {
            own[place]
                && other.promotion_id == outcome.promotion_id
                && other.target == outcome.target
        }
        _ => false,
    })
}

/// Whether others moved or deleted the tag after the copy was completed.
fn overtaken(
    inputs: &[Input],
    own: &[bool],
    start: usize,
    place: usize,
    heard: &[Option<usize>],
) -> bool {
    let Some(copy) = begins(inputs, own, start) else {
        return false;
    };
    let mut completed = matches!(inputs[start].1, Body::PromotionCompleted(_));
    (start + 1..place).any(|other| {
        let here = |repository: &weir_schema::RepositoryName| {
            repository.to_string() == copy.target.repository
        };
        let after = completed;
        let moved = match &inputs[other].1 {
            Body::PromotionCompleted(outcome)
                if own[other] && outcome.promotion_id == copy.promotion_id =>
            {
                completed = true;
                false
            }
            Body::PromotionCompleted(outcome) => outcome.target == copy.target,
            Body::ImagePushed(push) => {
                here(&push.repository)
                    && push
                        .tag
                        .as_ref()
                        .is_some_and(|tag| tag.to_string() == copy.target.tag)
                    && heard[other].is_none()
                    && Some(&push.digest) != copy.source.digest.as_ref()
            }
            Body::TagDeleted(gone) => {
                here(&gone.repository) && gone.tag.to_string() == copy.target.tag
            }
            Body::ManifestDeleted(gone) => {
                here(&gone.repository) && Some(&gone.digest) == copy.source.digest.as_ref()
            }
            Body::RepositoryDeleted(gone) => here(&gone.repository),
            _ => false,
        };
        after && moved
    })
}

/// A manifest and everything below it, as far as it was known.
fn parts(inputs: &[Input], whole: &Digest) -> BTreeSet<Digest> {
    let mut found = BTreeSet::from([whole.clone()]);
    let mut open = vec![whole.clone()];
    while let Some(next) = open.pop() {
        let manifests = inputs.iter().find_map(|(_, body)| match body {
            Body::ImagePushed(push) if push.digest == next => push.manifests.clone(),
            Body::ManifestResolved(facts) if facts.digest == next => facts.manifests.clone(),
            _ => None,
        });
        for child in manifests.into_iter().flatten() {
            if found.insert(child.digest.clone()) {
                open.push(child.digest);
            }
        }
    }
    found
}

// What is different.

/// Rule, source and digest.
type Subject = (String, String, Digest);

fn subject(said: &Said) -> Option<Subject> {
    let decision = &said.decision;
    let source = &decision.source;
    let digest = source.digest.clone()?;
    (decision.verdict != Verdict::Withdrawn).then(|| {
        let tag = format!("{}:{}", source.repository, source.tag);
        (decision.rule.to_string(), tag, digest)
    })
}

/// By subject and binding, all that was said.
fn by_subject(side: &Side) -> BTreeMap<Subject, BTreeMap<usize, Vec<Said>>> {
    let mut sorted: BTreeMap<Subject, BTreeMap<usize, Vec<Said>>> = BTreeMap::new();
    for said in &side.all {
        if let Some(subject) = subject(said) {
            let bindings = sorted.entry(subject).or_default();
            bindings.entry(said.binding).or_default().push(said.clone());
        }
    }
    sorted
}

fn differences(old: &Side, new: &Side) -> Vec<Line> {
    let (before, after) = (by_subject(old), by_subject(new));
    let subjects: BTreeSet<&Subject> = before.keys().chain(after.keys()).collect();
    let mut lines = Vec::new();
    let mut alone: [Vec<(Subject, Vec<Said>)>; 2] = Default::default();
    let mut on_both: BTreeSet<(String, String, Digest)> = BTreeSet::new();
    for subject in subjects {
        let mut old = before.get(subject).cloned().unwrap_or_default();
        let mut new = after.get(subject).cloned().unwrap_or_default();
        let bindings: Vec<usize> = old.keys().copied().collect();
        let mut pairs = Vec::new();
        for binding in bindings {
            if let Some(other) = new.remove(&binding) {
                pairs.push((old.remove(&binding).expect("its key"), other, true));
            }
        }
        while !old.is_empty() && !new.is_empty() {
            let (_, one) = old.pop_first().expect("not empty");
            let (_, other) = new.pop_first().expect("not empty");
            pairs.push((one, other, false));
        }
        for (one, other, same_binding) in pairs {
            for (target, _) in promoted(&one) {
                if promoted(&other).iter().any(|(place, _)| *place == target) {
                    on_both.insert((subject.0.clone(), target, subject.2.clone()));
                }
            }
            pair(subject, &one, &other, same_binding, &mut lines);
        }
        alone[0].extend(old.into_values().map(|said| (subject.clone(), said)));
        alone[1].extend(new.into_values().map(|said| (subject.clone(), said)));
    }
    let [old_alone, mut new_alone] = alone;
    for (subject, said) in old_alone {
        let last = |said: &[Said]| said.last().map(|said| said.decision.verdict);
        let twin = new_alone.iter().position(|(other, by_other)| {
            let together = !promoted(&said).is_empty() || by_other[0].ordinal == said[0].ordinal;
            let by_hand = [&other.0, &subject.0].contains(&&weir_rules::MANUAL.to_owned());
            (&other.1, &other.2) == (&subject.1, &subject.2)
                && together
                && !by_hand
                && promoted(by_other) == promoted(&said)
                && last(by_other) == last(&said)
        });
        match twin {
            Some(twin) => {
                let (other, by_other) = new_alone.remove(twin);
                let first = promoted(&said).into_iter().next();
                let ordinal = said[0].ordinal.max(by_other[0].ordinal);
                let promoted = [first.clone(), first];
                lines.push(line(Kind::OtherRule, ordinal, &other, promoted));
            }
            None => only(0, &subject, &said, &mut lines),
        }
    }
    for (subject, said) in new_alone {
        only(1, &subject, &said, &mut lines);
    }
    violations(old, new, &on_both, &mut lines);
    lines
}

fn line(
    kind: Kind,
    ordinal: usize,
    subject: &Subject,
    promoted: [Option<(String, usize)>; 2],
) -> Line {
    let (rule, source, digest) = subject.clone();
    Line {
        kind,
        ordinal,
        rule,
        source,
        digest,
        promoted,
    }
}

/// Where it was promoted to, and by which input; each target once.
fn promoted(said: &[Said]) -> Vec<(String, usize)> {
    let mut all: Vec<(String, usize)> = Vec::new();
    for said in said {
        let target = &said.decision.target;
        let target = format!("{}:{}", target.repository, target.tag);
        let is_new = all.iter().all(|(known, _)| *known != target);
        if said.decision.promotion_id.is_some() && is_new {
            all.push((target, said.ordinal));
        }
    }
    all
}

/// The last target that was found to hold the digest already.
fn already_there(said: &[Said]) -> Option<String> {
    let last = said.iter().rfind(|said| {
        let mut reasons = said.decision.reasons.iter();
        said.decision.promotion_id.is_none()
            && reasons.any(|reason| reason.code == ReasonCode::AlreadyThere)
    })?;
    let target = &last.decision.target;
    Some(format!("{}:{}", target.repository, target.tag))
}

fn pair(subject: &Subject, old: &[Said], new: &[Said], same_binding: bool, lines: &mut Vec<Line>) {
    let (before, after) = (promoted(old), promoted(new));
    let first = lines.len();
    let find = |all: &[(String, usize)], target: &str| {
        all.iter().find(|(known, _)| known == target).cloned()
    };
    let mut gained: Vec<_> = after
        .iter()
        .filter(|one| find(&before, &one.0).is_none())
        .filter(|one| already_there(old).as_ref() != Some(&one.0))
        .collect();
    for one in &before {
        match find(&after, &one.0) {
            Some(other) if other.1 == one.1 => {}
            Some(other) => {
                let kind = if other.1 < one.1 {
                    Kind::Earlier
                } else {
                    Kind::Later
                };
                let ordinal = one.1.min(other.1);
                lines.push(line(
                    kind,
                    ordinal,
                    subject,
                    [Some(one.clone()), Some(other)],
                ));
            }
            None if already_there(new).as_ref() == Some(&one.0) => {}
            None if gained.is_empty() => {
                lines.push(line(Kind::Never, one.1, subject, [Some(one.clone()), None]));
            }
            None => {
                let other = gained.remove(0).clone();
                let ordinal = one.1.min(other.1);
                let promoted = [Some(one.clone()), Some(other)];
                lines.push(line(Kind::Elsewhere, ordinal, subject, promoted));
            }
        }
    }
    for other in gained {
        lines.push(line(
            Kind::Newly,
            other.1,
            subject,
            [None, Some(other.clone())],
        ));
    }
    if lines.len() > first {
        return;
    }
    let last_word = |said: &[Said], upto: usize| {
        let last = said.iter().rev().find(|said| said.ordinal <= upto);
        last.map(|said| (said.decision.verdict, said.decision.advisory))
    };
    let ordinals: BTreeSet<usize> = old.iter().chain(new).map(|said| said.ordinal).collect();
    let parted = ordinals
        .iter()
        .find(|ordinal| !same_binding || last_word(old, **ordinal) != last_word(new, **ordinal));
    let differs = ordinals.iter().find(|ordinal| {
        let at = |said: &[Said]| -> Vec<Decision> {
            let here = said.iter().filter(|said| said.ordinal == **ordinal);
            here.map(|said| told(&said.decision)).collect()
        };
        !same_binding || at(old) != at(new)
    });
    let hardness = |said: &[Said]| match said.last().map(|said| said.decision.verdict) {
        Some(Verdict::Wait) => 1,
        Some(Verdict::Block) => 2,
        Some(Verdict::Error) => 3,
        _ => 0,
    };
    let Some(differs) = differs else {
        return;
    };
    let neither = before.is_empty() && after.is_empty();
    let kind = match parted {
        None => Kind::OtherReasons,
        Some(_) if neither && hardness(new) > hardness(old) => Kind::Blocked,
        Some(_) if neither && hardness(new) < hardness(old) => Kind::Unblocked,
        Some(_) => Kind::Meanwhile,
    };
    let ordinal = *parted.unwrap_or(differs);
    lines.push(line(kind, ordinal, subject, [None, None]));
}

/// A decision without what is each side's own: numbers of records and of rule sets.
fn told(decision: &Decision) -> Decision {
    Decision {
        trigger: 0,
        rules_digest: Digest::of(b""),
        promotion_id: decision.promotion_id.as_ref().map(|_| String::new()),
        ..decision.clone()
    }
}

fn only(which: usize, subject: &Subject, said: &[Said], lines: &mut Vec<Line>) {
    let kinds = [
        [Kind::Never, Kind::Disappears],
        [Kind::Newly, Kind::Appears],
    ][which];
    for one in promoted(said) {
        let mut promoted = [None, None];
        let ordinal = one.1;
        promoted[which] = Some(one);
        lines.push(line(kinds[0], ordinal, subject, promoted));
    }
    if promoted(said).is_empty() {
        lines.push(line(kinds[1], said[0].ordinal, subject, [None, None]));
    }
}

fn violations(old: &Side, new: &Side, on_both: &BTreeSet<Subject>, lines: &mut Vec<Line>) {
    for subject in on_both {
        let of = |side: &Side| -> Vec<(usize, bool)> {
            let own = side.violations.iter().filter(|(_, _, violation)| {
                let tag = format!("{}:{}", violation.repository, violation.tag);
                (&violation.rule.to_string(), &tag, &violation.digest)
                    == (&subject.0, &subject.1, &subject.2)
            });
            own.map(|(ordinal, found, _)| (*ordinal, *found)).collect()
        };
        let (before, after) = (of(old), of(new));
        let ever = |side: &[(usize, bool)]| side.iter().any(|(_, found)| *found);
        let last = |side: &[(usize, bool)]| side.last().is_some_and(|(_, found)| *found);
        let more =
            |a: &[(usize, bool)], b: &[(usize, bool)]| ever(a) && !ever(b) || last(a) && !last(b);
        let kind = if more(&after, &before) {
            Kind::Violated
        } else if more(&before, &after) {
            Kind::NoLongerViolated
        } else {
            continue;
        };
        let differing = before.iter().chain(&after);
        let differing = differing.filter(|one| !before.contains(one) || !after.contains(one));
        let ordinal = differing.map(|(ordinal, _)| *ordinal).min().unwrap_or(0);
        lines.push(line(kind, ordinal, subject, [None, None]));
    }
}
