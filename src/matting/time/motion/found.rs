// SPDX-License-Identifier: MIT

//! How much of a picture was found in another one.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::Vector;
use super::grid::Grid;
use super::patch::{difference, variance};
use super::picture::Picture;

/// Variance of a patch with detail, in codes².
const DETAIL: f32 = 16.0;
/// One patch in so many must have detail.
pub const FEW: usize = 16;
/// Correlation of a patch with itself in another frame, at the least.
const ALIKE: f32 = 0.7;

/// How many patches have detail in either picture, and how many of these look alike, whatever their
/// brightness and contrast.
#[multiversion(targets = "simd")]
pub fn count_found(to: &Picture, from: &Picture, grid: Grid, flows: &[Vector]) -> [usize; 2] {
    const FUSED: bool = target_cfg_f!(target_feature = "fma");
    let (mut detailed, mut found) = (0, 0);
    for (index, flow) in flows.iter().enumerate() {
        let origin = grid.origin(index % grid.columns, index / grid.columns);
        let [template, ..] = to.patch(origin);
        let other = from.sample::<FUSED>([origin[0] as f32 + flow[0], origin[1] as f32 + flow[1]]);
        let variances = [variance::<FUSED>(&template), variance::<FUSED>(&other)];
        if variances[0].max(variances[1]) < DETAIL {
            continue;
        }
        // var(a − b) = var(a) + var(b) − 2 cov(a, b)
        let between = variance::<FUSED>(&difference(&other, &template));
        let covariance = 0.5 * (variances[0] + variances[1] - between);
        detailed += 1;
        found += usize::from(covariance > ALIKE * (variances[0] * variances[1]).sqrt());
    }
    [detailed, found]
}
