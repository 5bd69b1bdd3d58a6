// SPDX-License-Identifier: MIT

//! What is agreed with the elements around: caps, the latency, whether the stream is live, and what a new `output` changes of that.

use std::sync::atomic::Ordering;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;

use super::buffers::Negotiated;
use super::caps;
use super::enums::{OutputKind, RefineKind};
use super::failure;
use super::flow::lock;
use super::imp::{CAT, DavidMatte};
use super::loading;
use super::properties::Settings;
use super::streaming::Streaming;
use super::video;
use crate::matting::prelude::Output;

impl DavidMatte {
    /// Goes on with other caps.
    pub(super) fn negotiate(
        &self,
        incaps: &gst::Caps,
        outcaps: &gst::Caps,
    ) -> Result<(), gst::LoggableError> {
        let negotiated = self.negotiated(incaps, outcaps).ok_or_else(|| {
            gst::loggable_error!(CAT, "caps {incaps} to {outcaps} are not understood")
        })?;
        if negotiated.sink.is_interlaced() {
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                ("Interlaced frames are not matted; put the element deinterlace before davidmatte")
            );
            return Err(gst::loggable_error!(CAT, "{incaps} is interlaced"));
        }
        if let Err(error) = self.drain() {
            // Flushed or refused downstream: the caps are good all the same, and whoever pushes the next
            // frame is told.
            gst::debug!(CAT, imp = self, "frames before caps: {error}");
        }
        let is_live = self.upstream_is_live();
        self.told_live.store(is_live, Ordering::Relaxed);
        let settings = lock(&self.settings).clone();
        self.fit_inference(&settings, is_live)?;
        let (latency, refines, sees_whole_frames) = {
            let mut streaming = lock(&self.streaming);
            let streaming = streaming
                .as_mut()
                .ok_or_else(|| gst::loggable_error!(CAT, "caps came to a stopped element"))?;
            streaming.negotiate(negotiated, &settings, is_live).map_err(|error| {
                self.post_error_message(failure::message(&error));
                gst::loggable_error!(CAT, "{error}")
            })?;
            let latency = gst::ClockTime::try_from(streaming.latency()).unwrap_or_default();
            (latency, streaming.refines(), streaming.sees_whole_frames())
        };
        if settings.refine == RefineKind::Zoom && !refines {
            let why = match sees_whole_frames {
                true => {
                    "the network has a memory or colours of its own, and is shown each frame once; set refine=none"
                }
                false => "no frame waits for its own; set pacing=exact, or refine=none",
            };
            gst::element_imp_warning!(
                self,
                gst::ResourceError::Settings,
                ("Mattes are not refined, since {why}")
            );
        }
        self.tell_latency(latency);
        Ok(())
    }

    /// Where what is known of the stream by now asks for another size of the network's input, loads it with
    /// that.
    fn fit_inference(&self, settings: &Settings, is_live: bool) -> Result<(), gst::LoggableError> {
        let keeps_pace = settings.keeps_pace(is_live);
        {
            let mut active = lock(&self.active);
            let Some(active) = active.as_mut() else { return Ok(()) };
            active.keeps_pace = keeps_pace;
            // Another model is on its way, and has been asked for with the size it needs, or will be.
            if active.model != settings.model || active.side == settings.side(keeps_pace) {
                return Ok(());
            }
        }
        let loaded = loading::load_apart(settings, keeps_pace, &self.clock).map_err(|error| {
            self.post_error_message(failure::message(&error));
            gst::loggable_error!(CAT, "{error}")
        })?;
        let failed = |error| gst::loggable_error!(CAT, "another network is not taken: {error}");
        self.succeed(loaded).map_err(failed)
    }

    fn upstream_is_live(&self) -> bool {
        let mut query = gst::query::Latency::new();
        self.obj().sink_pad().peer_query(&mut query) && query.result().0
    }

    /// Remembers the latency, and has it collected anew where it is another one.
    fn tell_latency(&self, latency: gst::ClockTime) {
        let before = std::mem::replace(&mut *lock(&self.latency), latency);
        if before != latency {
            gst::debug!(CAT, imp = self, "latency {latency}");
            let message = gst::message::Latency::builder().src(&*self.obj()).build();
            // Outside any bin nobody listens.
            let _ = self.obj().post_message(message);
        }
    }

    /// Goes on with another `output` where the caps stay, such as a matte in the format of the
    /// composite before it: the base class hands on only caps that are new.
    pub(super) fn adopt_output(&self) -> Result<(), gst::FlowError> {
        let wanted = self.output();
        let current = lock(&self.streaming).as_ref().and_then(Streaming::output);
        if current.is_none_or(|current| current == wanted) {
            return Ok(());
        }
        let Some((incaps, outcaps)) = self.current_caps() else { return Ok(()) };
        let allowed = self.negotiated(&incaps, &outcaps);
        if allowed.is_none_or(|negotiated| negotiated.output != wanted) {
            // Other caps are on their way.
            return Ok(());
        }
        self.negotiate_anew(&incaps, &outcaps)
    }

    /// Goes on as in a live stream where that is known only now: what selects one of several sources says so when it has
    /// one, which is after its caps.
    pub(super) fn adopt_liveness(&self) -> Result<(), gst::FlowError> {
        let knows_less =
            lock(&self.streaming).as_ref().is_some_and(|streaming| !streaming.is_live());
        if !knows_less || !self.told_live.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some((incaps, outcaps)) = self.current_caps() else { return Ok(()) };
        self.negotiate_anew(&incaps, &outcaps)
    }

    /// What comes in, and what leaves.
    fn current_caps(&self) -> Option<(gst::Caps, gst::Caps)> {
        let element = self.obj();
        element.sink_pad().current_caps().zip(element.src_pad().current_caps())
    }

    /// Goes on with the caps that there are, of which more is known by now.
    fn negotiate_anew(
        &self,
        incaps: &gst::Caps,
        outcaps: &gst::Caps,
    ) -> Result<(), gst::FlowError> {
        self.negotiate(incaps, outcaps).map_err(|error| {
            error.log_with_object(&*self.obj());
            gst::FlowError::NotNegotiated
        })
    }

    /// Has caps negotiated for an `output` that was set instead of the one `before`: with upstream where what it sends cannot
    /// become what downstream takes, and else without, so that a camera is left alone. While playing, an output that neither
    /// allows is not taken; before, whoever sets it may have more to set.
    pub(super) fn renegotiate(&self, before: OutputKind) {
        let element = self.obj();
        let wanted = lock(&self.settings).output;
        let (sink, src) = (element.sink_pad(), element.src_pad());
        let taken = src.peer_query_caps(None);
        let suits = |caps: &gst::Caps| caps::suits(&taken, caps, wanted.into());
        if sink.current_caps().is_none_or(|caps| suits(&caps)) {
            element.reconfigure_src();
        } else if suits(&sink.peer_query_caps(None)) {
            // Until other caps come, what still comes with these leaves as before.
            element.reconfigure_sink();
        } else if element.current_state() == gst::State::Playing {
            self.keep_output(before, wanted);
        } else {
            element.reconfigure_sink();
            element.reconfigure_src();
        }
    }

    /// Takes an output back, unless yet another one was set meanwhile.
    fn keep_output(&self, before: OutputKind, wanted: OutputKind) {
        let name = |output: OutputKind| {
            let value = output.to_value();
            glib::EnumValue::from_value(&value).map(|(_, value)| value.nick().to_owned())
        };
        {
            let mut settings = lock(&self.settings);
            if settings.output != wanted {
                return;
            }
            settings.output = before;
        }
        self.obj().notify("output");
        gst::element_imp_warning!(
            self,
            gst::StreamError::Format,
            (
                "output stays {}: nothing that upstream can send becomes {} in a format that downstream takes; \
                 put the element videoconvert behind davidmatte",
                name(before).unwrap_or_default(),
                name(wanted).unwrap_or_default()
            )
        );
    }

    fn negotiated(&self, incaps: &gst::Caps, outcaps: &gst::Caps) -> Option<Negotiated> {
        let (sink, src) = (video::info(incaps)?, video::info(outcaps)?);
        let (from, to) = (video::layout(&sink)?, video::layout(&src)?);
        // The setting may have changed since these caps were offered, more than once; they are negotiated
        // anew then, and until that is done frames leave as the caps allow.
        let wanted = self.output();
        let last = lock(&self.streaming).as_ref().and_then(Streaming::output);
        let mut outputs = [Some(wanted), last].into_iter().flatten().chain(Output::ALL);
        let output = outputs.find(|output| {
            to.height == from.height * output.pictures()
                && output.formats(from.format).contains(&to.format)
                && output.divides(to.format, from.height)
        })?;
        Some(Negotiated { sink, src, from, to, output })
    }
}
