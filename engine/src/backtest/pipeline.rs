//! The fold of both sides: decoding on every core ahead of two threads that fold, and one that
//! compares.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use weir_rules::Settings;
use weir_schema::{Body, RuleFile, Timestamp};

use super::{
    BacktestError, Watch,
    compare::{Comparison, Range},
    given::{Batch, Given, Giver, Index},
    history::{Blocks, Decoded, Source},
    report::{ChangedRule, History},
    scope::{Scope, changes},
    side::{Concluded, InForce, Side},
};

/// Batches that may wait for a thread: enough that none waits for another at every batch, little
/// enough that memory does not grow with the history.
const WAITING: usize = 4;

/// What the core's deepest recursion takes, with room to spare; the node's thread has the same.
const STACK: usize = 16 << 20;

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
    pub(super) index: Index,
    pub(super) history: History,
    /// Rules that are not the same, where the history put several sets in force.
    pub(super) changed: Option<Vec<ChangedRule>>,
}

/// A batch with what is needed to compare what comes of it.
struct Shared {
    batch: Batch,
    /// Where in the source it ends.
    end: u64,
}

/// What comes out of the giving thread.
struct Gave {
    index: Index,
    history: History,
    changed: BTreeMap<String, ChangedRule>,
    several: bool,
    /// The scope was too small.
    beyond: bool,
}

type Sends<T> = SyncSender<T>;

