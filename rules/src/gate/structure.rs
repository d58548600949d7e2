//! What a manifest's content says about scanning it (DESIGN 4.2): leaves, what is left out and
//! why, what is not known.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{LeftOut, Role};
use crate::state::{CnabType, DigestId, Mention, NameId, PlatformId, Shape, State};

/// How deep indexes may be nested below the subject.
pub const DEEPEST: usize = 8;

/// A leaf that must be scanned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Leaf {
    pub(crate) digest: DigestId,
    pub(crate) component: Option<NameId>,
    pub(crate) platform: Option<PlatformId>,
    pub(crate) role: Role,
}

/// The structure of an index, or of what is no image.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Structure {
    /// Distinct, ordered by digest.
    leaves: Box<[Leaf]>,
    /// The subject if it is an index, and every index in it, in their order.
    indexes: Box<[DigestId]>,
    /// Indexes whose children are not known, or what may be one.
    unknown: Box<[DigestId]>,
    /// Indexes nested too deep, or with a child of unknown kind.
    invalid: Box<[DigestId]>,
    /// The components that indexes stand for, by their digests.
    components: Box<[(DigestId, NameId)]>,
    /// What indexes hold directly, and which: pairs, for what is not left out. Empty if the
    /// subject holds all leaves itself.
    holders: Box<[(DigestId, DigestId)]>,
}

/// What a subject is made of.
#[derive(Debug, Clone)]
pub(crate) enum Parts {
    /// An image, which has no parts but itself.
    Image(Leaf),
    /// Anything else.
    Several(Arc<Structure>),
}

/// What stands in an index and need not be scanned, with the reason.
pub(crate) type LeftOuts = BTreeSet<(DigestId, LeftOut)>;

impl Mention {
    /// Why what a descriptor names is not in the required set; `None` if it is. `is_index` and
    /// `non_image` are what its own manifest says; the descriptor may say so too.
    #[must_use]
    pub fn left_out(self, is_index: bool, non_image: bool) -> Option<LeftOut> {
        match self.cnab {
            CnabType::Config => Some(LeftOut::Config),
            _ if self.attestation => Some(LeftOut::Attestation),
            // An index is expanded whatever type it declares: images in it stay in.
            _ if self.is_index || is_index => None,
            _ if self.non_image || non_image => Some(LeftOut::Artifact),
            _ => None,
        }
    }
}

impl Parts {
    /// The images that must be scanned, distinct, ordered by digest.
    pub(crate) fn leaves(&self) -> &[Leaf] {
        match self {
            Self::Image(leaf) => std::slice::from_ref(leaf),
            Self::Several(structure) => &structure.leaves,
        }
    }

    /// The subject if it is an index, and every index in it.
    pub(crate) fn indexes(&self) -> &[DigestId] {
        self.structure().map_or(&[], |structure| &structure.indexes)
    }

    /// What may have children that are not known.
    pub(crate) fn unknown(&self) -> &[DigestId] {
        self.structure().map_or(&[], |structure| &structure.unknown)
    }

    /// Indexes that no application can have.
    pub(crate) fn invalid(&self) -> &[DigestId] {
        self.structure().map_or(&[], |structure| &structure.invalid)
    }

    /// The component that an index in the subject stands for.
    pub(crate) fn component_of(&self, index: DigestId) -> Option<NameId> {
        let components = &self.structure()?.components;
        let place = components.binary_search_by_key(&index, |(digest, _)| *digest);
        place.ok().map(|place| components[place].1)
    }

    /// The indexes in the subject that hold a part directly.
    pub(crate) fn holders(&self, part: DigestId) -> impl Iterator<Item = DigestId> {
        let structure = self.structure();
        let (indexes, pairs) = structure.map_or((&[][..], &[][..]), |structure| {
            (&*structure.indexes, &*structure.holders)
        });
        let from = pairs.partition_point(|(other, _)| *other < part);
        let listed = pairs[from..]
            .iter()
            .take_while(move |(other, _)| *other == part);
        // Without pairs there is one index, and it holds all parts but itself.
        let only = indexes
            .first()
            .filter(|only| pairs.is_empty() && **only != part);
        listed.map(|(_, holder)| *holder).chain(only.copied())
    }

