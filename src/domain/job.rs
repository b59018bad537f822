//! Long work that goes on by itself.

use super::text::text_enum;

text_enum! {
    pub enum JobKind {
        ImportPasses = "import_passes",
        ImportCustomers = "import_customers",
        ImportOrders = "import_orders",
        ImportBalances = "import_balances",
        ImportCoupons = "import_coupons",
        /// What tills did while they were offline.
        ImportRedemptions = "import_redemptions",
        /// Many codes of one offer; it has no file.
        IssueCoupons = "issue_coupons",
    }
}

text_enum! {
    pub enum JobState {
        Running = "running",
        /// Every line was looked at; some may have been refused.
        Finished = "finished",
        /// Somebody stopped it. What was done stays.
        Cancelled = "cancelled",
        /// It cannot go on, and says why. What was done stays.
        Failed = "failed",
    }
}

text_enum! {
    /// What became of one line.
    pub enum LineOutcome {
        Created = "created",
        Changed = "changed",
        /// It is there already, just so.
        Unchanged = "unchanged",
        Refused = "refused",
    }
}

/// Lines by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub created: i64,
    pub changed: i64,
    pub unchanged: i64,
    pub refused: i64,
}

impl Tally {
    pub const fn count(&mut self, outcome: LineOutcome) {
        match outcome {
            LineOutcome::Created => self.created += 1,
            LineOutcome::Changed => self.changed += 1,
            LineOutcome::Unchanged => self.unchanged += 1,
            LineOutcome::Refused => self.refused += 1,
        }
    }

    pub const fn total(self) -> i64 {
        self.created + self.changed + self.unchanged + self.refused
    }
}
