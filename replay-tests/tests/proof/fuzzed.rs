//! A short round of what the fuzzer does for long (`replay-tests/fuzz`).

use weir_replay_tests::{fuzz, random::Random};

#[test]
fn no_event_makes_the_core_panic_however_it_is_changed() {
    for seed in 0..120 {
        let mut random = Random::new(seed);
        let length = 3 + random.below(60);
        let bytes = (0..length).map(|_| u8::try_from(random.below(256)).unwrap_or(0));
        let bytes: Vec<u8> = bytes.collect();
        fuzz::mutated(&bytes);
        fuzz::lines(&bytes);
    }
}
