//! All that `/metrics` shows.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{Registry, TextEncoder};

use super::process;

/// What there is of many objects, and is read off them when somebody asks.
pub trait Inventory: Send {
    /// Puts it at the end of a page in the text format. The names of its families are its own.
    fn write(&self, page: &mut String);
}

/// Metrics: those that are kept in a registry, and inventories.
#[derive(Clone, Default)]
pub struct Metrics {
    /// Where metrics are registered.
    pub registry: Registry,
    inventories: Arc<Mutex<Vec<Box<dyn Inventory>>>>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// With what is known of the process.
    ///
    /// # Errors
    /// If two metrics have one name, which a test rules out.
    pub fn of_process() -> prometheus::Result<Self> {
        let metrics = Self::default();
        process::register(&metrics.registry)?;
        Ok(metrics)
    }

    /// Shows an inventory.
    pub fn add(&self, inventory: impl Inventory + 'static) {
        self.inventories.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(inventory));
    }

    /// The page.
    ///
    /// # Errors
    /// If a metric of the registry cannot be written.
    pub fn text(&self) -> prometheus::Result<String> {
        let mut page = TextEncoder::new().encode_to_string(&self.registry.gather())?;
        for inventory in self.inventories.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            inventory.write(&mut page);
        }
        Ok(page)
    }
}
