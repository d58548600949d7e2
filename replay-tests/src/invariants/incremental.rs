//! Judging everything anew after a record changes nothing.

use weir_rules::recheck;

use crate::generate::mean;

pub(super) fn check(seed: u64) -> Result<(), String> {
    mean(seed)
        .play(|seen| match recheck(seen.after).as_slice() {
            [] => Ok(()),
            changes => Err(format!("judged anew: {changes:#?}")),
        })
        .map(drop)
}
