//! Makes it happen.
