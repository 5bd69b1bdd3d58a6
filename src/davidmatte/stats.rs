// SPDX-License-Identifier: MIT

//! What the property `stats` tells.

use crate::matting::stream::Stats;

/// As the property's value.
pub fn structure(stats: &Stats) -> gst::Structure {
    let mut structure = gst::Structure::builder("davidmatte-stats")
        .field("frames", stats.frames)
        .field("late-frames", stats.late)
        .field("inferences", stats.inferences)
        .field("searches", stats.searches)
        .field("closer-looks", stats.closer_looks)
        .field("refined-tiles", stats.tiles)
        .field("failed-inferences", stats.failures)
        .field("carried-mattes", stats.carried);
    for (step, timing) in [
        ("prepare", &stats.prepare),
        ("infer", &stats.infer),
        ("carry", &stats.carry),
        ("smooth", &stats.smooth),
        ("finish", &stats.finish),
        ("detail", &stats.detail),
        ("behind", &stats.behind),
        ("colors", &stats.colors),
    ] {
        structure = structure
            .field(format!("{step}-mean-ms"), timing.mean_ms())
            .field(format!("{step}-worst-ms"), timing.worst_ms());
    }
    structure.build()
}
