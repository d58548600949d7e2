//! Texts and digests, each once: a state of millions of tags refers to them by number.

use std::{collections::BTreeMap, sync::Arc};

use weir_schema::{Digest, Platform};

use super::{
    numbers::{DigestId, NameId, PlatformId},
    table::{Table, hash_of},
};
use crate::frozen::{Freezing, Frozen, ThawError, Thawing};

/// Each text once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    texts: Vec<Arc<str>>,
    table: Table,
}

impl Names {
    /// The number of `text`, a new one if it was never seen.
    pub(crate) fn intern(&mut self, text: &str) -> NameId {
        let hash = hash_of(text);
        match self.place(hash, text) {
            Some(place) => NameId::at(place),
            None => self.add(hash, text.into()),
        }
    }

    /// As [`Names::intern`], without a copy of a new text.
    pub(crate) fn intern_shared(&mut self, text: &Arc<str>) -> NameId {
        let hash = hash_of(&**text);
        match self.place(hash, text) {
            Some(place) => NameId::at(place),
            None => self.add(hash, Arc::clone(text)),
        }
    }

    /// The number of a text that may be missing.
    pub(crate) fn intern_option(&mut self, text: Option<&str>) -> Option<NameId> {
        text.map(|text| self.intern(text))
    }

    /// The number of `text`, if it was ever seen.
    pub(crate) fn find(&self, text: &str) -> Option<NameId> {
        self.place(hash_of(text), text).map(NameId::at)
    }

    /// The numbers of the texts that are meant. Looks at all.
    pub(crate) fn find_all(&self, is_meant: impl Fn(&str) -> bool) -> Vec<NameId> {
        let all = self.texts.iter().enumerate();
        all.filter(|(_, text)| is_meant(text))
            .map(|(place, _)| NameId::at(place))
            .collect()
    }

    /// The text with that number.
    pub(crate) fn text(&self, id: NameId) -> &Arc<str> {
        &self.texts[id.place()]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    fn place(&self, hash: u64, text: &str) -> Option<usize> {
        self.table.find(hash, |place| &*self.texts[place] == text)
    }

    fn add(&mut self, hash: u64, text: Arc<str>) -> NameId {
        let place = self.texts.len();
        self.texts.push(text);
        self.table.insert(hash, place);
        NameId::at(place)
    }
}

/// Each digest once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digests {
    digests: Vec<Digest>,
    table: Table,
}

impl Digests {
    /// The number of `digest`, a new one if it was never seen.
    pub(crate) fn intern(&mut self, digest: &Digest) -> DigestId {
        let hash = hash_of(digest.bytes());
        if let Some(known) = self.place(hash, digest) {
            return DigestId::at(known);
        }
        let place = self.digests.len();
        self.digests.push(digest.clone());
        self.table.insert(hash, place);
        DigestId::at(place)
    }

    /// The number of `digest`, if it was ever seen.
    pub(crate) fn find(&self, digest: &Digest) -> Option<DigestId> {
        let hash = hash_of(digest.bytes());
        self.place(hash, digest).map(DigestId::at)
    }

    fn place(&self, hash: u64, digest: &Digest) -> Option<usize> {
        self.table
            .find(hash, |place| self.digests[place] == *digest)
    }

    /// The digest with that number.
    pub(crate) fn digest(&self, id: DigestId) -> &Digest {
        &self.digests[id.place()]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.digests.len()
    }
}

/// Each platform once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Platforms {
    platforms: Vec<Platform>,
    numbers: BTreeMap<Platform, PlatformId>,
}

impl Platforms {
    /// The number of `platform`, a new one if it was never seen.
    pub(crate) fn intern(&mut self, platform: &Platform) -> PlatformId {
        if let Some(known) = self.numbers.get(platform) {
            return *known;
        }
        let id = PlatformId::at(self.platforms.len());
        self.platforms.push(platform.clone());
        self.numbers.insert(platform.clone(), id);
        id
    }

    /// The platform with that number.
    pub(crate) fn platform(&self, id: PlatformId) -> &Platform {
        &self.platforms[id.place()]
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.platforms.len()
    }
}

impl Frozen for Names {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.texts.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let texts: Vec<Arc<str>> = Frozen::thaw(from)?;
        let table = Table::of(texts.iter().map(|text| Some(hash_of(&**text))));
        Ok(Self { texts, table })
    }
}

impl Frozen for Digests {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.digests.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let digests: Vec<Digest> = Frozen::thaw(from)?;
        let table = Table::of(digests.iter().map(|digest| Some(hash_of(digest.bytes()))));
        Ok(Self { digests, table })
    }
}

impl Frozen for Platforms {
    fn freeze(&self, to: &mut Freezing<'_>) {
        self.platforms.freeze(to);
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        let platforms: Vec<Platform> = Frozen::thaw(from)?;
        let places = platforms.iter().cloned().enumerate();
        let numbers = places.map(|(place, platform)| (platform, PlatformId::at(place)));
        Ok(Self {
            numbers: numbers.collect(),
            platforms,
        })
    }
}
