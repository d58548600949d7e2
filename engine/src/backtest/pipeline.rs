//! The fold of both sides: decoding on every core ahead of two threads that fold, and one that
//! compares.
//!
//! Where a change touches a part of the registry the history is surveyed first, and only what matters
//! to that part is decoded again and folded.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::AtomicBool,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use hashbrown::{HashMap, HashSet};
use weir_rules::Settings;
use weir_schema::{Body, RuleFile, Timestamp};

use super::{
    BacktestError, Watch,
    compare::{Comparison, Range, Which},
    decoding::in_order,
    given::{Batch, Giver},
    history::{Decoded, Reading, Source},
    index::Index,
    mark::Mark,
    relevant::Relevant,
    report::{ChangedRule, History},
    retelling::retell,
    scope::{Scope, changes},
    side::{Concluded, InForce, Side},
};

/// Batches that may wait for a thread: enough that none waits for another at every batch, little
/// enough that memory does not grow with the history.
pub(super) const WAITING: usize = 4;

/// What the core's deepest recursion takes, with room to spare; the node's thread has the same.
const STACK: usize = 16 << 20;

/// So many inputs are read before it is looked whether most are in the scope: a few hundredths of a
/// second, and enough for the events of any registry to be mixed as they are.
const SAMPLE: usize = 20_000;

/// A fold of both sides.
pub(super) struct Pipeline<'a> {
    pub(super) source: &'a Source,
    pub(super) settings: &'a Settings,
    /// The old side's rules and the new side's.
    pub(super) in_force: [&'a InForce; 2],
    /// Names of the rules of both sides.
    pub(super) rules: Vec<String>,
    pub(super) new_files: &'a [RuleFile],
    pub(super) scope: Arc<Scope>,
    pub(super) range: Range,
    /// Threads that decode.
    pub(super) jobs: Option<NonZeroUsize>,
    pub(super) watch: &'a dyn Watch,
    /// Tells all threads to end.
    pub(super) stopped: &'a AtomicBool,
}

/// What a fold comes to.
pub(super) struct Folded {
    pub(super) comparison: Comparison,
    pub(super) surveyed: Surveyed,
}

/// What is known of a history that was read.
#[derive(Default)]
pub(super) struct Surveyed {
    pub(super) index: Index,
    pub(super) history: History,
    /// Rules that are not the same, where the history puts rules in force.
    changed: BTreeMap<String, ChangedRule>,
    /// It puts several sets in force of which not the same rules are other ones.
    several: bool,
}

/// A batch with what is needed to compare what comes of it.
struct Shared {
    batch: Batch,
    /// How far the history is folded when it is.
    done: u64,
}

type Sends<T> = SyncSender<T>;

/// Where batches go to be folded and compared.
struct Folding {
    sides: [Sends<Arc<Shared>>; 2],
    comparing: Sends<Arc<Shared>>,
}

/// How far a backtest is.
struct Progress {
    /// What was done before this reading.
    before: u64,
    of: u64,
}

impl Surveyed {
    /// Rules that are not the same, where the history put several sets in force.
    pub(super) fn changed(&self) -> Option<Vec<ChangedRule>> {
        self.several
            .then(|| self.changed.values().cloned().collect())
    }
}

impl Folding {
    /// Hands over a batch; says whether somebody takes it.
    fn take(&self, batch: Batch, done: u64) -> bool {
        let shared = Arc::new(Shared { batch, done });
        all_take(&self.sides, &shared) && self.comparing.send(shared).is_ok()
    }
}

