//! `/api/v1/passes/export`: all passes of a brand as one file.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Deserialize;
use serde_json::Value;

use crate::domain::ids::{BrandId, CustomerId, PassId, TemplateId};
use crate::domain::pass::PassStatus;
use crate::domain::role::Role;
use crate::domain::rows::RowFormat;
use crate::http::auth::Allow;
use crate::http::auth::role::{Admin, Issuer, Reader};
use crate::http::extract::Query;
use crate::http::table::Table;
use crate::service::{App, Problem, read_pass, templates};
use crate::store::passes::Filter;

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportPasses {
    /// csv or ndjson; csv if absent.
    #[param(value_type = Option<String>, example = "csv")]
    format: Option<RowFormat>,
    #[param(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    #[param(value_type = Option<String>)]
    template_id: Option<TemplateId>,
    #[param(value_type = Option<String>, example = "active")]
    status: Option<PassStatus>,
}

/// What an import takes, and beside it what it does not look at.
const COLUMNS: &[&str] = &[
    "external_id",
    "template",
    "program_id",
    "customer.id",
    "data",
    "id",
    "serial",
    "status",
    "created_at",
    "updated_at",
    "add_url",
];

/// Passes of one page.
const PAGE: i64 = 500;

pub const fn passes_table(format: RowFormat) -> Table {
    Table { format, columns: COLUMNS }
}

/// Export passes
///
/// Oldest first, in the shape that an import takes: a file that was edited can be imported again. Cells that a spreadsheet
/// would compute begin with an apostrophe, which an import takes off. `add_url` is for `issuer` and `admin` keys.
#[utoipa::path(get, path = "/api/v1/passes/export", tag = "imports", params(ExportPasses),
    responses((status = 200, description = "The file", content((String = "text/csv"), (String = "application/x-ndjson")))))]
pub async fn passes(
    allow: Allow<(Reader, Issuer, Admin)>,
    app: Data<App>,
    query: Query<ExportPasses>,
) -> Result<HttpResponse, Problem> {
    let (brand, role) = (allow.caller.brand.id, allow.caller.key.role);
    let Query(ExportPasses { format, customer_id, template_id, status }) = query;
    let filter = Filter { external_id: None, customer: customer_id, template: template_id, status };
    let table = passes_table(format.unwrap_or(RowFormat::Csv));
    let names = app.run(async move |app| template_names(&app, brand).await).await?;
    let (app, names, filter) = (app.into_inner(), Arc::new(names), Arc::new(filter));
    let has_links = matches!(role, Role::Admin | Role::Issuer);
    Ok(table.answer("passes", None, move |after| {
        let (app, names, filter) = (App::clone(&app), Arc::clone(&names), Arc::clone(&filter));
        async move {
            let page = app.run(async move |app| {
                let page = passes_page(&app, brand, table, &names, has_links, &filter, after).await?;
                Ok((page.rows, page.last.map(Some)))
            });
            page.await
        }
    }))
}

/// The names of a brand's templates: what people know them by.
pub async fn template_names(app: &App, brand: BrandId) -> Result<HashMap<TemplateId, String>, Problem> {
    let (mut names, mut after) = (HashMap::new(), None);
    loop {
        let page = templates::list(app, brand, after, PAGE).await?;
        after = page.last().map(|template| template.id);
        names.extend(page.into_iter().map(|template| (template.id, template.name)));
        if after.is_none() {
            return Ok(names);
        }
    }
}

/// Rows of passes.
pub struct PassesPage {
    pub rows: Vec<u8>,
    pub count: usize,
    /// The last of them; `None`: there were no more.
    pub last: Option<PassId>,
}

/// Rows for the passes after one.
pub async fn passes_page(
    app: &App,
    brand: BrandId,
    table: Table,
    names: &HashMap<TemplateId, String>,
    has_links: bool,
    filter: &Filter,
    after: Option<PassId>,
) -> Result<PassesPage, Problem> {
    let page = read_pass::list_plain(app, brand, filter, after, PAGE).await?;
    let mut rows = Vec::new();
    for pass in &page {
        let add_url = || format!("{}/p/{}", app.config.server.public_url, pass.link.reveal());
        let template = names.get(&pass.template_id).cloned().unwrap_or_else(|| pass.template_id.to_string());
        rows.extend(table.row(vec![
            pass.external_id.clone().map_or(Value::Null, Value::String),
            template.into(),
            pass.program_id.to_string().into(),
            pass.customer_id.to_string().into(),
            Value::Object(pass.data.reveal().clone()),
            pass.id.to_string().into(),
            pass.serial.clone().into(),
            pass.status.as_str().into(),
            pass.created_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true).into(),
            pass.updated_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true).into(),
            if has_links { add_url().into() } else { Value::Null },
        ]));
    }
    Ok(PassesPage { rows, count: page.len(), last: page.last().map(|pass| pass.id) })
}
