//! From the syntax tree to the tree that is run, checking on the way: names are resolved, types
//! inferred, constants computed, patterns compiled.
//!
//! One pass does both, so that what was checked is what runs.

mod calls;
mod guards;
mod names;
mod operators;

use super::ast::{Binding, Expr, ExprKind, Loop as LoopExpr, LoopKind, Span};
use super::budget::Budget;
use super::diagnostics::Diagnostic;
use super::environment::Environment;
use super::eval::Run;
use super::limits::Limits;
use super::lint::{
    self,
    words::{self, Literal, Words},
};
use super::node::{Bind, Kind, Loop, Node};
use super::program::Program;
use super::record::{FactError, Facts};
use super::types::Type;
use super::value::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// Computing the constants of an expression at load may take so many steps.
const FOLD_STEPS: u64 = 10_000;

/// A turn of a loop takes a step for so many nodes in it, so that a step is about the same time
/// whatever is written.
const NODES_PER_STEP: usize = 4;

/// The states that all patterns of an expression may have together.
const MAX_PATTERN_STATES: u32 = 30_000;

type Lowered = (Node, Type);

/// The pass, and what it found.
pub(super) struct Lowering<'a> {
    pub(super) source: &'a str,
    pub(super) environment: &'a Environment,
    limits: &'a Limits,
    pub(super) spans: Vec<Span>,
    pub(super) variables: Vec<(u16, Arc<str>)>,
    pub(super) names: Vec<Arc<str>>,
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) time_dependent: bool,
    scope: Vec<Bound>,
    /// What is known where the pass is.
    guards: Vec<guards::Guard>,
    loops: usize,
    /// Nodes within loops that are complete: they count for their own loop only.
    inner_nodes: usize,
    /// For all constants together, so that their size is bounded.
    fold_budget: Budget,
    /// Of all patterns together, so that compiling them takes little time.
    pattern_states: u32,
    /// How often a variable was read so far: nothing read means a constant.
    reads: usize,
}

struct Bound {
    name: String,
    slot: u16,
    ty: Type,
    used: bool,
    /// The texts that it stands for, where they are written out.
    literals: Vec<Literal>,
    /// The words that it can be, where that is known.
    words: Option<Words>,
}

impl Bound {
    /// A name of which nothing is known.
    fn of(name: &str, slot: u16) -> Bound {
        Bound {
            name: name.to_owned(),
            slot,
            ty: Type::Dyn,
            used: false,
            literals: Vec::new(),
            words: None,
        }
    }
}

impl<'a> Lowering<'a> {
    pub(super) fn new(source: &'a str, environment: &'a Environment, limits: &'a Limits) -> Self {
        Lowering {
            source,
            environment,
            limits,
            spans: Vec::new(),
            variables: Vec::new(),
            names: Vec::new(),
            diagnostics: Vec::new(),
            time_dependent: false,
            scope: Vec::new(),
            guards: Vec::new(),
            loops: 0,
            inner_nodes: 0,
            pattern_states: 0,
            fold_budget: Budget::new(&Limits {
                steps: FOLD_STEPS,
                ..*limits
            }),
            reads: 0,
        }
    }

    /// The operands of the outermost `&&` and the type of the whole.
    pub(super) fn clauses(&mut self, tree: &Expr, predicate: bool) -> (Vec<(Span, Node)>, Type) {
        let mut conjuncts = Vec::new();
        flatten(tree, true, &mut conjuncts);
        let several = conjuncts.len() > 1;
        self.guard_all(&conjuncts, true);
        self.warn_if_excluded(&conjuncts, true);
        let mut clauses = Vec::new();
        let mut result = Type::Bool;
        for conjunct in conjuncts {
            let reads = self.reads;
            let (node, ty) = self.lower(conjunct);
            if (predicate || several) && !ty.agrees_with(&Type::Bool) {
                let message = if several {
                    format!("`&&` takes truth values, this is of type {ty}")
                } else {
                    format!("the expression must be true or false, this is of type {ty}")
                };
                self.mismatch(conjunct.span, message, None);
            }
            if several || !matches!(node.kind, Kind::Constant(_)) {
                self.warn_if_constant(conjunct, &node, self.reads == reads && predicate);
            }
            if !several {
                result = ty;
            }
            clauses.push((conjunct.span, node));
        }
        (clauses, result)
    }

    /// Warns of a clause that reads no fact, or compares something with itself.
    fn warn_if_constant(&mut self, clause: &Expr, node: &Node, constant: bool) {
        if let Some(value) = lint::compares_with_itself(clause, self.source) {
            let message = format!("this clause is always {value}");
            self.diagnostics
                .push(Diagnostic::warning(clause.span, message));
        } else if constant && self.diagnostics.is_empty() {
            let message = match self.compute(node) {
                Some(Value::Bool(value)) => format!("this clause is always {value}"),
                _ => return,
            };
            self.diagnostics
                .push(Diagnostic::warning(clause.span, message));
        }
    }

