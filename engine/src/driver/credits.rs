//! What a job may still spend.

/// Credits spent and reserved, whose sum never exceeds the maximum (nor overflows).
///
/// An attempt is paid for in advance: its price is reserved before it begins, and is spent by an ok
/// record or given back by anything else, a retry included, which then has to find room anew. So a
/// task that waits minutes for its retry keeps no other one from going on.
#[derive(Debug)]
pub(crate) struct Credits {
    max: u64,
    spent: u64,
    reserved: u64,
}

impl Credits {
    /// `spent` is what earlier lives of the job have spent.
    pub(crate) fn new(max: u64, spent: u64) -> Self {
        Self { max, spent, reserved: 0 }
    }

    /// Sets a price aside; false if there is no room for it.
    pub(crate) fn reserve(&mut self, price: u64) -> bool {
        let left = self.max.saturating_sub(self.spent).saturating_sub(self.reserved);
        let fits = price <= left;
        if fits {
            self.reserved += price;
        }
        fits
    }

    /// Spends a reserved price.
    pub(crate) fn spend(&mut self, price: u64) {
        self.reserved -= price;
        self.spent += price;
    }

    /// Gives a reserved price back.
    pub(crate) fn give_back(&mut self, price: u64) {
        self.reserved -= price;
    }

    /// Whether attempts under way may give some back.
    pub(crate) fn are_reserved(&self) -> bool {
        self.reserved > 0
    }
}
