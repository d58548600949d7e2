//! What should happen: the pure core.

pub mod cel;
pub mod class;
pub mod pattern;
pub mod rule;
pub mod suggest;
pub mod template;
pub mod window;
