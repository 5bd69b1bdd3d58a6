// SPDX-License-Identifier: MIT

//! Refining tiles of the mattes of frames that leave.

use std::time::{Duration, Instant};

use gst_video::VideoFrameRef;

use super::buffers::Negotiated;
use super::failure::Failure;
use super::video::{self, Corner};
use crate::matting::error::Error;
use crate::matting::prelude::*;

/// Refines tiles where that was asked for, and a network for it is at hand.
pub struct DetailStage {
    state: State,
    /// What is known of the frames.
    fitted: Option<(FrameLayout, MaskLayout)>,
    /// The time that there is for a frame.
    limit: Option<Duration>,
    /// Tiles of the last frame, and what they took.
    took: Option<(usize, Duration)>,
    warning: Option<Error>,
}

enum State {
    Off,
    /// Networks that have seen no frame yet.
    Ready(Vec<Box<dyn TileNetwork>>),
    On(Box<Detailer>),
}

impl State {
    fn of(tiles: Vec<Box<dyn TileNetwork>>) -> Self {
        if tiles.is_empty() { Self::Off } else { Self::Ready(tiles) }
    }
}

impl DetailStage {
    /// With the networks that were loaded for it, if any.
    pub fn new(tiles: Vec<Box<dyn TileNetwork>>) -> Self {
        Self { state: State::of(tiles), fitted: None, limit: None, took: None, warning: None }
    }

    /// Goes on with other frames, for each of which there is so much time.
    pub fn fit(&mut self, layout: &FrameLayout, masks: MaskLayout, limit: Option<Duration>) {
        (self.fitted, self.limit) = (Some((*layout, masks)), limit);
        self.state = match std::mem::replace(&mut self.state, State::Off) {
            State::Off => State::Off,
            State::Ready(tiles) => State::On(Box::new(Detailer::new(tiles, layout, masks))),
            State::On(detailer) => State::On(Box::new(detailer.fitted(layout, masks))),
        };
    }

    /// Goes on with other networks.
    pub fn succeed(&mut self, tiles: Vec<Box<dyn TileNetwork>>) {
        self.state = State::of(tiles);
        if let Some((layout, masks)) = self.fitted {
            self.fit(&layout, masks, self.limit);
        }
    }

    /// The tiles of a frame's matte; none where nothing is refined. What keeps them from being found is told,
    /// and the frame does without.
    pub fn find(
        &mut self,
        negotiated: &Negotiated,
        (frame, corner): (&gst::BufferRef, Corner),
        inferred: &Inferred<'_>,
        masks: MaskLayout,
        look: &Look,
    ) -> Result<Option<&Details>, Failure> {
        self.took = None;
        if matches!(self.state, State::Off) || !look.matte.keeps_edges() {
            return Ok(None);
        }
        let begun = Instant::now();
        let mapped = VideoFrameRef::from_buffer_ref_readable(frame, &negotiated.sink)
            .map_err(|error| Failure::Buffer(format!("a frame could not be mapped: {error}")))?;
        let view = video::view(&mapped, negotiated.from, corner)?;
        let State::On(detailer) = &mut self.state else { return Ok(None) };
        let found = detailer.find(&view, inferred.mask, masks, self.limit).map(Details::len);
        self.took = Some((*found.as_ref().unwrap_or(&0), begun.elapsed()));
        self.warning = self.warning.take().or_else(|| detailer.take_warning());
        match found {
            Ok(_) => {}
            Err(error @ Error::RefinedElsewhere { .. }) => self.warning = Some(error),
            // Where the processor failed, nothing is left to try.
            Err(error) => {
                self.state = State::Off;
                self.warning = Some(Error::NotRefined { reason: error.to_string() });
            }
        }
        Ok(match &self.state {
            State::On(detailer) => Some(detailer.details()),
            _ => None,
        })
    }

    /// How many tiles of the last frame were refined, and what that took; none where it was not tried.
    pub fn took(&self) -> Option<(usize, Duration)> {
        self.took
    }

    /// What there is to tell.
    pub fn take_warning(&mut self) -> Option<Error> {
        self.warning.take()
    }
}
