//! Texts, places and digests by number: a history names the same few again and again.

use hashbrown::HashMap;

/// A text by number.
pub(in super::super) type Name = u32;

/// A repository and a name in it, by number.
pub(in super::super) type Place = u32;

/// The first half of a digest: enough to tell those of one tag apart.
pub(in super::super) type Half = [u8; 16];

/// Texts and places by number.
#[derive(Default)]
pub(in super::super) struct Names {
    texts: Vec<String>,
    numbers: HashMap<String, Name>,
    pub(super) places: Vec<(Name, Name)>,
    place_numbers: HashMap<(Name, Name), Place>,
    /// Whether a repository is in scope, by its number.
    pub(super) in_scope: HashMap<Name, bool>,
}

impl Names {
    pub(super) fn name(&mut self, text: &str) -> Name {
        if let Some(name) = self.numbers.get(text) {
            return *name;
        }
        let name = u32::try_from(self.texts.len()).expect("fewer than 2^32 names fit in memory");
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), name);
        name
    }

    pub(super) fn place(&mut self, repository: &str, tag: &str) -> Place {
        let key = (self.name(repository), self.name(tag));
        let next = u32::try_from(self.places.len()).expect("fewer than 2^32 tags fit in memory");
        let place = *self.place_numbers.entry(key).or_insert(next);
        if place == next {
            self.places.push(key);
        }
        place
    }

    /// The text of a name.
    pub(in super::super) fn text(&self, name: Name) -> &str {
        &self.texts[name as usize]
    }

    /// Repository and tag of a place.
    pub(in super::super) fn texts_of(&self, place: Place) -> (&str, &str) {
        let (repository, tag) = self.places[place as usize];
        (self.text(repository), self.text(tag))
    }
}

/// The first half of a digest.
pub(in super::super) fn half(digest: &weir_schema::Digest) -> Half {
    let mut half = Half::default();
    half.copy_from_slice(&digest.bytes()[..16]);
    half
}
