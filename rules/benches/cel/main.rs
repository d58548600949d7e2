//! Three rules beside native Rust and beside the crate `cel` fed the simple way (a new context for
//! each evaluation, values by serde), and an event that meets a thousand rules.
//!
//! Prints nanoseconds and ratios; read the ratios. What is compared alternates within a round, and
//! the median of the rounds' ratios is held against a gate and a goal.
//!
//! `cargo bench -p weir-rules --bench cel`; `-- --quick` is a shorter round, `-- medium` a part.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "what is measured is time"
)]

mod thousand;

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
    #[serde(skip)]
    id_value: Value,
    #[serde(skip)]
    severity_value: Value,
}

#[derive(Serialize, Debug)]
struct ImageScan {
    state: Arc<str>,
    critical: i64,
    #[serde(skip)]
    state_value: Value,
    #[serde(skip)]
    critical_value: Value,
}

#[derive(Serialize, Debug)]
struct Image {
    scan: Arc<ImageScan>,
    vulnerabilities: Vec<Arc<Finding>>,
    #[serde(skip)]
    scan_value: Value,
    #[serde(skip)]
    listed: Value,
}

#[derive(Serialize, Clone, Debug)]
struct Tag {
    name: Arc<str>,
    #[serde(skip)]
    value: Value,
}

#[derive(Serialize, Clone, Debug)]
struct Scan {
    critical: i64,
    high: i64,
    #[serde(skip)]
    critical_value: Value,
    #[serde(skip)]
    high_value: Value,
}

/// The facts, as structures for native code and serde, and as the values that an expression reads.
struct State {
    tag: Tag,
    scan: Scan,
    images: Vec<Arc<Image>>,
    tag_value: Value,
    scan_value: Value,
    images_value: Value,
}

macro_rules! record {
    ($type:ty, $name:expr, $($index:path => $value:ident),*) => {
        impl Record for $type {
            fn type_name(&self) -> &'static str {
                $name
            }

            fn field(&self, index: u16) -> Result<&Value, &FactError> {
                Ok(match index {
                    $($index => &self.$value,)*
                    _ => &Value::Null,
                })
            }
        }
    };
}

record!(Finding, vulnerability::TYPE,
    vulnerability::ID => id_value, vulnerability::SEVERITY => severity_value);
record!(ImageScan, image_scan::TYPE,
    image_scan::STATE => state_value, image_scan::CRITICAL => critical_value);
record!(Image, image::TYPE, image::SCAN => scan_value, image::VULNERABILITIES => listed);
record!(Tag, tag::TYPE, tag::NAME => value);
record!(Scan, scan::TYPE, scan::CRITICAL => critical_value, scan::HIGH => high_value);

impl Facts for State {
    fn variable(&self, index: u16) -> Result<&Value, Box<FactError>> {
        Ok(match index {
            variable::TAG => &self.tag_value,
            variable::SCAN => &self.scan_value,
            variable::IMAGES => &self.images_value,
            _ => &Value::Null,
        })
    }
}

fn state(images: usize, findings: usize) -> State {
    let words: Vec<Arc<str>> = ["CRITICAL", "HIGH", "MEDIUM", "LOW"]
        .map(Arc::from)
        .to_vec();
    let finding = |image: usize, at: usize| {
        let critical = at.is_multiple_of(20);
        let number = if critical {
            at % 20
        } else {
            image * findings + at
        };
        let id: Arc<str> = format!("CVE-{number}").into();
        let severity = words[if critical { 0 } else { 1 + at % 3 }].clone();
        Arc::new(Finding {
            id_value: id.clone().into(),
            severity_value: severity.clone().into(),
            id,
            severity,
        })
    };
    let images: Vec<Arc<Image>> = (0..images)
        .map(|image| {
            let vulnerabilities: Vec<_> = (0..findings).map(|at| finding(image, at)).collect();
            let listed: Vec<Value> = vulnerabilities
                .iter()
                .map(|one| one.clone().into())
                .collect();
            let state: Arc<str> = "completed".into();
            let scan = Arc::new(ImageScan {
                state_value: state.clone().into(),
                critical_value: 0.into(),
                state,
                critical: 0,
            });
            Arc::new(Image {
                scan_value: scan.clone().into(),
                scan,
                vulnerabilities,
                listed: listed.into(),
            })
        })
        .collect();
    let listed: Vec<Value> = images.iter().map(|image| image.clone().into()).collect();
    let name: Arc<str> = "v1.4.2".into();
    let tag = Tag {
        value: name.clone().into(),
        name,
    };
    let scan = Scan {
        critical: 0,
        high: 2,
        critical_value: 0.into(),
        high_value: 2.into(),
    };
    State {
        tag_value: Arc::new(tag.clone()).into(),
        tag,
        scan_value: Arc::new(scan.clone()).into(),
        scan,
        images_value: listed.into(),
        images,
    }
}

/// How long and how often is measured.
#[derive(Clone, Copy)]
struct Effort {
    rounds: usize,
    batch: Duration,
}

