//! Checks archive files with code of its own: it shares nothing with what writes them, so that one
//! mistake cannot hide in both.
//!
//! What it is written from is `README.md` beside this file, RFC 6962 and C2SP `signed-note`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signature, VerifyingKey};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// No record is longer; a damaged file must not fill the memory.
const MAX_LINE_BYTES: u64 = 17 << 20;

/// A root, and the number of records that it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Root {
    /// The number of records.
    pub size: u64,
    /// The root of their Merkle tree.
    pub hash: [u8; 32],
}

/// What was found in files that are as they were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The first record.
    pub first: u64,
    /// The root after the last.
    pub root: Root,
    /// How many files carried a signature by one of the keys.
    pub signed: usize,
    /// The last record that a signature by one of the keys, or one of the roots, vouches for; 0 if
    /// none does.
    pub vouched: u64,
    /// How many of the roots asked for were passed, and are the same.
    pub roots: usize,
}

impl Checked {
    /// That every record is vouched for.
    ///
    /// # Errors
    /// With the first that is not. Whoever takes the signatures out of an archive can write another.
    pub fn all_vouched(&self) -> Result<(), Bad> {
        let last = self.root.size;
        if self.vouched == last {
            return Ok(());
        }
        let first = self.first.max(self.vouched + 1);
        let problem =
            format!("from here to the last, {last}, no signature says that these are they");
        Err(bad(first, problem))
    }
}

/// What is wrong with an archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {seq}: {problem}")]
pub struct Bad {
    /// The first record that may be other than it was written.
    pub seq: u64,
    /// What was found.
    pub problem: String,
}

/// Checks files that continue each other: every record, the chain, the tree, what each file says of
/// its end, that its signature is by one of `keys` (in the form `name+hash+key`) if there are any, and
/// that the tree had these `roots`. `progress` is told the last record checked, now and then.
///
/// # Errors
/// With the first record that is not what was written, as near as can be told.
pub fn check<'a>(
    paths: impl IntoIterator<Item = &'a Path>,
    keys: &[String],
    roots: &[Root],
    mut progress: impl FnMut(u64),
) -> Result<Checked, Bad> {
    let mut state: Option<State> = None;
    let (mut first, mut signed, mut vouched) = (0, 0, 0);
    let mut wanted = Wanted::of(roots);
    for path in paths {
        let next = state.as_ref().map_or(1, |state| state.size + 1);
        let mut lines = Lines::open(path)
            .map_err(|error| bad(next, format!("cannot read {}: {error}", path.display())))?;
        let header = lines.header(next)?;
        let begun = State::of(&header)?;
        match &state {
            None => first = header.first,
            Some(before) if *before == begun => {}
            Some(before) => {
                let problem = format!(
                    "{} begins with record {} and does not continue the file before it, which ends with record {}",
                    path.display(),
                    header.first,
                    before.size
                );
                return Err(bad(before.size + 1, problem));
            }
        }
        let (now, confirmed) =
            check_records(&mut lines, begun, header.last, &mut wanted, &mut progress)?;
        let footer = lines.footer(now.size)?;
        if footer.hash != to_hex(&now.last) || footer.root != to_hex(&now.root()) {
            let problem = "a record from here on was changed: the file ends with another hash";
            return Err(bad(confirmed + 1, problem.to_owned()));
        }
        if let Some(note) = footer.checkpoint.as_ref().filter(|_| !keys.is_empty()) {
            check_signed(note, keys, &now).map_err(|problem| bad(header.first, problem))?;
            (signed, vouched) = (signed + 1, now.size);
        }
        state = Some(now);
    }
    let state = state.ok_or_else(|| bad(1, "there are no archive files".to_owned()))?;
    if let Some(cut) = roots.iter().find(|root| root.size > state.size) {
        let problem = format!(
            "the archive ends there, but a checkpoint says that there were {} records",
            cut.size
        );
        return Err(bad(state.size + 1, problem));
    }
    let by_root = wanted.passed.iter().map(|root| root.size).max();
    Ok(Checked {
        first,
        root: state.claim(),
        signed,
        vouched: vouched.max(by_root.unwrap_or_default()),
        roots: wanted.passed.len(),
    })
}

/// Checks the records of a file up to `last`, from the state before its first. Returns the state after
/// them, and up to where the chain was seen to hold: the record after that one states its hash.
fn check_records(
    lines: &mut Lines,
    mut now: State,
    last: u64,
    wanted: &mut Wanted<'_>,
    progress: &mut impl FnMut(u64),
) -> Result<(State, u64), Bad> {
    let mut confirmed = now.size;
    if now.size > 0 {
        wanted.check(&now, confirmed)?;
    }
    while now.size < last {
        let line = lines.next(now.size + 1)?;
        if now.record(line, confirmed)? == States::Previous {
            confirmed = now.size - 1;
        }
        wanted.check(&now, confirmed)?;
        if now.size.is_multiple_of(1024) {
            progress(now.size);
        }
    }
    Ok((now, confirmed))
}