    /// The value of a node that reads no variables.
    fn compute(&self, node: &Node) -> Option<Value> {
        struct Nothing;
        impl Facts for Nothing {
            fn variable(&self, _: u16) -> Result<&Value, Box<FactError>> {
                Ok(&Value::Null)
            }
        }
        let limits = Limits {
            steps: FOLD_STEPS,
            ..*self.limits
        };
        let program = Program::of_constant(self.environment, &limits);
        let run = Run::new(&program, &Nothing);
        run.value(node, None).ok().map(Cow::into_owned)
    }

    fn error(&mut self, span: Span, message: impl Into<String>) -> Lowered {
        self.diagnostics.push(Diagnostic::error(span, message));
        self.unknown(span)
    }

    /// A name that does not exist: refused by the checker, else an error once it is reached.
    fn refuse(&mut self, span: Span, diagnostic: Diagnostic) -> Lowered {
        let node = self.node(span, Kind::Fail(diagnostic.message.clone()));
        if self.environment.is_checked() {
            self.diagnostics.push(diagnostic);
        }
        (node, Type::Dyn)
    }

    /// Stands for what could not be lowered; its type agrees with everything.
    fn unknown(&mut self, span: Span) -> Lowered {
        (self.node(span, Kind::Constant(Value::Null)), Type::Dyn)
    }

    /// A mistake that only the checker sees; run time would refuse it too, if it is reached.
    fn mismatch(&mut self, span: Span, message: impl Into<String>, help: Option<&str>) {
        if self.environment.is_checked() {
            let diagnostic = Diagnostic::error(span, message).with_help(help.map(str::to_owned));
            self.diagnostics.push(diagnostic);
        }
    }

    fn node(&mut self, span: Span, kind: Kind) -> Node {
        let id = self.spans.len() as u32;
        self.spans.push(span);
        Node { id, kind }
    }

