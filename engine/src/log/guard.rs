//! Runs code that may panic on damaged files, and turns a panic into a message.
//!
//! The store underneath panics on some damage instead of returning an error. A panic must not
//! take the process with it, nor print a Rust backtrace at an operator: it is caught here and
//! told like any other damage.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `work`; a panic in it, on this thread, becomes `Err` with its message and place.
///
/// What `work` was changing may be left half changed: after an `Err` the caller must not trust
/// the store for anything but reading.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let outer = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if GUARDED.get() {
                MESSAGE.set(Some(describe(info)));
            } else {
                outer(info);
            }
        }));
    });
    let was = GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(was);
    result.map_err(|_| {
        MESSAGE
            .take()
            .unwrap_or_else(|| "panic without a message".to_owned())
    })
}

fn describe(info: &panic::PanicHookInfo<'_>) -> String {
    let text = info.payload_as_str().unwrap_or("panic without a message");
    match info.location() {
        Some(at) => format!(
            "{text} ({}:{})",
            at.file().rsplit('/').next().unwrap_or(""),
            at.line()
        ),
        None => text.to_owned(),
    }
}