/// The note must be signed by one of the keys, and for what the records lead to.
fn check_signed(note: &str, keys: &[String], now: &State) -> Result<(), String> {
    if opened(note, keys)? == now.claim() {
        Ok(())
    } else {
        Err("its checkpoint was signed for other records".to_owned())
    }
}

/// The roots that the tree must have had.
struct Wanted<'a> {
    roots: &'a [Root],
    /// Those that it had, each once.
    passed: Vec<Root>,
}

impl<'a> Wanted<'a> {
    fn of(roots: &'a [Root]) -> Self {
        Self {
            roots,
            passed: Vec::new(),
        }
    }

    /// Compares the roots of as many records as there are now, of which the first `confirmed` are
    /// known to be in their places.
    fn check(&mut self, now: &State, confirmed: u64) -> Result<(), Bad> {
        for root in self.roots.iter().filter(|root| root.size == now.size) {
            if now.root() != root.hash {
                let problem = format!(
                    "the first {} records had another root: one of them was changed",
                    root.size
                );
                return Err(bad(confirmed.min(root.size - 1) + 1, problem));
            }
            if !self.passed.contains(root) {
                self.passed.push(*root);
            }
        }
        Ok(())
    }
}

/// Reads a signed note and gives the root that it claims.
///
/// # Errors
/// It is no checkpoint, or not signed by one of the keys.
pub fn opened(note: &str, keys: &[String]) -> Result<Root, String> {
    let mut problem = "there is no key to check the checkpoint's signature with".to_owned();
    for key in keys {
        match opened_by(note, key) {
            Err(found) => problem = found,
            opened => return opened,
        }
    }
    Err(problem)
}

fn opened_by(note: &str, key: &str) -> Result<Root, String> {
    let key: Vec<&str> = key.splitn(3, '+').collect();
    let [name, hash, public] = key[..] else {
        return Err("the key is not of the form name+hash+key".to_owned());
    };
    let public = BASE64.decode(public).ok();
    let public: [u8; 32] = public
        .as_deref()
        .and_then(|public| public.strip_prefix(&[1]))
        .and_then(|public| public.try_into().ok())
        .ok_or("the key is no Ed25519 key")?;
    let verifying = VerifyingKey::from_bytes(&public).map_err(|error| error.to_string())?;
    let (text, signatures) = note
        .rsplit_once("\n\n")
        .ok_or("the checkpoint is no signed note")?;
    let text = format!("{text}\n");
    let by_key = |line: &str| -> Option<[u8; 64]> {
        let (signer, signature) = line.strip_prefix("— ")?.split_once(' ')?;
        let signature = BASE64.decode(signature).ok()?;
        let (key_hash, signature) = signature.split_at_checked(4)?;
        let is_ours = signer == name && to_hex(key_hash) == hash;
        signature.try_into().ok().filter(|_| is_ours)
    };
    let signature = signatures
        .lines()
        .find_map(by_key)
        .ok_or_else(|| format!("the checkpoint is not signed by `{name}+{hash}`"))?;
    verifying
        .verify_strict(text.as_bytes(), &Signature::from_bytes(&signature))
        .map_err(|_| format!("the signature of `{name}` on the checkpoint is wrong"))?;
    let lines: Vec<&str> = text.lines().collect();
    let [origin, size, root, ..] = lines[..] else {
        return Err("the checkpoint claims nothing".to_owned());
    };
    if origin != name {
        return Err(format!(
            "the checkpoint is for the log `{origin}`, not `{name}`"
        ));
    }
    let root = BASE64
        .decode(root)
        .ok()
        .and_then(|root| root.try_into().ok());
    let size = size.parse().ok();
    size.zip(root)
        .map(|(size, hash)| Root { size, hash })
        .ok_or_else(|| "the checkpoint claims no root".to_owned())
}

#[derive(Deserialize)]
struct First {
    first: u64,
    last: u64,
    previous: String,
    tree: Vec<String>,
    weir_archive: u32,
}

#[derive(Deserialize)]
struct Last {
    checkpoint: Option<String>,
    hash: String,
    root: String,
}

/// What is looked at in a record.
#[derive(Deserialize)]
struct Record {
    previous: String,
    seq: u64,
}

/// Whether a line has the hash of the record before, or leaves it to the reader.
#[derive(PartialEq, Eq)]
enum States {
    Previous,
    Nothing,
}

/// The tree after some records: full subtrees from the left, each with its height.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    size: u64,
    last: [u8; 32],
    subtrees: Vec<(u32, [u8; 32])>,
}