    fn lower(&mut self, expr: &Expr) -> Lowered {
        let span = expr.span;
        match &expr.kind {
            ExprKind::Literal(value) => {
                let ty = type_of(value);
                (self.node(span, Kind::Constant(value.clone())), ty)
            }
            ExprKind::Ident(name) => self.ident(span, name),
            ExprKind::Select { operand, field } => {
                if let Some(found) = self.qualified(expr) {
                    return found;
                }
                self.select(expr, operand, field)
            }
            ExprKind::Has { operand, field } => {
                let (select, _, _) = self.field(operand, field);
                (self.node(span, Kind::Has(select.into())), Type::Bool)
            }
            ExprKind::OptionalSelect { operand, field } => {
                let (select, ty, _) = self.field(operand, field);
                let ty = match ty {
                    ty @ Type::Optional(_) => ty,
                    ty => Type::optional(ty),
                };
                (self.node(span, Kind::OptionalSelect(select.into())), ty)
            }
            ExprKind::Index { operand, index } => {
                let (nodes, ty, is_map) = self.index(operand, index);
                if let (true, ExprKind::Literal(Value::String(key))) = (is_map, &index.kind) {
                    self.warn_of_key(expr, operand, key, index.span);
                }
                (self.node(span, Kind::Index(nodes)), ty)
            }
            ExprKind::OptionalIndex { operand, index } => {
                let (nodes, ty, _) = self.index(operand, index);
                let ty = match ty {
                    ty @ Type::Optional(_) => ty,
                    ty => Type::optional(ty),
                };
                (self.node(span, Kind::OptionalIndex(nodes)), ty)
            }
            ExprKind::Call {
                target,
                function,
                args,
            } => self.call(span, target.as_deref(), function, args),
            ExprKind::Not(operand) => {
                let node = self.truth(operand, "!");
                (self.node(span, Kind::Not(node.into())), Type::Bool)
            }
            ExprKind::Negate(operand) => {
                let (node, ty) = self.lower(operand);
                if !matches!(ty, Type::Int | Type::Double | Type::Dyn) {
                    self.mismatch(
                        span,
                        format!("`-` takes a signed number, this is of type {ty}"),
                        None,
                    );
                }
                (self.node(span, Kind::Negate(node.into())), ty)
            }
            ExprKind::And(..) => self.junction(expr, true),
            ExprKind::Or(..) => self.junction(expr, false),
            ExprKind::Conditional(parts) => self.conditional(span, parts),
            ExprKind::Compare(how, a, b) => self.compare(span, *how, a, b),
            ExprKind::Arithmetic(how, a, b) => self.arithmetic(span, *how, a, b),
            ExprKind::In(item, range) => self.membership(span, item, range),
            ExprKind::List(items) => {
                let mut nodes = Vec::with_capacity(items.len());
                let mut element: Option<Type> = None;
                for item in items {
                    let (node, mut ty) = self.lower(&item.value);
                    if item.optional {
                        ty = self.inner(item.value.span, ty);
                    }
                    element = Some(element.map_or_else(|| ty.clone(), |before| before.join(&ty)));
                    nodes.push((node, item.optional));
                }
                let ty = Type::list(element.unwrap_or(Type::Free));
                let constants: Option<Vec<Value>> = nodes
                    .iter()
                    .map(|(node, optional)| match &node.kind {
                        Kind::Constant(value) if !optional => Some(value.clone()),
                        _ => None,
                    })
                    .collect();
                let kind = constants
                    .map_or_else(|| Kind::List(nodes), |values| Kind::Constant(values.into()));
                (self.node(span, kind), ty)
            }
            ExprKind::Map(entries) => {
                let mut nodes = Vec::with_capacity(entries.len());
                let (mut keys, mut values): (Option<Type>, Option<Type>) = (None, None);
                for entry in entries {
                    let (key, key_type) = self.lower(&entry.key);
                    let (value, mut value_type) = self.lower(&entry.value);
                    if entry.optional {
                        value_type = self.inner(entry.value.span, value_type);
                    }
                    if !matches!(
                        key_type,
                        Type::Bool | Type::Int | Type::Uint | Type::String | Type::Dyn
                    ) {
                        self.mismatch(
                            entry.key.span,
                            format!("a key cannot be of type {key_type}"),
                            None,
                        );
                    }
                    keys = Some(
                        keys.map_or_else(|| key_type.clone(), |before| before.join(&key_type)),
                    );
                    values = Some(
                        values
                            .map_or_else(|| value_type.clone(), |before| before.join(&value_type)),
                    );
                    nodes.push((key, value, entry.optional));
                }
                let ty = Type::map(keys.unwrap_or(Type::Free), values.unwrap_or(Type::Free));
                (self.node(span, Kind::Map(nodes)), ty)
            }
            ExprKind::Message(name) => {
                self.error(span, format!("there is no message type `{name}`"))
            }
            ExprKind::Loop(each) => self.each(span, each),
            ExprKind::Bind {
                name,
                init,
                body,
                how,
            } => self.bind(span, name, init, body, *how),
            ExprKind::Block { inits, body } => {
                let depth = self.scope.len();
                let mut bindings = Vec::with_capacity(inits.len());
                for (at, init) in inits.iter().enumerate() {
                    let (node, ty) = self.lower(init);
                    bindings.push((self.enter(&format!("@index:{at}"), ty), node));
                }
                let (body, ty) = self.lower(body);
                self.scope.truncate(depth);
                (self.node(span, Kind::Block(bindings, body.into())), ty)
            }
        }
    }

    fn enter(&mut self, name: &str, ty: Type) -> u16 {
        let slot = self.names.len() as u16;
        self.names.push(name.into());
        self.scope.push(Bound {
            ty,
            ..Bound::of(name, slot)
        });
        slot
    }

    /// The texts that a bound name stands for, where they are written out.
    pub(super) fn literals_of_local(&self, slot: u16) -> &[Literal] {
        let bound = self.scope.iter().find(|bound| bound.slot == slot);
        bound.map_or(&[], |bound| &bound.literals)
    }

    /// The words that a bound name can be, where that is known.
    pub(super) fn words_of_local(&self, slot: u16) -> Option<&Words> {
        let bound = self.scope.iter().find(|bound| bound.slot == slot)?;
        bound.words.as_ref()
    }

    fn warn_if_excluded(&mut self, operands: &[&Expr], and: bool) {
        if self.environment.is_checked() {
            let warning = lint::excludes_itself(operands, and, self.source);
            self.diagnostics.extend(warning);
        }
    }

    /// The type within an optional.
    fn inner(&mut self, span: Span, ty: Type) -> Type {
        match ty {
            Type::Optional(inner) => Type::clone(&inner).taken(),
            Type::Dyn | Type::Free => Type::Dyn,
            other => {
                self.mismatch(
                    span,
                    format!("an optional is needed here, not {other}"),
                    None,
                );
                Type::Dyn
            }
        }
    }

