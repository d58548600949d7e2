//! Promotions as the daemon carries them out on real registries.

mod given_up;
mod signatures;
mod site;
mod stages;
#[path = "../support/mod.rs"]
mod support;
mod turns;
