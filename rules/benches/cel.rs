//! Three rules beside native Rust and beside the crate `cel` fed the simple way: a new context for
//! each evaluation, values by serde.
//!
//! Prints nanoseconds and ratios; read the ratios. `cargo bench -p weir-rules --bench cel`

use cel_interpreter::{Context, Env};
use serde::Serialize;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use weir_rules::cel::facts::{image, image_scan, scan, tag, variable, vulnerability};
use weir_rules::cel::{Environment, FactError, Facts, Limits, Program, Record, Value};

#[derive(Serialize, Debug)]
struct Finding {
    id: Arc<str>,
    severity: Arc<str>,
}

#[derive(Serialize, Debug)]
struct ImageScan {
    state: Arc<str>,
    critical: i64,
}

#[derive(Serialize, Debug)]
struct Image {
    scan: Arc<ImageScan>,
    vulnerabilities: Vec<Arc<Finding>>,
    #[serde(skip)]
    listed: Value,
}

#[derive(Serialize)]
struct Tag {
    name: Arc<str>,
}

#[derive(Serialize)]
struct Scan {
    critical: i64,
    high: i64,
}

struct State {
    tag: Tag,
    scan: Scan,
    images: Vec<Arc<Image>>,
    tag_value: Value,
    scan_value: Value,
    images_value: Value,
}

macro_rules! record {
    ($type:ty, $name:expr, $this:ident, $($index:path => $value:expr),*) => {
        impl Record for $type {
            fn type_name(&self) -> &'static str {
                $name
            }

            fn field(&self, index: u16) -> Result<Value, FactError> {
                let $this = self;
                Ok(match index {
                    $($index => $value,)*
                    _ => Value::Null,
                })
            }
        }
    };
}

record!(Finding, vulnerability::TYPE, this,
    vulnerability::ID => this.id.clone().into(), vulnerability::SEVERITY => this.severity.clone().into());
record!(ImageScan, image_scan::TYPE, this,
    image_scan::STATE => this.state.clone().into(), image_scan::CRITICAL => this.critical.into());
record!(Image, image::TYPE, this,
    image::SCAN => this.scan.clone().into(), image::VULNERABILITIES => this.listed.clone());

#[derive(Debug)]
struct TagRecord(Arc<str>);
record!(TagRecord, tag::TYPE, this, tag::NAME => this.0.clone().into());

#[derive(Debug)]
struct ScanRecord(i64, i64);
record!(ScanRecord, scan::TYPE, this, scan::CRITICAL => this.0.into(), scan::HIGH => this.1.into());

impl Facts for State {
    fn variable(&self, index: u16) -> Result<Value, FactError> {
        Ok(match index {
            variable::TAG => self.tag_value.clone(),
            variable::SCAN => self.scan_value.clone(),
            variable::IMAGES => self.images_value.clone(),
            _ => Value::Null,
        })
    }
}

fn state(images: usize, findings: usize) -> State {
    let words: Vec<Arc<str>> = ["CRITICAL", "HIGH", "MEDIUM", "LOW"]
        .map(Arc::from)
        .to_vec();
    let images: Vec<Arc<Image>> = (0..images)
        .map(|at| {
            let vulnerabilities: Vec<Arc<Finding>> = (0..findings)
                .map(|finding| {
                    let critical = finding % 20 == 0;
                    let severity = if critical { 0 } else { 1 + finding % 3 };
                    let id = if critical {
                        finding % 20
                    } else {
                        at * findings + finding
                    };
                    Arc::new(Finding {
                        id: format!("CVE-{id}").into(),
                        severity: words[severity].clone(),
                    })
                })
                .collect();
            let listed = vulnerabilities
                .iter()
                .map(|finding| finding.clone().into())
                .collect::<Vec<Value>>();
            let scan = Arc::new(ImageScan {
                state: "completed".into(),
                critical: 0,
            });
            Arc::new(Image {
                scan,
                vulnerabilities,
                listed: listed.into(),
            })
        })
        .collect();
    let listed = images
        .iter()
        .map(|image| image.clone().into())
        .collect::<Vec<Value>>();
    let name: Arc<str> = "v1.4.2".into();
    State {
        tag_value: Arc::new(TagRecord(name.clone())).into(),
        tag: Tag { name },
        scan: Scan {
            critical: 0,
            high: 2,
        },
        scan_value: Arc::new(ScanRecord(0, 2)).into(),
        images_value: listed.into(),
        images,
    }
}

