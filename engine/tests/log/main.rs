//! The log through its public interface, from promises to power cuts.

mod archive;
mod ask;
mod asked;
mod audit;
mod cli;
mod crash;
mod damage;
mod disk;
mod edges;
mod history;
mod images;
mod index;
mod kept;
mod ledger;
mod lines;
mod mixed;
mod past;
mod proof;
mod records;
mod scanned;
mod shown;
mod store;
mod told;
mod transfer;
mod verbs;
