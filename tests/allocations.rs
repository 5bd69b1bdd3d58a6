//! Once the first frames are through, a frame takes nothing from the heap.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "common/counting.rs"]
mod counting;
#[path = "common/echo.rs"]
mod echo;

use std::sync::Arc;

use counting::{Counting, of_this_thread};

use gstdavidmatte::matting::parts::*;
use gstdavidmatte::matting::prelude::*;
use gstdavidmatte::matting::stream::*;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A network that only hands out its mask: a ramp, so that there is an edge to shape.
struct Ramp {
    tensor: Vec<f32>,
    mask: Vec<f32>,
}

const SIDE: usize = 64;
const SIZE: Size = Size { width: SIDE, height: SIDE };

impl Ramp {
    fn new() -> Self {
        Self {
            tensor: vec![0.0; 3 * SIDE * SIDE],
            mask: (0..SIDE * SIDE).map(|i| (i % SIDE) as f32 / SIDE as f32).collect(),
        }
    }
}

impl Network for Ramp {
    fn shape(&self) -> NetworkShape {
        NetworkShape::new(Default::default(), SIZE, SIZE)
    }

    fn input(&mut self) -> &mut [f32] {
        &mut self.tensor
    }

    fn run(&mut self, mask: &mut [f32]) -> Result<(), Error> {
        mask.copy_from_slice(&self.mask);
        Ok(())
    }
}

/// Allocations of the third frame, for every format that frames of formats `sources` become, and
/// all ways of writing it.
fn allocations(output: Output, look: &Look, sources: &[PixelFormat]) -> Vec<String> {
    let layout = |format| FrameLayout::new(format, 96, 54);
    let mut found = Vec::new();
    for &from in sources {
        for to in output.formats(from) {
            let to_layout = FrameLayout { height: 54 * output.pictures(), ..layout(to) };
            let (frame, mut target) = (OwnedFrame::new(layout(from)), OwnedFrame::new(to_layout));
            let mut network = Ramp::new();
            let mut mask = vec![0.0; SIZE.area()];
            let shape = network.shape();
            let mut preparer = RegionPreparer::new(&shape, layout(from));
            let mut compositor =
                Compositor::new(shape.masks(), layout(from), to_layout, output).unwrap();
            let stride = 96 * to.sample_bytes();
            let mut alpha = vec![0; stride * 54];
            let in_place = from == to && compositor.works_in_place();
            let mut spent = 0;
            for _ in 0..3 {
                let before = of_this_thread();
                let target = &mut target.view_mut();
                let view = &frame.view();
                preparer.prepare(view, network.input());
                network.run(&mut mask).unwrap();
                compositor.compose(Colors::Frame(view), &mask, look, target).unwrap();
                if in_place {
                    compositor.compose(Colors::InPlace, &mask, look, target).unwrap();
                }
                compositor.alpha_plane(&mask, &look.matte, &mut alpha, stride).unwrap();
                compositor
                    .compose_flat(Colors::Frame(view), &look.background, 0.0, target)
                    .unwrap();
                spent = of_this_thread() - before;
            }
            if spent > 0 {
                found.push(format!("{spent} for {from:?} to {to:?}, {output:?}, {look:?}"));
            }
        }
    }
    found
}

fn mattes(feathers: &[f32]) -> Vec<MatteSettings> {
    let mut mattes = Vec::new();
    for invert in [false, true] {
        for threshold in [0.0, 0.5] {
            for edge_shift in [0.0, -8.0, 8.0] {
                for &feather in feathers {
                    mattes.push(MatteSettings { invert, threshold, edge_shift, feather });
                }
            }
        }
    }
    mattes
}

fn check(mattes: &[MatteSettings], backgrounds: &[Background]) {
    let all = PixelFormat::ALL;
    for (index, matte) in mattes.iter().enumerate() {
        // Formats and the shape of the matte know nothing of each other.
        let sources = if index == 0 { &all[..] } else { &[PixelFormat::Yuy2] };
        for background in backgrounds {
            for decontaminate in [false, true] {
                let look = Look { matte: *matte, background: background.clone(), decontaminate };
                for output in [Output::Composite, Output::Cutout, Output::Alpha, Output::KeyFill] {
                    let found = allocations(output, &look, sources);
                    let cases = found.len();
                    assert!(found.is_empty(), "{cases} cases allocate, such as {}", found[0]);
                }
            }
        }
    }
}

fn plain_backgrounds() -> [Background; 3] {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("background.png");
    image::RgbImage::from_pixel(8, 8, image::Rgb([10, 200, 30])).save(&path).unwrap();
    let picture = Arc::new(Picture::open(&path).unwrap());
    [Background::Color(0xff00_b140), Background::Checkerboard, Background::Picture(picture)]
}

#[test]
fn the_counter_counts() {
    let before = of_this_thread();
    let mut block = vec![1u8; 16];
    block.resize(1 << 20, 2);
    std::hint::black_box(&block);
    assert_eq!(of_this_thread() - before, 2);
}

#[test]
fn a_frame_takes_nothing_from_the_heap() {
    check(&mattes(&[0.0]), &plain_backgrounds());
}

#[test]
fn a_softened_edge_takes_nothing_from_the_heap() {
    check(&mattes(&[8.0]), &plain_backgrounds());
}

#[test]
fn a_blurred_background_takes_nothing_from_the_heap() {
    check(&mattes(&[0.0, 8.0]), &[Background::Blur(0.03)]);
}

