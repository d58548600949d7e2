//! `weir import`: rules from what other products keep.

pub mod msr;
mod msr_criteria;
mod msr_policy;
mod msr_template;