    /// The way from a leaf up to the subject, for all that is asked of it.
    pub(crate) fn above(&self, leaf: DigestId) -> Above<'_> {
        Above {
            parts: self,
            leaf,
            indexes: OnceCell::new(),
        }
    }

    fn structure(&self) -> Option<&Structure> {
        match self {
            Self::Image(_) => None,
            Self::Several(structure) => Some(structure),
        }
    }
}

/// A leaf and the indexes above it up to the subject: they are looked for once, and only where the
/// answer is not plain without.
pub(crate) struct Above<'a> {
    parts: &'a Parts,
    leaf: DigestId,
    indexes: OnceCell<BTreeSet<DigestId>>,
}

impl Above<'_> {
    /// Whether `wanted` is the leaf, or an index above it up to the subject.
    pub(crate) fn includes(&self, wanted: DigestId) -> bool {
        if wanted == self.leaf {
            return true;
        }
        let is_in_subject = self.parts.indexes().binary_search(&wanted).is_ok();
        is_in_subject && self.indexes().contains(&wanted)
    }

    fn indexes(&self) -> &BTreeSet<DigestId> {
        self.indexes.get_or_init(|| {
            let mut found = BTreeSet::new();
            let mut open = vec![self.leaf];
            while let Some(part) = open.pop() {
                open.extend(
                    self.parts
                        .holders(part)
                        .filter(|index| found.insert(*index)),
                );
            }
            found
        })
    }
}

/// A descriptor on the way down, with what the descriptors above say of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    digest: DigestId,
    component: Option<NameId>,
    invocation: bool,
    in_bundle: bool,
}

/// What was found on the way down.
#[derive(Default)]
struct Found {
    leaves: BTreeMap<DigestId, Leaf>,
    indexes: BTreeSet<DigestId>,
    unknown: BTreeSet<DigestId>,
    invalid: BTreeSet<DigestId>,
    components: BTreeMap<DigestId, NameId>,
    holders: BTreeSet<(DigestId, DigestId)>,
    left_out: LeftOuts,
}

impl State {
    /// The parts of a manifest, kept until something below it changes.
    pub(crate) fn parts(&mut self, subject: DigestId) -> Parts {
        let parts = self.parts_now(subject);
        if let (Parts::Several(structure), Some(index)) =
            (&parts, &mut self.manifest_mut(subject).index)
        {
            index.structure.get_or_insert_with(|| Arc::clone(structure));
        }
        parts
    }

    /// As [`State::parts`], where the state may not be changed.
    pub(crate) fn parts_now(&self, subject: DigestId) -> Parts {
        let manifest = self.manifest(subject);
        let known = manifest
            .index
            .as_ref()
            .and_then(|index| index.structure.as_ref());
        if let Some(known) = known {
            return Parts::Several(Arc::clone(known));
        }
        let structure = match manifest.shape {
            Shape::Index => self.structure_of(self.expand(subject)),
            // Nothing is guessed of what nobody told.
            Shape::Untold | Shape::Mentioned => Structure {
                unknown: Box::new([subject]),
                ..Structure::default()
            },
            Shape::Single if manifest.non_image => Structure::default(),
            Shape::Single => {
                return Parts::Image(Leaf {
                    digest: subject,
                    component: None,
                    platform: None,
                    role: Role::This,
                });
            }
        };
        Parts::Several(Arc::new(structure))
    }

    /// What in a manifest need not be scanned.
    pub(crate) fn left_out(&self, subject: DigestId) -> LeftOuts {
        let manifest = self.manifest(subject);
        match manifest.shape {
            Shape::Index => self.expand(subject).left_out,
            Shape::Single if manifest.non_image => LeftOuts::from([(subject, LeftOut::Artifact)]),
            Shape::Single | Shape::Mentioned | Shape::Untold => LeftOuts::new(),
        }
    }

