//! Every slip of the hand in every name that a rule may write is refused where it stands.

use std::collections::BTreeSet;
use weir_rules::cel::{Environment, Limits, Position, Program, Type};

/// What a slip of the hand makes of a name: a letter left out, doubled, put in, replaced, or
/// exchanged with the next.
fn slips(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut slips = BTreeSet::new();
    let mut with = |change: &dyn Fn(&mut Vec<char>)| {
        let mut changed = letters.clone();
        change(&mut changed);
        slips.insert(changed.into_iter().collect::<String>());
    };
    for at in 0..letters.len() {
        with(&|changed| {
            changed.remove(at);
        });
        with(&|changed| changed.insert(at, letters[at]));
        for other in ('a'..='z').chain(['_']) {
            with(&|changed| changed[at] = other);
            with(&|changed| changed.insert(at, other));
        }
        if at + 1 < letters.len() {
            with(&|changed| changed.swap(at, at + 1));
        }
    }
    with(&|changed| changed.push('s'));
    let is_name =
        |slip: &String| slip.starts_with(|first: char| first.is_alphabetic() || first == '_');
    slips
        .into_iter()
        // `in` is no name but a word of the language.
        .filter(|slip| slip != name && slip != "in" && is_name(slip))
        .collect()
}

/// Whether one letter left out, put in, replaced or exchanged with the next makes `b` of `a`.
fn is_one_slip(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let same = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same..], &b[same..]);
    match (a, b) {
        ([_, a @ ..], b) if a == b => true,
        (a, [_, b @ ..]) if a == b => true,
        ([_, a @ ..], [_, b @ ..]) if a == b => true,
        ([a1, a2, a @ ..], [b1, b2, b @ ..]) => a1 == b2 && a2 == b1 && a == b,
        _ => false,
    }
}

/// Checks the slips of one name in an expression around it: each that is no other name is refused
/// where it stands, and the suggestion is a name that is one slip away. Gives how many there were
/// and for how many the suggestion was the name that was meant.
fn check_slips(
    name: &str,
    names: &[&str],
    before: &str,
    after: &str,
    what: &str,
) -> (usize, usize) {
    let (mut count, mut meant) = (0, 0);
    for slip in slips(name) {
        if names.contains(&slip.as_str()) {
            continue;
        }
        let source = format!("//! about: é\ntrue &&\n  {before}{slip} == dyn(1){after}");
        let environment = Environment::rules();
        let errors = Program::compile(&source, environment, &Limits::default())
            .expect_err("a name that does not exist");
        let first = &errors[0];
        assert!(
            first.message.starts_with(&format!("no {what} '{slip}'")),
            "{source}: {}",
            first.message
        );
        let Position { line, column } = Position::of(&source, first.span.start as usize);
        assert_eq!((line, column), (3, 3 + before.chars().count()), "{source}");
        assert_eq!(first.span.text(&source), slip, "{source}");
        let help = first.help.as_deref().unwrap_or_default();
        let suggested = help.split('\'').nth(1).unwrap_or_default();
        assert!(names.contains(&suggested), "{slip}: {help}");
        // Of several names that are one slip away any will do.
        assert!(
            suggested == name || is_one_slip(suggested, &slip),
            "{slip}: {help}"
        );
        count += 1;
        meant += usize::from(suggested == name);
    }
    (count, meant)
}

#[test]
fn every_one_letter_slip_of_every_name_is_caught_at_its_place_with_a_suggestion() {
    let environment = Environment::rules();
    let (mut count, mut meant) = (0, 0);
    let mut add = |(slips, hits): (usize, usize)| {
        count += slips;
        meant += hits;
    };
    let variables: Vec<&str> = environment
        .variables()
        .iter()
        .map(|variable| &*variable.name)
        .collect();
    for name in &variables {
        add(check_slips(name, &variables, "", "", "variable"));
    }
    for record in environment.records() {
        let (before, after) = path_to(record.name);
        let fields: Vec<&str> = record.fields.iter().map(|field| field.name).collect();
        for name in &fields {
            add(check_slips(name, &fields, &before, after, "field"));
        }
    }
    println!("{count} slips caught, {meant} of them with the name that was meant");
    assert!(count > 30_000, "{count}");
    assert!(meant * 100 >= count * 97, "{meant} of {count}");
}

/// How an expression gets at a record of this type.
fn path_to(record: &str) -> (String, &'static str) {
    for variable in Environment::rules().variables() {
        match &variable.ty {
            Type::Record(name) if *name == record => return (format!("{}.", variable.name), ""),
            Type::List(element)
                if **element
                    == Type::Record(
                        Environment::rules().record(record).expect("declared").name,
                    ) =>
            {
                return (format!("{}.all(x, x.", variable.name), ")");
            }
            _ => {}
        }
    }
    ("images.all(x, x.scan.".to_owned(), ")")
}
