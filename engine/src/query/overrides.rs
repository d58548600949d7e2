//! Overrides: which hold, until when, who granted them, and what they moved.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use weir_rules::{Settings, State, rule::parse_duration};
use weir_schema::{Body, Timestamp};

use super::{
    QueryError,
    contents::{records, types},
};
use crate::log::index::{Dimension, Index, Plan, Search};

/// Fewer are looked up one by one, more by a walk over all that were granted.
const FEW: usize = 200;

/// What the log adds to an override of the state.
#[derive(Debug, Default, Serialize)]
struct Granted {
    /// The record.
    granted: u64,
    granted_at: Option<Timestamp>,
    /// How many decisions used it.
    decisions: u64,
}

#[derive(Deserialize)]
struct Known {
    override_id: String,
    expires_at: Option<Timestamp>,
    in_force: bool,
}

/// The overrides before `end`, as a state that knows nothing else.
pub(super) fn state_of(index: &Index, end: u64) -> Result<State, QueryError> {
    let mut state = State::new(Settings::default());
    let all = types(&["override.granted", "override.revoked"]);
    for record in records(index, all, end, false) {
        let record = record?;
        state.recorded(record.seq, record.recorded_at, &record.event.body);
    }
    let last = end - 1;
    if let Some(at) = index.reader().recorded_at(last)? {
        state.recorded(last, at, &Body::ClockTicked);
    }
    Ok(state)
}

/// Adds to the overrides of a state when each was granted and how many decisions used it. With
/// `expiring`, an age, only those that are in force and will not be after it.
pub(super) fn complete(
    index: &Index,
    overrides: Value,
    expiring: Option<&str>,
    now: Timestamp,
    end: u64,
) -> Result<Value, QueryError> {
    index.catch_up_in_memory(end)?;
    let soon = expiring.map(|text| {
        parse_duration(text)
            .map(|span| now.saturating_add(span))
            .map_err(|error| QueryError::Invalid(format!("`expiring`: {error}, expected as `14d`")))
    });
    let soon = soon.transpose()?;
    let mut kept: Vec<(Known, Value)> = Vec::new();
    for mut one in overrides.as_array().cloned().unwrap_or_default() {
        let known = Known::deserialize(&one);
        let mut known = known.map_err(|error| QueryError::Unavailable(error.to_string()))?;
        // Time may have passed since the last record.
        known.in_force &= known.expires_at.is_none_or(|expires| now < expires);
        one["in_force"] = known.in_force.into();
        let ends = |soon: Timestamp| known.expires_at.is_some_and(|expires| expires <= soon);
        if soon.is_none_or(|soon| known.in_force && ends(soon)) {
            kept.push((known, one));
        }
    }
    if soon.is_some() {
        kept.sort_by_key(|(known, _)| known.expires_at);
    }
    let granted = granted(index, &kept, end)?;
    let mut all = Vec::with_capacity(kept.len());
    for (known, mut one) in kept {
        let (seq, at) = granted.get(&known.override_id).copied().unwrap_or_default();
        let used =
            Plan::has(Dimension::Override, &known.override_id).and(types(&["decision.made"]));
        let used = Search {
            plan: used,
            range: 0..end,
            newest_first: false,
        };
        let granted = Granted {
            granted: seq,
            granted_at: at,
            decisions: index.count(&used)?,
        };
        if let (Some(one), Ok(Value::Object(more))) =
            (one.as_object_mut(), serde_json::to_value(granted))
        {
            one.extend(more);
        }
        all.push(one);
    }
    Ok(Value::Array(all))
}

/// The last record that granted each override.
fn granted(
    index: &Index,
    overrides: &[(Known, Value)],
    end: u64,
) -> Result<BTreeMap<String, (u64, Option<Timestamp>)>, QueryError> {
    let mut found = BTreeMap::new();
    let all = types(&["override.granted"]);
    let plans: Vec<Plan> = if overrides.len() <= FEW {
        let names = overrides.iter().map(|(known, _)| &*known.override_id);
        names
            .map(|name| Plan::has(Dimension::Override, name).and(all.clone()))
            .collect()
    } else {
        vec![all]
    };
    let one_each = plans.len() > 1 || overrides.len() <= 1;
    for plan in plans {
        for record in records(index, plan, end, true) {
            let record = record?;
            if let Body::OverrideGranted(granted) = record.event.body {
                let place = (record.seq, Some(record.recorded_at));
                found.entry(granted.override_id).or_insert(place);
            }
            if one_each || found.len() == overrides.len() {
                break;
            }
        }
    }
    Ok(found)
}