impl Pipeline<'_> {
    /// Folds the history, or what matters of it; `None` if everything is to be folded instead.
    pub(super) fn fold(&self) -> Result<Option<Folded>, BacktestError> {
        match *self.scope {
            Scope::Everything => self.fold_everything().map(Some),
            Scope::Of(_) => {
                let Some(surveyed) = self.survey()? else {
                    return Ok(None);
                };
                let comparison = self.fold_scope(&surveyed.index)?;
                Ok(Some(Folded {
                    comparison,
                    surveyed,
                }))
            }
        }
    }

    fn fold_everything(&self) -> Result<Folded, BacktestError> {
        let progress = Progress {
            before: 0,
            of: self.source.end()?,
        };
        let tell = |decoded, folding: &Folding| {
            let mut giver = Giver::new(self.rules.iter().cloned());
            let mut surveyed = Surveyed::default();
            let mut end = 0;
            in_order(decoded, |block| {
                end = block.end;
                let batch = giver.take(block, |body| {
                    self.reaches_beyond(body, &mut surveyed);
                });
                Ok(folding.take(batch, end))
            })?;
            folding.take(giver.finish(), end);
            (surveyed.index, surveyed.history) = (giver.index, giver.history);
            Ok(surveyed)
        };
        let (surveyed, comparison) = self.compared(Reading::Whole, &progress, tell)?;
        Ok(Folded {
            comparison,
            surveyed,
        })
    }

    /// Reads the history without folding it; `None` if something in it reaches beyond the scope, or
    /// most of it is in the scope, so that to read it twice would cost more than it saves.
    fn survey(&self) -> Result<Option<Surveyed>, BacktestError> {
        let end = self.source.end()?;
        let mut giver = Giver::new(self.rules.iter().cloned());
        let mut surveyed = Surveyed::default();
        let (mut whole, mut sampled) = (false, false);
        thread::scope(|scope| {
            let (decoders, decoded) = self.start_decoding(scope, Reading::Outline)?;
            in_order(decoded, |block| {
                giver.look_at(&block, |body| {
                    whole |= self.reaches_beyond(body, &mut surveyed);
                });
                if !sampled && giver.index.inputs.len() >= SAMPLE {
                    sampled = true;
                    whole |= self.touches_most(&giver.index);
                }
                self.watch.folded(block.end, 2 * end);
                Ok(!whole && !self.watch.is_stopped())
            })?;
            self.join(decoders)
        })?;
        giver.finish();
        (surveyed.index, surveyed.history) = (giver.index, giver.history);
        Ok((!whole).then_some(surveyed))
    }

    /// Whether most of the first inputs that are about a repository are about one in the scope.
    fn touches_most(&self, index: &Index) -> bool {
        let mut inside: HashMap<Mark, bool> = HashMap::new();
        let (mut here, mut all) = (0_usize, 0_usize);
        // However the history is cut into blocks.
        for about in index.inputs.iter().take(SAMPLE) {
            if let Some(name) = index.repositories.get(&about.repository) {
                let known = inside.entry(about.repository);
                all += 1;
                here += usize::from(*known.or_insert_with(|| self.scope.contains(name)));
            }
        }
        2 * here > all
    }

    /// Folds what matters to the scope.
    fn fold_scope(&self, index: &Index) -> Result<Comparison, BacktestError> {
        if self.scope.is_empty() {
            return Ok(Comparison::new(Arc::clone(&self.scope), self.range));
        }
        let names = index.repositories.iter();
        let inside = names.filter(|(_, name)| self.scope.contains(name));
        let repositories: HashSet<Mark> = inside.map(|(mark, _)| *mark).collect();
        let last = index.last();
        let places = Relevant::to(repositories, index, last).places(index, last);
        let end = self.source.end()?;
        let progress = Progress {
            before: end,
            of: 2 * end,
        };
        let tell = |decoded, folding: &Folding| {
            retell(index.up_to(last), places.len(), decoded, |batch, done| {
                folding.take(batch, done) && !self.is_stopped()
            })
        };
        let ((), comparison) = self.compared(Reading::At(&places), &progress, tell)?;
        Ok(comparison)
    }

    /// Decodes, folds both sides and compares them, each on threads of its own; `tell` makes batches
    /// of what was decoded.
    fn compared<T: Send>(
        &self,
        reading: Reading<'_>,
        progress: &Progress,
        tell: impl FnOnce(Receiver<(u64, Decoded)>, &Folding) -> Result<T, BacktestError> + Send,
    ) -> Result<(T, Comparison), BacktestError> {
        let (for_old, old_batches) = sync_channel(WAITING);
        let (for_new, new_batches) = sync_channel(WAITING);
        let (comparing, batches) = sync_channel(2 * WAITING);
        let folding = Folding {
            sides: [for_old, for_new],
            comparing,
        };
        let narrowed = !matches!(*self.scope, Scope::Everything);
        thread::scope(|scope| {
            let (decoders, decoded) = self.start_decoding(scope, reading)?;
            let teller = start("tell", scope, move || tell(decoded, &folding))?;
            let mut concluded = Vec::new();
            for (which, batches) in Which::BOTH.into_iter().zip([old_batches, new_batches]) {
                let side = self.side(which, narrowed.then(|| Arc::clone(&self.scope)));
                let (sender, receiver) = sync_channel(WAITING);
                start(thread_of(which), scope, move || {
                    fold_side(side, batches, &sender)
                })?;
                concluded.push(receiver);
            }
            let mut comparison = Comparison::new(Arc::clone(&self.scope), self.range);
            self.compare(&mut comparison, batches, &concluded, progress);
            // Whoever still sends hears that nobody listens.
            drop(concluded);
            self.join(decoders)?;
            Ok((teller.join().map_err(panicked)??, comparison))
        })
    }

    /// A side before the first input.
    pub(super) fn side(&self, which: Which, scope: Option<Arc<Scope>>) -> Side {
        let rules = self.in_force[which as usize].clone();
        Side::new(self.settings.clone(), rules, scope)
    }

    /// Whether something that is given reaches beyond the scope; notes what rules it puts in force.
    fn reaches_beyond(&self, given: &Body, surveyed: &mut Surveyed) -> bool {
        let as_recorded = matches!(self.in_force[0], InForce::AsRecorded);
        match given {
            Body::RulesActivated(rules) if as_recorded => {
                let known = surveyed.changed.len();
                for changed in changes(&rules.files, self.new_files) {
                    let name = changed.rule.clone();
                    surveyed.changed.entry(name).or_insert(changed);
                }
                surveyed.several |= surveyed.changed.len() != known;
                !self
                    .scope
                    .covers(&Scope::between(&rules.files, self.new_files))
            }
            Body::PromotionRequested(request) => {
                let source = self.scope.contains(request.repository.as_str());
                let target = self.scope.contains(request.target.repository.as_str());
                source != target || !source && self.scope.denies()
            }
            Body::PromotionCompleted(outcome) => {
                let source = self.scope.contains(outcome.source.repository.as_str());
                source != self.scope.contains(&outcome.target.repository)
            }
            _ => false,
        }
    }

    /// Compares what comes of each batch.
    fn compare(
        &self,
        comparison: &mut Comparison,
        batches: Receiver<Arc<Shared>>,
        concluded: &[Receiver<Concluded>],
        progress: &Progress,
    ) {
        for shared in batches {
            let sides: Vec<Concluded> = concluded
                .iter()
                .map_while(|side| side.recv().ok())
                .collect();
            let Ok([before, after]) = <[Concluded; 2]>::try_from(sides) else {
                break;
            };
            let at = |ordinal: u32| {
                let place = ordinal.saturating_sub(shared.batch.first) as usize;
                let input = shared.batch.inputs.get(place);
                input.map_or(Timestamp::EPOCH, |input| input.at)
            };
            comparison.take(before, after, at);
            self.watch
                .folded(progress.before + shared.done, progress.of);
            if self.watch.is_stopped() {
                self.stop();
                break;
            }
        }
    }
}

