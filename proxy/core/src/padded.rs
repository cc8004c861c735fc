//! Values that threads write to, kept apart.

/// A value on cache lines of its own (two, as processors fetch them in pairs), so that threads that write to
/// one do not slow down those that write to its neighbour.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Padded<T>(pub(crate) T);
