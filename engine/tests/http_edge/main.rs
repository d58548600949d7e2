//! The HTTP edge over real sockets, with an engine that only remembers what it was told.

mod access;
mod connections;
mod deliveries;
mod fake;
mod questions;
