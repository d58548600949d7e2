//! Sample applications: the same call gives the same bytes and so the same digests.
//!
//! They have what real ones have and parsers stumble over: no media type in the index, `null`
//! layers in the bundle configuration, an index among the components, a layer shared by all.

use serde_json::{Value, json};
use weir_engine::oci::{Client, media_type::*};
use weir_schema::{Digest, Tag};

/// The layer type of OCI images.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An image or application in memory, to be pushed in the order given.
#[derive(Debug, Clone, Default)]
pub struct Content {
    pub blobs: Vec<Vec<u8>>,
    /// Media type and bytes, children before parents; the last is the thing itself.
    pub manifests: Vec<(String, Vec<u8>)>,
}

impl Content {
    /// The digest of the thing itself.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifests.last().unwrap().1)
    }

    /// A descriptor of the thing itself, with more fields.
    pub fn descriptor(&self, more: &Value) -> Value {
        let (media_type, bytes) = self.manifests.last().unwrap();
        let mut descriptor = descriptor(media_type, bytes);
        for (key, value) in more.as_object().unwrap() {
            descriptor[key] = value.clone();
        }
        descriptor
    }

    /// Everything of `other`, to be pushed before what follows.
    fn take(&mut self, other: Content) {
        self.blobs.extend(other.blobs);
        self.manifests.extend(other.manifests);
    }

    /// Pushes it; the last manifest under `tag`, if there is one.
    pub async fn push(&self, client: &Client, repository: &str, tag: Option<&str>) -> Digest {
        for blob in &self.blobs {
            let digest = Digest::of(blob);
            if !client.has_blob(repository, &digest).await.unwrap() {
                let upload = client.start_upload(repository).await.unwrap();
                client
                    .finish_upload(upload, &digest, blob.clone().into())
                    .await
                    .unwrap();
            }
        }
        for (media_type, bytes) in &self.manifests {
            let digest = Digest::of(bytes);
            client
                .put_manifest(repository, &digest.into(), media_type, bytes.clone().into())
                .await
                .unwrap();
        }
        if let Some(tag) = tag {
            let (media_type, bytes) = self.manifests.last().unwrap();
            let tag: Tag = tag.parse().unwrap();
            client
                .put_manifest(repository, &tag.into(), media_type, bytes.clone().into())
                .await
                .unwrap();
        }
        self.digest()
    }
}

pub fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len()})
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: &str, size: usize) -> Vec<u8> {
    let mut state =
        u64::from_le_bytes(Digest::of(seed.as_bytes()).bytes()[..8].try_into().unwrap()) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// A platform image with a layer that all images share, a layer of its own, and one for each of
/// `sizes`.
pub fn image(name: &str, architecture: &str, sizes: &[usize]) -> Content {
    image_made(name, architecture, sizes, "2024-01-01T00:00:00Z")
}

/// The same, made at that time by its own word.
pub fn image_made(name: &str, architecture: &str, sizes: &[usize], created: &str) -> Content {
    let mut layers = vec![
        b"the base layer\n".to_vec(),
        format!("{name} {architecture}\n").into_bytes(),
    ];
    layers.extend(
        sizes
            .iter()
            .enumerate()
            .map(|(n, size)| noise(&format!("{name}/{architecture}/{n}"), *size)),
    );
    let config = json!({
        "created": created, "architecture": architecture, "os": "linux",
        "config": {"Labels": {"sample.name": name}},
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| Digest::of(l)).collect::<Vec<_>>()},
    })
    .to_string()
    .into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(OCI_CONFIG, &config),
        "layers": layers.iter().map(|layer| descriptor(LAYER, layer)).collect::<Vec<_>>(),
    });
    let mut blobs = layers;
    blobs.push(config);
    Content {
        blobs,
        manifests: vec![(OCI_MANIFEST.into(), manifest.to_string().into_bytes())],
    }
}

