//! Replay: the same again, and without effects.

use std::collections::BTreeMap;

use weir_replay_tests::{check, recorded::replay, story::tell, thawed};
use weir_rules::{Execution, Settings, State, step};
use weir_schema::Body;

use crate::{CHAIN, SHIP};

const STORY: &str = "
    app shop = api web
    push dev/shop:1 shop
    scan web CVE-1:CRITICAL
    scan api
    hold h in prod/*
    wait 1d
    release h
    fail api
    push dev/shop:2 web
    delete dev/shop:1";

#[test]
fn e51_the_same_events_give_the_same_state_and_decisions() {
    let events = tell(CHAIN, STORY).events;
    let first = replay(&events, Execution::AtOnce);
    let second = replay(&events, Execution::AtOnce);
    assert_eq!(first.conclusions, second.conclusions);
    assert_eq!(first.state.state_digest(), second.state.state_digest());
    assert!(first.conclusions.len() > 5);
}

#[test]
fn e52_a_replay_returns_what_to_do_and_does_nothing_itself() {
    let events = tell(CHAIN, STORY).events;
    let done = replay(&events, Execution::AtOnce);
    let asked = replay(&events, Execution::Commands);
    assert!(
        done.commands.is_empty(),
        "done at once, so nothing is left to do"
    );
    assert_eq!(
        asked.commands.len(),
        2,
        "only the first stage: nothing was copied"
    );
}

#[test]
fn e53_a_type_of_another_version_is_kept_and_skipped() {
    check(
        SHIP,
        "
        scan a
        unknown weir.image.praised
        unknown com.example.thing
        push dev/web:1 a        => promote dev/web:1@a -> staging/web:1
        ",
    );
}

#[test]
fn e54_a_snapshot_and_the_rest_equal_the_whole() {
    let events = tell(CHAIN, STORY).events;
    let whole = replay(&events, Execution::AtOnce).state.state_digest();
    for cut in 0..events.len() {
        let before = replay(&events[..cut], Execution::AtOnce).state;
        let mut state = thawed(&before, &Settings::default());
        for event in &events[cut..] {
            let at = event.time.expect("a story has times");
            step(&mut state, at, &event.body, Execution::AtOnce);
        }
        assert_eq!(state.state_digest(), whole, "cut at {cut}");
    }
}

#[test]
fn e54_several_violations_at_once_are_in_the_same_order_after_a_snapshot() {
    // Named in another order than that of their texts.
    let story = "
        app shop = api
        app desk = api
        scan api
        push dev/shop:1 shop
        push dev/desk:1 desk
        fail api";
    let events = tell(SHIP, story).events;
    let before = replay(&events[..events.len() - 1], Execution::AtOnce).state;
    let restored = thawed(&before, &Settings::default());
    let last = &events[events.len() - 1];
    let [kept, restored] = [before, restored].map(|mut state| {
        let at = last.time.expect("a story has times");
        step(&mut state, at, &last.body, Execution::AtOnce)
    });
    assert_eq!(kept, restored);
    assert_eq!(kept.conclusions.len(), 2);
}

#[test]
fn f33_what_a_fold_shows_is_what_was_decided() {
    // There is no second place where state is kept: after each event, the fold shows of every tag the
    // last that was decided of it, and where promotions were completed, what they brought.
    let events = tell(CHAIN, STORY).events;
    let (mut shown, mut arrived) = (0, 0);
    for end in 1..=events.len() {
        let replayed = replay(&events[..end], Execution::AtOnce);
        let (mut verdicts, mut brought) = (BTreeMap::new(), BTreeMap::new());
        for (_, conclusion) in &replayed.conclusions {
            match &conclusion.body {
                Body::DecisionMade(one) => {
                    let source = format!("{}:{}", one.source.repository, one.source.tag);
                    let said = (one.verdict, one.reasons.clone(), conclusion.seq);
                    verdicts.insert((source, one.rule.clone()), said);
                }
                Body::PromotionCompleted(one) => {
                    let target = format!("{}:{}", one.target.repository, one.target.tag);
                    brought.insert(target, one.source.digest.clone());
                }
                _ => {}
            }
        }
        for state in [
            thawed(&replayed.state, &Settings::default()),
            replayed.state,
        ] {
            for tag in state.tags(None) {
                let name = format!("{}:{}", tag.repository, tag.tag);
                for view in tag.verdicts {
                    let decided = verdicts.get(&(name.clone(), view.rule.into()));
                    assert_eq!(decided, Some(&(view.verdict, view.reasons, view.decided)));
                    shown += 1;
                }
                if let Some(Some(digest)) = brought.get(&name) {
                    assert_eq!(tag.digest, digest.to_string(), "{name} after event {end}");
                    arrived += 1;
                }
            }
        }
    }
    assert!(shown > 20 && arrived > 20, "{shown} and {arrived}");
}

#[test]
fn a_damaged_snapshot_of_a_state_is_refused_or_another_state() {
    let state = replay(&tell(CHAIN, STORY).events, Execution::AtOnce).state;
    let mut whole = Vec::new();
    state.freeze(&mut whole).expect("a vector takes everything");
    let thaw = |bytes: &[u8]| State::thaw(bytes, Settings::default());
    for length in 0..whole.len() {
        assert!(thaw(&whole[..length]).is_err(), "cut at {length}");
    }
    // The log knows its bytes by their hash; what got past that must not stop a start by a panic.
    for bit in (0..whole.len() * 8).step_by(7) {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        drop(thaw(&flipped));
    }
    whole.push(0);
    assert!(thaw(&whole).is_err(), "more than a state");
}
