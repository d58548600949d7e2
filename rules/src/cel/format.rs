//! The layout of an expression: each operand of the outermost `&&` on a line of its own. Only white
//! space changes and comments keep their order; what is inside an operand stays as it was written.

use super::ast::{Entry, Expr, ExprKind, Item, Loop, Name, Span};
use super::limits::Limits;
use super::parser;
use super::scan::Scan;

/// The expression in that layout; `None` if it cannot be read, or if it would mean something else.
///
/// `clauses` is how many clauses it has as a program. An expression whose `&&` are not its clauses,
/// such as `a && b || c`, keeps its lines.
pub(crate) fn format(source: &str, clauses: usize, limits: &Limits) -> Option<String> {
    let meaning = meaning(source, limits)?;
    // Spaces at the end of a line may belong to a text of several lines.
    [true, false].into_iter().find_map(|trim| {
        let text = lay_out(source, clauses, trim)?;
        (self::meaning(&text, limits)? == meaning).then_some(text)
    })
}

fn lay_out(source: &str, clauses: usize, trim: bool) -> Option<String> {
    let scan = Scan::of(source).ok()?;
    let ends = scan.outermost_ands();
    if ends.len() + 1 != clauses {
        return Some(lines_of(source.trim(), trim));
    }
    let mut text = String::new();
    let mut start = 0;
    for (number, end) in ends.iter().copied().chain([source.len()]).enumerate() {
        let operand = Operand::of(&scan, source, start, end)?;
        if number > 0 {
            text.push('\n');
            for comment in &operand.comments_before {
                text.push_str("  ");
                text.push_str(comment);
                text.push('\n');
            }
            text.push_str("  && ");
        }
        text.push_str(&lines_of(operand.code, trim));
        if let Some(comment) = operand.comment_beside {
            text.push(' ');
            text.push_str(comment);
        }
        for comment in &operand.comments_after {
            text.push_str("\n  ");
            text.push_str(comment);
        }
        start = end + "&&".len();
    }
    Some(text)
}

/// Lines without spaces at their end.
fn lines_of(code: &str, trim: bool) -> String {
    if !trim {
        return code.to_owned();
    }
    let lines: Vec<&str> = code.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// What stands between two `&&`.
struct Operand<'a> {
    comments_before: Vec<&'a str>,
    code: &'a str,
    /// On its last line.
    comment_beside: Option<&'a str>,
    comments_after: Vec<&'a str>,
}

impl<'a> Operand<'a> {
    fn of(scan: &Scan<'_>, source: &'a str, start: usize, end: usize) -> Option<Self> {
        let is_code = |at: usize| scan.is_code(at) && !source.as_bytes()[at].is_ascii_whitespace();
        let first = (start..end).find(|at| is_code(*at))?;
        let last = (start..end).rev().find(|at| is_code(*at))? + 1;
        let (before, after) = (source.get(start..first)?, source.get(last..end)?);
        let (beside, after) = after.split_once('\n').unwrap_or((after, ""));
        let comments = |text: &'a str| {
            let lines = text.lines().map(str::trim);
            lines.filter(|line| !line.is_empty()).collect::<Vec<_>>()
        };
        Some(Self {
            comments_before: comments(before),
            code: source.get(first..last)?,
            comment_beside: Some(beside.trim()).filter(|beside| !beside.is_empty()),
            comments_after: comments(after),
        })
    }
}

/// What an expression means, as a text that is the same for the same tree wherever its parts stand.
fn meaning(source: &str, limits: &Limits) -> Option<String> {
    let mut tree = parser::parse(source, limits).ok()?;
    forget_places(&mut tree);
    Some(format!("{tree:?}"))
}

fn forget_places(tree: &mut Expr) {
    let forget_name = |name: &mut Name| name.span = Span::default();
    tree.span = Span::default();
    match &mut tree.kind {
        ExprKind::Literal(_) | ExprKind::Ident(_) | ExprKind::Message(_) => {}
        ExprKind::Select { operand, field }
        | ExprKind::Has { operand, field }
        | ExprKind::OptionalSelect { operand, field } => {
            forget_places(operand);
            forget_name(field);
        }
        ExprKind::Index { operand, index } | ExprKind::OptionalIndex { operand, index } => {
            forget_places(operand);
            forget_places(index);
        }
        ExprKind::Call {
            target,
            function,
            args,
        } => {
            forget_name(function);
            target
                .iter_mut()
                .map(|target| &mut **target)
                .chain(args)
                .for_each(forget_places);
        }
        ExprKind::Not(operand) | ExprKind::Negate(operand) => forget_places(operand),
        ExprKind::And(a, b)
        | ExprKind::Or(a, b)
        | ExprKind::Compare(_, a, b)
        | ExprKind::Arithmetic(_, a, b)
        | ExprKind::In(a, b) => {
            forget_places(a);
            forget_places(b);
        }
        ExprKind::Conditional(parts) => parts.iter_mut().for_each(forget_places),
        ExprKind::List(items) => {
            for Item { value, .. } in items {
                forget_places(value);
            }
        }
        ExprKind::Map(entries) => {
            for Entry { key, value, .. } in entries {
                forget_places(key);
                forget_places(value);
            }
        }
        ExprKind::Loop(each) => {
            let Loop {
                range,
                filter,
                body,
                ..
            } = &mut **each;
            forget_places(range);
            filter.iter_mut().for_each(forget_places);
            forget_places(body);
        }
        ExprKind::Bind { init, body, .. } => {
            forget_places(init);
            forget_places(body);
        }
        ExprKind::Block { inits, body } => {
            inits.iter_mut().for_each(forget_places);
            forget_places(body);
        }
    }
}