/// Hands something to both sides; says whether both take it.
pub(super) fn all_take<T>(sides: &[Sends<Arc<T>>; 2], what: &Arc<T>) -> bool {
    let mut sent = sides.iter().map(|side| side.send(Arc::clone(what)));
    sent.all(|sent| sent.is_ok())
}

/// The name of the thread that folds a side.
pub(super) fn thread_of(which: Which) -> &'static str {
    match which {
        Which::Old => "old rules",
        Which::New => "new rules",
    }
}

/// Starts a thread that has room to fold.
pub(super) fn start<'scope, T: Send + 'scope>(
    name: &str,
    scope: &'scope thread::Scope<'scope, '_>,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<thread::ScopedJoinHandle<'scope, T>, BacktestError> {
    let thread = thread::Builder::new().name(name.into()).stack_size(STACK);
    let thread = thread.spawn_scoped(scope, work);
    thread.map_err(|error| BacktestError::Thread(error.to_string()))
}

/// Runs something that folds, on a thread that has room for it.
pub(super) fn on_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, BacktestError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        let thread = thread.spawn_scoped(scope, work);
        let thread = thread.map_err(|error| BacktestError::Thread(error.to_string()))?;
        thread.join().map_err(panicked)
    })
}

fn fold_side(mut side: Side, batches: Receiver<Arc<Shared>>, sender: &Sends<Concluded>) {
    for shared in batches {
        if sender.send(side.take(&shared.batch)).is_err() {
            break;
        }
    }
}

pub(super) fn panicked(_: Box<dyn std::any::Any + Send>) -> BacktestError {
    BacktestError::Thread("a thread panicked".to_owned())
}
