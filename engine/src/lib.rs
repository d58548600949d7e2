//! Makes it happen.

pub mod log;