    fn bind(&mut self, span: Span, name: &str, init: &Expr, body: &Expr, how: Binding) -> Lowered {
        let (init_node, mut ty) = self.lower(init);
        if how != Binding::Value {
            ty = self.inner(init.span, ty);
        }
        let depth = self.scope.len();
        let words = words::of(self, &init_node);
        let slot = self.enter(name, ty);
        if let Some(bound) = self.scope.last_mut() {
            bound.words = words;
        }
        let (body_node, body_type) = self.lower(body);
        self.scope.truncate(depth);
        let result = match how {
            Binding::Value => body_type,
            Binding::OptionalMap => Type::optional(body_type),
            Binding::OptionalFlatMap => Type::optional(self.inner(body.span, body_type)),
        };
        let bind = Bind {
            slot,
            init: init_node,
            body: body_node,
            how,
        };
        (self.node(span, Kind::Bind(bind.into())), result)
    }

    fn each(&mut self, span: Span, each: &LoopExpr) -> Lowered {
        let (range, range_type) = self.lower(&each.range);
        let (key, element) = match &range_type {
            Type::List(element) => (Type::Int, Type::clone(element).taken()),
            Type::Map(key, value) => (Type::clone(key).taken(), Type::clone(value).taken()),
            Type::Dyn | Type::Free => (Type::Dyn, Type::Dyn),
            other => {
                self.mismatch(
                    each.range.span,
                    format!("a list or a map is needed here, not {other}"),
                    None,
                );
                (Type::Dyn, Type::Dyn)
            }
        };
        self.loops += 1;
        if self.loops > self.limits.comprehension_nesting {
            let message = format!(
                "loops are nested more than {} deep",
                self.limits.comprehension_nesting
            );
            self.error(span, message);
        }
        let depth = self.scope.len();
        let before = self.spans.len() - self.inner_nodes;
        let is_map = matches!(range_type, Type::Map(..));
        let (first, second) = match &each.second {
            Some(second) => {
                let first = self.enter(&each.variable, key.clone());
                (first, Some(self.enter(second, element.clone())))
            }
            None => (
                self.enter(
                    &each.variable,
                    if is_map { key.clone() } else { element.clone() },
                ),
                None,
            ),
        };
        let words = words::of_elements(self, &range);
        // The last name is the element, of a map the first is the key.
        let bound = match is_map {
            true => self.scope.get_mut(depth),
            false => self.scope.last_mut(),
        };
        if let Some(bound) = bound {
            bound.literals = words::literals(each);
            bound.words = words;
        }
        let guards = self.guards.len();
        if !is_map && second.is_none() {
            self.guard_elements(&each.range, first);
        }
        let filter = each
            .filter
            .as_ref()
            .map(|filter| self.truth(filter, "a condition"));
        if let Some(filter) = &each.filter {
            self.guard(filter, true);
        }
        let (body, body_type) = self.lower(&each.body);
        self.guards.truncate(guards);
        let condition = matches!(
            each.how,
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne | LoopKind::Filter
        );
        if condition && !body_type.agrees_with(&Type::Bool) {
            self.mismatch(
                each.body.span,
                format!("a condition is needed here, this is of type {body_type}"),
                None,
            );
        }
        let unused = self.scope[depth..].iter().all(|bound| !bound.used);
        if condition && unused && self.environment.is_checked() {
            let message = format!(
                "'{}' is not used: this is the same for every element",
                each.variable
            );
            self.diagnostics
                .push(Diagnostic::warning(each.body.span, message));
        }
        self.scope.truncate(depth);
        self.loops -= 1;
        let nodes = self.spans.len() - self.inner_nodes - before;
        self.inner_nodes += nodes;
        let single = if is_map { key.clone() } else { element };
        let ty = match each.how {
            LoopKind::All | LoopKind::Exists | LoopKind::ExistsOne => Type::Bool,
            LoopKind::Filter | LoopKind::SortBy => Type::list(single),
            LoopKind::Map => Type::list(body_type),
            LoopKind::TransformMap => Type::map(key, body_type),
            LoopKind::TransformMapEntry => body_type,
        };
        let each = Loop {
            how: each.how,
            range,
            first,
            second,
            filter,
            body,
            steps: nodes.div_ceil(NODES_PER_STEP).max(1),
        };
        (self.node(span, Kind::Loop(each.into())), ty)
    }
}

/// The operands of a chain of one operator, in the order in which they are written.
fn flatten<'e>(expr: &'e Expr, and: bool, operands: &mut Vec<&'e Expr>) {
    match (&expr.kind, and) {
        (ExprKind::And(a, b), true) | (ExprKind::Or(a, b), false) => {
            flatten(a, and, operands);
            flatten(b, and, operands);
        }
        _ => operands.push(expr),
    }
}

/// A chain of names as one.
fn dotted(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Ident(name) => Some(name.clone()),
        ExprKind::Select { operand, field } => Some(format!("{}.{}", dotted(operand)?, field.text)),
        _ => None,
    }
}

fn type_of(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::String(_) => Type::String,
        Value::Bytes(_) => Type::Bytes,
        _ => Type::Dyn,
    }
}