#[test]
fn refining_tiles_takes_nothing_from_the_heap() {
    let mask: Vec<f32> = Ramp::new().mask;
    for format in PixelFormat::ALL {
        let layout = FrameLayout::new(format, 301, 171);
        let mut detailer = Detailer::new(vec![echo::Echo::boxed()], &layout, MASKS);
        let frame = OwnedFrame::new(layout);
        let mut spent = 0;
        for _ in 0..3 {
            let before = of_this_thread();
            let details = detailer.find(&frame.view(), &mask, MASKS, None).unwrap();
            assert!(!details.is_empty());
            spent = of_this_thread() - before;
        }
        assert_eq!(spent, 0, "{format:?}");
    }
}

/// How the network's masks lie on frames.
const MASKS: MaskLayout =
    MaskLayout { input: SIZE, mask: SIZE, fit: Fit::Pad, aspect: PixelAspect::SQUARE };

/// Frames of which parts are looked at.
const FOLLOWED: Size = Size { width: 640, height: 360 };

/// What mattes them.
fn followed() -> (FrameLayout, Ramp, RegionPreparer, Canvas) {
    let Size { width, height } = FOLLOWED;
    let format = PixelFormat::I420;
    let layout = FrameLayout::new(format, width, height);
    let network = Ramp::new();
    let preparer = RegionPreparer::new(&network.shape(), layout);
    (layout, network, preparer, Canvas::new(FOLLOWED, MASKS))
}

#[test]
fn following_and_smoothing_take_nothing_from_the_heap() {
    let (layout, mut network, mut preparer, mut canvas) = followed();
    let view = OwnedFrame::new(layout);
    let mut follower = Follower::new(FOLLOWED, MASKS, canvas.least_side());
    let (canvas_size, mut mask) = (canvas.size(), vec![0.0; SIZE.area()]);
    let mut drawn = vec![0.0; canvas_size.area()];
    let mut guides = Guides::new(&layout);
    let masks = MaskLayout::covering(canvas_size);
    let mut smoother = Smoother::new(guides.size(), FOLLOWED, masks);
    for index in 0..8 {
        let before = of_this_thread();
        let size = Size { width: 320, height: 320 };
        let region = Region { x: 20 * index, y: 0, size };
        preparer.prepare_region(&view.view(), region, network.input());
        network.run(&mut mask).unwrap();
        let sight = follower.read(&mask, region);
        follower.follow(sight);
        canvas.draw(&mask, region, &mut drawn);
        let guide = guides.look(&view.view());
        smoother.observe(&guide);
        smoother.smooth(&drawn, 0.6);
        let spent = of_this_thread() - before;
        assert!(index < 2 || spent == 0, "{spent} allocations for frame {index}");
    }
}

#[test]
fn closer_looks_take_nothing_from_the_heap() {
    let (layout, mut network, mut preparer, mut canvas) = followed();
    let view = OwnedFrame::new(layout);
    let least = canvas.least_side();
    let mut refiner = Refiner::new(FOLLOWED, MASKS, canvas.size(), least);
    let mut mask = vec![0.0; SIZE.area()];
    let (mut drawn, mut closer) =
        (vec![0.0; canvas.size().area()], vec![0.0; canvas.size().area()]);
    let mut looks = Vec::new();
    for index in 0..8 {
        let before = of_this_thread();
        let region = Region { x: 20 * index, y: 0, size: Size { width: 320, height: 320 } };
        let mut look = |region: Region, out: &mut [f32]| {
            preparer.prepare_region(&view.view(), region, network.input());
            network.run(&mut mask).unwrap();
            canvas.draw(&mask, region, out);
        };
        look(region, &mut drawn);
        looks.clear();
        looks.extend_from_slice(refiner.plan(&drawn, region));
        for &part in &looks {
            look(part, &mut closer);
            refiner.take(&drawn, part, &closer);
        }
        refiner.join(&mut drawn);
        let spent = of_this_thread() - before;
        assert_eq!(looks.len(), 4);
        assert!(index < 2 || spent == 0, "{spent} allocations for frame {index}");
    }
}

/// Frames of a stream, with the defaults, on the thread that feeds it.
#[test]
fn a_stream_takes_nothing_from_the_heap_for_a_frame() {
    let (layout, network, _, _) = followed();
    let clock = Arc::new(SystemClock::default());
    let worker = Worker::new(Box::new(network), clock.clone()).unwrap();
    let mut stream = Stream::new(Box::new(worker), clock);
    let pacing = Pacing::Exact { in_flight: 2 };
    stream.fit(&StreamOptions { layout, pacing, frame: None, refines: false });
    let mut compositor =
        Compositor::new(stream.masks(), layout, layout, Output::Composite).unwrap();
    let look = Look {
        matte: MatteSettings::default(),
        background: Background::Color(0xff00_b140),
        decontaminate: true,
    };
    let mut spare = vec![OwnedFrame::new(layout), OwnedFrame::new(layout), OwnedFrame::new(layout)];
    let mut left = 0;
    let mut spent = Vec::new();
    for _ in 0..60 {
        let before = of_this_thread();
        stream.accept(spare.pop().unwrap(), FrameSettings::default(), false).unwrap();
        if stream.is_full() {
            let mut finished = stream.finish().unwrap().unwrap();
            if let Some((mask, masks)) = stream.shown() {
                compositor.take_masks(masks);
                let target = &mut finished.frame.view_mut();
                compositor.compose(Colors::InPlace, mask, &look, target).unwrap();
            }
            spare.push(finished.frame);
            left += 1;
        }
        spent.push(of_this_thread() - before);
    }
    assert_eq!(left, 59);
    // Whoever is followed is found, compared and kept in the first frames.
    assert_eq!(spent[40..].iter().sum::<usize>(), 0, "{spent:?}");
}
