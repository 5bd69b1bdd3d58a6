// SPDX-License-Identifier: MIT

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::matting::frame::pixel_format::PixelFormat;
use crate::matting::frame::view::OwnedFrame;
use crate::matting::inference::tiles::PLANES;
use crate::matting::matte::details::TILE;
use crate::matting::matte::enlarge::{MatteReader, MatteRows, WholeMatte};
use proptest::prelude::*;

const SIDE: usize = 80;
const AREA: usize = SIDE * SIDE;
const INSIDE: usize = PATCH * PATCH;

/// What a made-up network says of a tile's four planes.
type Says = fn(&[f32], &mut [f32]);

struct MadeUp {
    says: Says,
    input: Vec<f32>,
    output: Vec<f32>,
    runs: Arc<AtomicUsize>,
    /// The first run that fails.
    fails_at: usize,
}

impl MadeUp {
    const BATCH: usize = 3;

    fn new(says: Says) -> Self {
        let (input, output) =
            (vec![0.0; Self::BATCH * PLANES * AREA], vec![0.0; Self::BATCH * INSIDE]);
        Self { says, input, output, runs: Arc::default(), fails_at: usize::MAX }
    }
}

impl TileNetwork for MadeUp {
    fn side(&self) -> usize {
        SIDE
    }

    fn batch(&self) -> usize {
        Self::BATCH
    }

    fn input(&mut self) -> &mut [f32] {
        &mut self.input
    }

    fn run(&mut self) -> Result<&[f32], Error> {
        if self.runs.fetch_add(1, Ordering::Relaxed) >= self.fails_at {
            return Err(Error::Inference { reason: "made up".into() });
        }
        let tiles =
            self.input.chunks_exact(PLANES * AREA).zip(self.output.chunks_exact_mut(INSIDE));
        tiles.for_each(|(tile, out)| (self.says)(tile, out));
        Ok(&self.output)
    }
}

/// Several, which share the tiles.
fn networks(says: Says) -> Vec<Box<dyn TileNetwork>> {
    (0..3).map(|_| Box::new(MadeUp::new(says)) as Box<dyn TileNetwork>).collect()
}

/// The middle of one of a tile's planes.
fn plane(tile: &[f32], index: usize, out: &mut [f32]) {
    let margin = (SIDE - PATCH) / 2;
    let rows = tile[index * AREA..].chunks_exact(SIDE).skip(margin);
    for (row, out) in rows.zip(out.chunks_exact_mut(PATCH)) {
        out.copy_from_slice(&row[margin..margin + PATCH]);
    }
}

fn the_same(tile: &[f32], out: &mut [f32]) {
    plane(tile, 3, out);
}

fn green(tile: &[f32], out: &mut [f32]) {
    plane(tile, 1, out);
}

fn person(_: &[f32], out: &mut [f32]) {
    out.fill(1.0);
}

fn nonsense(_: &[f32], out: &mut [f32]) {
    let values = [f32::NAN, f32::INFINITY, -7.0, 7.0, f32::NEG_INFINITY];
    out.iter_mut().enumerate().for_each(|(i, out)| *out = values[i % 5]);
}

fn layout(format: PixelFormat, width: usize, height: usize) -> FrameLayout {
    FrameLayout::new(format, width, height)
}

/// A code for each pixel, such that neighbours differ.
fn code(x: usize, y: usize) -> u32 {
    ((x * 5 + y * 3) % 251) as u32
}

fn frame(layout: FrameLayout) -> OwnedFrame {
    OwnedFrame::painted(layout, |_, x, y| code(x, y))
}

/// A disk with a soft edge, and a sure part outside.
fn mask(size: Size, radius: f32) -> Vec<f32> {
    let middle = [size.width as f32 / 2.0, size.height as f32 / 2.0];
    let value = |i: usize| {
        let (x, y) = ((i % size.width) as f32 + 0.5, (i / size.width) as f32 + 0.5);
        (0.5 + (radius - (x - middle[0]).hypot(y - middle[1])) / 2.0).clamp(0.0, 1.0)
    };
    (0..size.area()).map(value).collect()
}