/// The median time of one call, over batches that are long enough to measure.
fn measure(mut work: impl FnMut() -> bool) -> f64 {
    let warm_up = Instant::now();
    let mut calls = 0u32;
    while warm_up.elapsed() < Duration::from_millis(100) {
        assert!(black_box(work()));
        calls += 1;
    }
    let per_batch = (calls / 10).max(1);
    let mut times: Vec<f64> = (0..15)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..per_batch {
                black_box(work());
            }
            start.elapsed().as_nanos() as f64 / f64::from(per_batch)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn bench(name: &str, source: &str, state: &State, native: impl Fn(&State) -> bool) {
    let (program, _) =
        Program::compile_predicate(source, Environment::rules(), &Limits::default()).expect(source);
    let native = measure(|| native(black_box(state)));
    let ours = measure(|| program.decide(black_box(state)).outcome == Ok(true));
    let compiled = Env::stdlib().compile(source).expect(source);
    let naive = measure(|| {
        let mut context = Context::default();
        for variable in ["tag", "scan", "images"] {
            if !program.reads(variable) {
                continue;
            }
            let added = match variable {
                "tag" => context.add_variable(variable, &state.tag),
                "scan" => context.add_variable(variable, &state.scan),
                _ => context.add_variable(variable, &state.images),
            };
            added.expect("serializable");
        }
        compiled.execute(&context).expect(source) == true.into()
    });
    println!(
        "{name:8} native {native:10.1} ns   weir {ours:12.1} ns ({:6.1}x native)   crate, naive {naive:14.0} ns ({:7.1}x weir)",
        ours / native,
        naive / ours
    );
}

const MEDIUM: &str = "tag.name.startsWith('v') && tag.name != 'v0' && scan.critical == 0 && scan.high < 5 \
    && tag.name.size() < 20 && images.all(i, i.scan.state == 'completed' && i.scan.critical == 0)";
const HEAVY: &str = "images.all(i, i.vulnerabilities.all(v, v.severity != 'CRITICAL' || v.id in ['CVE-0', 'CVE-1', \
    'CVE-2', 'CVE-3', 'CVE-4', 'CVE-5', 'CVE-6', 'CVE-7', 'CVE-8', 'CVE-9', 'CVE-10', 'CVE-11', 'CVE-12', \
    'CVE-13', 'CVE-14', 'CVE-15', 'CVE-16', 'CVE-17', 'CVE-18', 'CVE-19']))";

fn main() {
    let regex = regex::Regex::new("^v[0-9]+").expect("a pattern");
    bench(
        "simple",
        "tag.name.matches('^v[0-9]+') && scan.critical == 0",
        &state(0, 0),
        |state| regex.is_match(&state.tag.name) && state.scan.critical == 0,
    );
    bench("medium", MEDIUM, &state(10, 0), |state| {
        let name = &state.tag.name;
        name.starts_with('v')
            && &**name != "v0"
            && state.scan.critical == 0
            && state.scan.high < 5
            && name.chars().count() < 20
            && state
                .images
                .iter()
                .all(|image| &*image.scan.state == "completed" && image.scan.critical == 0)
    });
    let allowed: Vec<String> = (0..20).map(|id| format!("CVE-{id}")).collect();
    bench("heavy", HEAVY, &state(30, 200), |state| {
        state.images.iter().all(|image| {
            image.vulnerabilities.iter().all(|finding| {
                &*finding.severity != "CRITICAL" || allowed.iter().any(|id| **id == *finding.id)
            })
        })
    });
}
