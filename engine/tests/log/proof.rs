//! What makes the log a proof: tree, proofs, checkpoints, snapshots beside it.

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::records::{Random, Records};
use tempfile::TempDir;
use weir_engine::log::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use weir_engine::log::key::{KeyError, SigningKey, VerifierKey};
use weir_engine::log::tree::{self, Frontier, Node, Nodes};
use weir_engine::log::{Hash, Kind, Log, LogOptions, Problem, SnapshotError, verify};
use weir_engine::node::{CHECKPOINT_FILE, CheckpointFailure, sign};

/// The only key that is trusted.
fn vkeys(key: &SigningKey) -> &[VerifierKey] {
    std::slice::from_ref(key.verifier())
}

fn open(dir: &TempDir) -> Log {
    Log::open(&dir.path().join("log"), LogOptions::default()).expect("the log opens")
}

/// The leaves of the test tree of RFC 6962's reference implementation.
const LEAVES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// The stored levels of a tree, in memory.
#[derive(Default)]
struct Memory {
    leaves: Vec<Hash>,
    nodes: std::collections::BTreeMap<(u8, u64), Hash>,
    frontier: Frontier,
}

impl Memory {
    fn push(&mut self, leaf: Hash) {
        let mut completed = Vec::new();
        self.frontier.push(leaf, &mut completed);
        self.leaves.push(leaf);
        for Node { level, index, hash } in completed {
            assert_eq!(level % tree::TILE_HEIGHT, 0);
            self.nodes.insert((level, index), hash);
        }
    }
}

impl Nodes for Memory {
    type Error = Infallible;

    fn hashes(&self, level: u8, first: u64, count: u64) -> Result<Vec<Hash>, Infallible> {
        assert!(
            count <= tree::TILE_WIDTH
                && first / tree::TILE_WIDTH == (first + count - 1) / tree::TILE_WIDTH
        );
        let hash = |index| match level {
            0 => self.leaves[index as usize],
            _ => self.nodes[&(level, index)],
        };
        Ok((first..first + count).map(hash).collect())
    }
}

/// RFC 6962, 2.1, word for word.
fn slow_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => tree::empty_root(),
        [leaf] => *leaf,
        _ => {
            let k = leaves.len().next_power_of_two() / 2;
            tree::node_hash(&slow_root(&leaves[..k]), &slow_root(&leaves[k..]))
        }
    }
}

