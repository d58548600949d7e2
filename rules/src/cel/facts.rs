//! The facts of a rule: which variables and fields there are, their types, and their meaning.
//!
//! This is the one declaration. The checker, the reference page and the editor hints are made from
//! it, and the core that supplies the values uses the index constants declared by the same lines,
//! so a field cannot exist for one and not for another.
//!
//! A text that is absent is the empty string and an absent score is 0.0; `has()` is false of both.
//! A time or a size that is absent makes its field absent: `has()` is false of it and reading it
//! is an error.

use super::environment::{Field, Presence, RecordType, Variable};
use super::types::Type;

/// Constants numbered from the first expression up, each with its documentation.
macro_rules! indices {
    ($index:expr;) => {};
    ($index:expr; $constant:ident $doc:literal; $($rest:tt)*) => {
        #[doc = $doc]
        pub const $constant: u16 = $index;
        indices!($constant + 1; $($rest)*);
    };
}

/// Declares one record: its index constants and its [`RecordType`], from the same lines.
macro_rules! record {
    (
        $(#[$module_doc:meta])*
        $module:ident, $name:literal, $noun:literal, $doc:literal;
        $($constant:ident $field:literal: $ty:expr, $presence:ident, $field_doc:literal;)*
    ) => {
        $(#[$module_doc])*
        pub mod $module {
            use super::{Field, Presence, RecordType, Type};

            indices!(0u16; $($constant $field_doc;)*);

            /// The name of the record type.
            pub const TYPE: &str = $name;

            pub(in super::super) fn declaration() -> RecordType {
                RecordType {
                    name: $name,
                    noun: $noun,
                    doc: $doc,
                    fields: vec![$(
                        Field {
                            name: $field,
                            ty: $ty,
                            presence: Presence::$presence,
                            doc: $field_doc,
                        },
                    )*],
                }
            }
        }
    };
}

/// Declares the variables: their index constants and their [`Variable`]s, from the same lines.
macro_rules! variables {
    ($($constant:ident $name:literal: $ty:expr, $doc:literal;)*) => {
        /// Indices of the variables of a rule.
        pub mod variable {
            indices!(0u16; $($constant $doc;)*);
        }

        pub(super) fn variables() -> Vec<Variable> {
            vec![$(Variable { name: $name.into(), ty: $ty, doc: $doc },)*]
        }
    };
}

variables! {
    TAG "tag": Type::Record("Tag"), "The tag that would be promoted.";
    REPOSITORY "repository": Type::Record("Repository"), "The repository the tag is in.";
    ARTIFACT "artifact": Type::Record("Artifact"), "The manifest the tag points at.";
    IMAGES "images": Type::list(Type::Record("Image")), "The images that must be scanned: every leaf of an application or index, or the image itself.";
    SCAN "scan": Type::Record("Scan"), "The findings of all images together, after overrides.";
    VULNERABILITIES "vulnerabilities": Type::list(Type::Record("Vulnerability")), "The findings of all images that are not overridden.";
    OVERRIDDEN "overridden": Type::list(Type::Record("Overridden")), "The findings that an override keeps from counting.";
    TARGET "target": Type::Record("Target"), "Where the tag would be promoted to.";
    APPROVALS "approvals": Type::list(Type::Record("Approval")), "The approvals given for this digest and target.";
    LINEAGE "lineage": Type::list(Type::Record("Hop")), "The earlier promotions that brought the tag here, oldest first.";
    REFERRERS "referrers": Type::list(Type::Record("Referrer")), "Signatures, SBOMs and attestations of the artifact and its images.";
    NOW "now": Type::Timestamp, "The time of the record being decided.";
}

pub(super) fn records() -> Vec<RecordType> {
    vec![
        tag::declaration(),
        repository::declaration(),
        artifact::declaration(),
        image::declaration(),
        image_scan::declaration(),
        scan::declaration(),
        vulnerability::declaration(),
        overridden::declaration(),
        target::declaration(),
        approval::declaration(),
        hop::declaration(),
        referrer::declaration(),
    ]
}

record! {
    /// Indices of the fields of `tag`.
    tag, "Tag", "tag", "A tag of the source repository.";
    NAME "name": Type::String, Always, "The tag itself, such as `1.4.2`.";
    PUSHED_AT "pushed_at": Type::Timestamp, Always, "When the tag came to point at its present digest.";
    PUSHED_BY "pushed_by": Type::String, Always, "Who pushed it; empty if the registry did not say.";
    PREVIOUS_DIGEST "previous_digest": Type::String, Always, "The digest it pointed at before; empty if there was none.";
}

record! {
    /// Indices of the fields of `repository`.
    repository, "Repository", "repository", "The source repository.";
    NAME "name": Type::String, Always, "The path without the registry, such as `dev/shop/api`.";
    NAMESPACE "namespace": Type::String, Always, "The path without its last part, such as `dev/shop`; empty if there is one part.";
    REGISTRY "registry": Type::String, Always, "The registry, such as `registry.example.com:5000`; empty for the default registry.";
    IMMUTABLE_TAGS "immutable_tags": Type::Bool, Always, "Whether its tags may not be moved.";
}

record! {
    /// Indices of the fields of `artifact`.
    artifact, "Artifact", "artifact", "A manifest: an application, index, image or other artifact.";
    DIGEST "digest": Type::String, Always, "The digest of the manifest.";
    CLASS "class": Type::String, Always, "One of `app`, `index`, `image`, `artifact`.";
    MEDIA_TYPE "media_type": Type::String, Always, "The media type of the manifest.";
    ANNOTATIONS "annotations": Type::map(Type::String, Type::String), Always, "The annotations of the manifest.";
    LABELS "labels": Type::map(Type::String, Type::String), Always, "The labels in the configuration of an image; empty until the registry was asked for it.";
    SIZE "size": Type::Int, Optional, "The size of the manifest in bytes.";
}

record! {
    /// Indices of the fields of an element of `images`.
    image, "Image", "image", "An image that must be scanned.";
    DIGEST "digest": Type::String, Always, "The digest of the image manifest.";
    COMPONENT "component": Type::String, Always, "The name of the component within the application; empty if it has none.";
    ROLE "role": Type::String, Always, "One of `invocation`, `component`, `platform`, `self`.";
    PLATFORM "platform": Type::String, Always, "The platform, such as `linux/arm64/v8`; empty if not known.";
    SCAN "scan": Type::Record("ImageScan"), Always, "The scan of this image.";
    VULNERABILITIES "vulnerabilities": Type::list(Type::Record("Vulnerability")), Always, "Its findings that are not overridden.";
    LICENSES "licenses": Type::list(Type::String), Always, "The licences found in it.";
}

record! {
    /// Indices of the fields of `scan` of an image.
    image_scan, "ImageScan", "image scan", "The scan of one image.";
    STATE "state": Type::String, Always, "One of `completed`, `failed`, `running`, `missing`.";
    SCANNERS "scanners": Type::list(Type::String), Always, "The names of the scanners whose latest scan completed.";
    SCANNED_AT "scanned_at": Type::Timestamp, Always, "When it was scanned last; absent until it was.";
    DB_UPDATED_AT "db_updated_at": Type::Timestamp, Optional, "When the scanner's database was updated; absent if the scanner did not say.";
    AGE "age": Type::Duration, Always, "The time since `scanned_at`; absent until it was scanned.";
    DB_AGE "db_age": Type::Duration, Optional, "The time since `db_updated_at`; absent if the scanner did not say.";
    CRITICAL "critical": Type::Int, Always, "The number of critical findings, after overrides.";
    HIGH "high": Type::Int, Always, "The number of high findings, after overrides.";
    MEDIUM "medium": Type::Int, Always, "The number of medium findings, after overrides.";
    LOW "low": Type::Int, Always, "The number of low findings, after overrides.";
    NEGLIGIBLE "negligible": Type::Int, Always, "The number of negligible findings, after overrides.";
    UNKNOWN "unknown": Type::Int, Always, "The number of findings of unknown severity, after overrides.";
    TOTAL "total": Type::Int, Always, "The number of findings, after overrides.";
    FIXABLE "fixable": Type::Int, Always, "The number of findings with a fixed version, after overrides.";
    OVERRIDDEN "overridden": Type::Int, Always, "The number of findings that are overridden.";
}

record! {
    /// Indices of the fields of `scan`.
    scan, "Scan", "scan", "The findings of all images together.";
    CRITICAL "critical": Type::Int, Always, "The number of critical findings, after overrides.";
    HIGH "high": Type::Int, Always, "The number of high findings, after overrides.";
    MEDIUM "medium": Type::Int, Always, "The number of medium findings, after overrides.";
    LOW "low": Type::Int, Always, "The number of low findings, after overrides.";
    NEGLIGIBLE "negligible": Type::Int, Always, "The number of negligible findings, after overrides.";
    UNKNOWN "unknown": Type::Int, Always, "The number of findings of unknown severity, after overrides.";
    TOTAL "total": Type::Int, Always, "The number of findings, after overrides.";
    FIXABLE "fixable": Type::Int, Always, "The number of findings with a fixed version, after overrides.";
    OVERRIDDEN "overridden": Type::Int, Always, "The number of findings that are overridden.";
    OLDEST "oldest": Type::Timestamp, Always, "When the image scanned longest ago was scanned; absent until one was.";
    NEWEST "newest": Type::Timestamp, Always, "When the image scanned last was scanned; absent until one was.";
    MAX_SCORE "max_score": Type::Double, Always, "The highest score among the findings, after overrides; 0.0 if there is none.";
}

record! {
    /// Indices of the fields of an element of `vulnerabilities`.
    vulnerability, "Vulnerability", "vulnerability", "A finding that counts.";
    ID "id": Type::String, Always, "The name of the vulnerability, such as `CVE-2024-3094`.";
    SEVERITY "severity": Type::String, Always, "One of `CRITICAL`, `HIGH`, `MEDIUM`, `LOW`, `NEGLIGIBLE`, `UNKNOWN`.";
    SCORE "score": Type::Double, Always, "The score the scanner gave; 0.0 if it gave none.";
    PACKAGE "package": Type::String, Always, "The package it is in; empty if not known.";
    VERSION "version": Type::String, Always, "The version of the package; empty if not known.";
    FIXED_VERSION "fixed_version": Type::String, Always, "The version that fixes it; empty if there is none.";
    IMAGE "image": Type::String, Always, "The digest of the image it is in.";
    COMPONENT "component": Type::String, Always, "The component the image is; empty if it has no name.";
    FIRST_SEEN "first_seen": Type::Timestamp, Always, "When the first completed scan of the image reported it.";
    AGE "age": Type::Duration, Always, "The time since `first_seen`.";
}

record! {
    /// Indices of the fields of an element of `overridden`.
    overridden, "Overridden", "overridden finding", "A finding that an override keeps from counting.";
    ID "id": Type::String, Always, "The name of the vulnerability, such as `CVE-2024-3094`.";
    SEVERITY "severity": Type::String, Always, "One of `CRITICAL`, `HIGH`, `MEDIUM`, `LOW`, `NEGLIGIBLE`, `UNKNOWN`.";
    SCORE "score": Type::Double, Always, "The score the scanner gave; 0.0 if it gave none.";
    PACKAGE "package": Type::String, Always, "The package it is in; empty if not known.";
    VERSION "version": Type::String, Always, "The version of the package; empty if not known.";
    FIXED_VERSION "fixed_version": Type::String, Always, "The version that fixes it; empty if there is none.";
    IMAGE "image": Type::String, Always, "The digest of the image it is in.";
    COMPONENT "component": Type::String, Always, "The component the image is; empty if it has no name.";
    FIRST_SEEN "first_seen": Type::Timestamp, Always, "When the first completed scan of the image reported it.";
    AGE "age": Type::Duration, Always, "The time since `first_seen`.";
    OVERRIDE_ID "override_id": Type::String, Always, "The override that applies.";
    REASON "reason": Type::String, Always, "The reason given with the override.";
    ACTOR "actor": Type::String, Always, "Who granted the override.";
    EXPIRES_AT "expires_at": Type::Timestamp, Optional, "When the override ends; absent if it does not.";
}

record! {
    /// Indices of the fields of `target`.
    target, "Target", "target", "Where the tag would be promoted to.";
    REPOSITORY "repository": Type::String, Always, "The target repository.";
    TAG "tag": Type::String, Always, "The target tag.";
    EXISTS "exists": Type::Bool, Always, "Whether the target tag exists.";
    DIGEST "digest": Type::String, Always, "The digest the target tag points at; empty if it does not exist.";
    IMMUTABLE_TAGS "immutable_tags": Type::Bool, Always, "Whether tags of the target repository may not be moved.";
}

record! {
    /// Indices of the fields of an element of `approvals`.
    approval, "Approval", "approval", "A vote for this digest and target.";
    ACTOR "actor": Type::String, Always, "Who approved.";
    AT "at": Type::Timestamp, Always, "When.";
    COMMENT "comment": Type::String, Always, "The comment given; empty if none was.";
}

record! {
    /// Indices of the fields of an element of `lineage`.
    hop, "Hop", "hop", "An earlier promotion.";
    RULE "rule": Type::String, Always, "The rule that promoted it.";
    REPOSITORY "repository": Type::String, Always, "The repository it was promoted from.";
    TAG "tag": Type::String, Always, "The tag it was promoted from.";
    AT "at": Type::Timestamp, Always, "When.";
}

record! {
    /// Indices of the fields of an element of `referrers`.
    referrer, "Referrer", "referrer", "A manifest that refers to the artifact or one of its images.";
    DIGEST "digest": Type::String, Always, "The digest of the referrer.";
    ARTIFACT_TYPE "artifact_type": Type::String, Always, "Its artifact type; empty if it has none.";
    PREDICATE_TYPE "predicate_type": Type::String, Always, "The predicate type of an attestation; empty if it has none.";
    SUBJECT "subject": Type::String, Always, "The digest it refers to.";
}