    fn structure_of(&self, found: Found) -> Structure {
        let mut leaves: Vec<Leaf> = found.leaves.into_values().collect();
        leaves.sort_by(|a, b| self.digest(a.digest).cmp(self.digest(b.digest)));
        let flat = found.indexes.len() == 1;
        let holders = found.holders.into_iter().filter(|_| !flat);
        Structure {
            leaves: leaves.into(),
            indexes: found.indexes.into_iter().collect(),
            unknown: found.unknown.into_iter().collect(),
            invalid: found.invalid.into_iter().collect(),
            components: found.components.into_iter().collect(),
            holders: holders.collect(),
        }
    }

    fn expand(&self, subject: DigestId) -> Found {
        let mut found = Found::default();
        let root = Step {
            digest: subject,
            component: None,
            invocation: false,
            in_bundle: false,
        };
        // Level by level, each index once a level: shared children cost nothing twice, and a
        // cycle (no digests can form one, made-up events can) ends at the deepest level.
        let mut level = BTreeSet::from([root]);
        for depth in 0.. {
            if level.is_empty() {
                break;
            }
            if depth > DEEPEST {
                for step in &level {
                    self.name_index(step, &mut found);
                    found.invalid.insert(step.digest);
                }
                break;
            }
            let mut next = BTreeSet::new();
            for step in &level {
                self.expand_index(step, &mut found, &mut next);
            }
            level = next;
        }
        found
    }

    fn expand_index(&self, step: &Step, found: &mut Found, next: &mut BTreeSet<Step>) {
        found.indexes.insert(step.digest);
        self.name_index(step, found);
        let Some(children) = self.manifest(step.digest).children() else {
            found.unknown.insert(step.digest);
            return;
        };
        for child in children {
            let kind = self.kinds.get(child.kind);
            let manifest = self.manifest(child.digest);
            let is_index = kind.mention.is_index || manifest.shape == Shape::Index;
            let cnab = kind.mention.cnab;
            if cnab == CnabType::Unknown {
                found.invalid.insert(step.digest);
            }
            let left_out = kind.mention.left_out(is_index, manifest.non_image);
            if let Some(reason) = left_out {
                found.left_out.insert((child.digest, reason));
                continue;
            }
            found.holders.insert((child.digest, step.digest));
            let component = kind.component.or(step.component);
            let invocation = step.invocation || cnab == CnabType::Invocation;
            let in_bundle = step.in_bundle || cnab == CnabType::Component;
            if is_index {
                next.insert(Step {
                    digest: child.digest,
                    component,
                    invocation,
                    in_bundle,
                });
                continue;
            }
            let leaf = Leaf {
                digest: child.digest,
                component,
                platform: kind.platform,
                role: match (invocation, in_bundle) {
                    (true, _) => Role::Invocation,
                    (false, true) => Role::Component,
                    (false, false) => Role::Platform,
                },
            };
            let known = found.leaves.entry(child.digest).or_insert(leaf);
            *known = self.merged(*known, leaf);
        }
    }

    /// Notes the component that an index stands for: under several descriptors the least.
    fn name_index(&self, step: &Step, found: &mut Found) {
        if let Some(component) = step.component {
            let known = found.components.entry(step.digest).or_insert(component);
            if self.text(component) < self.text(*known) {
                *known = component;
            }
        }
    }

    /// One digest under several descriptors: the least of each, whatever their order.
    fn merged(&self, a: Leaf, b: Leaf) -> Leaf {
        let text = |id: &NameId| self.text(*id);
        let platform = |id: &PlatformId| self.platforms.platform(*id);
        Leaf {
            digest: a.digest,
            component: a.component.into_iter().chain(b.component).min_by_key(text),
            platform: a
                .platform
                .into_iter()
                .chain(b.platform)
                .min_by_key(platform),
            role: a.role.min(b.role),
        }
    }
}
