//! The table of known models.

use std::io::Write as _;

use gstdavidmatte::matting::prelude::{KnownModel, ModelSource};

use crate::error::Error;

/// Prints a line for each model.
///
/// # Errors
/// [`Error::Print`].
pub fn print() -> Result<(), Error> {
    let titles = ["name", "size", "licence", "commercial", "here", "about"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(titles).chain(KnownModel::table().iter().map(row)).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; 6] = std::array::from_fn(|column| width(column).unwrap_or_default());
    let mut out = std::io::stdout().lock();
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", line.trim_end()).map_err(Error::Print)?;
    }
    Ok(())
}

fn row(model: &KnownModel) -> [String; 6] {
    let yes_or_no = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    [
        model.name.clone(),
        model.size.clone().unwrap_or_else(|| "not known".into()),
        model.licence.clone(),
        yes_or_no(model.commercial),
        yes_or_no(ModelSource::find(&model.name).is_ok()),
        model.about.clone(),
    ]
}
