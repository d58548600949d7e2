//! Conclusions compared as texts, beside the fold.
//!
//! Half of the records of a log are conclusions. To decode them only to compare them with what the
//! fold concludes costs more than to write that down once more, and another thread can do it.

use weir_rules::Conclusion;
use weir_schema::{
    Received, Record,
    record::{self, Concluded},
};

use super::{LedgerError, ahead::Work, fold::different, ledger::conclusion_event};

/// A record on its way through a fold.
pub(super) enum Entry {
    /// An input, or a conclusion that is not as this version writes it.
    Decoded(Record),
    /// A conclusion that only its bytes say.
    Written(Concluded),
    /// The same, and what the fold concluded in its place.
    Drawn(Concluded, Conclusion),
}

/// Decodes inputs before the fold, and compares conclusions after it.
pub(super) struct Comparing;

impl Work for Comparing {
    type Entry = Entry;

    fn begin(&self, bytes: &[u8]) -> Result<Entry, LedgerError> {
        match record::concluded(bytes) {
            Some(concluded) => Ok(Entry::Written(concluded)),
            None => Ok(Entry::Decoded(Record::decode(bytes)?)),
        }
    }

    fn finish(&self, entry: Entry, bytes: &[u8]) -> Result<(), LedgerError> {
        let Entry::Drawn(written, drawn) = entry else {
            return Ok(());
        };
        let drawn = Received::from(conclusion_event(drawn, written.recorded_at));
        if bytes.get(written.event) == Some(drawn.json.as_bytes()) {
            return Ok(());
        }
        // Another version may have said the same in other words.
        let recorded = Record::decode(bytes)?;
        match recorded.event.body == drawn.event.body {
            true => Ok(()),
            false => Err(different(&recorded, &drawn.event.body)),
        }
    }
}