/// An index of images for several platforms.
pub fn multi_arch(name: &str, sizes: &[usize]) -> Content {
    let mut all = Content::default();
    let mut children = Vec::new();
    for architecture in ["amd64", "arm64"] {
        let image = image(name, architecture, sizes);
        children.push(
            image.descriptor(&json!({"platform": {"os": "linux", "architecture": architecture}})),
        );
        all.take(image);
    }
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children});
    all.manifests
        .push((OCI_INDEX.into(), index.to_string().into_bytes()));
    all
}

/// A multi-platform image whose index holds `more` besides, each with more fields in its descriptor.
pub fn multi_arch_with(name: &str, more: &[(&Content, Value)]) -> Content {
    let mut all = multi_arch(name, &[]);
    let (_, index) = all.manifests.pop().unwrap();
    let mut index: Value = serde_json::from_slice(&index).unwrap();
    let children = index["manifests"].as_array_mut().unwrap();
    for (content, fields) in more {
        children.push(content.descriptor(fields));
        all.take((*content).clone());
    }
    all.manifests
        .push((OCI_INDEX.into(), index.to_string().into_bytes()));
    all
}

/// The same, where the thing's own manifest says `fields` too.
pub fn said_by_itself(mut content: Content, fields: &Value) -> Content {
    let (media_type, bytes) = content.manifests.pop().unwrap();
    let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
    for (key, value) in fields.as_object().unwrap() {
        manifest[key] = value.clone();
    }
    content
        .manifests
        .push((media_type, manifest.to_string().into_bytes()));
    content
}

/// An attestation as BuildKit makes them: an image's configuration, a layer that is a statement.
pub fn buildkit_attestation(statement: &str) -> Content {
    let mut content = cosign_signature(&[statement]);
    let layers = json!([descriptor(
        "application/vnd.in-toto+json",
        statement.as_bytes()
    )]);
    content = said_by_itself(content, &json!({"layers": layers}));
    content
}

/// An application: bundle configuration, invocation image, a plain component for each name, and
/// `cache`, a component that is an index itself. Every image has one more layer for each of
/// `sizes`.
pub fn application(name: &str, components: &[&str], sizes: &[usize]) -> Content {
    let mut parts = vec![(
        "cache".to_owned(),
        multi_arch(&format!("{name}-cache"), sizes),
    )];
    parts.extend(components.iter().map(|part| {
        (
            (*part).to_owned(),
            image(&format!("{name}-{part}"), "amd64", sizes),
        )
    }));
    bundle(name, parts, sizes)
}

/// An application without an index among its components.
pub fn flat_application(name: &str, components: &[&str], sizes: &[usize]) -> Content {
    let parts = components.iter().map(|part| {
        (
            (*part).to_owned(),
            image(&format!("{name}-{part}"), "amd64", sizes),
        )
    });
    bundle(name, parts.collect(), sizes)
}

fn bundle(name: &str, parts: Vec<(String, Content)>, sizes: &[usize]) -> Content {
    let mut all = Content::default();
    let config = json!({"schemaVersion": "v1.0.0", "name": name, "version": "1.0"})
        .to_string()
        .into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "config": descriptor("application/vnd.cnab.config.v1+json", &config),
        "layers": null,
    });
    let manifest = manifest.to_string().into_bytes();
    let mut entry = descriptor(OCI_MANIFEST, &manifest);
    entry["annotations"] = json!({"io.cnab.manifest.type": "config"});
    let mut children = vec![entry];
    all.blobs.push(config);
    all.manifests.push((OCI_MANIFEST.into(), manifest));
    let invocation = image(&format!("{name}-invoc"), "amd64", sizes);
    children.push(
        invocation.descriptor(&json!({"annotations": {"io.cnab.manifest.type": "invocation"}})),
    );
    all.take(invocation);
    for (part, content) in parts {
        let annotations =
            json!({"io.cnab.manifest.type": "component", "io.cnab.component.name": part});
        children.push(content.descriptor(&json!({"annotations": annotations})));
        all.take(content);
    }
    let index = json!({
        "schemaVersion": 2,
        "manifests": children,
        "annotations": {"org.opencontainers.artifactType": "application/vnd.cnab.manifest.v1"},
    });
    all.manifests
        .push((OCI_INDEX.into(), index.to_string().into_bytes()));
    all
}

