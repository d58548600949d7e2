//! `weir eval`.
