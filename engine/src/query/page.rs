//! Records that were asked for, a page at a time.

use serde::{
    Deserialize, Serialize,
    ser::{Error as _, SerializeStruct, Serializer},
};
use serde_json::value::RawValue;

/// A record as it is in the log.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Its sequence.
    pub seq: u64,
    /// Its text, which is JSON.
    pub json: String,
}

/// Records that were asked for.
#[derive(Debug, Clone, Default)]
pub struct EventPage {
    /// In the order asked for.
    pub events: Vec<Logged>,
    /// The log was looked through up to and including this record; of a page that is newest first,
    /// the last record there was.
    pub through: u64,
    /// The cursor of the next page, if there may be one. A page that took long to find may be
    /// short, or empty, and have a next one.
    pub next: Option<String>,
    /// Records looked at of which it is not known whether they are asked for.
    pub undecided: Option<Undecided>,
}

/// Records for which the expression of a filter errs, otherwise than for want of a field: they are
/// left out of the answer, which is told, for what is left out may be what was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undecided {
    /// How many there are.
    pub count: u64,
    /// One of them.
    pub seq: u64,
    /// What went wrong with that one, with its place in the expression.
    pub problem: String,
}

impl Serialize for EventPage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let events = self.events.iter().map(|Logged { seq, json }| {
            let read = serde_json::from_str(json);
            read.map_err(|error| S::Error::custom(format!("record {seq}: {error}")))
        });
        let events: Vec<&RawValue> = events.collect::<Result<_, _>>()?;
        let fields = 3 + usize::from(self.undecided.is_some());
        let mut page = serializer.serialize_struct("EventPage", fields)?;
        page.serialize_field("events", &events)?;
        page.serialize_field("through", &self.through)?;
        page.serialize_field("next", &self.next)?;
        if let Some(undecided) = &self.undecided {
            page.serialize_field("undecided", undecided)?;
        }
        page.end()
    }
}
