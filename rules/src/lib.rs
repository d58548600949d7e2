//! What should happen: the pure core.

pub mod class;
pub mod pattern;
pub mod suggest;
pub mod template;
pub mod window;
