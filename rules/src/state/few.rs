//! A small set, sorted. Most have one element or none, and those need no memory of their own.

use crate::frozen::{Freezing, Frozen, ThawError, Thawing};

/// A set of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Few<T> {
    #[default]
    None,
    One(T),
    #[expect(
        clippy::box_collection,
        reason = "half the size of a vector, in every row of a table"
    )]
    Many(Box<Vec<T>>),
}

impl<T: Copy + Ord> Few<T> {
    /// The elements in order.
    pub(crate) fn as_slice(&self) -> &[T] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.as_slice().is_empty()
    }

    /// Adds an element; whether it is new.
    pub(crate) fn insert(&mut self, element: T) -> bool {
        match self {
            Self::None => *self = Self::One(element),
            Self::One(one) if *one == element => return false,
            Self::One(one) => {
                let pair = vec![element.min(*one), element.max(*one)];
                *self = Self::Many(Box::new(pair));
            }
            Self::Many(many) => match many.binary_search(&element) {
                Ok(_) => return false,
                Err(place) => many.insert(place, element),
            },
        }
        true
    }

    /// Takes an element out; whether it was there.
    pub(crate) fn remove(&mut self, element: T) -> bool {
        match self {
            Self::None => false,
            Self::One(one) => {
                let same = *one == element;
                if same {
                    *self = Self::None;
                }
                same
            }
            Self::Many(many) => {
                let Ok(place) = many.binary_search(&element) else {
                    return false;
                };
                many.remove(place);
                if let [one] = many.as_slice() {
                    *self = Self::One(*one);
                }
                true
            }
        }
    }
}

impl<T: Frozen + Copy + Ord> Frozen for Few<T> {
    fn freeze(&self, to: &mut Freezing<'_>) {
        let some = self.as_slice();
        some.len().freeze(to);
        for one in some {
            one.freeze(to);
        }
    }

    fn thaw(from: &mut Thawing<'_>) -> Result<Self, ThawError> {
        Ok(match usize::thaw(from)? {
            0 => Self::None,
            1 => Self::One(T::thaw(from)?),
            length => {
                let many = (0..length).map(|_| T::thaw(from));
                Self::Many(Box::new(many.collect::<Result<_, _>>()?))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Few;

    #[test]
    fn elements_are_kept_once_and_in_order() {
        let mut few = Few::default();
        let added: Vec<bool> = [3, 1, 3, 2, 1].map(|n| few.insert(n)).to_vec();
        assert_eq!(added, [true, true, false, true, false]);
        assert_eq!(few.as_slice(), [1, 2, 3]);
        assert!(few.remove(2) && !few.remove(2) && few.remove(1));
        assert_eq!(few, Few::One(3));
        assert!(few.remove(3) && few.is_empty());
    }
}