/// The whole matte, and what it would be without tiles.
fn mattes(
    layout: &FrameLayout,
    mask: &[f32],
    masks: MaskLayout,
    details: &Details,
) -> [Vec<f32>; 2] {
    let mut finisher = Finisher::new(Size { width: layout.width, height: layout.height }, masks);
    let mut reader: MatteReader = finisher.reader();
    let matte = finisher.matte(mask, &MatteSettings::default());
    [Some(details), None].map(|details| {
        let mut rows = matte.with_details(details).rows(&mut reader);
        (0..layout.height).flat_map(|y| rows.row(y).values.to_vec()).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each tile is shown the pixels that it lies on, whatever the size and the format.
    #[test]
    fn tiles_see_where_they_lie(
        width in 1usize..420, height in 1usize..300, mask_w in 2usize..70, mask_h in 2usize..70,
        radius in 1f32..40.0,
        format in prop::sample::select(vec![PixelFormat::Gray8, PixelFormat::Rgb, PixelFormat::Bgra]),
    ) {
        let layout = layout(format, width, height);
        let (size, frame) = (Size { width: mask_w, height: mask_h }, frame(layout));
        let masks = MaskLayout::covering(size);
        let mask = mask(size, radius);
        let mut detailer = Detailer::new(networks(green), &layout, masks);
        let details = detailer.find(&frame.view(), &mask, masks, None).unwrap().clone();
        let [refined, plain] = mattes(&layout, &mask, masks, &details);
        let mut gate = Gate::new(Size { width, height }, masks);
        let is_open = gate.update(&mask);
        let [_, open] = mattes(&layout, gate.values(), masks, &Details::new(Size { width, height }));
        for (i, (&refined, &plain)) in refined.iter().zip(&plain).enumerate() {
            let (x, y) = (i % width, i / width);
            let is_tile = details.row(y).any(|(span, ..)| span == x / TILE);
            prop_assert!((0.0..=1.0).contains(&refined));
            if !is_tile || !is_open {
                prop_assert_eq!(refined, plain);
                continue;
            }
            let seen = code(x, y) as f32 / 255.0;
            let want = plain + open[i].clamp(0.0, 1.0) * (seen - plain);
            // Towards a neighbour that is not refined, less of that.
            let [columns, rows] = [(x, width), (y, height)].map(|(at, length)| {
                let [first, last] = [at.saturating_sub(TILE / 4), at + TILE / 4];
                first / TILE..=last.min(length - 1) / TILE
            });
            let are_tiles = |row: usize| {
                columns.clone().all(|tile| details.row(row * TILE).any(|(span, ..)| span == tile))
            };
            if !rows.clone().all(are_tiles) {
                let [least, most] = [plain.min(want), plain.max(want)];
                prop_assert!((least - 4e-3..most + 4e-3).contains(&refined));
                continue;
            }
            prop_assert!((refined - want).abs() < 4e-3, "{} {}: {} not {}", x, y, refined, want);
        }
    }

    /// Where a mask is sure, and farther around than edges are sought, nothing becomes anything, whatever
    /// a network says.
    #[test]
    fn what_is_sure_stays(radius in 0f32..30.0, side in 20usize..80, says in 0..3usize) {
        let layout = layout(PixelFormat::Gray8, 640, 480);
        let masks = MaskLayout::covering(Size { width: side, height: side });
        let mask = mask(masks.mask, radius);
        let says = [person as Says, nonsense, the_same][says];
        let mut detailer = Detailer::new(networks(says), &layout, masks);
        let details = detailer.find(&frame(layout).view(), &mask, masks, None).unwrap();
        let [refined, plain] = mattes(&layout, &mask, masks, details);
        let reach = 8.0 + 6.0 * 640.0 / side as f32;
        for (i, (refined, plain)) in refined.iter().zip(&plain).enumerate() {
            prop_assert!((0.0..=1.0).contains(refined));
            let at = [(i % 640) as f32 / 640.0, (i / 640) as f32 / 480.0].map(|at| at * side as f32);
            let away = ((at[0] - side as f32 / 2.0).hypot(at[1] - side as f32 / 2.0) - radius).abs();
            if away * 480.0 / side as f32 > reach {
                prop_assert!((refined - plain).abs() < 1e-6, "{} {}", i % 640, i / 640);
            }
        }
    }
}

#[test]
fn a_network_that_agrees_changes_nothing() {
    for (width, height) in [(1, 1), (64, 64), (65, 63), (333, 217), (16384, 16)] {
        let layout = layout(PixelFormat::I420, width, height);
        let masks = MaskLayout::covering(Size { width: 40, height: 30 });
        let mask = mask(masks.mask, 9.0);
        let mut detailer = Detailer::new(networks(the_same), &layout, masks);
        let details = detailer.find(&frame(layout).view(), &mask, masks, None).unwrap();
        // The one pixel of the smallest is sure.
        assert_eq!(details.is_empty(), width == 1, "{width}x{height}");
        let [refined, plain] = mattes(&layout, &mask, masks, details);
        for (refined, plain) in refined.iter().zip(&plain) {
            assert!(
                (refined - plain).abs() < 1.0 / 500.0,
                "{width}x{height}: {refined} not {plain}"
            );
        }
    }
}

#[test]
fn nothing_is_made_of_a_sure_mask() {
    let layout = layout(PixelFormat::Gray8, 300, 200);
    let masks = MaskLayout::covering(Size { width: 30, height: 20 });
    let network = MadeUp::new(person);
    let runs = network.runs.clone();
    let mut detailer = Detailer::new(vec![Box::new(network)], &layout, masks);
    for sure in [0.0, 0.015, 1.0] {
        let details = detailer.find(&frame(layout).view(), &[sure; 600], masks, None).unwrap();
        assert!(details.is_empty());
    }
    assert_eq!(runs.load(Ordering::Relaxed), 0);
}

#[test]
fn all_of_a_frame_may_be_uncertain() {
    let layout = layout(PixelFormat::Gray8, 1000, 300);
    let masks = MaskLayout::covering(Size { width: 30, height: 20 });
    let mut detailer = Detailer::new(networks(green), &layout, masks);
    let details = detailer.find(&frame(layout).view(), &[0.5; 600], masks, None).unwrap();
    assert_eq!(details.len(), details.grid().area());
}

#[test]
fn where_time_is_short_the_most_uncertain_come_first_and_stay() {
    let grid = Size { width: 10, height: 1 };
    let mut choice = Choice::new(grid);
    let rows = |scores: [f32; 10]| WholeMatte::<u8>::new(640, 64, move |x, _| scores[x / 64]);
    let mut open = rows([1.0; 10]);
    let scores = [0.1, 0.0, 0.5, 0.2, 1.0, 0.45, 0.0, 0.12, 0.4, 0.11];
    let mut choose = |scores, most| choice.make(&mut rows(scores), &mut open, 64, most).to_vec();
    assert_eq!(choose(scores, 100), [0, 2, 3, 5, 7, 8, 9]);
    assert_eq!(choose(scores, 3), [2, 5, 8]);
    // A little more than one of them is not enough to take its place, much more is.
    let mut other = scores;
    other[8] = 0.22;
    other[3] = 0.26;
    assert_eq!(choose(other, 3), [2, 5, 8]);
    other[8] = 0.1;
    assert_eq!(choose(other, 3), [2, 3, 5]);
}

#[test]
fn a_tile_is_not_looked_at_for_a_few_pixels_and_does_not_come_and_go() {
    let rows = |alpha: f32, pixels: usize| {
        let value = move |x: usize, y: usize| if x < 4 && y < pixels / 4 { alpha } else { 0.0 };
        WholeMatte::<u8>::new(64, 64, value)
    };
    let mut open = WholeMatte::<u8>::new(64, 64, |_, _| 1.0);
    let mut choice = Choice::new(Size { width: 1, height: 1 });
    let mut is_chosen =
        |alpha, pixels| !choice.make(&mut rows(alpha, pixels), &mut open, 64, 9).is_empty();
    assert!(!is_chosen(0.5, 16) && !is_chosen(0.3, 32) && is_chosen(0.5, 32));
    // Once it is there, it stays for less than would bring it.
    assert!(is_chosen(0.3, 32) && !is_chosen(0.5, 16) && !is_chosen(0.3, 32));
}

/// Neighbours that see different things, and say so, do not part where they meet.
#[test]
fn there_is_no_seam_between_tiles_that_guess_differently() {
    fn guess(tile: &[f32], out: &mut [f32]) {
        // Each sees another picture in its own corner.
        out.fill(tile[0] % 0.1 * 10.0);
    }
    let layout = layout(PixelFormat::Gray8, 640, 320);
    let masks = MaskLayout::covering(Size { width: 32, height: 16 });
    let mask = [0.5; 512];
    let mut detailer = Detailer::new(networks(guess), &layout, masks);
    let details = detailer.find(&frame(layout).view(), &mask, masks, None).unwrap();
    let [refined, _] = mattes(&layout, &mask, masks, details);
    let steps = (0..refined.len()).filter(|i| i % 640 != 639);
    let steepest = steps.map(|i| (refined[i + 1] - refined[i]).abs()).fold(0.0, f32::max);
    let [least, most] = [f32::min, f32::max].map(|of| refined.iter().copied().reduce(of).unwrap());
    assert!(most - least > 0.5 && steepest < 0.13 * (most - least), "{least} {most} {steepest}");
}

#[test]
fn a_limit_is_kept_once_it_is_known_what_a_tile_takes() {
    fn slow(tile: &[f32], out: &mut [f32]) {
        std::thread::sleep(Duration::from_millis(1));
        the_same(tile, out);
    }
    let layout = layout(PixelFormat::Gray8, 1920, 640);
    let masks = MaskLayout::covering(Size { width: 30, height: 10 });
    let mut detailer = Detailer::new(vec![Box::new(MadeUp::new(slow))], &layout, masks);
    let frame = frame(layout);
    let tiles = |detailer: &mut Detailer, limit| {
        detailer.find(&frame.view(), &[0.5; 300], masks, limit).unwrap().len()
    };
    assert_eq!(tiles(&mut detailer, None), 300);
    let limited = tiles(&mut detailer, Some(Duration::from_millis(40)));
    assert!((LEAST..=40).contains(&limited), "{limited}");
    // Other frames do not make it forget.
    let mut detailer = detailer.fitted(&layout, masks);
    let again = tiles(&mut detailer, Some(Duration::from_millis(40)));
    assert!((LEAST..=40).contains(&again), "{again}");
    assert_eq!(tiles(&mut detailer, Some(Duration::ZERO)), LEAST);
}

#[test]
fn a_failure_leaves_the_matte_as_it_was() {
    let layout = layout(PixelFormat::Gray8, 640, 480);
    let masks = MaskLayout::covering(Size { width: 64, height: 48 });
    let mask = mask(masks.mask, 18.0);
    let network = MadeUp { fails_at: 2, ..MadeUp::new(person) };
    let mut detailer = Detailer::new(vec![Box::new(network)], &layout, masks);
    let frame = frame(layout);
    assert!(detailer.find(&frame.view(), &mask, masks, None).is_err());
    assert!(detailer.details().is_empty());
}

/// The network of this library, on a picture whose matte is known: a disk of one colour before another.
#[test]
fn the_network_finds_an_edge_that_the_mask_has_lost() {
    use crate::matting::inference::session::{Device, SessionOptions, TileSession};
    let options = SessionOptions { device: Device::Cpu, threads: 1, ..Default::default() };
    let networks = TileSession::load(&options, Device::Cpu).unwrap();
    let networks =
        networks.into_iter().map(|network| Box::new(network) as Box<dyn TileNetwork>).collect();
    let layout = layout(PixelFormat::Rgb, 640, 480);
    let truth = |x: usize, y: usize| {
        let away = (x as f32 - 319.5).hypot(y as f32 - 239.5);
        (150.5 - away).clamp(0.0, 1.0)
    };
    let frame = OwnedFrame::painted(layout, |component, x, y| {
        let [person, behind] = [[200.0, 120.0, 90.0][component], [60.0, 90.0, 110.0][component]];
        (behind + truth(x, y) * (person - behind)) as u32
    });
    let masks = MaskLayout::covering(Size { width: 64, height: 48 });
    let mask = mask(masks.mask, 15.0);
    let mut detailer = Detailer::new(networks, &layout, masks);
    let details = detailer.find(&frame.view(), &mask, masks, None).unwrap();
    let errors = mattes(&layout, &mask, masks, details).map(|matte| {
        let values = matte.iter().enumerate();
        values.map(|(i, value)| (value - truth(i % 640, i / 640)).abs()).sum::<f32>()
    });
    assert!(errors[0] < 0.4 * errors[1], "{errors:?}");
}
