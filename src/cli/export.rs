//! `passarela export`: what there is, as a file of rows.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::admin::{brand_of, open, parse};
use super::{Failure, Output, private_file};
use crate::config::Config;
use crate::domain::ids::TemplateId;
use crate::domain::pass::PassStatus;
use crate::domain::rows::RowFormat;
use crate::http::exports::{passes_table, rows, template_names};
use crate::service::read_pass;
use crate::store::passes::Filter;

#[derive(Debug, Subcommand)]
pub enum Export {
    /// A brand's passes, in the shape that an import takes.
    Passes {
        /// The brand's code.
        #[arg(long)]
        brand: String,
        #[arg(long, value_parser = parse::<RowFormat>, default_value = "csv")]
        format: RowFormat,
        /// Only passes of this template.
        #[arg(long, value_parser = parse::<TemplateId>)]
        template: Option<TemplateId>,
        /// active, voided or expired.
        #[arg(long, value_parser = parse::<PassStatus>)]
        status: Option<PassStatus>,
        /// Where to; the standard output if absent.
        #[arg(short, long, value_name = "OUT")]
        output: Option<PathBuf>,
    },
}

/// Passes of one page.
const PAGE: i64 = 500;

impl Export {
    pub async fn run(self, config: Config, output: Output) -> Result<(), Failure> {
        let Self::Passes { brand, format, template, status, output: out } = self;
        let app = open(config).await?;
        let brand = brand_of(&app, &brand).await?.id;
        let filter = Filter { external_id: None, customer: None, template, status };
        let (table, names) = (passes_table(format), template_names(&app, brand).await?);
        let mut to: Box<dyn Write> = match &out {
            Some(path) => Box::new(io::BufWriter::new(private_file(path)?)),
            None => Box::new(io::BufWriter::new(io::stdout())),
        };
        to.write_all(&table.head())?;
        let (mut after, mut count) = (None, 0);
        loop {
            let page = read_pass::list_plain(&app, brand, &filter, after, PAGE).await?;
            to.write_all(&rows(&app, table, &names, true, &page).0)?;
            count += page.len();
            after = page.last().map(|pass| pass.id);
            if after.is_none() {
                break;
            }
        }
        to.flush()?;
        if let Some(path) = out {
            output.print(&json!({ "file": path, "passes": count }), || format!("{}: {count} passes", path.display()));
        }
        Ok(())
    }
}
