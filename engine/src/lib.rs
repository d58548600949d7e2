//! Makes it happen.

pub mod copy;
pub mod oci;
pub mod resolve;
