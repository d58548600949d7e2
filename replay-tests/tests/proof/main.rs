//! Stories by theme, each named for the row of `FAILURES.md` that it covers; recorded and
//! generated histories; properties of the code.

mod code;
mod deletion;
mod fuzzed;
mod generated;
mod golden;
mod long;
mod overrides;
mod people;
mod promotion;
mod push;
mod replaying;
mod rules;
mod scanning;
mod structure;
mod under_way;

/// One rule, from development to staging, that asks nothing but what the gate asks.
const SHIP: &str = "to-staging: dev/* -> staging/{1} when true";

/// The same for releases without critical findings.
const CLEAN: &str = "to-staging: dev/* -> staging/{1} when scan.critical == 0";

/// Development, staging, production.
const CHAIN: &str = "
    to-staging: dev/* -> staging/{1} when true
    to-prod: staging/* -> prod/{1} when true";