impl Pipeline<'_> {
    /// Folds the history; `None` if more than the scope has to be folded.
    pub(super) fn fold(&self) -> Result<Option<Folded>, BacktestError> {
        let cores = || {
            thread::available_parallelism()
                .map_or(2, usize::from)
                .max(2)
        };
        let workers = self.jobs.map_or_else(cores, usize::from);
        let blocks = Mutex::new((0_u64, self.source.blocks()?));
        // Nothing is narrowed where everything is in scope, and nothing compared where nothing is.
        let narrowed = !matches!(*self.scope, Scope::Everything);
        let nothing = self.scope.is_empty();
        let (decoded, to_give) = sync_channel(WAITING);
        let (for_old, old_batches) = sync_channel(WAITING);
        let (for_new, new_batches) = sync_channel(WAITING);
        let (for_comparing, batches) = sync_channel(2 * WAITING);
        let (old_concluded, old) = sync_channel(WAITING);
        let (new_concluded, new) = sync_channel(WAITING);
        thread::scope(|scope| {
            let failed = |error: std::io::Error| BacktestError::Thread(error.to_string());
            let start = |name: &str| thread::Builder::new().name(name.into()).stack_size(STACK);
            let mut decoders = Vec::new();
            for _ in 0..workers {
                let (sender, blocks) = (decoded.clone(), &blocks);
                let work = move || self.decode(blocks, &sender);
                decoders.push(start("decode").spawn_scoped(scope, work).map_err(failed)?);
            }
            drop(decoded);
            let sides = if nothing {
                vec![for_old]
            } else {
                vec![for_old, for_new]
            };
            let giver = start("give")
                .spawn_scoped(scope, move || self.give(to_give, &sides, &for_comparing))
                .map_err(failed)?;
            let [old_rules, new_rules] = self.in_force.map(Clone::clone);
            let settings = || self.settings.clone();
            let side = Side::new(settings(), old_rules, None);
            start("old rules")
                .spawn_scoped(scope, move || fold_side(side, old_batches, &old_concluded))
                .map_err(failed)?;
            let within = narrowed.then(|| Arc::clone(&self.scope));
            let side = Side::new(settings(), new_rules, within);
            start("new rules")
                .spawn_scoped(scope, move || fold_side(side, new_batches, &new_concluded))
                .map_err(failed)?;
            let mut comparison = Comparison::new(Arc::clone(&self.scope), narrowed, self.range);
            self.compare(&mut comparison, batches, &old, (!nothing).then_some(&new));
            // Whoever still sends hears that nobody listens.
            drop((old, new));
            for decoder in decoders {
                decoder.join().map_err(panicked)??;
            }
            let gave = giver.join().map_err(panicked)?;
            if self.watch.is_stopped() {
                return Err(BacktestError::Stopped);
            }
            if gave.beyond {
                return Ok(None);
            }
            Ok(Some(Folded {
                comparison,
                index: gave.index,
                history: gave.history,
                changed: gave.several.then(|| gave.changed.into_values().collect()),
            }))
        })
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Decodes blocks until there are no more.
    fn decode(
        &self,
        blocks: &Mutex<(u64, Blocks<'_>)>,
        sender: &Sends<(u64, Decoded)>,
    ) -> Result<(), BacktestError> {
        while !self.is_stopped() {
            let (number, block) = {
                let mut blocks = blocks.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(block) = blocks.1.next().inspect_err(|_| self.stop())? else {
                    break;
                };
                blocks.0 += 1;
                (blocks.0, block)
            };
            let decoded = self.source.decode(&block).inspect_err(|_| self.stop())?;
            if sender.send((number, decoded)).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Puts blocks in order and gives their inputs to the sides.
    fn give(
        &self,
        blocks: Receiver<(u64, Decoded)>,
        sides: &[Sends<Arc<Shared>>],
        comparing: &Sends<Arc<Shared>>,
    ) -> Gave {
        let mut giver = Giver::new(self.rules.iter().cloned());
        let mut gave = Gave {
            index: Index::default(),
            history: History::default(),
            changed: BTreeMap::new(),
            several: false,
            beyond: false,
        };
        let mut early: BTreeMap<u64, Decoded> = BTreeMap::new();
        let mut next = 1;
        let sent = |batch: Batch, end| {
            let shared = Arc::new(Shared { batch, end });
            sides
                .iter()
                .all(|side| side.send(Arc::clone(&shared)).is_ok())
                && comparing.send(shared).is_ok()
        };
        let mut end = 0;
        'all: for (number, decoded) in blocks {
            early.insert(number, decoded);
            while let Some(decoded) = early.remove(&next) {
                next += 1;
                end = decoded.end;
                let batch = giver.take(decoded);
                gave.beyond = self.reaches_beyond(&batch, &mut gave);
                if gave.beyond {
                    self.stop();
                    break 'all;
                }
                if !sent(batch, end) {
                    self.stop();
                    break 'all;
                }
            }
        }
        let rest = giver.finish();
        if !self.is_stopped() && !rest.inputs.is_empty() {
            sent(rest, end);
        }
        gave.index = giver.index;
        gave.history = giver.history;
        gave
    }

    /// Whether something in a batch reaches beyond the scope.
    fn reaches_beyond(&self, batch: &Batch, gave: &mut Gave) -> bool {
        let as_recorded = matches!(self.in_force[0], InForce::AsRecorded);
        batch.inputs.iter().any(|input| match &input.given {
            Given::Rules(files) if as_recorded => {
                let known = gave.changed.len();
                for changed in changes(files, self.new_files) {
                    gave.changed.entry(changed.rule.clone()).or_insert(changed);
                }
                gave.several |= gave.changed.len() != known;
                !self.scope.covers(&Scope::between(files, self.new_files))
            }
            Given::Event(Body::PromotionRequested(request)) => {
                let source = self.scope.contains(request.repository.as_str());
                let target = self.scope.contains(request.target.repository.as_str());
                source != target || !source && self.scope.denies()
            }
            Given::Event(Body::PromotionCompleted(outcome)) => {
                let source = self.scope.contains(outcome.source.repository.as_str());
                source != self.scope.contains(&outcome.target.repository)
            }
            _ => false,
        })
    }

    /// Compares what comes of each batch.
    fn compare(
        &self,
        comparison: &mut Comparison,
        batches: Receiver<Arc<Shared>>,
        old: &Receiver<Concluded>,
        new: Option<&Receiver<Concluded>>,
    ) {
        let of = self.source.end().unwrap_or(u64::MAX);
        for shared in batches {
            let Ok(before) = old.recv() else {
                break;
            };
            let after = match new {
                Some(new) => match new.recv() {
                    Ok(after) => after,
                    Err(_) => break,
                },
                None => Concluded::default(),
            };
            let at = |ordinal: u32| {
                let place = ordinal.saturating_sub(shared.batch.first) as usize;
                let input = shared.batch.inputs.get(place);
                input.map_or(Timestamp::EPOCH, |input| input.at)
            };
            comparison.take(before, after, at);
            self.watch.folded(shared.end, of);
            if self.watch.is_stopped() {
                self.stop();
                break;
            }
        }
    }
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

fn panicked(_: Box<dyn std::any::Any + Send>) -> BacktestError {
    BacktestError::Thread("a thread panicked".to_owned())
}
