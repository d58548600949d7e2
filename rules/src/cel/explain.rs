//! Why an expression came to what it did: its parts, each with its value.

use super::ast::{Binding, LoopKind, Span};
use super::eval::{Bound, Run, Scope, short_type};
use super::json::JsonLimits;
use super::node::{Bind, Kind, Loop, Node};
use super::program::Program;
use super::record::Facts;
use super::scan::Scan;
use super::value::Value;
use serde::Serialize;
use std::ops::ControlFlow;

/// Of a loop at most so many elements are shown.
const MAX_ELEMENTS: usize = 20;

/// Where all elements decided alike, so many tell enough.
const MAX_FAILING: usize = 5;

/// A text shown as a value is cut to this many characters, and a list to as many elements as a
/// reader takes in.
const MAX_TEXT: usize = 200;
const MAX_ITEMS: usize = 10;

/// A list within lists is shown if it is no larger in all.
const MAX_JSON: JsonLimits = JsonLimits {
    values: 200,
    bytes: MAX_TEXT * MAX_ITEMS,
};

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
    /// For a loop: the elements that decided, such as those for which `all` does not hold, or which
    /// `map` made an error of.
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
    /// For the value of a map, beside its key in the loop: the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<serde_json::Value>,
    /// The element itself; of a record the fields that are single values, and are there.
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
    // Each part is evaluated again for its own value, all within the limits of one evaluation: of
    // an expression that needs most of them, some parts are not shown.
    let explaining = Explaining {
        program,
        scan: Scan::of(&program.source).ok(),
        run: Run::new(program, facts),
        facts,
    };
    let mut parts: Vec<Explanation> = Vec::new();
    for node in &program.nodes {
        parts.extend(explaining.node(node, None));
    }
    let spans = program.nodes.iter().map(|node| program.span(node.id));
    let whole = spans.reduce(Span::around).unwrap_or_default();
    // The value of the whole is that of the evaluation, whatever its parts took here.
    let outcome = program.evaluate(facts);
    let of_whole = Explanation {
        text: program.text().to_owned(),
        span: whole,
        value: outcome.as_ref().ok().map(shown),
        error: outcome.err().map(|error| error.message),
        parts: Vec::new(),
        elements: Vec::new(),
        more_elements: 0,
    };
    match (program.nodes.len(), parts.pop()) {
        (1, Some(only)) => Explanation {
            value: of_whole.value,
            error: of_whole.error,
            ..only
        },
        (_, last) => {
            parts.extend(last);
            Explanation { parts, ..of_whole }
        }
    }
}

struct Explaining<'a> {
    program: &'a Program,
    scan: Option<Scan<'a>>,
    run: Run<'a>,
    facts: &'a dyn Facts,
}

