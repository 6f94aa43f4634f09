//! What Python made once for many records, kept by the bytes it was made of.

use std::sync::{Arc, Mutex, PoisonError};

use ahash::AHashMap;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Something that Python made, by the bytes it was made of.
pub struct Cache<T> {
    known: Mutex<AHashMap<Vec<u8>, Arc<T>>>,
    most: usize,
    make: PyObject,
}

impl<T: for<'py> FromPyObject<'py>> Cache<T> {
    /// Keep at most so many of what `make` makes.
    pub fn new(make: PyObject, most: usize) -> Self {
        Cache { known: Mutex::default(), most, make }
    }

    /// What belongs to a key. None: Python refuses it, and says why when it maps the record itself.
    pub fn get(&self, py: Python<'_>, key: &[u8], made_of: &[u8]) -> Option<Arc<T>> {
        if let Some(found) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Some(Arc::clone(found));
        }
        let made = self.make.bind(py).call1((PyBytes::new(py, made_of),)).ok()?;
        let made = Arc::new(made.extract::<T>().ok()?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= self.most {
            known.clear();
        }
        known.insert(key.to_vec(), Arc::clone(&made));
        Some(made)
    }

    /// Forget all of it: what it was made of may say something else now.
    pub fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