/// The time of one call in nanoseconds, over a batch that is long enough to measure.
fn measure(effort: Effort, mut work: impl FnMut() -> bool) -> f64 {
    let start = Instant::now();
    let (mut calls, mut next_look) = (0u32, 1u32);
    loop {
        assert!(black_box(work()));
        calls += 1;
        // Looking at the clock takes longer than the shortest of what is measured.
        if calls == next_look {
            let elapsed = start.elapsed();
            if elapsed >= effort.batch {
                return elapsed.as_nanos() as f64 / f64::from(calls);
            }
            next_look += 1 + calls / 2;
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints a figure beside the gate it must not exceed and the goal.
fn hold(what: &str, values: &[f64], unit: &str, gate: f64, goal: f64) {
    let figure = median(values);
    let verdict = match figure {
        _ if figure <= goal => "goal reached",
        _ if figure <= gate => "gate passed",
        _ => "GATE MISSED",
    };
    let (least, most) = values
        .iter()
        .fold((f64::MAX, 0.0f64), |(least, most), value| {
            (least.min(*value), most.max(*value))
        });
    println!(
        "  {what:<34} {figure:>8.1}{unit} [{least:.1} - {most:.1}]  gate {gate}{unit}, goal {goal}{unit}: {verdict}"
    );
}

struct Bench<'a> {
    name: &'a str,
    source: &'a str,
    gate: f64,
    goal: f64,
}

/// Whether this part was asked for, or none.
fn is_wanted(part: &str) -> bool {
    let mut parts = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .peekable();
    parts.peek().is_none() || parts.any(|argument| argument == part)
}

fn bench(effort: Effort, bench: &Bench<'_>, state: &State, native: impl Fn(&State) -> bool) {
    if !is_wanted(bench.name) {
        return;
    }
    let source = bench.source;
    let (program, _) =
        Program::compile_predicate(source, Environment::rules(), &Limits::default()).expect(source);
    let compiled = Env::stdlib().compile(source).expect(source);
    let naive = || {
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
    };
    let (mut natives, mut ours, mut naives) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        natives.push(measure(effort, || native(black_box(state))));
        ours.push(measure(effort, || {
            program.decide(black_box(state)).outcome == Ok(true)
        }));
        naives.push(measure(effort, naive));
    }
    println!(
        "{}: native {:.1} ns, weir {:.1} ns, the crate fed naively {:.0} ns; {} steps",
        bench.name,
        median(&natives),
        median(&ours),
        median(&naives),
        program.decide(state).steps
    );
    let ratios = |of: &[f64], to: &[f64]| -> Vec<f64> {
        of.iter().zip(to).map(|(of, to)| of / to).collect()
    };
    let (to_native, to_ours) = (ratios(&ours, &natives), ratios(&naives, &ours));
    hold("times native", &to_native, "x", bench.gate, bench.goal);
    println!(
        "  {:<34} {:>8.1}x",
        "times faster than the crate",
        median(&to_ours)
    );
}

const SIMPLE: Bench<'_> = Bench {
    name: "simple",
    source: "tag.name.matches('^v[0-9]+') && scan.critical == 0",
    gate: 40.0,
    goal: 3.0,
};
const MEDIUM: Bench<'_> = Bench {
    name: "medium",
    source: "tag.name.startsWith('v') && tag.name != 'v0' && scan.critical == 0 && scan.high < 5 \
        && tag.name.size() < 20 && images.all(i, i.scan.state == 'completed' && i.scan.critical == 0)",
    gate: 600.0,
    goal: 25.0,
};
const HEAVY: Bench<'_> = Bench {
    name: "heavy",
    source: "images.all(i, i.vulnerabilities.all(v, v.severity != 'CRITICAL' || v.id in ['CVE-0', \
        'CVE-1', 'CVE-2', 'CVE-3', 'CVE-4', 'CVE-5', 'CVE-6', 'CVE-7', 'CVE-8', 'CVE-9', 'CVE-10', \
        'CVE-11', 'CVE-12', 'CVE-13', 'CVE-14', 'CVE-15', 'CVE-16', 'CVE-17', 'CVE-18', 'CVE-19']))",
    gate: 300.0,
    goal: 15.0,
};

fn main() {
    // `cargo test` runs benches too, to see that they work.
    let is = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    let effort = if is("--quick") || !is("--bench") {
        Effort {
            rounds: 3,
            batch: Duration::from_millis(5),
        }
    } else {
        Effort {
            rounds: 15,
            batch: Duration::from_millis(60),
        }
    };
    println!("{} rounds; median [least - most]", effort.rounds);
    let regex = regex::Regex::new("^v[0-9]+").expect("a pattern");
    bench(effort, &SIMPLE, &state(0, 0), |state| {
        regex.is_match(&state.tag.name) && state.scan.critical == 0
    });
    bench(effort, &MEDIUM, &state(10, 0), |state| {
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
    bench(effort, &HEAVY, &state(30, 200), |state| {
        state.images.iter().all(|image| {
            image.vulnerabilities.iter().all(|finding| {
                &*finding.severity != "CRITICAL" || allowed.iter().any(|id| **id == *finding.id)
            })
        })
    });
    if is_wanted("thousand") {
        thousand::bench(effort);
    }
}
