//! Arbitrary bytes, taken as events: nothing that can be decoded may make the core panic, forget
//! something in a snapshot, or leave a judgement undone.
//!
//! [`lines`] takes the bytes as they are; [`mutated`] takes them as a seed and as changes to the
//! history of that seed, so that most of what comes out can be decoded.

use serde_json::{Value, json};
use weir_rules::{Execution, Settings, State, recheck, step};
use weir_schema::Event;

use crate::{generate::mean, thawed};

/// A history is cut after so many events: what is looked at afterwards takes its time.
const MOST_EVENTS: usize = 150;

/// What stands in where something else was: the ends of what is allowed, and beyond.
fn oddities() -> [Value; 24] {
    [
        Value::Null,
        json!(""),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(true),
        json!([]),
        json!({}),
        json!("sha256:0000000000000000000000000000000000000000000000000000000000000000"),
        json!("sha256:abc"),
        json!("0001-01-01T00:00:00Z"),
        json!("9999-12-31T23:59:59Z"),
        json!("1969-12-31T23:59:59.999999999Z"),
        json!("**"),
        json!("localhost:5000/dev/web"),
        json!("manual"),
        json!("p1"),
        json!("application/vnd.oci.image.index.v1+json"),
        json!("//! from: **\n//! to: {1}\ntag.name.matches(\"(a+)+$\")"),
        json!("//! from: dev/*\n//! to: staging/{1}\n//! tag: {time:%Q}\ntrue"),
        json!("//! kind: deny\nnow > timestamp(\"9999-01-01T00:00:00Z\")"),
        json!("x".repeat(300)),
        json!([{"id": "CVE-0", "severity": "high", "package": "", "score": -1e308}]),
    ]
}

/// Takes bytes as events, one a line.
pub fn lines(bytes: &[u8]) {
    let events = bytes.split(|byte| *byte == b'\n');
    play(events.filter_map(|line| Event::from_json(line).ok()));
}

/// Takes bytes as a seed and changes to its history.
pub fn mutated(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let seed = u64::from(bytes.next()) << 16 | u64::from(bytes.next()) << 8;
    let seed = seed | u64::from(bytes.next());
    let history = mean(seed);
    let inputs = history.inputs.iter().enumerate();
    let mut events: Vec<Value> = inputs
        .map(|(number, (at, body))| {
            json!({
                "specversion": "1.0", "id": number.to_string(), "source": "fuzz", "time": at,
                "type": body.kind(), "data": body.data(),
            })
        })
        .collect();
    while !bytes.0.is_empty() && !events.is_empty() {
        change(&mut events, &mut bytes);
    }
    let texts = events.iter().map(ToString::to_string);
    play(texts.filter_map(|text| Event::from_json(text.as_bytes()).ok()));
}

/// Plays events and looks at everything that can be asked of the state afterwards.
fn play(events: impl Iterator<Item = Event>) {
    let mut state = State::new(Settings::default());
    for event in events.take(MOST_EVENTS) {
        let at = event.time.unwrap_or(state.now());
        // Both ways of carrying out promotions, by what happens to be at hand.
        let execution = match event.id.len() % 2 {
            0 => Execution::AtOnce,
            _ => Execution::Commands,
        };
        step(&mut state, at, &event.body, execution);
    }
    let again = recheck(&state);
    assert!(again.is_empty(), "judged anew: {again:#?}");
    assert_eq!(
        thawed(&state, &Settings::default()).state_digest(),
        state.state_digest()
    );
    for tag in state.tags(None) {
        let explained = state.explain(&tag.repository, &tag.tag, None);
        assert!(explained.len() <= state.rules().rules().len());
    }
    drop((
        state.unscanned(),
        state.held_manifests(),
        state.open_copies(),
    ));
}

/// Changes one thing.
fn change(events: &mut Vec<Value>, bytes: &mut Bytes<'_>) {
    let (how, which) = (bytes.next(), bytes.below(events.len()));
    match how % 16 {
        0 => drop(events.remove(which)),
        1 => {
            let place = bytes.below(events.len());
            let copy = events[which].clone();
            events.insert(place, copy);
        }
        2 => {
            let place = bytes.below(events.len());
            events.swap(which, place);
        }
        // What another event says at the same place.
        3..=6 => {
            let other = events[bytes.below(events.len())].clone();
            if let (Some(here), Some(there)) =
                (events[which].get_mut("data"), other.get("data").cloned())
            {
                graft(here, there, bytes);
            }
        }
        _ => alter(&mut events[which], bytes),
    }
}

/// Puts a field of one value into another.
fn graft(here: &mut Value, there: Value, bytes: &mut Bytes<'_>) {
    if let (Value::Object(here), Value::Object(there)) = (here, there) {
        let field = bytes.below(there.len().max(1));
        if let Some((key, value)) = there.into_iter().nth(field) {
            here.insert(key, value);
        }
    }
}

/// Goes down into a value and puts something else there.
fn alter(value: &mut Value, bytes: &mut Bytes<'_>) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            let key = fields.keys().nth(bytes.below(fields.len())).cloned();
            let key = key.unwrap_or_default();
            if bytes.next() < 16 {
                fields.remove(&key);
            } else if let Some(field) = fields.get_mut(&key) {
                alter(field, bytes);
            }
        }
        Value::Array(items) if !items.is_empty() && bytes.next() >= 32 => {
            let place = bytes.below(items.len());
            if bytes.next() < 16 {
                let copy = items[place].clone();
                items.push(copy);
            } else {
                alter(&mut items[place], bytes);
            }
        }
        Value::String(text) if bytes.next() >= 96 && !text.is_empty() => {
            let mut letters: Vec<char> = text.chars().collect();
            let place = bytes.below(letters.len());
            match bytes.next() % 3 {
                0 => drop(letters.remove(place)),
                1 => letters[place] = char::from(bytes.next()),
                _ => letters.insert(place, char::from(bytes.next())),
            }
            *text = letters.into_iter().collect();
        }
        other => {
            let oddities = oddities();
            *other = oddities[bytes.below(oddities.len())].clone();
        }
    }
}

/// Bytes, zeros once they are used up.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// A place below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.next()) % end
    }
}
