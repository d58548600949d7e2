//! A recorded history under one rule set: the same inputs as a backtest gives to its new side.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use weir_schema::{Body, RuleFile, Timestamp};

use super::{
    BacktestError,
    given::{Batch, Giver},
    history::{Block, Decoded, Reading, Source},
    rule_names,
    side::InForce,
};

/// Blocks that may be decoded ahead.
const AHEAD: usize = 4;

/// Hands the inputs of a history to `take`, in order, with `rules` in place of those that it put in
/// force, or from its first record on if it put none in force. `folded` is told how far it is.
///
/// # Errors
/// If the history cannot be read; or what `take` said.
pub fn inputs(
    source: &Source,
    rules: Vec<RuleFile>,
    mut take: impl FnMut(Timestamp, &Body) -> io::Result<()>,
    folded: impl Fn(u64),
) -> Result<(), BacktestError> {
    let recorded = source.first_rules()?;
    let names = rule_names(&rules)
        .into_iter()
        .chain(rule_names(recorded.as_deref().unwrap_or_default()));
    let mut giver = Giver::new(names);
    let mut in_force = match recorded {
        Some(_) => InForce::InPlaceOfTheFirst(rules),
        None => InForce::FromTheFirst(rules),
    };
    let mut beginning = in_force.beginning();
    let mut hand_over = |batch: &Batch| -> io::Result<()> {
        for input in &batch.inputs {
            if let Some(body) = beginning.take() {
                take(input.at, &body)?;
            }
            take(input.at, &in_force.says(&input.given))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        // It ends when the blocks do, or when nobody listens.
        let (sender, decoded): (SyncSender<_>, Receiver<Result<Decoded, BacktestError>>) =
            sync_channel(AHEAD);
        scope.spawn(move || decode(source, &sender));
        for block in decoded {
            let block = block?;
            let end = block.end;
            hand_over(&giver.take(block, |_| ()))?;
            folded(end);
        }
        Ok(hand_over(&giver.finish())?)
    })
}

fn decode(source: &Source, sender: &SyncSender<Result<Decoded, BacktestError>>) {
    let mut blocks = match source.blocks(Reading::Whole) {
        Ok(blocks) => blocks,
        Err(error) => return drop(sender.send(Err(error))),
    };
    let mut block = Block::default();
    let mut next = || match blocks.next(&mut block)? {
        true => source.decode(&mut block, Reading::Whole).map(Some),
        false => Ok(None),
    };
    while let Some(decoded) = next().transpose() {
        let failed = decoded.is_err();
        if sender.send(decoded).is_err() || failed {
            return;
        }
    }
}
