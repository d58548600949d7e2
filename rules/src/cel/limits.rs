//! How large an expression may be and how much it may do.

/// Limits at load and at run time. Exceeding one is an error with a place, never a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Length of the source without comments. It bounds the recursion of the parser, at least two
    /// bytes a level.
    pub source_bytes: usize,
    /// Length of the source with comments, the header of a rule among them.
    pub file_bytes: usize,
    /// Depth of the syntax tree, which bounds the stack that checking and evaluation use.
    pub depth: usize,
    /// Nodes of the syntax tree.
    pub nodes: usize,
    /// Macros that loop inside macros that loop.
    pub comprehension_nesting: usize,
    /// Work of one evaluation: loop steps, and the bytes and elements of what is made.
    pub steps: u64,
    /// Length of a text or of bytes made by an expression.
    pub string_bytes: usize,
    /// Length of a list or map made by an expression.
    pub list_items: usize,
}

impl Limits {
    /// For the rules of a rule set.
    pub const RULES: Limits = Limits {
        source_bytes: 4096,
        file_bytes: 64 * 1024,
        depth: 200,
        nodes: 1000,
        comprehension_nesting: 4,
        steps: 1_000_000,
        string_bytes: 64 * 1024,
        list_items: 20_000,
    };

    /// For an expression that its author waits for, such as that of `weir eval`. The source may be
    /// longer than the parser bears on a small stack: compile it on a thread with
    /// [`Limits::INTERACTIVE_STACK`].
    pub const fn interactive() -> Limits {
        Limits {
            source_bytes: 64 * 1024,
            file_bytes: 64 * 1024,
            depth: 500,
            nodes: 20_000,
            comprehension_nesting: 8,
            steps: 10_000_000,
            string_bytes: 1024 * 1024,
            list_items: 200_000,
        }
    }

    /// The stack in bytes that compiling and evaluating within [`Limits::interactive`] may need.
    pub const INTERACTIVE_STACK: usize = 512 * 1024 * 1024;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::RULES
    }
}
