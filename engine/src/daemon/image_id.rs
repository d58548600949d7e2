//! Which image a report is about whose `ImageID` is the digest of an index: Docker's containerd image
//! store, the default of Docker Engine 29, knows an image by what was pulled or pushed
//! (google/go-containerregistry#1954, docker/cli#5526), and Trivy takes that for the configuration.

use weir_rules::{Execution, IndexView, Settings, State, step};
use weir_schema::{Body, Digest, Platform, Received, Timestamp, media_type};

use crate::adapters::{Named, SUBJECT_HEADER};

/// The one image in the index that is of the platform which the report says that it looked at.
pub(super) fn in_index(report: &Named, index: &IndexView) -> Result<Digest, String> {
    let whole = &report.config_digest;
    let (found, why) = match &report.platform {
        _ if !index.is_whole => (None, "what is in it is not known".to_owned()),
        None => (
            None,
            "the report does not say of which platform the image is that was scanned".to_owned(),
        ),
        Some(platform) => {
            let images = index.images.iter();
            let of_it =
                images.filter(|(_, own)| own.as_ref().is_some_and(|own| is_of(own, platform)));
            let of_it: Vec<_> = of_it.map(|(image, _)| image).collect();
            match of_it[..] {
                [only] => (Some(only), String::new()),
                [] => (None, format!("it has no image of {platform}")),
                _ => (None, format!("several images in it are of {platform}")),
            }
        }
    };
    let named = report.candidates.iter().chain(&report.claimed);
    let mut others = named.filter(|named| *named != whole && Some(*named) != found);
    let why = match (found, others.next()) {
        (Some(image), None) => return Ok(image.clone()),
        (Some(_), Some(other)) => format!("the report names {other} too"),
        (None, _) => why,
    };
    Err(format!(
        "that is the digest of an index, as Docker's containerd image store gives it, and {why}: name the image that was scanned in the header `{SUBJECT_HEADER}`"
    ))
}

/// Whether both are the same platform as far as both say it.
fn is_of(own: &Platform, wanted: &Platform) -> bool {
    let variants = own.variant.as_ref().zip(wanted.variant.as_ref());
    own.os == wanted.os
        && own.architecture == wanted.architecture
        && variants.is_none_or(|(own, wanted)| own == wanted)
}

/// The index, as what a registry answered just now tells of it.
pub(super) fn told(answered: &[Received], index: &Digest) -> Option<IndexView> {
    let is_index = |event: &Received| match &event.event.body {
        Body::ManifestResolved(fact) => {
            fact.digest == *index && media_type::is_index(&fact.media_type)
        }
        _ => false,
    };
    if !answered.iter().any(is_index) {
        return None;
    }
    let mut state = State::new(Settings::default());
    for event in answered {
        let body = &event.event.body;
        step(&mut state, Timestamp::EPOCH, body, Execution::AtOnce);
    }
    state.index(index)
}
