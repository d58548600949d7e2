//! From the syntax tree to the tree that is run, checking on the way: names are resolved, types
//! inferred, constants computed, patterns compiled.
//!
//! One pass does both, so that what was checked is what runs.

use super::ast::{
    Arithmetic, Binding, Comparison, Expr, ExprKind, Loop as LoopExpr, LoopKind, Name, Span,
};
use super::budget::{Budget, Fault};
use super::check::{self, CallError};
use super::diagnostics::{Diagnostic, suggest};
use super::environment::{Environment, Field, Presence};
use super::eval::Run;
use super::functions::{self, Function};
use super::limits::Limits;
use super::lint;
use super::macros;
use super::node::{Bind, Kind, Loop, Node, Select};
use super::regexp;
use super::types::Type;
use super::value::Value;
use std::sync::Arc;

/// Computing a constant at load may take so many steps.
const FOLD_STEPS: u64 = 10_000;

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
    /// Paths whose presence is known where the pass is.
    guards: Vec<String>,
    loops: usize,
    /// How often a variable was read so far: nothing read means a constant.
    reads: usize,
}

struct Bound {
    name: String,
    slot: u16,
    ty: Type,
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
            reads: 0,
        }
    }

    /// The operands of the outermost `&&` and the type of the whole.
    pub(super) fn clauses(&mut self, tree: &Expr, predicate: bool) -> (Vec<(Span, Node)>, Type) {
        let mut conjuncts = Vec::new();
        flatten(tree, true, &mut conjuncts);
        let several = conjuncts.len() > 1;
        self.guard_all(&conjuncts, true);
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
        impl super::record::Facts for Nothing {
            fn variable(&self, _: u16) -> Result<Value, super::record::FactError> {
                Ok(Value::Null)
            }
        }
        let program = super::program::Program::of_constant(
            self.environment,
            &Limits {
                steps: FOLD_STEPS,
                ..*self.limits
            },
            self.names.len(),
        );
        Run::new(&program, &Nothing).eval(node).ok()
    }

    fn error(&mut self, span: Span, message: impl Into<String>) -> Lowered {
        self.diagnostics.push(Diagnostic::error(span, message));
        self.unknown(span)
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
                let (nodes, ty) = self.index(operand, index);
                (self.node(span, Kind::Index(nodes)), ty)
            }
            ExprKind::OptionalIndex { operand, index } => {
                let (nodes, ty) = self.index(operand, index);
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
                let ty = Type::list(element.unwrap_or(Type::Dyn));
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
                let ty = Type::map(keys.unwrap_or(Type::Dyn), values.unwrap_or(Type::Dyn));
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

    // Names

    fn ident(&mut self, span: Span, name: &str) -> Lowered {
        if let Some(bound) = self.scope.iter().rev().find(|bound| bound.name == name) {
            let (slot, ty) = (bound.slot, bound.ty.clone());
            return (self.node(span, Kind::Local(slot)), ty);
        }
        for candidate in self.candidates(name) {
            if let Some(found) = self.global(span, &candidate) {
                return found;
            }
        }
        let bound = self.scope.iter().map(|bound| bound.name.as_str());
        let help = suggest(
            name,
            bound.chain(self.environment.variables().iter().map(|v| &*v.name)),
        );
        let diagnostic = Diagnostic::error(span, format!("no variable '{name}'")).with_help(help);
        self.diagnostics.push(diagnostic);
        self.unknown(span)
    }

    /// The name in the container and in those around it; a leading dot means none of them.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(absolute) = name.strip_prefix('.') {
            return vec![absolute.to_owned()];
        }
        let mut candidates = Vec::new();
        let mut container = self.environment.container();
        while !container.is_empty() {
            candidates.push(format!("{container}.{name}"));
            container = container.rsplit_once('.').map_or("", |(outer, _)| outer);
        }
        candidates.push(name.to_owned());
        candidates
    }

    /// A variable of the environment or the name of a type.
    fn global(&mut self, span: Span, name: &str) -> Option<Lowered> {
        if let Some((index, variable)) = self.environment.variable(name) {
            let (name, ty) = (variable.name.clone(), variable.ty.clone());
            self.reads += 1;
            self.time_dependent |= *name == *"now";
            let place = match self.variables.iter().position(|(known, _)| *known == index) {
                Some(place) => place,
                None => {
                    self.variables.push((index, name));
                    self.variables.len() - 1
                }
            };
            return Some((self.node(span, Kind::Variable(place as u16)), ty));
        }
        let name = type_name(name)?;
        Some((
            self.node(span, Kind::Constant(Value::Type(name))),
            Type::Type,
        ))
    }

    /// A dotted name that is one variable or type, such as `google.protobuf.Timestamp`.
    fn qualified(&mut self, expr: &Expr) -> Option<Lowered> {
        let name = dotted(expr)?;
        let root = name.split('.').next().unwrap_or_default();
        if self.scope.iter().any(|bound| bound.name == root) {
            return None;
        }
        self.candidates(&name)
            .into_iter()
            .find_map(|candidate| self.global(expr.span, &candidate))
    }

    // Fields

    fn select(&mut self, expr: &Expr, operand: &Expr, name: &Name) -> Lowered {
        let path = self.path(expr);
        let (select, ty, optional) = self.field(operand, name);
        if optional && path.as_ref().is_none_or(|path| !self.guards.contains(path)) {
            let text = expr.span.text(self.source);
            let message = format!("'{}' may be absent", name.text);
            let help = format!(
                "guard it with `has({text})` or give a default with `.?{}.orValue(...)`",
                name.text
            );
            self.mismatch(name.span, message, Some(&help));
        }
        (self.node(expr.span, Kind::Select(select.into())), ty)
    }

    /// The operand and index of a field, its type, and whether it may be absent.
    fn field(&mut self, operand: &Expr, name: &Name) -> (Select, Type, bool) {
        let (operand, operand_type) = self.lower(operand);
        let (ty, index, optional) = self.field_type(&operand_type, name);
        let select = Select {
            operand,
            name: name.text.as_str().into(),
            index,
        };
        (select, ty, optional)
    }

    fn field_type(&mut self, operand: &Type, name: &Name) -> (Type, Option<u16>, bool) {
        match operand {
            Type::Record(record) => {
                let environment = self.environment;
                let Some(declared) = environment.record(record) else {
                    return (Type::Dyn, None, false);
                };
                match declared.field(&name.text) {
                    Some((index, Field { ty, presence, .. })) => {
                        // Every duration among the facts is an age.
                        self.time_dependent |= *ty == Type::Duration;
                        (ty.clone(), Some(index), *presence == Presence::Optional)
                    }
                    None => {
                        let help =
                            suggest(&name.text, declared.fields.iter().map(|field| field.name))
                                .or_else(|| self.elsewhere(&name.text));
                        let message = format!("no field '{}' in {}", name.text, declared.noun);
                        let diagnostic = Diagnostic::error(name.span, message).with_help(help);
                        self.diagnostics.push(diagnostic);
                        (Type::Dyn, None, false)
                    }
                }
            }
            Type::Map(_, value) => (Type::clone(value), None, false),
            Type::Optional(inner) => match self.field_type(&inner.clone(), name) {
                (ty @ Type::Optional(_), _, _) => (ty, None, false),
                (ty, _, _) => (Type::optional(ty), None, false),
            },
            Type::Dyn => (Type::Dyn, None, false),
            Type::List(_) => {
                let help = "look at its elements with `all()`, `exists()` or an index";
                self.mismatch(
                    name.span,
                    format!("no field '{}' in a list", name.text),
                    Some(help),
                );
                (Type::Dyn, None, false)
            }
            other => {
                self.mismatch(
                    name.span,
                    format!("no field '{}' in a value of type {other}", name.text),
                    None,
                );
                (Type::Dyn, None, false)
            }
        }
    }

    /// Which variable has such a field, for one that was looked for in the wrong place.
    fn elsewhere(&self, field: &str) -> Option<String> {
        self.environment.variables().iter().find_map(|variable| {
            let Type::Record(record) = &variable.ty else {
                return None;
            };
            self.environment.record(record)?.field(field)?;
            Some(format!("there is `{}.{field}`", variable.name))
        })
    }

    /// A path of names that stands for the same value wherever it is in scope.
    fn path(&self, expr: &Expr) -> Option<String> {
        match &expr.kind {
            ExprKind::Ident(name) => {
                let bound = self.scope.iter().rev().find(|bound| bound.name == *name);
                Some(bound.map_or_else(|| name.clone(), |bound| format!("#{}", bound.slot)))
            }
            ExprKind::Select { operand, field } => {
                Some(format!("{}.{}", self.path(operand)?, field.text))
            }
            _ => None,
        }
    }

    // Presence

    /// Notes the paths whose presence follows if all `operands` hold (or, not `holding`, if all of
    /// them are false).
    fn guard_all(&mut self, operands: &[&Expr], holding: bool) {
        for operand in operands {
            self.guard(operand, holding);
        }
    }

    fn guard(&mut self, expr: &Expr, holding: bool) {
        match (&expr.kind, holding) {
            (ExprKind::Has { operand, field }, true) => {
                if let Some(path) = self.path(operand) {
                    self.guards.push(format!("{path}.{}", field.text));
                }
            }
            (ExprKind::Not(operand), _) => self.guard(operand, !holding),
            (ExprKind::And(a, b), true) | (ExprKind::Or(a, b), false) => {
                self.guard(a, holding);
                self.guard(b, holding);
            }
            _ => {}
        }
    }

    // Logic

    fn truth(&mut self, expr: &Expr, operator: &str) -> Node {
        let (node, ty) = self.lower(expr);
        if !ty.agrees_with(&Type::Bool) {
            self.mismatch(
                expr.span,
                format!("`{operator}` takes truth values, this is of type {ty}"),
                None,
            );
        }
        node
    }

    /// Operands of the same operator in one node; what one of them guards is guarded in all, since
    /// an error of one is absorbed when another decides.
    fn junction(&mut self, expr: &Expr, and: bool) -> Lowered {
        let mut operands = Vec::new();
        flatten(expr, and, &mut operands);
        let depth = self.guards.len();
        self.guard_all(&operands, and);
        let operator = if and { "&&" } else { "||" };
        let nodes = operands
            .into_iter()
            .map(|operand| self.truth(operand, operator))
            .collect();
        self.guards.truncate(depth);
        let kind = if and {
            Kind::And(nodes)
        } else {
            Kind::Or(nodes)
        };
        (self.node(expr.span, kind), Type::Bool)
    }

    fn conditional(&mut self, span: Span, parts: &[Expr; 3]) -> Lowered {
        let [condition, yes, no] = parts;
        let test = self.truth(condition, "?");
        let depth = self.guards.len();
        self.guard(condition, true);
        let (yes, yes_type) = self.lower(yes);
        self.guards.truncate(depth);
        self.guard(condition, false);
        let (no, no_type) = self.lower(no);
        self.guards.truncate(depth);
        if !yes_type.agrees_with(&no_type) {
            let message = format!("the results are of different types, {yes_type} and {no_type}");
            self.mismatch(span, message, None);
        }
        let kind = Kind::Conditional(Box::new([test, yes, no]));
        (self.node(span, kind), yes_type.join(&no_type))
    }

    // Operators

    fn compare(&mut self, span: Span, how: Comparison, a: &Expr, b: &Expr) -> Lowered {
        let (left, left_type) = self.lower(a);
        let (right, right_type) = self.lower(b);
        if let Err(help) = check::comparison(how, &left_type, &right_type) {
            let message = format!("cannot compare {left_type} with {right_type}");
            self.mismatch(span, message, help);
        } else {
            self.diagnostics.extend(lint::comparison(
                self,
                how,
                (a, &left, &left_type),
                (b, &right, &right_type),
                span,
            ));
        }
        (
            self.node(span, Kind::Compare(how, Box::new([left, right]))),
            Type::Bool,
        )
    }

    fn arithmetic(&mut self, span: Span, how: Arithmetic, a: &Expr, b: &Expr) -> Lowered {
        let (left, left_type) = self.lower(a);
        let (right, right_type) = self.lower(b);
        if matches!(how, Arithmetic::Divide | Arithmetic::Modulo) {
            match right.kind {
                Kind::Constant(Value::Int(0) | Value::Uint(0)) => {
                    self.mismatch(b.span, "this divides by zero", None);
                }
                Kind::Constant(_) => {}
                _ if self.environment.is_checked() && right_type != Type::Double => {
                    let warning =
                        Diagnostic::warning(b.span, "this may divide by zero, which is an error");
                    self.diagnostics.push(warning);
                }
                _ => {}
            }
        }
        let ty = check::arithmetic(how, &left_type, &right_type).unwrap_or_else(|| {
            let message = format!(
                "cannot use `{}` with {left_type} and {right_type}",
                symbol(how)
            );
            self.mismatch(span, message, check::remedy(&left_type, &right_type));
            Type::Dyn
        });
        (
            self.node(span, Kind::Arithmetic(how, Box::new([left, right]))),
            ty,
        )
    }

    fn membership(&mut self, span: Span, item: &Expr, range: &Expr) -> Lowered {
        let (item_node, item_type) = self.lower(item);
        let (range_node, range_type) = self.lower(range);
        let element = match &range_type {
            Type::List(element) => Some(Type::clone(element)),
            Type::Map(key, _) => Some(Type::clone(key)),
            Type::Dyn => None,
            other => {
                let help = (*other == Type::String).then_some("use `.contains()` for texts");
                self.mismatch(
                    range.span,
                    format!("`in` takes a list or a map, this is of type {other}"),
                    help,
                );
                None
            }
        };
        if let Some(element) = element
            && !element.agrees_with(&item_type)
            && !(element.is_number() && item_type.is_number())
        {
            let message = format!("a value of type {item_type} is never in {range_type}");
            self.mismatch(span, message, None);
        }
        self.diagnostics
            .extend(lint::membership(self, &item_node, item, &range_node, range));
        (
            self.node(span, Kind::In(Box::new([item_node, range_node]))),
            Type::Bool,
        )
    }

    fn index(&mut self, operand: &Expr, index: &Expr) -> (Box<[Node; 2]>, Type) {
        let (operand_node, operand_type) = self.lower(operand);
        let (index_node, index_type) = self.lower(index);
        let ty = self.element_type(&operand_type, operand, &index_type, index);
        (Box::new([operand_node, index_node]), ty)
    }

    fn element_type(
        &mut self,
        operand_type: &Type,
        operand: &Expr,
        index_type: &Type,
        index: &Expr,
    ) -> Type {
        match operand_type {
            Type::List(element) => {
                if !index_type.is_number() && *index_type != Type::Dyn {
                    self.mismatch(
                        index.span,
                        format!("a list is indexed by a number, not {index_type}"),
                        None,
                    );
                }
                Type::clone(element)
            }
            Type::Map(key, value) => {
                if !key.agrees_with(index_type) && !(key.is_number() && index_type.is_number()) {
                    self.mismatch(
                        index.span,
                        format!("the keys are of type {key}, not {index_type}"),
                        None,
                    );
                }
                Type::clone(value)
            }
            Type::Optional(inner) => {
                match self.element_type(&inner.clone(), operand, index_type, index) {
                    ty @ Type::Optional(_) => ty,
                    ty => Type::optional(ty),
                }
            }
            Type::Dyn => Type::Dyn,
            other => {
                self.mismatch(
                    operand.span,
                    format!("a value of type {other} has no elements"),
                    None,
                );
                Type::Dyn
            }
        }
    }

    // Calls

    fn call(&mut self, span: Span, target: Option<&Expr>, name: &Name, args: &[Expr]) -> Lowered {
        let namespaced = target.and_then(dotted).and_then(|namespace| {
            let root = namespace.split('.').next().unwrap_or_default();
            let taken = self.scope.iter().any(|bound| bound.name == root)
                || self.environment.variable(root).is_some();
            let full = format!("{}.{}", namespace.trim_start_matches('.'), name.text);
            (!taken).then(|| functions::find(&full)).flatten()
        });
        let (function, target) = match (namespaced, target) {
            (Some(function), _) => (Some(function), None),
            (None, target) => (functions::find(name.text.trim_start_matches('.')), target),
        };
        let Some(function) = function else {
            return self.unknown_function(span, target, name, args);
        };
        let mut nodes = Vec::with_capacity(args.len() + 1);
        let mut types = Vec::with_capacity(args.len() + 1);
        for arg in target.into_iter().chain(args) {
            let (node, ty) = self.lower(arg);
            nodes.push(node);
            types.push(ty);
        }
        let ty = match check::call(function, target.is_some(), &types) {
            Ok(ty) => ty,
            Err(error) => {
                self.refuse_call(span, name, function, &types, target.is_some(), &error);
                Type::Dyn
            }
        };
        if function.name == "matches"
            && let Some(node) = self.pattern(span, &mut nodes, args.last())
        {
            return (node, Type::Bool);
        }
        let folded = self.fold(function, &nodes, args, span);
        let kind = folded.map_or_else(|| Kind::Call(function, nodes), Kind::Constant);
        (self.node(span, kind), ty)
    }

    fn unknown_function(
        &mut self,
        span: Span,
        target: Option<&Expr>,
        name: &Name,
        args: &[Expr],
    ) -> Lowered {
        let namespace = target.and_then(dotted).filter(|namespace| {
            functions::all().any(|function| function.name.starts_with(&format!("{namespace}.")))
        });
        let full = namespace.as_ref().map_or_else(
            || name.text.clone(),
            |namespace| format!("{namespace}.{}", name.text),
        );
        let macro_names = macros::LOOPS
            .iter()
            .filter_map(|(form, _)| form.split('(').next());
        let names = functions::all()
            .map(|function| function.name)
            .chain(macro_names.clone())
            .chain(["has"]);
        let (message, help) =
            if macro_names.clone().any(|known| known == name.text) || name.text == "has" {
                let form = macros::LOOPS
                    .iter()
                    .find(|(form, _)| form.starts_with(&format!("{}(", name.text)));
                let form = form.map_or("has(a.b)", |(form, _)| form);
                (
                    format!("wrong use of the macro '{}'", name.text),
                    Some(format!("write it as `{form}`")),
                )
            } else {
                (format!("no function '{full}'"), suggest(&full, names))
            };
        let diagnostic = Diagnostic::error(name.span, message).with_help(help);
        self.diagnostics.push(diagnostic);
        // The arguments of a macro name what it would bind; of a function they are checked too.
        if namespace.is_none()
            && !macros::LOOPS
                .iter()
                .any(|(form, _)| form.starts_with(&name.text))
        {
            for arg in target.into_iter().chain(args) {
                self.lower(arg);
            }
        }
        self.unknown(span)
    }

    fn refuse_call(
        &mut self,
        span: Span,
        name: &Name,
        function: &Function,
        types: &[Type],
        member: bool,
        error: &CallError,
    ) {
        let shapes = || function.signatures.join("`, `");
        match error {
            CallError::Style { .. } | CallError::Count(_) => {
                // Wrong for any values: refused without the checker too.
                let message = match error {
                    CallError::Style { member: true } => format!("'{}' is a method", name.text),
                    CallError::Style { member: false } => {
                        format!("'{}' is not a method", name.text)
                    }
                    CallError::Count(counts) => {
                        let counts: Vec<_> = counts.iter().map(ToString::to_string).collect();
                        let given = types.len() - usize::from(member);
                        format!(
                            "'{}' takes {} arguments, not {given}",
                            name.text,
                            counts.join(" or ")
                        )
                    }
                    CallError::Types => String::new(),
                };
                let diagnostic =
                    Diagnostic::error(span, message).with_help(format!("it is `{}`", shapes()));
                self.diagnostics.push(diagnostic);
            }
            CallError::Types => {
                let given: Vec<_> = types.iter().map(ToString::to_string).collect();
                let message = format!("'{}' does not take {}", name.text, given.join(", "));
                self.mismatch(span, message, Some(&format!("it is `{}`", shapes())));
            }
        }
    }

    /// A call of `matches` with a literal pattern, which is compiled once.
    fn pattern(
        &mut self,
        span: Span,
        nodes: &mut Vec<Node>,
        pattern: Option<&Expr>,
    ) -> Option<Node> {
        let [
            _,
            Node {
                kind: Kind::Constant(Value::String(text)),
                ..
            },
        ] = nodes.as_slice()
        else {
            return None;
        };
        match regexp::compile(text) {
            Ok(regex) => {
                nodes.pop();
                let subject = nodes.pop()?;
                Some(self.node(span, Kind::Matches(subject.into(), regex.into())))
            }
            Err(message) => {
                let place = pattern.map_or(span, |pattern| pattern.span);
                self.mismatch(place, format!("not a pattern: {message}"), None);
                None
            }
        }
    }

    /// The value of a call whose arguments are all literals. A conversion of a literal that cannot
    /// succeed is a mistake.
    fn fold(
        &mut self,
        function: &Function,
        nodes: &[Node],
        args: &[Expr],
        span: Span,
    ) -> Option<Value> {
        let values: Option<Vec<Value>> = nodes
            .iter()
            .map(|node| match &node.kind {
                Kind::Constant(value) => Some(value.clone()),
                _ => None,
            })
            .collect();
        let values = values.filter(|values| !values.is_empty())?;
        let mut budget = Budget::new(&Limits {
            steps: FOLD_STEPS,
            ..*self.limits
        });
        match (function.body)(&mut budget, &values) {
            Ok(value) => Some(value),
            Err(Fault::Failed(message))
                if matches!(
                    function.name,
                    "duration" | "timestamp" | "semver" | "int" | "uint" | "double" | "bool"
                ) =>
            {
                let place = args.first().map_or(span, |arg| arg.span);
                self.mismatch(place, message, None);
                None
            }
            Err(_) => None,
        }
    }

    // Bindings

    fn enter(&mut self, name: &str, ty: Type) -> u16 {
        let slot = self.names.len() as u16;
        self.names.push(name.into());
        self.scope.push(Bound {
            name: name.to_owned(),
            slot,
            ty,
        });
        slot
    }

    /// The type within an optional.
    fn inner(&mut self, span: Span, ty: Type) -> Type {
        match ty {
            Type::Optional(inner) => Type::clone(&inner),
            Type::Dyn => Type::Dyn,
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
        let slot = self.enter(name, ty);
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
            Type::List(element) => (Type::Int, Type::clone(element)),
            Type::Map(key, value) => (Type::clone(key), Type::clone(value)),
            Type::Dyn => (Type::Dyn, Type::Dyn),
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
        let filter = each
            .filter
            .as_ref()
            .map(|filter| self.truth(filter, "a condition"));
        let guards = self.guards.len();
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
        self.scope.truncate(depth);
        self.loops -= 1;
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

fn symbol(how: Arithmetic) -> char {
    match how {
        Arithmetic::Add => '+',
        Arithmetic::Subtract => '-',
        Arithmetic::Multiply => '*',
        Arithmetic::Divide => '/',
        Arithmetic::Modulo => '%',
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

/// The names of types, which are values.
fn type_name(name: &str) -> Option<&'static str> {
    const NAMES: &[&str] = &[
        "bool",
        "int",
        "uint",
        "double",
        "string",
        "bytes",
        "list",
        "map",
        "null_type",
        "type",
        "optional_type",
        "google.protobuf.Duration",
        "google.protobuf.Timestamp",
        "semver",
    ];
    NAMES.iter().find(|known| **known == name).copied()
}