impl Explaining<'_> {
    fn text(&self, span: Span) -> String {
        // Parentheses belong to no part: one that begins or ends with such has half of the pair.
        match &self.scan {
            Some(scan) => scan.folded(scan.balanced(span)),
            None => span.text(&self.program.source).to_owned(),
        }
    }

    /// A part with its value; `None` once a limit is reached, which says nothing about the part.
    fn node(&self, node: &Node, scope: Bound<'_>) -> Option<Explanation> {
        let span = self.program.span(node.id);
        let result = self.run.value(node, scope);
        if result.as_ref().is_err_and(|error| error.exhausted) {
            return None;
        }
        let mut explanation = Explanation {
            text: self.text(span),
            span,
            value: result.as_ref().ok().map(|value| shown(value)),
            error: result.as_ref().err().map(|error| error.message.clone()),
            parts: Vec::new(),
            elements: Vec::new(),
            more_elements: 0,
        };
        match &node.kind {
            Kind::Constant(_) | Kind::Fail(_) | Kind::Variable(_) | Kind::Local(_) => {}
            // A field shows its own value; what it was read from is in the text.
            Kind::Select(_) | Kind::Has(_) | Kind::OptionalSelect(_) => {}
            Kind::Conditional(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let taken = match self.run.test(condition, scope) {
                    Ok(true) => Some(yes),
                    Ok(false) => Some(no),
                    Err(_) => None,
                };
                self.parts(
                    &mut explanation,
                    [condition].into_iter().chain(taken),
                    scope,
                );
            }
            Kind::Not(operand) | Kind::Negate(operand) | Kind::Matches(operand, _) => {
                self.parts(&mut explanation, [operand.as_ref()], scope);
            }
            Kind::And(operands) | Kind::Or(operands) | Kind::Call(_, operands) => {
                self.parts(&mut explanation, operands, scope);
            }
            Kind::Compare(_, operands)
            | Kind::Arithmetic(_, operands)
            | Kind::In(operands)
            | Kind::Index(operands)
            | Kind::OptionalIndex(operands) => {
                self.parts(&mut explanation, operands.iter(), scope);
            }
            Kind::List(items) => {
                self.parts(&mut explanation, items.iter().map(|(node, _)| node), scope);
            }
            Kind::Map(entries) => {
                let parts = entries.iter().flat_map(|(key, value, _)| [key, value]);
                self.parts(&mut explanation, parts, scope);
            }
            Kind::Loop(each) => self.each(&mut explanation, node, each, scope),
            Kind::Bind(bind) => self.bind(&mut explanation, bind, scope),
            Kind::Block(bindings, body) => self.block(&mut explanation, bindings, body, scope),
        }
        Some(explanation)
    }

    /// Adds the parts that tell something: literals do not.
    fn parts<'n>(
        &self,
        explanation: &mut Explanation,
        nodes: impl IntoIterator<Item = &'n Node>,
        scope: Bound<'_>,
    ) {
        for node in nodes {
            if !matches!(node.kind, Kind::Constant(_)) {
                explanation.parts.extend(self.node(node, scope));
            }
        }
    }

    fn bind(&self, explanation: &mut Explanation, bind: &Bind, scope: Bound<'_>) {
        self.parts(explanation, [&bind.init], scope);
        let Ok(init) = self.run.bound(&bind.init, scope) else {
            return;
        };
        let value = match (bind.how, init.as_deref()) {
            (Binding::Value, Ok(value)) => Ok(value),
            (Binding::Value, Err(error)) => Err(error.as_ref()),
            (_, Ok(Value::Optional(Some(value)))) => Ok(value.as_ref()),
            _ => return,
        };
        let inner = Scope {
            slot: bind.slot,
            value,
            outer: scope,
        };
        self.parts(explanation, [&bind.body], Some(&inner));
    }

    fn block(
        &self,
        explanation: &mut Explanation,
        bindings: &[(u16, Node)],
        body: &Node,
        scope: Bound<'_>,
    ) {
        let Some(((slot, init), rest)) = bindings.split_first() else {
            return self.parts(explanation, [body], scope);
        };
        self.parts(explanation, [init], scope);
        if let Ok(value) = self.run.bound(init, scope) {
            let inner = Scope {
                slot: *slot,
                value: value.as_deref().map_err(|error| error.as_ref()),
                outer: scope,
            };
            self.block(explanation, rest, body, Some(&inner));
        }
    }

    /// The elements that decided: for `all` those that do not hold, for the others those that do, or,
    /// where none does, the first that do not; and those that err. Where there is none to look for, the
    /// list itself says so.
    fn each(&self, explanation: &mut Explanation, node: &Node, each: &Loop, scope: Bound<'_>) {
        let Ok(range) = self.run.range(node, each, scope) else {
            return self.parts(explanation, [&each.range], scope);
        };
        let is_false = explanation.value == Some(false.into());
        let is_empty = match &*range {
            Value::List(list) => list.is_empty(),
            Value::Map(map) => map.is_empty(),
            _ => false,
        };
        match each.how {
            LoopKind::Exists | LoopKind::ExistsOne if is_empty => {
                self.parts(explanation, [&each.range], scope);
            }
            LoopKind::All => self.deciding(explanation, each, &range, scope, false, MAX_ELEMENTS),
            // That none holds, all of them decided.
            LoopKind::Exists if is_false => {
                self.deciding(explanation, each, &range, scope, false, MAX_FAILING);
            }
            LoopKind::Exists | LoopKind::Filter => {
                self.deciding(explanation, each, &range, scope, true, MAX_ELEMENTS);
            }
            LoopKind::ExistsOne => {
                self.deciding(explanation, each, &range, scope, true, MAX_ELEMENTS);
                if is_false && explanation.elements.is_empty() {
                    self.deciding(explanation, each, &range, scope, false, MAX_FAILING);
                }
            }
            LoopKind::Map
            | LoopKind::TransformMap
            | LoopKind::TransformMapEntry
            | LoopKind::SortBy => {
                if explanation.error.is_some() {
                    self.erring(explanation, each, &range, scope);
                }
            }
        }
    }

    /// Adds the elements of which no value could be made.
    fn erring(&self, explanation: &mut Explanation, each: &Loop, range: &Value, scope: Bound<'_>) {
        // Nothing is looked for any more once a limit is reached.
        let _: ControlFlow<()> = self.run.visit(each, range, scope, |scope, at| {
            let filter = each.filter.as_ref();
            let (node, error) =
                match filter.map(|filter| (filter, self.run.test(filter, Some(scope)))) {
                    Some((_, Ok(false))) => return ControlFlow::Continue(()),
                    Some((filter, Err(error))) => (filter, Some(error)),
                    Some((_, Ok(true))) | None => {
                        (&each.body, self.run.value(&each.body, Some(scope)).err())
                    }
                };
            match error {
                None => {}
                Some(error) if error.exhausted => return ControlFlow::Break(()),
                Some(_) if explanation.elements.len() < MAX_FAILING => {
                    let element = self.element(each, node, range, (scope, at));
                    explanation.elements.extend(element);
                }
                Some(_) => explanation.more_elements += 1,
            }
            ControlFlow::Continue(())
        });
    }

    /// Adds the elements for which the body comes to `wanted`, and those for which it errs.
    fn deciding(
        &self,
        explanation: &mut Explanation,
        each: &Loop,
        range: &Value,
        scope: Bound<'_>,
        wanted: bool,
        most: usize,
    ) {
        // Nothing is looked for any more once a limit is reached.
        let _: ControlFlow<()> = self.run.visit(each, range, scope, |scope, at| {
            let decided = match self.run.test(&each.body, Some(scope)) {
                Ok(value) => value == wanted,
                Err(error) if error.exhausted => return ControlFlow::Break(()),
                Err(_) => true,
            };
            if decided && explanation.elements.len() < most {
                let element = self.element(each, &each.body, range, (scope, at));
                explanation.elements.extend(element);
            } else if decided {
                explanation.more_elements += 1;
            }
            ControlFlow::Continue(())
        });
    }

    /// The element that the innermost name of `scope` stands for, with what `node` comes to for it.
    fn element(
        &self,
        each: &Loop,
        node: &Node,
        range: &Value,
        (scope, index): (&Scope<'_>, usize),
    ) -> Option<Element> {
        let names = &self.program.names;
        let name = names.get(usize::from(scope.slot)).map_or("", |name| name);
        let of_map = each.second.is_some() && matches!(range, Value::Map(_));
        let key = scope.outer.filter(|_| of_map);
        Some(Element {
            name: name.to_owned(),
            index,
            key: key.and_then(|key| key.value.ok()).map(shown),
            value: match scope.value.ok()? {
                record @ Value::Record(_) => self.record(record),
                other => Some(shown(other)),
            },
            body: self.node(node, Some(scope))?,
        })
    }
}