/// An artifact that names `subject` as what it is about.
pub fn referrer(subject: &Value, kind: &str, payload: &str) -> Content {
    let blob = payload.as_bytes().to_vec();
    let empty = b"{}".to_vec();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": kind,
        "config": descriptor("application/vnd.oci.empty.v1+json", &empty),
        "layers": [descriptor("application/octet-stream", &blob)],
        "subject": subject,
    });
    Content {
        blobs: vec![blob, empty],
        manifests: vec![(OCI_MANIFEST.into(), manifest.to_string().into_bytes())],
    }
}

/// A signature as cosign stores it under the tag `sha256-HEX.sig`: a layer for each payload.
pub fn cosign_signature(payloads: &[&str]) -> Content {
    let layers: Vec<Vec<u8>> = payloads
        .iter()
        .map(|payload| payload.as_bytes().to_vec())
        .collect();
    let config = json!({"rootfs": {"type": "layers", "diff_ids": layers.iter().map(|l| Digest::of(l)).collect::<Vec<_>>()}})
        .to_string()
        .into_bytes();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": descriptor(OCI_CONFIG, &config),
        "layers": layers
            .iter()
            .map(|l| descriptor("application/vnd.dev.cosign.simplesigning.v1+json", l))
            .collect::<Vec<_>>(),
    });
    let mut blobs = layers;
    blobs.push(config);
    Content {
        blobs,
        manifests: vec![(OCI_MANIFEST.into(), manifest.to_string().into_bytes())],
    }
}

/// The index that lists `referrers` under the tag `sha256-HEX`.
pub fn referrer_list(referrers: &[(&Content, &str)]) -> Content {
    let entries: Vec<Value> = referrers
        .iter()
        .map(|(content, kind)| content.descriptor(&json!({"artifactType": kind})))
        .collect();
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
    Content {
        blobs: Vec::new(),
        manifests: vec![(OCI_INDEX.into(), index.to_string().into_bytes())],
    }
}

/// An index of `children` indexes of `size` bytes each, none of which is kept: the digest of it all,
/// and what answers to a request for a path.
pub fn padded_tree(
    children: usize,
    size: usize,
) -> (
    Digest,
    impl Fn(&str) -> Option<Vec<u8>> + Clone + Send + Sync + 'static,
) {
    let child = move |number: usize| {
        let pad = "x".repeat(size);
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "annotations": {"n": number.to_string(), "pad": pad}});
        index.to_string().into_bytes()
    };
    let entries: Vec<Value> = (0..children)
        .map(|number| descriptor(OCI_INDEX, &child(number)))
        .collect();
    let root = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries});
    let root = root.to_string().into_bytes();
    let digest = Digest::of(&root);
    let digests: Vec<String> = entries
        .iter()
        .map(|entry| entry["digest"].as_str().unwrap().to_owned())
        .collect();
    let of_root = digest.to_string();
    let find = move |path: &str| {
        if path.ends_with(&of_root) {
            return Some(root.clone());
        }
        let number = digests.iter().position(|digest| path.ends_with(digest));
        number.map(child)
    };
    (digest, find)
}

/// Indexes one in the other, `levels` of them, the innermost empty: the outermost, and what a registry
/// has under the path of each.
pub fn nested_indexes(
    levels: usize,
) -> (
    Digest,
    impl Fn(&str) -> Option<Vec<u8>> + Clone + Send + Sync + 'static,
) {
    let mut all: Vec<Vec<u8>> = Vec::new();
    for _ in 0..levels {
        let below: Vec<Value> = all
            .last()
            .map(|index| descriptor(OCI_INDEX, index))
            .into_iter()
            .collect();
        let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": below});
        all.push(index.to_string().into_bytes());
    }
    let root = Digest::of(all.last().unwrap());
    let find = move |path: &str| {
        let is_asked = |index: &&Vec<u8>| path.ends_with(&Digest::of(index).to_string());
        all.iter().find(is_asked).cloned()
    };
    (root, find)
}
