//! How much a list brings at a time.

use kube::runtime::watcher::Config;

/// Objects in one answer. They are values of JSON for a moment, a tenfold of what is kept of them; the memory for that
/// stays with the process.
const PAGE: u32 = 100;

/// A watch of all objects of a kind.
pub(crate) fn everything() -> Config {
    Config::default().page_size(PAGE)
}
