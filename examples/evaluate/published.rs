//! What was published for DAViD (Saleh et al., ICCV 2025), to stand beside one's own results.

use crate::scores::Metric;

/// A published mean.
pub struct Published {
    /// The dataset.
    pub dataset: &'static str,
    /// The error.
    pub metric: Metric,
    /// Of the base and the large model.
    pub values: [f64; 2],
}

/// The models, in the order of [`Published::values`].
pub const MODELS: [&str; 2] = ["DAViD-Base", "DAViD-Large"];

const fn row(dataset: &'static str, metric: Metric, values: [f64; 2]) -> Published {
    Published { dataset, metric, values }
}

/// All that was published and can be compared.
pub const TABLE: [Published; 7] = [
    row("PhotoMatte85", Metric::Sad, [7.97, 5.85]),
    row("PhotoMatte85", Metric::Mse, [0.0017, 0.0009]),
    row("PPM-100", Metric::Sad, [90.86, 78.17]),
    row("P3M-500-NP", Metric::Sad, [14.88, 14.83]),
    row("P3M-500-NP", Metric::SadTrimap, [10.31, 10.23]),
    row("P3M-500-P", Metric::Sad, [17.92, 12.65]),
    row("P3M-500-P", Metric::SadTrimap, [9.66, 9.19]),
];
