//! Proves it.
