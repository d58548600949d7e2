//! Calls: which function is meant, whether it takes its arguments, and what it comes to if they are
//! all literals.

use super::{Lowered, Lowering, MAX_PATTERN_STATES, dotted};
use crate::cel::ast::{Expr, ExprKind, Name, Span};
use crate::cel::budget::Fault;
use crate::cel::check::{self, CallError};
use crate::cel::compare;
use crate::cel::diagnostics::{Diagnostic, suggest};
use crate::cel::functions::{self, Function};
use crate::cel::habits;
use crate::cel::lint;
use crate::cel::macros;
use crate::cel::node::{Kind, Node};
use crate::cel::regexp;
use crate::cel::types::Type;
use crate::cel::value::Value;
use weir_schema::Timestamp;

/// Whether a function compares two lists by their elements.
fn is_of_sets(function: &Function) -> bool {
    function.name.starts_with("sets.")
}

impl Lowering<'_> {
    pub(super) fn call(
        &mut self,
        span: Span,
        target: Option<&Expr>,
        name: &Name,
        args: &[Expr],
    ) -> Lowered {
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
        if check::compares_records(function, &types) {
            let message = format!("'{}' compares records", function.name);
            self.mismatch(span, message, Some(compare::NO_RECORDS));
        }
        let ty = match check::call(function, target.is_some(), &types) {
            Ok(ty) => ty,
            Err(error) => {
                self.refuse_call(span, name, function, &types, target.is_some(), &error);
                Type::Dyn
            }
        };
        self.check_zone(function, &nodes, args);
        if function.name == "matches"
            && let Some(node) = self.pattern(span, &mut nodes, args.last())
        {
            return (node, Type::Bool);
        }
        if let (Some(test), [subject, part]) = (lint::words::test_of(function.name), &*nodes)
            && let Kind::Constant(Value::String(part)) = &part.kind
        {
            let place = args.last().map_or(span, |arg| arg.span);
            self.warn_if_none_matches(subject, place, |word| test(word, part));
            if self.environment.is_checked() {
                let warning = lint::words::never_a_pattern(subject, part, place);
                self.diagnostics.extend(warning);
            }
        }
        if let (true, [a, b], [a_node, b_node]) = (is_of_sets(function), args, &*nodes)
            && self.environment.is_checked()
        {
            let warnings = lint::words::never_in_common(self, (a, a_node), (b, b_node));
            self.diagnostics.extend(warnings);
        }
        let folded = self.fold(function, &nodes, args, span);
        let kind = folded.map_or_else(|| Kind::Call(function, nodes), Kind::Constant);
        (self.node(span, kind), ty)
    }

    pub(super) fn unknown_function(
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
                let help = habits::of_function(&full).map(str::to_owned);
                (
                    format!("no function '{full}'"),
                    help.or_else(|| suggest(&full, names)),
                )
            };
        let diagnostic = Diagnostic::error(name.span, message).with_help(help);
        let refused = self.refuse(span, diagnostic);
        // The arguments of a macro name what it would bind; of a function they are checked too.
        let binds = |arg: &Expr| match &arg.kind {
            ExprKind::Ident(name) => {
                let known = self.environment.variable(name).is_some();
                !known && !self.scope.iter().any(|bound| bound.name == *name)
            }
            _ => false,
        };
        let looks_like_macro = args.len() > 1 && args.first().is_some_and(binds);
        if namespace.is_none()
            && !looks_like_macro
            && !macros::LOOPS
                .iter()
                .any(|(form, _)| form.starts_with(&name.text))
        {
            for arg in target.into_iter().chain(args) {
                self.lower(arg);
            }
        }
        refused
    }

    pub(super) fn refuse_call(
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
                        let counts = counts.join(" or ");
                        let plural = if counts == "1" { "" } else { "s" };
                        format!(
                            "'{}' takes {counts} argument{plural}, not {given}",
                            name.text
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
    pub(super) fn pattern(
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
        let place = pattern.map_or(span, |pattern| pattern.span);
        let parsed = regexp::Parsed::new(text);
        if let Ok(parsed) = &parsed {
            self.pattern_states = self.pattern_states.saturating_add(parsed.states);
            if self.pattern_states > MAX_PATTERN_STATES {
                return Some(
                    self.error(place, "the patterns of the expression are too large")
                        .0,
                );
            }
        }
        match parsed.and_then(regexp::Parsed::compile) {
            Ok(pattern) => {
                nodes.pop();
                let subject = nodes.pop()?;
                let matches = |word: &str| pattern.is_match(word);
                self.warn_if_none_matches(&subject, place, matches);
                Some(self.node(span, Kind::Matches(subject.into(), pattern.into())))
            }
            Err(message) => {
                self.mismatch(place, format!("not a pattern: {message}"), None);
                None
            }
        }
    }

    fn warn_if_none_matches(
        &mut self,
        subject: &Node,
        place: Span,
        matches: impl Fn(&str) -> bool,
    ) {
        if self.environment.is_checked() {
            let warning = lint::words::none_matches(self, subject, place, matches);
            self.diagnostics.extend(warning);
        }
    }

    /// A literal time zone that does not exist is a mistake, whatever the time.
    fn check_zone(&mut self, function: &Function, nodes: &[Node], args: &[Expr]) {
        let [
            _,
            Node {
                kind: Kind::Constant(zone @ Value::String(_)),
                ..
            },
        ] = nodes
        else {
            return;
        };
        let at = Value::Timestamp(Timestamp::EPOCH);
        // Functions of anything else take no timestamp.
        if let (Err(Fault::Failed(message)), Some(arg)) = (
            (function.body)(&self.fold_budget, &[&at, zone]),
            args.last(),
        ) {
            self.mismatch(arg.span, message, None);
        }
    }

    /// The value of a call whose arguments are all literals. A conversion of a literal that cannot
    /// succeed is a mistake.
    pub(super) fn fold(
        &mut self,
        function: &Function,
        nodes: &[Node],
        args: &[Expr],
        span: Span,
    ) -> Option<Value> {
        let values: Option<Vec<&Value>> = nodes
            .iter()
            .map(|node| match &node.kind {
                Kind::Constant(value) => Some(value),
                _ => None,
            })
            .collect();
        let values = values.filter(|values| !values.is_empty())?;
        match (function.body)(&self.fold_budget, &values) {
            Ok(value) => Some(value),
            Err(Fault::Failed(message))
                if matches!(
                    function.name,
                    "duration" | "timestamp" | "semver" | "int" | "uint" | "double" | "bool"
                ) =>
            {
                let place = args.first().map_or(span, |arg| arg.span);
                let help = (function.name == "duration")
                    .then_some("units are `h`, `m`, `s` and smaller: three days are `72h`");
                self.mismatch(place, message, help);
                None
            }
            Err(_) => None,
        }
    }
}
