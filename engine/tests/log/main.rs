//! The log through its public interface, from promises to power cuts.

mod crash;
mod disk;
mod images;
mod index;
mod proof;
mod records;
mod store;