impl State {
    fn of(header: &First) -> Result<Self, Bad> {
        let problem = |what: &str| bad(header.first, format!("the first line of its file {what}"));
        if header.weir_archive != 1 {
            return Err(problem("is of another version"));
        }
        if header.first == 0 || header.last < header.first {
            return Err(problem("names no records"));
        }
        let size = header.first - 1;
        let heights = (0..64).rev().filter(|height| size >> height & 1 == 1);
        let hashes: Option<Vec<[u8; 32]>> = header.tree.iter().map(|hash| from_hex(hash)).collect();
        let hashes = hashes.filter(|hashes| hashes.len() == size.count_ones() as usize);
        let last = from_hex(&header.previous);
        match (hashes, last) {
            (Some(hashes), Some(last)) => Ok(Self {
                size,
                last,
                subtrees: heights.zip(hashes).collect(),
            }),
            _ => Err(problem("does not say what the file continues")),
        }
    }

    /// Takes a line as the next record; those up to `confirmed` are known to be as written.
    fn record(&mut self, mut line: Vec<u8>, confirmed: u64) -> Result<States, Bad> {
        let seq = self.size + 1;
        let no_record = |what: String| bad(seq, format!("what stands for it is no record: {what}"));
        let stated: Record =
            serde_json::from_slice(&line).map_err(|error| no_record(error.to_string()))?;
        if stated.seq != seq {
            return Err(bad(seq, format!("record {} stands there", stated.seq)));
        }
        let states = match stated.previous.as_str() {
            "" => States::Nothing,
            previous if previous == to_hex(&self.last) => States::Previous,
            _ => {
                let problem = format!(
                    "a record from here on was changed: record {seq} states another hash of the one before it"
                );
                return Err(bad((confirmed + 1).min(seq), problem));
            }
        };
        if states == States::Nothing {
            // The member is the record's own: nothing after it can hold another.
            let name = b"\"previous\":\"";
            let at = (0..line.len())
                .rev()
                .find(|at| line[*at..].starts_with(name));
            let at = at.ok_or_else(|| no_record("it is not canonical".to_owned()))? + name.len();
            let rest = line.split_off(at);
            line.extend_from_slice(to_hex(&self.last).as_bytes());
            line.extend_from_slice(&rest);
        }
        self.last = sha256(&[&[0], &line]);
        let mut subtree = (0, self.last);
        while let Some((height, left)) = self.subtrees.pop_if(|(height, _)| *height == subtree.0) {
            subtree = (height + 1, sha256(&[&[1], &left, &subtree.1]));
        }
        self.subtrees.push(subtree);
        self.size = seq;
        Ok(states)
    }

    fn root(&self) -> [u8; 32] {
        let mut from_right = self.subtrees.iter().rev().map(|(_, hash)| *hash);
        let Some(last) = from_right.next() else {
            return sha256(&[]);
        };
        from_right.fold(last, |right, left| sha256(&[&[1], &left, &right]))
    }

    fn claim(&self) -> Root {
        Root {
            size: self.size,
            hash: self.root(),
        }
    }
}

struct Lines {
    unpacked: BufReader<zstd::Decoder<'static, BufReader<File>>>,
}

impl Lines {
    fn open(path: &Path) -> io::Result<Self> {
        let unpacked = BufReader::new(zstd::Decoder::new(File::open(path)?)?);
        Ok(Self { unpacked })
    }

    fn next(&mut self, seq: u64) -> Result<Vec<u8>, Bad> {
        let mut line = Vec::new();
        let mut limited = (&mut self.unpacked).take(MAX_LINE_BYTES);
        let read = limited.read_until(b'\n', &mut line);
        read.map_err(|error| bad(seq, format!("its file does not unpack: {error}")))?;
        match line.pop() {
            Some(b'\n') => Ok(line),
            _ => Err(bad(seq, "its file ends before it".to_owned())),
        }
    }

    fn header(&mut self, seq: u64) -> Result<First, Bad> {
        let line = self.next(seq)?;
        serde_json::from_slice(&line)
            .map_err(|error| bad(seq, format!("the first line of its file is none: {error}")))
    }

    fn footer(&mut self, seq: u64) -> Result<Last, Bad> {
        let line = self.next(seq)?;
        let last: Last = serde_json::from_slice(&line)
            .map_err(|error| bad(seq, format!("the last line of its file is none: {error}")))?;
        let mut rest = [0];
        match self.unpacked.read(&mut rest) {
            Ok(0) => Ok(last),
            Ok(_) => Err(bad(seq, "its file goes on after its last line".to_owned())),
            Err(error) => Err(bad(seq, format!("its file does not unpack: {error}"))),
        }
    }
}

fn bad(seq: u64, problem: String) -> Bad {
    Bad {
        seq: seq.max(1),
        problem,
    }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

fn to_hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |digit: char| {
        digit
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    let digits: Vec<u8> = text.chars().map(digit).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes: Vec<u8> = pairs.iter().map(|[high, low]| high << 4 | low).collect();
    bytes.try_into().ok().filter(|_| rest.is_empty())
}