fn hashes(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn texts(path: &[Hash]) -> Vec<String> {
    path.iter().map(weir_schema::record::hex).collect()
}

#[test]
fn roots_and_proofs_are_those_of_the_reference_implementation() {
    let mut memory = Memory::default();
    for (place, leaf) in LEAVES.iter().enumerate() {
        memory.push(tree::leaf_hash(leaf));
        assert_eq!(texts(&[memory.frontier.root()]), [ROOTS[place]]);
    }
    let inclusion = |index, size, wanted: &[&str]| {
        let Ok(path) = tree::inclusion_proof(&memory, index, size);
        assert_eq!(
            path.map(|path| texts(&path)),
            Some(hashes(wanted)),
            "inclusion {index} {size}"
        );
    };
    let consistency = |old, new, wanted: &[&str]| {
        let Ok(path) = tree::consistency_proof(&memory, old, new);
        assert_eq!(
            path.map(|path| texts(&path)),
            Some(hashes(wanted)),
            "consistency {old} {new}"
        );
    };
    const A: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
    const B: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
    const C: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
    const D: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
    const E: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
    const F: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
    inclusion(0, 1, &[]);
    inclusion(0, 8, &[A, B, C]);
    inclusion(5, 8, &[D, E, ROOTS[3]]);
    inclusion(2, 3, &[ROOTS[1]]);
    inclusion(1, 5, &[ROOTS[0], B, D]);
    consistency(1, 1, &[]);
    consistency(1, 8, &[A, B, C]);
    consistency(6, 8, &[F, E, ROOTS[3]]);
    consistency(2, 5, &[B, D]);
}

#[test]
fn every_proof_of_every_small_tree_holds_and_no_other_does() {
    let mut memory = Memory::default();
    for leaf in 0..40_u8 {
        memory.push(tree::leaf_hash(&[leaf]));
    }
    let root = |size: u64| slow_root(&memory.leaves[..size as usize]);
    for size in 0..=40 {
        assert_eq!(
            tree::root_at(&memory, size),
            Ok(root(size)),
            "root of {size}"
        );
        for index in 0..size {
            let Ok(Some(path)) = tree::inclusion_proof(&memory, index, size) else {
                panic!("no proof")
            };
            let leaf = &memory.leaves[index as usize];
            assert_eq!(
                tree::root_from_inclusion(leaf, index, size, &path),
                Some(root(size))
            );
            assert_ne!(
                tree::root_from_inclusion(&[7; 32], index, size, &path),
                Some(root(size))
            );
            assert_ne!(
                tree::root_from_inclusion(leaf, (index + 1) % size, size, &path),
                Some(root(size)).filter(|_| size > 1)
            );
            let longer = [&path[..], &[[0; 32]]].concat();
            assert_eq!(tree::root_from_inclusion(leaf, index, size, &longer), None);
            if let Some((_, shorter)) = path.split_last() {
                assert_eq!(tree::root_from_inclusion(leaf, index, size, shorter), None);
            }
        }
        for old in 0..=size {
            let Ok(Some(path)) = tree::consistency_proof(&memory, old, size) else {
                panic!("no proof")
            };
            let holds = |old_root: Hash, new_root: Hash, path: &[Hash]| {
                tree::is_consistent(old, &old_root, size, &new_root, path)
            };
            assert!(holds(root(old), root(size), &path), "{old} in {size}");
            assert!(!holds([7; 32], root(size), &path), "{old} in {size}");
            assert!(
                !holds(root(old), [7; 32], &path) || old == 0,
                "{old} in {size}"
            );
            assert!(!holds(
                root(old),
                root(size),
                &[&path[..], &[[0; 32]]].concat()
            ));
        }
        assert_eq!(tree::inclusion_proof(&memory, size, size), Ok(None));
        assert_eq!(tree::consistency_proof(&memory, size + 1, size), Ok(None));
    }
}

#[test]
fn proofs_hold_across_the_stored_levels() {
    let mut memory = Memory::default();
    for leaf in 0..66_200_u32 {
        memory.push(tree::leaf_hash(&leaf.to_be_bytes()));
    }
    let sizes = [255, 256, 257, 511, 65_535, 65_536, 65_537, 65_800, 66_200];
    let trees = sizes.map(|size| (size, slow_root(&memory.leaves[..size as usize])));
    for (size, root) in trees {
        assert_eq!(tree::root_at(&memory, size), Ok(root));
        assert_eq!(
            tree::frontier_at(&memory, size).map(|frontier| frontier.root()),
            Ok(root)
        );
        for index in [0, 1, 128, 254, size - 1] {
            let Ok(Some(path)) = tree::inclusion_proof(&memory, index, size) else {
                panic!("no proof")
            };
            assert!(path.len() <= 17);
            let found =
                tree::root_from_inclusion(&memory.leaves[index as usize], index, size, &path);
            assert_eq!(found, Some(root), "{index} in {size}");
        }
        for (old, old_root) in trees.into_iter().filter(|(old, _)| *old <= size) {
            let Ok(Some(path)) = tree::consistency_proof(&memory, old, size) else {
                panic!("no proof")
            };
            assert!(
                tree::is_consistent(old, &old_root, size, &root, &path),
                "{old} in {size}"
            );
        }
    }
}

#[test]
fn the_log_proves_its_records() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    let all = Records::new(20).take(700);
    let mut roots = vec![log.head().root];
    for batch in all.chunks(50) {
        log.append(batch, None).expect("it appends");
        roots.push(log.head().root);
    }
    let reader = log.reader();
    let head = reader.head();
    for record in all.iter().step_by(37) {
        let path = reader
            .inclusion_proof(record.seq, 700)
            .expect("it reads")
            .expect("a proof");
        assert_eq!(
            tree::root_from_inclusion(&record.hash, record.seq - 1, 700, &path),
            Some(head.root)
        );
    }
    for (place, root) in roots.iter().enumerate() {
        let old = 50 * place as u64;
        assert_eq!(reader.root_at(old).expect("it reads"), Some(*root));
        let path = reader
            .consistency_proof(old, 700)
            .expect("it reads")
            .expect("a proof");
        assert!(
            tree::is_consistent(old, root, 700, &head.root, &path),
            "{old}"
        );
    }
    assert_eq!(reader.inclusion_proof(0, 700).expect("it reads"), None);
    assert_eq!(reader.inclusion_proof(701, 701).expect("it reads"), None);
    assert_eq!(reader.consistency_proof(1, 701).expect("it reads"), None);
}

