//! One thing that one call at a time works with: taken out of its place, put back when the call
//! ends.
//!
//! It knows nothing of what is lent. Invariant: a second call gets none instead of a panic, and
//! whatever way the first one ends, the thing is back in its place.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// The place of the thing.
pub struct Place<T>(RefCell<Option<T>>);

/// The thing, for as long as one call has it.
pub struct Loan<'a, T> {
    place: &'a Place<T>,
    thing: Option<T>,
}

impl<T> Place<T> {
    /// A place with a thing.
    pub fn new(thing: T) -> Self {
        Self(RefCell::new(Some(thing)))
    }

    /// The thing, unless another call has it.
    pub fn take(&self) -> Option<Loan<'_, T>> {
        let thing = self.0.borrow_mut().take()?;
        Some(Loan { place: self, thing: Some(thing) })
    }
}

impl<T> Loan<'_, T> {
    /// Makes another thing of it.
    pub fn replace(&mut self, make: impl FnOnce(T) -> T) {
        self.thing = self.thing.take().map(make);
    }
}

impl<T> Deref for Loan<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.thing.as_ref().expect("a loan has its thing until it is dropped")
    }
}

impl<T> DerefMut for Loan<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.thing.as_mut().expect("a loan has its thing until it is dropped")
    }
}

impl<T> Drop for Loan<'_, T> {
    fn drop(&mut self) {
        *self.place.0.borrow_mut() = self.thing.take();
    }
}
