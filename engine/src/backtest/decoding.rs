//! Decoding on every core, and the blocks in their order again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use super::{
    BacktestError,
    history::{Block, Blocks, Decoded, Reading},
    pipeline::{Pipeline, WAITING, panicked, start},
};

/// Threads that decode.
pub(super) type Decoders<'scope> = Vec<thread::ScopedJoinHandle<'scope, Result<(), BacktestError>>>;

impl Pipeline<'_> {
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    /// Starts to decode.
    pub(super) fn start_decoding<'scope, 'env>(
        &'env self,
        scope: &'scope thread::Scope<'scope, 'env>,
        reading: Reading<'env>,
    ) -> Result<(Decoders<'scope>, Receiver<(u64, Decoded)>), BacktestError> {
        let cores = || {
            thread::available_parallelism()
                .map_or(2, usize::from)
                .max(2)
        };
        let workers = self.jobs.map_or_else(cores, usize::from);
        let blocks = Arc::new(Mutex::new((0_u64, self.source.blocks(reading)?)));
        let (sender, decoded) = sync_channel(WAITING);
        let mut decoders = Vec::new();
        for _ in 0..workers {
            let (sender, blocks) = (sender.clone(), Arc::clone(&blocks));
            let work = move || self.decode(&blocks, reading, &sender);
            decoders.push(start("decode", scope, work)?);
        }
        Ok((decoders, decoded))
    }

    /// Waits for those that decode.
    pub(super) fn join(&self, decoders: Decoders<'_>) -> Result<(), BacktestError> {
        for decoder in decoders {
            decoder.join().map_err(panicked)??;
        }
        match self.watch.is_stopped() {
            true => Err(BacktestError::Stopped),
            false => Ok(()),
        }
    }

    /// Decodes blocks until there are no more.
    fn decode(
        &self,
        blocks: &Mutex<(u64, Blocks<'_>)>,
        reading: Reading<'_>,
        sender: &SyncSender<(u64, Decoded)>,
    ) -> Result<(), BacktestError> {
        let mut block = Block::default();
        while !self.is_stopped() {
            let number = {
                let mut blocks = blocks.lock().unwrap_or_else(PoisonError::into_inner);
                if !blocks.1.next(&mut block).inspect_err(|_| self.stop())? {
                    break;
                }
                blocks.0 += 1;
                blocks.0
            };
            let decoded = self.source.decode(&mut block, reading);
            let decoded = decoded.inspect_err(|_| self.stop())?;
            if sender.send((number, decoded)).is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// Hands blocks to `take` in their order, for as long as it says so.
pub(super) fn in_order(
    blocks: Receiver<(u64, Decoded)>,
    mut take: impl FnMut(Decoded) -> Result<bool, BacktestError>,
) -> Result<(), BacktestError> {
    let mut early: BTreeMap<u64, Decoded> = BTreeMap::new();
    let mut next = 1;
    for (number, decoded) in blocks {
        early.insert(number, decoded);
        while let Some(decoded) = early.remove(&next) {
            next += 1;
            if !take(decoded)? {
                return Ok(());
            }
        }
    }
    Ok(())
}
