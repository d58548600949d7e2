//! What other versions and settings of the same sources send, written after their documentation and
//! source: each has one meaning, or is refused with the place.

mod hosted;
mod registries;
mod scanners;
