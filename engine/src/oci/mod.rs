//! The registry client: the OCI distribution API on raw bytes.
//!
//! What is promoted is never written anew: manifests are fetched, verified and stored as the
//! bytes they are, and reading them ([`Manifest`]) is for decisions only.
//!
//! ```text
//! manifests, blobs, lists, transfer      what is asked of a registry
//!        client                          one request: login, limits, repetition
//! auth  endpoint  leads  tls  limit      a token, an address, a connection, a moment
//!        turns                           who writes a tag that others write too
//! ```

mod answer;
mod auth;
mod blobs;
mod budget;
mod certificate;
mod challenge;
mod client;
mod clients;
mod config;
mod credentials;
mod descriptor;
mod endpoint;
mod error;
mod flow;
mod lack;
mod leads;
mod limit;
mod lists;
mod manifests;
pub mod media_type;
mod spelling;
mod tls;
mod transfer;
mod turns;

pub use blobs::{Mount, Upload};
pub use budget::{
    TREE_LEVELS, TREE_LIMIT, TREE_MANIFESTS, TREE_TOO_DEEP, TREE_TOO_LARGE, TREE_TOO_MANY,
    TreeBudget,
};
pub use certificate::CertificateSummary;
pub use client::{Client, USER_AGENT};
pub use clients::Clients;
pub use config::RegistryConfig;
pub use credentials::CredentialsError;
pub(crate) use descriptor::texts;
pub use descriptor::{Descriptor, Manifest, ManifestError, PlatformField};
pub use error::{AuthFailure, OciError, TlsFailure};
pub use limit::Slot;
pub use lists::{LIST_LIMIT, Referrers, fallback_tag};
pub use manifests::{MANIFEST_LIMIT, ManifestHead, RawManifest, Reference};
pub use tls::install_crypto_provider;
pub(crate) use tls::{authorities, check_key};
pub use transfer::{Blob, move_blob};
pub use turns::Turn;
