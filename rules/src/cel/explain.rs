//! Why an expression came to what it did: its parts, each with its value.

use super::ast::{LoopKind, Span};
use super::eval::{Run, short_type};
use super::node::{Kind, Loop, Node};
use super::program::Program;
use super::record::Facts;
use super::value::Value;
use serde::Serialize;

/// Of a loop at most so many elements are shown.
const MAX_ELEMENTS: usize = 20;

/// A text shown as a value is cut to this many characters, and a list to as many elements as a
/// reader takes in.
const MAX_TEXT: usize = 200;
const MAX_ITEMS: usize = 10;

/// A part of an expression with its value, and the parts that it is made of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The part as it was written, without comments and with white space folded.
    pub text: String,
    /// Where, in bytes of the source.
    pub span: Span,
    /// Its value as JSON, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
    /// Why it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The parts that decided, in the order in which they are written.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Explanation>,
    /// For a loop: the elements that decided, such as those for which `all` does not hold.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<Element>,
    /// How many more elements decided than are shown.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_elements: usize,
}

/// One turn of a loop that decided.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Element {
    /// The name that stands for the element.
    pub name: String,
    /// The index in the list, or the place among the keys of the map.
    pub index: usize,
    /// The element itself, where it is no record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
    /// What the body of the loop came to for it.
    pub body: Explanation,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

pub(super) fn explain(program: &Program, facts: &dyn Facts) -> Explanation {
    let mut explaining = Explaining {
        program,
        run: Run::new(program, facts),
    };
    let mut parts: Vec<_> = program
        .nodes
        .iter()
        .map(|node| explaining.node(node))
        .collect();
    if parts.len() == 1
        && let Some(only) = parts.pop()
    {
        return only;
    }
    let whole = parts
        .iter()
        .map(|part| part.span)
        .reduce(Span::around)
        .unwrap_or_default();
    let outcome = program.decide(facts).outcome;
    Explanation {
        text: explaining.text(whole),
        span: whole,
        value: outcome.as_ref().ok().map(|value| (*value).into()),
        error: outcome.err().map(|error| error.message),
        parts,
        elements: Vec::new(),
        more_elements: 0,
    }
}

struct Explaining<'a> {
    program: &'a Program,
    run: Run<'a>,
}

impl Explaining<'_> {
    fn text(&self, span: Span) -> String {
        match super::scan::Scan::of(&self.program.source) {
            Ok(scan) => scan.folded(span),
            Err(_) => span.text(&self.program.source).to_owned(),
        }
    }

    fn node(&mut self, node: &Node) -> Explanation {
        let span = self.program.span(node.id);
        let result = self.run.eval(node);
        let mut explanation = Explanation {
            text: self.text(span),
            span,
            value: result.as_ref().ok().map(shown),
            error: result.as_ref().err().map(|error| error.message.clone()),
            parts: Vec::new(),
            elements: Vec::new(),
            more_elements: 0,
        };
        if result.is_err_and(|error| error.exhausted) {
            return explanation;
        }
        match &node.kind {
            Kind::Constant(_) | Kind::Fail(_) | Kind::Variable(_) | Kind::Local(_) => {}
            // A field shows its own value; what it was read from is in the text.
            Kind::Select(_) | Kind::Has(_) | Kind::OptionalSelect(_) => {}
            Kind::Conditional(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let taken = match self.run.test(condition) {
                    Ok(true) => Some(yes),
                    Ok(false) => Some(no),
                    Err(_) => None,
                };
                self.parts(&mut explanation, [condition].into_iter().chain(taken));
            }
            Kind::Not(operand) | Kind::Negate(operand) | Kind::Matches(operand, _) => {
                self.parts(&mut explanation, [operand.as_ref()]);
            }
            Kind::And(operands) | Kind::Or(operands) | Kind::Call(_, operands) => {
                self.parts(&mut explanation, operands);
            }
            Kind::Compare(_, operands)
            | Kind::Arithmetic(_, operands)
            | Kind::In(operands)
            | Kind::Index(operands)
            | Kind::OptionalIndex(operands) => self.parts(&mut explanation, operands.iter()),
            Kind::List(items) => self.parts(&mut explanation, items.iter().map(|(node, _)| node)),
            Kind::Map(entries) => {
                self.parts(
                    &mut explanation,
                    entries.iter().flat_map(|(key, value, _)| [key, value]),
                );
            }
            Kind::Loop(each) => self.each(&mut explanation, node, each),
            Kind::Bind(bind) => {
                self.parts(&mut explanation, [&bind.init]);
                // The evaluation above left the bound value in place.
                if explanation.value.is_some() {
                    self.parts(&mut explanation, [&bind.body]);
                }
            }
            Kind::Block(bindings, body) => {
                self.parts(&mut explanation, bindings.iter().map(|(_, init)| init));
                self.parts(&mut explanation, [body.as_ref()]);
            }
        }
        explanation
    }

    /// Adds the parts that tell something: literals do not.
    fn parts<'n>(
        &mut self,
        explanation: &mut Explanation,
        nodes: impl IntoIterator<Item = &'n Node>,
    ) {
        for node in nodes {
            if !matches!(node.kind, Kind::Constant(_)) {
                let part = self.node(node);
                explanation.parts.push(part);
            }
        }
    }

    /// The elements that decided: for `all` those that do not hold, for the others those that do,
    /// and those that err.
    fn each(&mut self, explanation: &mut Explanation, node: &Node, each: &Loop) {
        let Ok(range) = self.run.range(node, each) else {
            self.parts(explanation, [&each.range]);
            return;
        };
        let wanted = match each.how {
            LoopKind::All => false,
            LoopKind::Exists | LoopKind::ExistsOne | LoopKind::Filter => true,
            _ => return,
        };
        let mut at = 0;
        while self.run.enter(each, &range, at) {
            let decided = match self.run.test(&each.body) {
                Ok(value) => value == wanted,
                Err(error) if error.exhausted => return,
                Err(_) => true,
            };
            if decided && explanation.elements.len() < MAX_ELEMENTS {
                let bound = each.second.unwrap_or(each.first);
                let value = self.run.local(bound);
                let value = (!matches!(value, Value::Record(_))).then(|| shown(value));
                let name = self
                    .program
                    .names
                    .get(usize::from(bound))
                    .map_or("", |name| name);
                let body = self.node(&each.body);
                explanation.elements.push(Element {
                    name: name.to_owned(),
                    index: at,
                    value,
                    body,
                });
            } else if decided {
                explanation.more_elements += 1;
            }
            at += 1;
        }
    }
}

/// The value as a reader wants to see it: long ones are cut.
fn shown(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) if text.chars().count() > MAX_TEXT => {
            let mut cut: String = text.chars().take(MAX_TEXT).collect();
            cut.push('…');
            cut.into()
        }
        Value::List(list)
            if list.len() > MAX_ITEMS
                || list.iter().any(|item| matches!(item, Value::Record(_))) =>
        {
            format!("list of {}", list.len()).into()
        }
        Value::Map(map) if map.len() > MAX_ITEMS => format!("map of {}", map.len()).into(),
        Value::Record(_) => short_type(value).into(),
        other => other.to_json(),
    }
}
