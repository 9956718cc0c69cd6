//! A book of what a device's memory was taken for, kept while it is allocated.
//!
//! It knows no tensors. Invariant: an account's items add up to what was allocated since it was opened, as long as
//! nothing was freed meanwhile.

use super::Device;
use serde::Serialize;

/// Bytes of a device's memory with a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Item {
    /// The purpose.
    pub what: &'static str,
    /// The bytes.
    pub bytes: u64,
}

/// Writes down what a device's memory was taken for.
pub struct Account {
    device: Device,
    booked: u64,
    /// What was booked so far.
    pub items: Vec<Item>,
}

impl Account {
    /// An account of what is allocated on `device` from now on.
    pub fn new(device: &Device) -> Account {
        Account { device: device.clone(), booked: device.stats().bytes, items: Vec::new() }
    }

    /// The device.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Books what was allocated since the last booking.
    pub fn book(&mut self, what: &'static str) {
        let now = self.device.stats().bytes;
        self.items.push(Item { what, bytes: now - self.booked });
        self.booked = now;
    }
}