impl Explaining<'_> {
    /// What tells a record from others.
    fn record(&self, record: &Value) -> Option<serde_json::Value> {
        let environment = &self.program.environment;
        let mut json = environment.single_values(record, self.facts);
        json.as_object_mut()?.retain(|_, field| match field {
            serde_json::Value::String(text) => !text.is_empty(),
            other => other.is_number() || other.is_boolean(),
        });
        Some(json)
    }
}

/// The value as a reader wants to see it: long ones are cut.
fn shown(value: &Value) -> serde_json::Value {
    match value {
        Value::String(text) if text.chars().count() > MAX_TEXT => cut(text).into(),
        Value::Bytes(bytes) if bytes.len() > MAX_TEXT => format!("{} bytes", bytes.len()).into(),
        Value::List(list)
            if list.len() > MAX_ITEMS
                || list.iter().any(|item| matches!(item, Value::Record(_))) =>
        {
            format!("list of {}", list.len()).into()
        }
        Value::Map(map) if map.len() > MAX_ITEMS => format!("map of {}", map.len()).into(),
        Value::Record(_) => short_type(value).into(),
        other => match other.to_json_within(&MAX_JSON) {
            Ok(json) => json,
            Err(_) => format!("a large {}", short_type(other)).into(),
        },
    }
}

fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(MAX_TEXT).collect();
    cut.push('…');
    cut
}
