//! Makes it happen.

pub mod oci;
