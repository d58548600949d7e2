//! What should happen: the pure core.
