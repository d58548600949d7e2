//! Payloads that others publish of the same registries and scanners, shortened to what matters, with
//! where each was read: each has one meaning, or is refused with the place. Licences are in
//! `fixtures/README.md`.

mod amazon;
mod collected;
mod contradicted;
mod distribution;
mod fixed;
mod graded;
mod harbor;
mod hidden;
mod kinds;
mod others;
mod partial;
mod runs;
mod scanners;
mod systems;
mod unproved;
mod waived;
mod written;

use base64::Engine as _;

fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}
