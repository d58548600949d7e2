//! A log made of records as lines, without a look at what they say: what an import would refuse can be
//! in it.

use weir_engine::log::{EncodedRecord, Log};
use weir_schema::Record;

/// Appends the records that `lines` are; each names the hash of the one before.
pub fn append_lines(log: &mut Log, lines: &[u8]) {
    let lines = lines.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    let records = lines.map(|line| {
        let seq = Record::decode(line).expect("a record").seq;
        EncodedRecord::new(seq, line.to_vec())
    });
    let records: Vec<EncodedRecord> = records.collect();
    for batch in records.chunks(256) {
        log.append(batch, None).expect("it appends");
    }
}
