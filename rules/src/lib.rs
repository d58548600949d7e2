//! What should happen: the pure core.

pub mod cel;
