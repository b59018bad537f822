//! `passarela google`: what Google has of a brand.

use std::time::Duration;

use clap::Subcommand;
use indicatif::ProgressBar;

use super::admin::{brand_of, open};
use super::{Failure, Output};
use crate::config::Config;
use crate::service::reconcile::{self, NotReconciled};

#[derive(Debug, Subcommand)]
pub enum Google {
    /// Hold what Google has against what it was sent.
    Reconcile {
        /// The brand's code.
        #[arg(long)]
        brand: String,
        /// Send again what differs or is missing; what is over is not made again.
        #[arg(long)]
        apply: bool,
    },
}

impl Google {
    pub async fn run(self, config: Config, output: Output) -> Result<(), Failure> {
        let Self::Reconcile { brand, apply } = self;
        let app = open(config).await?;
        let brand = brand_of(&app, &brand).await?.id;
        // Hidden by itself where nobody looks.
        let bar = ProgressBar::new_spinner();
        bar.enable_steady_tick(Duration::from_millis(200));
        let found = reconcile::reconcile(&app, brand, apply, |found| {
            bar.set_message(format!("{} objects of {} classes", found.objects, found.classes));
        });
        let found = found.await.map_err(|error| match error {
            NotReconciled::Problem(problem) => problem.into(),
            NotReconciled::Off(why) => Failure::Usage(why),
            NotReconciled::Google(why) => Failure::Trouble(why),
        })?;
        bar.finish_and_clear();
        let reconcile::Found { classes, objects, equal, different, unknown, missing, held } = found;
        output.print(&found, || {
            format!(
                "{classes} classes, {objects} objects: {equal} as they were sent, {different} different, {unknown} unknown to us; \
                 {missing} missing; {held} in somebody's wallet{}",
                if apply && different + missing > 0 { "; what differs or is missing is being sent" } else { "" }
            )
        });
        let is_right = different + missing == 0 || apply;
        if is_right {
            Ok(())
        } else {
            Err(Failure::No("not everything is as it was sent; --apply mends it".to_owned()))
        }
    }
}
