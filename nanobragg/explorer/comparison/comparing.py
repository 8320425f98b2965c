"""What a page asks of the measured image: reading it, its geometry, masks, the scale, and the refinement against it."""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nanobragg.api import decide
from nanobragg.arrays import detached
from nanobragg.errors import ConfigError
from nanobragg.exchange.geometry_files import read_geometry
from nanobragg.explorer.comparison.files import check_file
from nanobragg.explorer.comparison.measured import (
    PLAIN,
    Measured,
    ReadoutNumbers,
    agreement,
    by_panel,
    fitted,
    neighbor,
    numbers_of,
    read_measured,
    shapes_of,
)
from nanobragg.explorer.comparison.refining import Refining, offered
from nanobragg.explorer.rendering import as_images
from nanobragg.explorer.session import SEED, Picture, Session, State
from nanobragg.exposure import expose
from nanobragg.refinement.variables.parameters import fluence_path

Message = dict[str, Any]
SHAPES = ("rectangle", "circle")


class Comparing:
    """The measured image of a session, and what is done with it; the names of its actions are those of the messages."""

    ACTIONS = ("measure", "frame", "comparison", "fit", "light", "mask_file", "mask_draw", "mask_clear", "mask_detector",
               "geometry", "refine", "stop")  # fmt: skip

    def __init__(self, session: Session, tell: Callable[[Message], None], changed: Callable[[], None]) -> None:
        self._session, self._tell, self._changed = session, tell, changed
        self.measured: Measured | None = None
        self.refining = Refining(session, tell)
        session.rescaled = self._rescaled
        self._numbers: tuple[Any, ReadoutNumbers] = (None, PLAIN)
        self._offered: tuple[Any, list[tuple[str, bool]]] = (None, [])

    def take(self, measured: Measured | None) -> None:
        """Compare with another image, or with this one in another way; pages are told."""
        self.measured = measured
        self.refining.check(measured)
        self._tell(self.state())
        self._changed()

    def comparable(self, picture: Picture) -> Measured | None:
        """The measured image, where it is one of the detector of the picture."""
        found = self.measured
        return self._with_readout(found) if found is not None and found.fits(picture.layout) else None

    def shown(self) -> Measured | None:
        """The measured image, where it is one of the detector."""
        found = self.measured
        return self._with_readout(found) if found is not None and found.is_of(self._session.state.experiment) else None

    def _with_readout(self, measured: Measured) -> Measured:
        """With the variance of the counts of the session's readout."""
        state = self._session.state
        if self._numbers[0] is not state:
            self._numbers = (state, numbers_of(state))
        return replace(measured, readout=self._numbers[1])

    def rows(self, picture: Picture, pixel: tuple[int, int, int]) -> list[list[str]]:
        """What is said of a pixel (panel, slow, fast) under the cursor."""
        measured = self.comparable(picture)
        if measured is None:
            return []
        panel, *place = pixel
        shapes = picture.layout.shapes
        count = float((by_panel(measured.counts, shapes) or [])[panel][tuple(place)])
        if not measured.counts_at(shapes, pixel):
            return [["measured", f"{count:.6g} (does not count)"]]
        model = float(measured.scaled(as_images(picture.values)[panel][tuple(place)]))
        apart = (count - model) / np.sqrt(measured.readout.variance(model))
        return [["measured", f"{count:.6g}"], ["difference", f"{apart:+.2f} sigma"]]

    def state(self, *, said: bool = True) -> Message:
        """The measured image as the page shows it; `said`: with how well it agrees, which goes over all pixels."""
        measured, experiment = self.measured, self._session.state.experiment
        if measured is None:
            return {"kind": "measured", "name": ""}
        text, fits = "", measured.is_of(experiment)
        if not fits:
            found = by_panel_shapes(measured)
            text = f"not of this detector: {found}, the detector {shapes_of(experiment)} (slow, fast)"
        elif said and (picture := self._session.present) is not None and measured.fits(picture.layout):
            values = np.asarray(picture.layout.picture(picture.values), np.float64)
            text = agreement(self._with_readout(measured), picture.layout, values)
        elif said:
            text = "how well it agrees is told when the exact image is there"
        return {
            "kind": "measured", "name": measured.name, "factor": measured.factor, "offset": measured.offset,
            "low": measured.low, "high": measured.high, "image": measured.image, "n_images": measured.n_images,
            "fits": fits, "said": text, "masked": measured.drawn is not None, "paths": self._paths(),
            "free": not any(one.structure_factors.has_table for one in self._crystals()),
        }  # fmt: skip

    def _paths(self) -> list[tuple[str, bool]]:
        """What can be refined, found anew where another kind of experiment is there."""
        experiment = self._session.state.experiment
        if self._offered[0] is not experiment:
            self._offered = (experiment, offered(experiment))
        return self._offered[1]

    def _crystals(self) -> tuple[Any, ...]:
        crystal = self._session.state.experiment.crystal
        return crystal if isinstance(crystal, tuple) else (crystal,)

    def _there(self) -> Measured:
        if self.measured is None:
            raise ConfigError("measured image", None, "is not there", "read one first")
        return self.measured

    def _without_noise(self, picture: Picture) -> NDArray[np.float64]:
        """(rows, columns) of what the noise of the picture is about: a scale of noisy values would be too small."""
        values = picture.values
        if picture.unit == "counts":
            values = expose(
                picture.frame.experiment, self._session.shown_readout, photons=picture.frame.photons, seed=SEED
            ).expected
        return np.asarray(picture.layout.picture(values), np.float64)

    # what is asked for

    def measure(self, message: Message) -> None:
        """Read an image; one of another detector is kept, so that its geometry can be taken."""
        path = str(message["file"])
        if not path.strip() and self.measured is not None:
            self.take(None)
            return
        found = read_measured(path, int(message.get("image", 1)))
        self.take(found)
        found.check(self._session.state.experiment)

    def frame(self, message: Message) -> None:
        """The next image, or the one before."""
        measured = self._there()
        if message.get("image") is not None:
            by = int(message["image"]) - measured.image
        else:
            by = int(message["by"])
        if by:
            self.take(neighbor(measured, by))

    def comparison(self, message: Message) -> None:
        """Scale, and the counts between which pixels count; what is not in the message stays."""
        new: dict[str, Any] = {}
        for name in ("factor", "offset", "low", "high"):
            if name in message:
                new[name] = None if message[name] is None else float(message[name])
                if new[name] is None and name in ("factor", "offset"):
                    raise ConfigError(f"comparison.{name}", None, "must be a number")
        self.take(replace(self._there(), **new))

    def fit(self, message: Message) -> None:
        """Scale and offset by least squares."""
        measured, picture = self._there(), self._session.present
        if picture is None:
            raise ConfigError("exact image", None, "is not there yet", "wait until it is")
        measured.check(picture.frame.experiment)
        factor, offset = fitted(self._with_readout(measured), picture.layout, self._without_noise(picture))
        self.take(replace(measured, factor=factor, offset=offset))

    def light(self, message: Message) -> None:
        """Put the scale into the flux of the beam: as many photons as there are counts."""
        measured, session = self._there(), self._session
        with session.lock:
            state = session.state
            path = fluence_path(state.experiment)
            now = state.experiment.get(path)
            if now is None:
                now = decide(state.experiment)[0][0].experiment.get(path)
            lit = state.experiment.replace(path, float(detached(now)) * measured.factor)
            pedestal = self._with_readout(measured).readout.pedestal if session.reads_out else 0.0
            session.take(replace(state, experiment=lit, scaled=(*state.scaled, measured.explained(1.0, pedestal))), "")

    def mask_file(self, message: Message) -> None:
        """A mask from a file."""
        masked = "zero" if message.get("zero") else "nonzero"
        shapes = shapes_of(self._session.state.experiment)
        measured, name = self._there(), str(message["file"])
        if name.strip():
            check_file(os.path.expanduser(name.strip()), image=False)
        self.take(measured.with_mask(name, shapes, masked))

    def mask_draw(self, message: Message) -> None:
        """Mask by hand what lies between two places of the picture, or have it count again."""
        shape = str(message.get("shape", SHAPES[0]))
        if shape not in SHAPES:
            raise ConfigError("mask.shape", shape, f"must be one of {', '.join(SHAPES)}")
        measured, picture = self._there(), self._session.picture
        if picture is None:
            raise ConfigError("simulated image", None, "is not there yet", "wait until it is")
        measured.check(picture.frame.experiment)
        layout = picture.layout  # of what is seen, exact or not
        (x0, y0), (x1, y1) = ((float(a), float(b)) for a, b in message["line"])
        where = _inside(layout.shape, shape, (x0, y0), (x1, y1))
        if where.any():
            self.take(measured.with_drawn(layout, where, bool(message.get("counts"))))

    def mask_clear(self, message: Message) -> None:
        """Without what was masked by hand."""
        self.take(replace(self._there(), drawn=None))

    def mask_detector(self, message: Message) -> None:
        """Make gaps of the detector of what does not count: neither rendered nor exported; a step that can be undone."""
        measured, session = self._there(), self._session
        experiment = session.state.experiment
        measured.check(experiment)
        several = isinstance(experiment.detector, tuple)
        panels = experiment.detector if several else (experiment.detector,)
        new = [panel.with_value("mask", good if panel.mask is None else good & panel.mask)
               for panel, good in zip(panels, measured.counted(shapes_of(experiment)), strict=True)]  # fmt: skip
        changed = experiment.replace(detector=tuple(new) if several else new[0])
        session.take(replace(session.state, experiment=changed), "")

    def geometry(self, message: Message) -> None:
        """Detector, beam and spindle of the header of the measured image; crystal and flux stay.

        Wavelengths that the beam has one by one stay too, which is told.
        """
        measured, session = self._there(), self._session
        state = session.state
        if not os.path.isfile(measured.name):
            raise ConfigError(
                "measured image", measured.name, "is no file, and has no header", "choose a detector of its size"
            )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = read_geometry(measured.name, template=state.experiment, image=_frame(measured))
        beam = found.beam
        new = state.experiment.replace(
            detector=found.detector, beam=beam, goniometer=found.goniometer, detector_pose=None
        )
        if new.sampling.roi is not None:
            new = new.replace("sampling.roi", None)
        measured.check(new)
        session.take(replace(state, experiment=new), "")
        self.take(measured)
        given = beam.spectrum is not None and beam.spectrum.kind == "given"
        if given or beam.sources is not None:
            part = "spectrum" if given else "sources"
            raise ConfigError(f"beam.{part}", "a list of wavelengths", "stays as it is: the header has a single one, for the "
                              "beam", f"remove the {part} to use it")  # fmt: skip

    def refine(self, message: Message) -> None:
        """Begin a refinement."""
        self.refining.start(self._there(), [str(path) for path in message["paths"]], bool(message.get("free")))

    def stop(self, message: Message) -> None:
        """End it."""
        self.refining.stop()

    def _rescaled(self, before: State, now: State) -> None:
        """The scale has gone into the flux, or with an earlier flux it comes back: to the images whose scale it was."""
        undone, done = before.scaled[len(now.scaled) :], now.scaled[len(before.scaled) :]
        scales = {one.series: one.before for one in reversed(undone)} | {one.series: one.after for one in done}
        measured = self.measured
        if measured is not None and measured.series in scales:
            factor, offset = scales[measured.series]
            self.measured = replace(measured, factor=factor, offset=offset)
            self._tell(self.state(said=False))  # how well it agrees is told with the picture that comes

    # what is taken home

    def mask_bytes(self) -> bytes:
        """A .npy file of the mask, 1 where pixels do not count: one image, panels below each other."""
        measured, experiment = self._there(), self._session.state.experiment
        measured.check(experiment)
        parts = measured.counted(shapes_of(experiment))
        widths = {part.shape[1] for part in parts}
        if len(widths) > 1:
            raise ConfigError("mask", f"{len(parts)} panels", "are of unlike width, which no one image holds")
        room = io.BytesIO()
        np.save(room, np.concatenate([~part for part in parts]).astype(np.uint8))
        return room.getvalue()

    def report_bytes(self) -> bytes:
        """The report of the last refinement, one HTML page."""
        found = self.refining.found
        if found is None:
            raise ConfigError("refinement", None, "there was none that came to an end")
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "refinement.html")
            found.report(path)
            with open(path, "rb") as file:
                return file.read()


def by_panel_shapes(measured: Measured) -> list[tuple[int, ...]]:
    """Shapes of the images, for messages."""
    counts = measured.counts
    return [np.shape(one) for one in (counts if isinstance(counts, list) else [counts])]


def _frame(measured: Measured) -> int | None:
    return measured.image if measured.n_images > 1 else None


def _inside(shape: tuple[int, int], kind: str, a: tuple[float, float], b: tuple[float, float]) -> NDArray[np.bool_]:
    """(rows, columns) of the pixels whose middle lies between two corners, or in the circle about the first place."""
    rows, columns = np.arange(shape[0])[:, None] + 0.5, np.arange(shape[1])[None, :] + 0.5
    if kind == "circle":
        return np.asarray((columns - a[0]) ** 2 + (rows - a[1]) ** 2 <= (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2)
    (x0, x1), (y0, y1) = sorted((a[0], b[0])), sorted((a[1], b[1]))
    return np.asarray((columns >= x0) & (columns <= x1) & (rows >= y0) & (rows <= y1))
