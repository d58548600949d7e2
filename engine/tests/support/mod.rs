//! What the tests of the registry client share: real registries, sample applications, faults.

#![expect(dead_code, reason = "each test file uses a part of it")]

pub mod app;
pub mod daemon;
pub mod proxy;
pub mod registry;
pub mod stub;
pub mod tls;
pub mod token;
