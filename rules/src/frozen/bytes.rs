//! Bytes out and in: through a buffer of our own, so that neither side of a large state is in
//! memory as a whole.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind, Read, Write},
    sync::Arc,
};

use super::ThawError;
use crate::state::{More, Origin};

/// Bytes that are written or read at once.
const PIECE: usize = 64 << 10;

/// A number of 64 bits takes at most so many bytes.
const LONGEST: usize = 10;

/// How many kinds of numbers there are in a state.
pub(crate) const KINDS: usize = 9;

/// Takes what is frozen.
pub(crate) struct Freezing<'a> {
    to: &'a mut dyn Write,
    buffer: Vec<u8>,
    failed: Option<io::Error>,
    pub(super) mores: Written<More>,
    pub(super) origins: Written<Origin>,
}

/// What is shared and written already, by where it is in memory: only its turn is written.
pub(super) struct Written<T>(BTreeMap<*const T, u64>);

impl<T> Written<T> {
    /// The number under which this was written; `None` if it is to be written now.
    pub(super) fn number(&mut self, shared: &Arc<T>) -> Option<u64> {
        let next = self.0.len() as u64;
        let known = self.0.get(&Arc::as_ptr(shared)).copied();
        if known.is_none() {
            self.0.insert(Arc::as_ptr(shared), next);
        }
        known
    }
}

impl<'a> Freezing<'a> {
    pub(super) fn to(to: &'a mut dyn Write) -> Self {
        Self {
            to,
            buffer: Vec::with_capacity(PIECE + LONGEST),
            failed: None,
            mores: Written(BTreeMap::new()),
            origins: Written(BTreeMap::new()),
        }
    }

    /// Writes a number in groups of seven bits, the lowest first (LEB128).
    pub(crate) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.buffer.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.buffer.push(number as u8);
        self.make_room();
    }

    /// Writes bytes whose length is known otherwise.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
        self.make_room();
    }

    pub(super) fn finish(mut self) -> Result<(), io::Error> {
        self.flush();
        self.failed.map_or(Ok(()), Err)
    }

    fn make_room(&mut self) {
        if self.buffer.len() >= PIECE {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if self.failed.is_none() {
            self.failed = self.to.write_all(&self.buffer).err();
        }
        self.buffer.clear();
    }
}

/// Gives back what was frozen.
pub(crate) struct Thawing<'a> {
    from: &'a mut dyn Read,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// How many there are of each kind of number; larger ones are none.
    pub(super) limits: [u64; KINDS],
    pub(super) mores: Vec<Arc<More>>,
    pub(super) origins: Vec<Arc<Origin>>,
}

impl<'a> Thawing<'a> {
    pub(super) fn from(from: &'a mut dyn Read) -> Self {
        Self {
            from,
            buffer: vec![0; PIECE],
            at: 0,
            end: 0,
            limits: [0; KINDS],
            mores: Vec::new(),
            origins: Vec::new(),
        }
    }

    /// A number as [`Freezing::number`] writes it.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<u64, ThawError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        self.longer_number(first)
    }

    fn longer_number(&mut self, first: u8) -> Result<u64, ThawError> {
        let mut number = u64::from(first & 0x7f);
        for place in 1..LONGEST {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(ThawError::Form("a number without end"))
    }

    /// The number of a row, which must be there.
    pub(crate) fn row(&mut self, kind: usize) -> Result<u32, ThawError> {
        let number = self.number()?;
        if number == 0 || number > self.limits[kind] {
            return Err(ThawError::Form("a number of nothing"));
        }
        u32::try_from(number).map_err(|_| ThawError::Form("too large a number"))
    }

    /// The next `N` bytes.
    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], ThawError> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The next `length` bytes.
    pub(super) fn bytes(&mut self, length: usize) -> Result<Vec<u8>, ThawError> {
        // A length that is a lie runs into the end before it fills the memory.
        let mut bytes = Vec::with_capacity(length.min(PIECE));
        while bytes.len() < length {
            let from = bytes.len();
            bytes.resize(length.min(from + PIECE), 0);
            self.fill(&mut bytes[from..])?;
        }
        Ok(bytes)
    }

    /// Whether all was read.
    pub(super) fn is_at_end(&mut self) -> Result<bool, ThawError> {
        Ok(self.at == self.end && self.refill()? == 0)
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, ThawError> {
        if self.at == self.end && self.refill()? == 0 {
            return Err(ThawError::Form("it ends too early"));
        }
        let byte = self.buffer[self.at];
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), ThawError> {
        match self.buffer[self.at..self.end].get(..bytes.len()) {
            Some(next) => bytes.copy_from_slice(next),
            None => return self.fill_in_pieces(bytes),
        }
        self.at += bytes.len();
        Ok(())
    }

    fn fill_in_pieces(&mut self, mut bytes: &mut [u8]) -> Result<(), ThawError> {
        while !bytes.is_empty() {
            if self.at == self.end && self.refill()? == 0 {
                return Err(ThawError::Form("it ends too early"));
            }
            let count = bytes.len().min(self.end - self.at);
            let (now, later) = bytes.split_at_mut(count);
            now.copy_from_slice(&self.buffer[self.at..self.at + count]);
            self.at += count;
            bytes = later;
        }
        Ok(())
    }

    #[cold]
    fn refill(&mut self) -> Result<usize, ThawError> {
        self.at = 0;
        self.end = loop {
            match self.from.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read?,
            }
        };
        Ok(self.end)
    }
}