#[test]
fn a_checkpoint_reads_as_it_was_signed_and_only_so() {
    let key = SigningKey::from_seed("example.com/weir", &[5; 32]).expect("a key");
    let other = SigningKey::from_seed("example.com/weir", &[6; 32]).expect("a key");
    let checkpoint = Checkpoint {
        origin: "example.com/weir".into(),
        size: 20,
        root: [9; 32],
        extensions: vec!["state abc".into()],
    };
    let note = checkpoint.clone().sign(&key).to_string();
    assert!(note.starts_with("example.com/weir\n20\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\nstate abc\n\n— example.com/weir "), "{note}");
    let read: SignedCheckpoint = note.parse().expect("a checkpoint");
    assert_eq!(read.to_string(), note);
    assert_eq!(read.verify(key.verifier()), Ok(&checkpoint));
    assert!(matches!(
        read.verify(other.verifier()),
        Err(CheckpointError::Unsigned { size: 20, .. })
    ));
    let (ours, theirs) = (key.verifier().clone(), other.verifier().clone());
    for keys in [
        [ours.clone(), theirs.clone()],
        [theirs.clone(), ours.clone()],
    ] {
        assert_eq!(read.verify_by_any(&keys), Ok(&checkpoint));
    }
    assert_eq!(
        read.verify_by_any(std::slice::from_ref(&theirs))
            .map_err(|error| error.to_string()),
        Err(format!(
            "the checkpoint of size 20 is signed by `{}`, not by `{}`",
            ours.short(),
            theirs.short()
        ))
    );

    let forged: SignedCheckpoint = note
        .replacen("\n20\n", "\n21\n", 1)
        .parse()
        .expect("a checkpoint");
    assert!(matches!(
        forged.verify(key.verifier()),
        Err(CheckpointError::BadSignature { size: 21, .. })
    ));
    let elsewhere = Checkpoint {
        origin: "example.com/other".into(),
        ..checkpoint.clone()
    }
    .sign(&key);
    assert!(matches!(
        elsewhere.verify(key.verifier()),
        Err(CheckpointError::OtherOrigin { .. })
    ));

    let witnessed: SignedCheckpoint = format!("{note}— witness.example AAAAAAAAAAAA\n")
        .parse()
        .expect("a checkpoint");
    assert_eq!(witnessed.verify(key.verifier()), Ok(&checkpoint));

    for bad in [
        "",
        "x",
        "a\n1\nAAAA\n\n",
        &note[..note.len() - 1],
        &note.replacen("\n20\n", "\n020\n", 1),
        &note.replacen("\n\n", "\n", 1),
        &note.replace('—', "-"),
    ] {
        assert!(bad.parse::<SignedCheckpoint>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_key_is_made_once_and_only_its_owner_reads_it() {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("key");
    let first = SigningKey::load_or_create(&path, "weir").expect("a key");
    let again = SigningKey::load_or_create(&path, "another name").expect("a key");
    assert_eq!(first.verifier(), again.verifier());
    let mode = fs::metadata(&path)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let other = SigningKey::load_or_create(&dir.path().join("key-2"), "weir").expect("a key");
    assert_ne!(first.verifier(), other.verifier());
    fs::write(&path, "not a key\n").expect("it is written");
    assert!(matches!(
        SigningKey::load_or_create(&path, "weir"),
        Err(KeyError::File { .. })
    ));
    assert_eq!(fs::read_to_string(&path).expect("it reads"), "not a key\n");
}

#[test]
fn checkpoints_are_kept_and_the_log_fits_them() {
    let dir = TempDir::new().expect("a directory");
    let key = SigningKey::from_seed("weir", &[5; 32]).expect("a key");
    let mut log = open(&dir);
    assert!(log.checkpoint(&key).expect("it is made").is_none());
    let mut records = Records::new(21);
    let mut made = Vec::new();
    for size in [3, 300, 1, 5000] {
        log.append(&records.take(size), None).expect("it appends");
        made.push(
            log.checkpoint(&key)
                .expect("it is made")
                .expect("not empty"),
        );
    }
    drop(log);
    let log = open(&dir);
    let reader = log.reader();
    // One of each stretch of 4096 records stays.
    assert_eq!(reader.checkpoints().expect("they read"), made[2..]);
    assert_eq!(
        reader.last_checkpoint().expect("it reads"),
        made.last().cloned()
    );
    let mut seen = 0;
    let mut last = 0;
    let count = |seq, bytes: &[u8]| {
        seen += 1;
        assert_eq!((seq, bytes.is_empty()), (seen, false));
        Ok(())
    };
    let report = verify(&reader, &made, vkeys(&key), 2, count, |done| last = done);
    assert_eq!(
        (report.records, report.checkpoints, report.first_bad),
        (5304, 4, None)
    );
    assert_eq!((report.root, seen, last), (reader.head().root, 5304, 5304));

    let stranger = SigningKey::from_seed("weir", &[6; 32]).expect("a key");
    let report = verify(&reader, &made, vkeys(&stranger), 1, |_, _| Ok(()), |_| ());
    assert_eq!(report.first_bad, None);
    assert!(matches!(
        report.unsigned,
        Some((0, CheckpointError::Unsigned { .. }))
    ));

    let object = |seq, _: &[u8]| {
        if seq == 77 {
            Err("another decision".to_owned())
        } else {
            Ok(())
        }
    };
    let report = verify(&reader, &made, vkeys(&key), 1, object, |_| ());
    assert_eq!(
        report.first_bad,
        Some((77, Problem::Replay("another decision".into())))
    );
}

#[test]
fn a_log_is_not_signed_over_the_file_that_says_it_was_another() {
    let key = SigningKey::from_seed("weir", &[5; 32]).expect("a key");
    let whole = TempDir::new().expect("a directory");
    let mut log = open(&whole);
    log.append(&Records::new(22).take(700), None)
        .expect("it appends");
    let signed = sign(&mut log, &key).expect("it is signed").expect("a note");
    let place = |dir: &TempDir| dir.path().join("log").join(CHECKPOINT_FILE);
    let left = |signed: Result<_, CheckpointFailure>| match signed {
        Err(CheckpointFailure::Left { size, .. }) => size,
        other => panic!("{other:?}"),
    };

    // Another log, of fewer records and then of more.
    let anew = TempDir::new().expect("a directory");
    let mut log = open(&anew);
    let file = place(&anew);
    fs::copy(place(&whole), &file).expect("it is copied");
    log.append(&Records::new(23).take(600), None)
        .expect("it appends");
    assert_eq!(left(sign(&mut log, &key)), 700);
    let mut records = Records::new(23);
    records.take(600);
    log.append(&records.take(300), None).expect("it appends");
    assert_eq!(left(sign(&mut log, &key)), 700);
    let kept = fs::read_to_string(&file).expect("it is there");
    assert_eq!(kept, signed.to_string(), "the evidence stays");

    // Somebody looked at it, and put it away.
    fs::remove_file(&file).expect("it is there");
    sign(&mut log, &key).expect("it is signed");
    // What another key signed, or nobody reads, says nothing.
    let other = SigningKey::from_seed("weir", &[6; 32]).expect("a key");
    for text in [
        fs::read_to_string(&file).expect("it is there"),
        "cut".into(),
    ] {
        fs::write(&file, text).expect("it is written");
        sign(&mut log, &other).expect("it is signed");
    }
}

#[test]
fn a_log_cut_or_cut_and_regrown_does_not_fit_yesterdays_checkpoint() {
    let key = SigningKey::from_seed("weir", &[5; 32]).expect("a key");
    let whole = TempDir::new().expect("a directory");
    let mut log = open(&whole);
    let mut records = Records::new(22);
    let kept = records.take(600);
    log.append(&kept, None).expect("it appends");
    let early = log
        .checkpoint(&key)
        .expect("it is made")
        .expect("not empty");
    log.append(&records.take(100), None).expect("it appends");
    let late = log
        .checkpoint(&key)
        .expect("it is made")
        .expect("not empty");
    let checkpoints = [early, late];

    let cut = TempDir::new().expect("a directory");
    let mut log = open(&cut);
    log.append(&kept, None).expect("it appends");
    let check = |log: &Log| {
        verify(
            &log.reader(),
            &checkpoints,
            vkeys(&key),
            1,
            |_, _| Ok(()),
            |_| (),
        )
        .first_bad
    };
    assert_eq!(check(&log), Some((601, Problem::Cut { size: 700 })));

    let regrown = Records::after(99, &log).take(300);
    log.append(&regrown, None).expect("it appends");
    assert_eq!(check(&log), Some((601, Problem::Rewritten { size: 700 })));
}

#[test]
fn snapshots_are_whole_or_not_there() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    let mut random = Random::new(24);
    let mut bytes = |count: usize| -> Vec<u8> { (0..count).map(|_| random.next() as u8).collect() };
    let (small, large) = (bytes(10), bytes(3_000_000));
    log.append(&Records::new(24).take(20), None)
        .expect("it appends");
    let snapshots = log.snapshots();
    let put = |seq, bytes: &[u8]| {
        let about = Some("said of it".to_owned());
        snapshots.put(Kind::State, seq, about, |to| to.write_all(bytes))
    };
    put(5, &large).expect("it is kept");
    put(9, &small).expect("it is kept");
    put(12, b"").expect("it is kept");
    put(5, &large[..200_000]).expect("it is replaced");
    snapshots
        .put(Kind::Deliveries, 9, None, |to| {
            to.write_all(b"of another kind")
        })
        .expect("it is kept");
    assert!(matches!(
        put(21, &small),
        Err(SnapshotError::Beyond { seq: 21 })
    ));
    drop((snapshots, log));

    let log = open(&dir);
    let snapshots = log.snapshots();
    let listed = |kind| -> Vec<u64> { snapshots.list(kind).iter().map(|info| info.seq).collect() };
    assert_eq!(listed(Kind::State), [5, 9, 12]);
    assert_eq!(listed(Kind::Deliveries), [9]);
    let get = |seq| snapshots.get(Kind::State, seq);
    assert_eq!(get(5).as_deref(), Some(&large[..200_000]));
    assert_eq!(get(9), Some(small));
    assert_eq!(get(12), Some(Vec::new()));
    assert_eq!(get(6), None);
    snapshots.remove(Kind::State, 9).expect("it goes");
    snapshots.remove(Kind::State, 9).expect("it is gone");
    assert_eq!(listed(Kind::State), [5, 12]);

    let file = dir.path().join("log/snapshots/000000000005.state");
    let whole = fs::read(&file).expect("it reads");
    let first_line = whole.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    for place in 0..=first_line {
        let mut damaged = whole.clone();
        damaged[place] ^= 1 << (place % 8);
        fs::write(&file, &damaged).expect("it is written");
        let about = snapshots.open(Kind::State, 5).map(|kept| kept.about);
        assert!(
            about.is_none() || about == Some(Some("said of it".to_owned())),
            "byte {place}: {about:?}"
        );
    }
    for _ in 0..200 {
        let mut damaged = whole.clone();
        let place = random.below(damaged.len() as u64) as usize;
        damaged[place] ^= 1 << random.below(8);
        fs::write(&file, &damaged).expect("it is written");
        // A bit that says nothing may differ, as of the frame's description.
        let read = get(5);
        assert!(
            read.is_none() || read.as_deref() == Some(&large[..200_000]),
            "byte {place}"
        );
        fs::write(&file, &whole[..place]).expect("it is written");
        assert_eq!(get(5), None, "cut at {place}");
    }
    snapshots.clear().expect("it clears");
    assert_eq!(listed(Kind::State), [0; 0]);
    assert_eq!(get(12), None);
    assert_eq!(crate::records::check_whole(&log.reader()).len(), 20);
}

#[test]
fn a_snapshot_of_another_history_is_not_there() {
    let dir = TempDir::new().expect("a directory");
    let mut log = open(&dir);
    log.append(&Records::new(24).take(20), None)
        .expect("it appends");
    log.snapshots()
        .put(Kind::State, 9, None, |to| to.write_all(b"mine"))
        .expect("it is kept");
    let other = TempDir::new().expect("a directory");
    let mut elsewhere = open(&other);
    elsewhere
        .append(&Records::new(25).take(20), None)
        .expect("it appends");
    let copied = |from: &TempDir, to: &TempDir| {
        let name = "log/snapshots/000000000009.state";
        fs::create_dir_all(to.path().join("log/snapshots")).expect("it is made");
        fs::copy(from.path().join(name), to.path().join(name)).expect("it is copied");
    };
    copied(&dir, &other);
    assert_eq!(elsewhere.snapshots().list(Kind::State).len(), 1);
    assert_eq!(elsewhere.snapshots().get(Kind::State, 9), None);
    assert_eq!(
        log.snapshots().get(Kind::State, 9).as_deref(),
        Some(&b"mine"[..])
    );
}
