//! What follows from an operator's event: its record, and the decisions that it led to.

use std::{
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

use serde_json::Value;
use weir_schema::Received;

use super::{CliError, NO, access::Daemon, out, record::line};
use crate::query::EventFilter;

/// How long the event may take to be on record: where there is a stream it comes out of that.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Decisions that are told; where there are more, how to see them.
const TOLD: usize = 20;

/// Where the record of an event will be.
pub(super) struct Consequences<'a> {
    daemon: &'a Daemon,
    filter: EventFilter,
}

impl<'a> Consequences<'a> {
    /// Of an event that is about to be sent.
    ///
    /// # Errors
    /// If the daemon does not answer.
    pub(super) fn of(daemon: &'a Daemon, event: &Received) -> Result<Self, CliError> {
        let newest = EventFilter {
            newest_first: true,
            limit: 1,
            ..EventFilter::default()
        };
        let last = daemon.events(&newest)?.through;
        let filter = EventFilter {
            after: last,
            kinds: vec![event.event.body.kind().to_owned()],
            expression: Some(format!("event.id == '{}'", event.event.id)),
            limit: 1,
            ..EventFilter::default()
        };
        Ok(Self { daemon, filter })
    }

    /// Waits for the record, and tells what was decided by it. The exit code says no where that is
    /// a promotion by hand that was not granted.
    ///
    /// # Errors
    /// If the daemon does not answer, or nothing comes to be on record.
    pub(super) fn tell(self) -> Result<ExitCode, CliError> {
        let seq = self.recorded()?;
        tell!("recorded as {seq}");
        let decided = EventFilter {
            after: seq,
            kinds: vec!["weir.decision.made".to_owned()],
            expression: Some(format!("data.trigger == {seq}")),
            limit: TOLD + 1,
            ..EventFilter::default()
        };
        let page = self.daemon.events(&decided)?;
        let (mut is_refused, mut lacks_something) = (false, false);
        for text in page.events.iter().take(TOLD) {
            let record: Value = serde_json::from_str(text).map_err(CliError::outside)?;
            let data = &record["event"]["data"];
            let by_hand = data["rule"] == "manual";
            is_refused |= by_hand && data["verdict"] != "promote";
            lacks_something |= by_hand && data["verdict"] == "wait";
            out::line(line(&record))?;
        }
        if page.events.len() > TOLD {
            tell!("and more: weir log --after {seq} --where 'data.trigger == {seq}'");
        }
        if lacks_something {
            tell!(
                "hint: a promotion by hand is judged once: ask again when what it lacks has come"
            );
        }
        Ok(match is_refused {
            true => ExitCode::from(NO),
            false => ExitCode::SUCCESS,
        })
    }

    /// The sequence of the record.
    fn recorded(&self) -> Result<u64, CliError> {
        let since = Instant::now();
        loop {
            if let Some(text) = self.daemon.events(&self.filter)?.events.first() {
                let record: Value = serde_json::from_str(text).map_err(CliError::outside)?;
                return Ok(record["seq"].as_u64().unwrap_or_default());
            }
            if since.elapsed() > PATIENCE {
                return Err(CliError::outside(
                    "the event was sent and is not yet on record: the daemon is behind its stream",
                )
                .hint("do not send it again; see `weir status`, and later `weir log`"));
            }
            sleep(LOOK);
        }
    }
}
